"""Metrics on bodies whose errors are known in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch.testing import assert_close

from hmrlab.bodies.joints import SMPL_JOINTS, SMPL_PARENTS
from hmrlab.evaluation import metrics
from hmrlab.evaluation.scores import TwistFrame, rotation_errors
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, swing_twist

ELBOW = SMPL_JOINTS.index("left_elbow")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.fixture(scope="module")
def axes() -> torch.Tensor:
    """Bone axes of a skeleton with SMPL's tree and random bones."""
    return bone_axes(random(24, 3), SMPL_PARENTS)


@pytest.fixture
def pose() -> torch.Tensor:
    return axis_angle_to_matrix(0.5 * random(6, 24, 3))


def twisted(pose, axes, joint, degrees) -> torch.Tensor:
    """The same pose with one joint turned about its own bone."""
    turn = axis_angle_to_matrix(math.radians(degrees) * axes[joint])
    result = pose.clone()
    result[:, joint] = result[:, joint] @ turn
    return result


def test_mpjpe_of_a_shift_is_its_length():
    true = random(5, 14, 3)
    predicted = true + torch.tensor([0.03, 0.0, 0.04])
    assert_close(metrics.mpjpe(predicted, true), torch.full((5,), 0.05).double())
    assert_close(metrics.pve(predicted, true), torch.full((5,), 0.05).double())
    assert metrics.joint_errors(predicted, true).shape == (5, 14)


def test_one_wrong_joint_counts_once():
    true = random(2, 14, 3)
    predicted = true.clone()
    predicted[1, 3, 0] += 0.14
    assert_close(metrics.mpjpe(predicted, true), torch.tensor([0.0, 0.01]).double())


def test_pa_mpjpe_equals_spin(golden):
    error = metrics.pa_mpjpe(golden["pa_pred"], golden["pa_gt"])
    assert_close(error, golden["pa_err"], rtol=1e-4, atol=0)


def test_pa_mpjpe_agrees_with_scipy():
    true = random(10, 14, 3)
    turn = axis_angle_to_matrix(random(10, 3, seed=1))
    predicted = 1.7 * true @ turn.transpose(-1, -2) + 0.3 + 0.1 * random(10, 14, 3, seed=2)
    error = metrics.pa_mpjpe(predicted, true)
    for i in range(10):
        a = predicted[i].numpy() - predicted[i].numpy().mean(0)
        b = true[i].numpy() - true[i].numpy().mean(0)
        rotation, scale = orthogonal_procrustes(a, b)
        assert np.linalg.det(rotation) > 0
        aligned = scale / (a**2).sum() * a @ rotation
        expected = np.linalg.norm(aligned - b, axis=1).mean()
        np.testing.assert_allclose(error[i], expected, rtol=1e-9)


def test_pa_mpjpe_forgives_position_size_and_orientation_but_no_mirror():
    true = random(4, 14, 3)
    turn = axis_angle_to_matrix(random(4, 3, seed=1))
    assert metrics.pa_mpjpe(0.5 * true @ turn.transpose(-1, -2) + 3, true).max() < 1e-12
    assert metrics.pa_mpjpe(true * torch.tensor([-1.0, 1, 1]).double(), true).min() > 0.1


def twist_error(predicted, true, axes):
    return metrics.wrapped_difference(
        metrics.twist_angle(predicted, axes), metrics.twist_angle(true, axes)
    )


@pytest.mark.parametrize("degrees", [0.0, 40.0, 179.0])
def test_a_twisted_joint_has_that_rotation_and_twist_error(pose, axes, degrees):
    predicted = twisted(pose, axes, ELBOW, degrees)
    expected = torch.zeros(6, 24).double()
    expected[:, ELBOW] = degrees
    assert_close(twist_error(predicted, pose, axes), expected, rtol=0, atol=1e-5)
    assert_close(metrics.rotation_error(predicted, pose), expected, rtol=0, atol=1e-5)


def test_a_turn_beyond_half_a_circle_is_measured_the_short_way_round(pose, axes):
    predicted = twisted(pose, axes, ELBOW, 200.0)
    error = twist_error(predicted, pose, axes)
    assert_close(error[:, ELBOW], torch.full((6,), 160.0).double())


