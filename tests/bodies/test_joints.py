import numpy as np
import pytest

from hmrlab.bodies import joints


def test_sets_have_the_sizes_that_spin_uses():
    assert len(joints.SMPL_JOINTS) == len(joints.SMPL_PARENTS) == 24
    assert len(joints.KEYPOINT_NAMES) == len(joints.KEYPOINT_ROWS) == 49
    assert len(joints.LANDMARKS) == 21
    assert len(joints.EXTRA_JOINTS) == 9
    assert len(joints.H36M_JOINTS) == 17


@pytest.mark.parametrize(
    "flip", [joints.POSE_FLIP, joints.ANNOTATED_FLIP, joints.KEYPOINT_FLIP], ids=["24", "24a", "49"]
)
def test_a_flip_done_twice_changes_nothing(flip):
    assert [flip[k] for k in flip] == list(range(len(flip)))


def test_keypoint_rows_point_at_what_the_keypoint_is_called():
    sources = (*joints.SMPL_JOINTS, *joints.LANDMARKS, *joints.EXTRA_JOINTS)
    same = {"neck_lsp", "nose", "left_eye", "right_ear", "left_knee", "right_wrist", "pelvis_mpii"}
    for name, row in zip(joints.KEYPOINT_NAMES, joints.KEYPOINT_ROWS, strict=True):
        bare = name.removeprefix("openpose_")
        if bare in same:
            assert sources[row] == bare


def test_both_roads_to_the_fourteen_meet_at_the_same_names():
    """The head differs on purpose: each regressor has its own."""
    from_h36m = [joints.H36M_JOINTS[k] for k in joints.H36M_TO_J14]
    from_annotated = [joints.ANNOTATED_NAMES[k] for k in joints.ANNOTATED_TO_J14]
    for ours, theirs in zip(from_h36m, from_annotated, strict=True):
        assert theirs.startswith(ours), (ours, theirs)


def test_flips_reproduce_spins_numbers(golden):
    for key, flip in (("kp24", joints.ANNOTATED_FLIP), ("kp49", joints.KEYPOINT_FLIP)):
        flipped = golden[key][:, list(flip)].clone()
        flipped[..., 0] *= -1
        np.testing.assert_allclose(flipped, golden[f"{key}_flipped"])
