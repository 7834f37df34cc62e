import numpy as np
import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.joints import POSE_FLIP, SMPL_JOINTS
from hmrlab.bodies.limits import SWING_LIMITS_DEG, TWIST_LIMITS_DEG
from hmrlab.data.synthetic.poses import (
    ACTIVITIES,
    mean_rotations,
    sample_betas,
    sample_poses,
)
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, swing_twist

ELBOWS = [SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")]


@pytest.fixture(scope="module")
def sample():
    poses, labels = sample_poses(3000, np.random.default_rng(0))
    return poses, labels


@pytest.fixture(scope="module")
def decomposed(sample):
    """Swing and twist of every joint but the root, degrees: two arrays (N, 23)."""
    body = load_body("free", "light", dtype=torch.float64)
    axes = bone_axes(body.rest_joints(torch.zeros(1, 10, dtype=torch.float64))[0], body.parents)
    rotations = axis_angle_to_matrix(torch.from_numpy(sample[0]))
    swing, twist = swing_twist(rotations, axes)
    cosine = (swing.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1)))
    return angle[:, 1:].numpy(), torch.rad2deg(twist)[:, 1:].numpy()


def test_every_activity_is_drawn(sample):
    assert len(ACTIVITIES) >= 12
    counts = np.bincount(sample[1], minlength=len(ACTIVITIES))
    assert counts.min() > 0.5 * len(sample[1]) / len(ACTIVITIES)


def test_joints_stay_within_a_persons_limits(decomposed):
    swing, twist = decomposed
    slack = 1e-6
    for k in range(23):
        name = SMPL_JOINTS[k + 1]
        assert np.abs(twist[:, k]).max() <= TWIST_LIMITS_DEG[k + 1] + slack, name
        assert swing[:, k].max() <= SWING_LIMITS_DEG[k + 1] + slack, name


def test_forearms_twist_as_documented(decomposed):
    twist = decomposed[1][:, [k - 1 for k in ELBOWS]]
    assert np.std(twist) == pytest.approx(22, rel=0.1)
    assert abs(np.mean(twist)) < 2


def test_people_face_every_way(sample):
    """The headings of upright people fill the circle."""
    rotations = axis_angle_to_matrix(torch.from_numpy(sample[0][:, 0])).numpy()
    facing = rotations[:, :, 2]  # where the body's front points, its own frame
    heading = np.arctan2(facing[:, 0], facing[:, 2])
    counts, _ = np.histogram(heading, bins=8, range=(-np.pi, np.pi))
    assert counts.min() > 0.7 * len(heading) / 8


def test_left_and_right_are_alike(sample):
    """Each joint turns as far, on average, as its mirror image."""
    angles = np.linalg.norm(sample[0], axis=2)
    means = angles.mean(0)
    np.testing.assert_allclose(means, means[list(POSE_FLIP)], atol=0.05)


def test_draws_depend_on_the_generator_alone():
    again = [sample_poses(50, np.random.default_rng(7))[0] for _ in range(2)]
    np.testing.assert_array_equal(*again)
    assert not np.array_equal(again[0], sample_poses(50, np.random.default_rng(8))[0])


def test_shapes_are_standard_normal_and_clipped():
    betas = sample_betas(4000, np.random.default_rng(0))
    assert np.abs(betas).max() <= 2.5
    np.testing.assert_allclose(betas.std(0), 1, atol=0.06)
    np.testing.assert_allclose(betas.mean(0), 0, atol=0.06)


def test_the_mean_pose_is_a_pose_near_the_middle_of_all(sample):
    mean = mean_rotations().double()
    identity = torch.eye(3, dtype=torch.float64).expand(24, 3, 3)
    torch.testing.assert_close(mean @ mean.transpose(1, 2), identity, atol=1e-5, rtol=0)
    assert (torch.linalg.det(mean) > 0).all()
    rotations = axis_angle_to_matrix(torch.from_numpy(sample[0]))[:, 1:]

    def spread(centre):
        return (rotations - centre).square().sum((-2, -1)).mean(0)

    rest = spread(identity[1:])
    assert (spread(mean[1:]) <= rest + 1e-3).all()
    assert (spread(mean[1:])[ELBOWS[0] - 1]) < 0.8 * rest[ELBOWS[0] - 1]
