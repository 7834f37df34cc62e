"""Rotations against SPIN's numbers, known cases and their own inverses."""

import math

import pytest
import roma
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from hmrlab.geometry import (
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    matrix_to_six_d,
    rotate_in_image_plane,
    rotation_angle_between,
    six_d_to_matrix,
)

coordinate = st.floats(-4, 4, allow_nan=False)
vectors = st.tuples(coordinate, coordinate, coordinate).map(
    lambda v: torch.tensor(v, dtype=torch.float64)
)


def random_axis_angles(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, generator=generator, dtype=torch.float64)


def test_axis_angle_equals_spin(golden):
    assert_close(axis_angle_to_matrix(golden["aa"]), golden["aa_rotmat"], rtol=1e-4, atol=1e-5)


def test_six_d_equals_spin(golden):
    assert_close(six_d_to_matrix(golden["r6d"]), golden["r6d_rotmat"], rtol=1e-4, atol=1e-5)


def test_rotating_the_picture_equals_spin(golden):
    root = axis_angle_to_matrix(golden["pose"][:, :3])
    expected = axis_angle_to_matrix(golden["pose_rotated_root"])
    assert_close(rotate_in_image_plane(root, golden["rot_deg"]), expected)


def test_quarter_turn_about_z_takes_x_to_y():
    turn = axis_angle_to_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))
    assert_close(turn @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))


@given(vectors)
def test_axis_angle_round_trip(axis_angle):
    rotation = axis_angle_to_matrix(axis_angle)
    again = matrix_to_axis_angle(rotation)
    assert again.norm() <= math.pi + 1e-9
    assert_close(axis_angle_to_matrix(again), rotation, rtol=0, atol=1e-7)


ANGLES = (0.0, 1e-12, 1e-6, 0.9e-4, 1.1e-4, 1e-2, 1.0, 3.0, math.pi - 1e-6, math.pi)


def along_every_direction(angle: float) -> torch.Tensor:
    axes = torch.nn.functional.normalize(random_axis_angles(50), dim=-1)
    return angle * torch.cat([axes, torch.eye(3, dtype=axes.dtype)])


@pytest.mark.parametrize("angle", ANGLES)
def test_rodrigues_is_the_exponential_with_its_gradient(angle):
    ours, theirs = (along_every_direction(angle).requires_grad_() for _ in range(2))
    x, y, z = theirs.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    made, expected = axis_angle_to_matrix(ours), torch.linalg.matrix_exp(skew)
    assert_close(made, expected, rtol=0, atol=1e-14)
    weights = torch.randn(made.shape, generator=torch.Generator().manual_seed(1)).double()
    for found in (made, expected):
        (found * weights).sum().backward()
    assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-9)
    in_float32 = axis_angle_to_matrix(along_every_direction(angle).float())
    assert_close(in_float32.double(), expected.detach(), rtol=0, atol=1e-6)


def test_rodrigues_is_romas():
    axis_angle = random_axis_angles(1000)
    assert_close(axis_angle_to_matrix(axis_angle), roma.rotvec_to_rotmat(axis_angle))


@pytest.mark.parametrize("angle", ANGLES)
def test_matrix_to_axis_angle_is_romas_with_a_finite_gradient(angle):
    rotation = roma.rotvec_to_rotmat(along_every_direction(angle)).requires_grad_()
    made = matrix_to_axis_angle(rotation)
    expected = roma.rotmat_to_rotvec(rotation.detach())
    turned = (made.detach() * expected).sum(-1, keepdim=True) < 0
    if angle == math.pi:  # both signs are right
        expected = torch.where(turned, -expected, expected)
    assert_close(made.detach(), expected, rtol=1e-9, atol=1e-12 if angle < 3.1 else 1e-7)
    made.sum().backward()
    assert rotation.grad.isfinite().all()


def test_gradients_of_the_logarithm_are_right():
    rotation = axis_angle_to_matrix(random_axis_angles(5)).requires_grad_()
    assert gradcheck(matrix_to_axis_angle, rotation)


