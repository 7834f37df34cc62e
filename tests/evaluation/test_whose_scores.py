"""That each person's scores are of that person, and signs of masks and draws that fit nobody."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.bodies import SMPLParams
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.data.batch import Batch
from hmrlab.data.images import ImageSource
from hmrlab.data.part_masks import UPI_S1H_PARTS
from hmrlab.evaluation import metrics
from hmrlab.evaluation.intervals import bootstrap, ratio
from hmrlab.evaluation.joint_sets import J14, Joints
from hmrlab.evaluation.scores import Scores, TwistFrame, score_batches
from hmrlab.evaluation.segmentation import (
    parts_confusion,
    picture_size,
    predicted_parts,
    sides_are_swapped,
)
from hmrlab.geometry import axis_angle_to_matrix, project_normalised

PEOPLE = 6
KNOWN = torch.tensor([False, True, False, True, True, False])


@pytest.fixture(scope="module")
def people() -> SMPLParams:
    """Everybody before a camera of their own."""
    generator = torch.Generator().manual_seed(0)
    axis_angle = 0.3 * torch.randn(PEOPLE, 24, 3, generator=generator)
    axis_angle[:, 0] += torch.tensor([torch.pi, 0.0, 0.0])
    camera = torch.rand(PEOPLE, 3, generator=generator) * 0.3 + torch.tensor([0.7, 0.0, 0.0])
    betas = torch.randn(PEOPLE, 10, generator=generator)
    return SMPLParams(axis_angle_to_matrix(axis_angle), betas, camera)


@pytest.fixture(scope="module")
def batch(people, body) -> Batch:
    keypoints = torch.ones(PEOPLE, 49, 3)
    keypoints[..., :2] = project_normalised(
        body.keypoints(people.rotations, people.betas), people.camera
    )
    return Batch(
        images=torch.zeros(PEOPLE, 3, 8, 8),
        keypoints_2d=keypoints,
        keypoints_3d=torch.zeros(PEOPLE, 24, 4),
        rotations=people.rotations,
        betas=people.betas,
        has_smpl=KNOWN,
        has_pose_3d=torch.zeros(PEOPLE, dtype=torch.bool),
        index=torch.arange(PEOPLE),
        source=torch.zeros(PEOPLE, dtype=torch.long),
        is_flipped=torch.zeros(PEOPLE, dtype=torch.bool),
        rot_angle=torch.zeros(PEOPLE),
    )


def scored(prediction, batch, body):
    return score_batches(lambda _: prediction, [batch], body, torch.device("cpu"), progress=False)


def test_of_some_with_labels_each_is_seen_by_its_own_camera(people, batch, body):
    scores = scored(people, batch, body)
    assert scores.index.tolist() == [1, 3, 4]
    assert scores.keypoint_error_percent.max() < 1e-3
    moved = replace(people, camera=people.camera.roll(1, 0))
    assert scored(moved, batch, body).keypoint_error_percent.min() > 0.1


def test_what_was_predicted_and_what_is_true_are_not_exchanged(people, batch, body):
    other = replace(people, rotations=people.rotations.roll(1, 0), betas=people.betas + 1)
    scores, axes = scored(other, batch, body), TwistFrame.of(body).axes
    for name, rotations in (("twist_deg", other.rotations), ("true_twist_deg", people.rotations)):
        expected = metrics.twist_angle(rotations[KNOWN], axes)
        np.testing.assert_allclose(getattr(scores, name), expected, atol=1e-4)
    np.testing.assert_allclose(scores.betas, other.betas[KNOWN])
    np.testing.assert_allclose(scores.true_betas, people.betas[KNOWN])


@pytest.mark.parametrize("part", ["rotations", "betas", "camera"])
def test_one_number_of_any_part_that_is_not_finite_is_named(people, batch, body, part):
    values = getattr(people, part).clone()
    values[3].view(-1)[-1] = torch.inf
    with pytest.raises(ValueError, match=r"sample\(s\) \[3\] is not finite"):
        scored(replace(people, **{part: values}), batch, body)
    values[3] = getattr(people, part)[3]
    values[0] = torch.nan  # nobody asks for this one
    assert len(scored(replace(people, **{part: values}), batch, body).index) == 3


@pytest.mark.parametrize("limb", ["arm", "leg"])
def test_sides_of_arms_alone_or_legs_alone_are_noticed(limb):
    left, right = (1 + UPI_S1H_PARTS.index(f"{side}_{limb}") for side in ("left", "right"))
    true = np.array([[0, 1, left, left, right, right]], np.uint8)
    predicted = np.array([[0, 1, right, right, left, left]], np.uint8)
    assert sides_are_swapped(parts_confusion(true, predicted))
    assert not sides_are_swapped(parts_confusion(true, true))


def test_masks_that_tell_no_sides_are_not_taken_for_swapped():
    torso = np.array([[0, 2, 2, 1]], np.uint8)
    assert not sides_are_swapped(parts_confusion(torso, torso))


@pytest.mark.parametrize("note", range(1, 9))
def test_a_picture_on_its_side_has_the_size_that_it_is_seen_in(tmp_path, note):
    picture = Image.new("RGB", (30, 20))
    exif = picture.getexif()
    exif[0x0112] = note
    picture.save(tmp_path / "a.jpg", exif=exif)
    expected = (30, 20) if note >= 5 else (20, 30)
    assert picture_size(ImageSource(tmp_path), "a.jpg") == expected


def test_draws_in_which_nothing_was_counted_do_not_spoil_the_interval():
    """Of two people one has no keypoints: every fourth draw is twice that one, 0 over 0."""
    found = bootstrap(np.array([[3.0, 1.0], [0.0, 0.0]]), ratio, np.arange(2))
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)


@pytest.mark.parametrize(("near", "degrees"), [("left", -90.0), ("right", 90.0)])
def test_what_is_nearer_to_the_camera_hides_what_is_behind_it(body, near, degrees):
    """Somebody seen from the side with both arms spread: one points at us, the other away."""
    upright, turn = (
        axis_angle_to_matrix(torch.tensor(vector))
        for vector in ([torch.pi, 0.0, 0.0], [0.0, float(np.radians(degrees)), 0.0])
    )
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[:, 0] = upright @ turn
    person = SMPLParams(rotations, torch.zeros(1, 10), torch.tensor([[0.9, 0.0, 0.0]]))
    center, scale = torch.tensor([[100.0, 100.0]]), torch.tensor([1.0])
    (parts,) = predicted_parts(person, body, center, scale, [(200, 200)])
    joints = body.joints(rotations, torch.zeros(1, 10))
    assert joints[0, SMPL_JOINTS.index(f"{near}_wrist"), 2] < joints[0, 0, 2]
    places = center + 100 * project_normalised(joints, person.camera)[0]
    x, y = places[SMPL_JOINTS.index(f"{near}_elbow")].int().tolist()
    assert UPI_S1H_PARTS[parts[y, x] - 1] == f"{near}_arm"


@pytest.mark.parametrize("value", [7, 8, 254])
def test_a_mask_with_a_value_of_no_part_is_refused_by_its_value(value):
    with pytest.raises(ValueError, match=f"found {value}"):
        parts_confusion(np.full((2, 2), value, np.uint8), np.zeros((2, 2), np.uint8))


def test_twists_differ_the_short_way_round_and_what_is_not_known_is_not_averaged():
    def each(*values):
        return np.repeat(np.array(values)[:, None], 24, 1)

    scores = Scores(
        index=np.arange(3),
        joint_error_mm=np.zeros((3, 14)),
        pa_mpjpe_mm=np.zeros(3),
        pve_mm=np.zeros(3),
        rotation_error_deg=np.zeros((3, 24)),
        twist_deg=each(-10.0, 175.0, -175.0),
        true_twist_deg=each(10.0, -175.0, 175.0),
        beyond_limits=np.zeros((3, 24), bool),
        betas=np.zeros((3, 10)),
        true_betas=np.zeros((3, 10)),
        keypoint_error_percent=np.array([np.nan, 2.0, 4.0]),
    )
    np.testing.assert_allclose(scores.twist_error_deg[:, 3], [20.0, 10.0, 10.0])
    assert scores.to_dict()["keypoint_error_percent"] == 3.0


def test_chosen_joints_come_in_the_order_asked_for():
    points = torch.zeros(1, len(J14), 3)
    points[0, :, 0] = torch.arange(len(J14))
    wanted = ("left_knee", "right_ankle", "neck")
    chosen = Joints(points, J14).select(wanted, "three")
    assert chosen.joint_set.names == wanted
    assert chosen.points[0, :, 0].tolist() == [J14.index(name) for name in wanted] == [4, 0, 12]
