"""Joints are compared by name, or not at all."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from hmrlab.bodies import joints as names
from hmrlab.evaluation.joint_sets import (
    ANNOTATED_24,
    H36M_17,
    J14,
    J17,
    KEYPOINTS_49,
    SMPL_24,
    Joints,
    JointSet,
    JointSetError,
    names_in,
)


def numbered(joint_set: JointSet, people: int = 2) -> Joints:
    """Points whose x is their place in the set."""
    points = torch.zeros(people, len(joint_set), 3)
    points[..., 0] = torch.arange(len(joint_set), dtype=torch.float32)
    return Joints(points, joint_set)


@pytest.mark.parametrize(
    ("source", "target", "rows"),
    [
        # The rows of SPIN's constants.py, by number.
        (H36M_17, J17, (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)),
        (H36M_17, J14, (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)),
        (ANNOTATED_24, J17, (*range(13), 18, 14, 16, 17)),
        (ANNOTATED_24, J14, (*range(13), 18)),
        (KEYPOINTS_49, J14, (*range(25, 38), 43)),
        (KEYPOINTS_49, ANNOTATED_24, tuple(range(25, 49))),
        (J17, J14, tuple(range(14))),
        (J14, J14, tuple(range(14))),
    ],
)
def test_sets_lead_to_each_other_by_the_rows_of_spin(source, target, rows):
    found = numbered(source).to(target)
    assert found.joint_set == target
    assert found.points[0, :, 0].tolist() == list(rows)


def test_the_sets_have_the_sizes_that_they_are_named_for():
    sets = (SMPL_24, KEYPOINTS_49, ANNOTATED_24, H36M_17, J17, J14)
    assert [len(s) for s in sets] == [24, 49, 24, 17, 17, 14]
    assert J14.names == J17.names[:14]
    assert set(J17.names) - set(J14.names) == {"pelvis", "spine", "jaw"}


@pytest.mark.parametrize(
    ("source", "target"),
    [(SMPL_24, J14), (SMPL_24, J17), (J14, J17), (H36M_17, ANNOTATED_24), (KEYPOINTS_49, SMPL_24)],
)
def test_where_no_way_leads_both_sets_are_named(source, target):
    with pytest.raises(JointSetError) as error:
        numbered(source).to(target)
    assert source.name in str(error.value)
    assert target.name in str(error.value)


def test_the_top_of_the_head_is_not_the_head_of_j14():
    top = [*names_in(ANNOTATED_24, J14)[:13], "top_of_head_lsp"]
    annotated = numbered(ANNOTATED_24)
    wrong = annotated.select(top, "14 with the top of the head")
    assert wrong.points[0, 13, 0] == 13
    assert annotated.to(J14).points[0, 13, 0] == 18
    with pytest.raises(JointSetError) as error:
        wrong.errors(annotated.to(J14))
    for words in ("14 with the top of the head", "J14", "neck_lsp against neck"):
        assert words in str(error.value)
    errors = wrong.renamed(J14).errors(annotated.to(J14))
    assert_close(errors[0], torch.tensor([0.0] * 13 + [5.0]))


def test_sets_of_the_same_length_are_not_the_same():
    with pytest.raises(JointSetError, match=r"17 joints of J_regressor_h36m.*'J17'"):
        numbered(H36M_17).errors(numbered(J17))
    with pytest.raises(JointSetError, match="cannot be compared"):
        numbered(H36M_17).pa_mpjpe(numbered(J17))


def test_errors_of_named_joints_are_distances(golden):
    predicted, true = golden["pa_pred"], golden["pa_gt"]
    joint_set = JointSet("golden", tuple(f"joint_{k}" for k in range(predicted.shape[1])))
    ours, theirs = Joints(predicted, joint_set), Joints(true, joint_set)
    expected = np.sqrt(((predicted.numpy() - true.numpy()) ** 2).sum(-1))
    np.testing.assert_allclose(ours.errors(theirs).numpy(), expected, rtol=1e-5)
    assert_close(ours.pa_mpjpe(theirs), golden["pa_err"].to(predicted.dtype), rtol=1e-4, atol=1e-6)


def test_centring_moves_one_joint_to_the_origin():
    moved = numbered(H36M_17).centred_on("spine")
    assert moved.points[0, H36M_17.index("spine")].tolist() == [0, 0, 0]
    assert moved.points[0, 0, 0] == -names.H36M_JOINTS.index("spine")
    with pytest.raises(JointSetError, match="has no 'pelvis_mpii'; it has pelvis"):
        numbered(H36M_17).centred_on("pelvis_mpii")


def test_a_wrong_number_of_points_and_a_doubled_name_are_refused():
    with pytest.raises(JointSetError, match=r"J14 needs points \(B, 14, 3\), got \(2, 17, 3\)"):
        Joints(torch.zeros(2, 17, 3), J14)
    with pytest.raises(JointSetError, match="names nose twice"):
        JointSet("odd", ("nose", "neck", "nose"))