@given(vectors)
def test_six_d_round_trip(axis_angle):
    rotation = axis_angle_to_matrix(axis_angle)
    assert_close(six_d_to_matrix(matrix_to_six_d(rotation)), rotation, rtol=0, atol=1e-12)


@given(st.lists(st.floats(-10, 10).filter(lambda x: abs(x) > 1e-2), min_size=6, max_size=6))
def test_any_six_numbers_give_a_rotation(numbers):
    six_d = torch.tensor(numbers, dtype=torch.float64)
    assume(torch.linalg.cross(six_d[0::2], six_d[1::2]).norm() > 1e-3)  # else they span no plane
    rotation = six_d_to_matrix(six_d)
    assert_close(rotation.T @ rotation, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-9)
    assert_close(torch.det(rotation), torch.tensor(1.0, dtype=torch.float64))
    assert_close(six_d_to_matrix(3 * six_d), rotation)


@given(vectors, st.floats(-math.pi, math.pi))
def test_distance_is_the_angle_of_the_turn_between(axis_angle, angle):
    a = axis_angle_to_matrix(axis_angle)
    turn = axis_angle_to_matrix(torch.tensor([0.0, angle, 0.0], dtype=torch.float64))
    expected = torch.tensor(abs(angle), dtype=torch.float64)
    assert_close(rotation_angle_between(a, a @ turn), expected, rtol=0, atol=1e-7)
    assert_close(rotation_angle_between(turn @ a, a), expected, rtol=0, atol=1e-7)


def test_distance_agrees_with_roma_in_float32():
    a = axis_angle_to_matrix(random_axis_angles(100)).float()
    b = axis_angle_to_matrix(random_axis_angles(100, seed=1)).float()
    expected = roma.rotmat_geodesic_distance(a.double(), b.double()).float()
    assert_close(rotation_angle_between(a, b), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("angle", [1e-4, math.pi - 1e-4])
def test_distance_keeps_its_digits_near_zero_and_pi(angle):
    a = torch.eye(3)
    b = axis_angle_to_matrix(torch.tensor([angle, 0.0, 0.0]))
    assert_close(rotation_angle_between(a, b), torch.tensor(angle), rtol=0, atol=1e-6)


def test_batch_equals_loop():
    axis_angle = random_axis_angles(3, 5)
    rotation = axis_angle_to_matrix(axis_angle)
    for i in range(3):
        for j in range(5):
            assert_close(axis_angle_to_matrix(axis_angle[i, j]), rotation[i, j])
            assert_close(matrix_to_axis_angle(rotation)[i, j], matrix_to_axis_angle(rotation[i, j]))
            assert_close(matrix_to_six_d(rotation)[i, j], matrix_to_six_d(rotation[i, j]))


@pytest.mark.parametrize("scale", [0.0, 1e-8, 1.0])
def test_gradients_of_axis_angles(scale):
    axis_angle = (scale * random_axis_angles(4)).requires_grad_()
    assert gradcheck(axis_angle_to_matrix, (axis_angle,))
    assert gradcheck(lambda x: matrix_to_axis_angle(axis_angle_to_matrix(x)), (axis_angle,))


def test_gradients_of_six_d():
    six_d = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert gradcheck(six_d_to_matrix, (six_d.requires_grad_(),))


def test_gradients_of_distance():
    a = random_axis_angles(4).requires_grad_()
    b = random_axis_angles(4, seed=1).requires_grad_()
    assert gradcheck(
        lambda x, y: rotation_angle_between(axis_angle_to_matrix(x), axis_angle_to_matrix(y)),
        (a, b),
    )


def test_gradient_of_distance_to_itself_is_zero():
    a = axis_angle_to_matrix(random_axis_angles(4)).requires_grad_()
    rotation_angle_between(a, a.detach()).sum().backward()
    assert_close(a.grad, torch.zeros_like(a))


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (axis_angle_to_matrix, (24, 4)),
        (matrix_to_axis_angle, (24, 9)),
        (six_d_to_matrix, (144,)),
        (matrix_to_six_d, (3,)),
    ],
)
@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_shapes_are_named(function, shape):
    with pytest.raises(ValueError, match=r"must have shape \(\.\.\., .*got \("):
        function(torch.zeros(shape))