def test_a_swing_is_no_twist(pose, axes):
    """Replace a joint's swing by another: rotation error, but no twist error."""
    _, angle = swing_twist(pose[:, ELBOW], axes[ELBOW])
    across = torch.linalg.cross(axes[ELBOW], random(3))
    swing = axis_angle_to_matrix(across / across.norm())
    predicted = pose.clone()
    predicted[:, ELBOW] = swing @ axis_angle_to_matrix(angle[:, None] * axes[ELBOW])
    assert twist_error(predicted, pose, axes).max() < 1e-5
    assert metrics.rotation_error(predicted, pose)[:, ELBOW].min() > 1.0


def test_wrapped_difference():
    a, b = torch.tensor([179.0, -179.0, 90.0, 0.0]), torch.tensor([-179.0, 179.0, -90.0, 10.0])
    assert_close(metrics.wrapped_difference(a, b), torch.tensor([2.0, 2.0, 180.0, 10.0]))


def test_percent_beyond_the_limits_counts_joints_and_not_the_root(axes):
    limits = torch.full((24,), 30.0).double()
    limits[ELBOW] = 60.0
    still = torch.eye(3).double().expand(4, 24, 3, 3)
    bodies = still.clone()
    bodies[1] = twisted(still[1:2], axes, ELBOW, 59.0)[0]
    bodies[2] = twisted(still[2:3], axes, ELBOW, 61.0)[0]
    bodies[3] = twisted(twisted(still[3:4], axes, 1, -31.0), axes, 2, -29.0)[0]
    bodies[:, 0] = twisted(still, axes, 0, 150.0)[:, 0]
    errors = rotation_errors(bodies, still, TwistFrame(axes, limits))
    percent = 100 * errors.beyond_limits[:, 1:].float().mean(1)
    assert_close(percent, torch.tensor([0.0, 0.0, 100.0, 100.0]) / 23)
    beyond = metrics.beyond_twist_limits(bodies, axes, limits)
    assert beyond[2].nonzero().flatten().tolist() == [0, ELBOW]


def test_keypoint_error_is_in_percent_of_the_crop_and_skips_what_is_not_labelled():
    labelled = torch.zeros(3, 4, 3)
    labelled[:2, :2, 2] = torch.tensor([1.0, 0.3])
    predicted = torch.zeros(3, 4, 2)
    predicted[0, :, 0] = 0.2  # a tenth of a crop whose side is 2
    predicted[1, 0] = torch.tensor([0.3, 0.4])
    predicted[1, 2:] = torch.nan
    error = metrics.keypoint_error(predicted, labelled)
    assert_close(error, torch.tensor([10.0, 12.5, torch.nan]), equal_nan=True)


def test_2d_pck_counts_what_is_nearer_than_a_tenth_of_the_box():
    """The crop's side is 2 and 1.2 boxes, so that a tenth of a box is 1/6."""
    labelled = torch.zeros(3, 4, 3)
    labelled[:2, :, 2] = 1
    labelled[1, 2:, 2] = 0
    predicted = torch.zeros(3, 4, 2)
    predicted[0, :, 0] = torch.tensor([0.16, 0.17, 0.0, -0.5])
    predicted[1] = torch.tensor([[0.11, 0.11], [0.12, 0.12], [9, 9], [torch.nan, 0]])
    pck = metrics.pck_2d(predicted, labelled)
    assert_close(pck, torch.tensor([50.0, 50.0, torch.nan]), equal_nan=True)
    assert metrics.pck_2d(predicted, labelled, share=0.31)[0] == 100


def test_batch_equals_loop(pose, axes):
    other = axis_angle_to_matrix(random(6, 24, 3, seed=3))
    points, true = random(6, 14, 3), random(6, 14, 3, seed=4)
    for i in range(6):
        one = slice(i, i + 1)
        assert_close(metrics.pa_mpjpe(points, true)[one], metrics.pa_mpjpe(points[one], true[one]))
        assert_close(
            twist_error(pose, other, axes)[one],
            twist_error(pose[one], other[one], axes),
        )


def test_wrong_joints_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        metrics.mpjpe(torch.zeros(2, 14, 3), torch.zeros(2, 17, 3))


def test_a_joint_at_its_limit_is_not_beyond_it(axes):
    still = torch.eye(3).double().expand(2, 24, 3, 3)
    assert not metrics.beyond_twist_limits(still, axes, torch.zeros(24).double()).any()
