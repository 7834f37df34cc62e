"""Swing and twist: exact on made rotations, whole on any."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.testing import assert_close

from hmrlab.geometry import axis_angle_to_matrix, bone_axes, rotation_angle_between, swing_twist

coordinate = st.floats(-4, 4, allow_nan=False)
vectors = st.tuples(coordinate, coordinate, coordinate).map(
    lambda v: torch.tensor(v, dtype=torch.float64)
)
axes = vectors.filter(lambda v: v.norm() > 1e-3).map(lambda v: v / v.norm())


def twist_matrix(axis: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    return axis_angle_to_matrix(angle[..., None] * axis)


@given(vectors, axes)
def test_swing_after_twist_is_the_rotation(axis_angle, axis):
    rotation = axis_angle_to_matrix(axis_angle)
    swing, angle = swing_twist(rotation, axis)
    assert_close(swing @ twist_matrix(axis, angle), rotation, rtol=0, atol=1e-7)
    assert_close(swing @ axis, rotation @ axis, rtol=0, atol=1e-7)
    _, twist_of_swing = swing_twist(swing, axis)
    if (rotation @ axis) @ axis > -0.999:
        assert abs(float(twist_of_swing)) < 1e-6


@given(axes, st.floats(-9.0, 9.0))
def test_twist_wraps_to_one_turn(axis, angle):
    turned = torch.tensor(angle, dtype=torch.float64)
    swing, twist = swing_twist(twist_matrix(axis, turned), axis)
    assert abs(float(twist)) <= math.pi + 1e-12
    assert_close(torch.cos(twist - turned), torch.ones((), dtype=torch.float64))
    assert_close(swing, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-6)


@given(axes, axes, st.floats(-3.0, 3.0), st.floats(-3.0, 3.0))
def test_made_swing_and_twist_come_back(axis, other, swing_angle, twist_angle):
    across = torch.linalg.cross(axis, other)
    assume(across.norm() > 1e-2)
    across = across / across.norm()
    made_swing = axis_angle_to_matrix(swing_angle * across)
    rotation = made_swing @ axis_angle_to_matrix(twist_angle * axis)
    swing, twist = swing_twist(rotation, axis)
    assert_close(twist, torch.tensor(twist_angle, dtype=torch.float64), rtol=0, atol=1e-6)
    assert_close(swing, made_swing, rtol=0, atol=1e-6)
    assert_close(
        rotation_angle_between(swing, torch.eye(3, dtype=torch.float64)),
        torch.tensor(abs(swing_angle), dtype=torch.float64),
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reversed_bone_still_adds_up(dtype):
    rotation = axis_angle_to_matrix(torch.tensor([[0.0, math.pi, 0.0]], dtype=dtype))
    rotation.requires_grad_()
    axis = torch.tensor([[1.0, 0.0, 0.0]], dtype=dtype)
    swing, angle = swing_twist(rotation, axis)
    assert_close(swing @ twist_matrix(axis, angle), rotation, rtol=0, atol=1e-5)
    angle.sum().backward()
    assert torch.isfinite(rotation.grad).all()


def test_batch_equals_loop():
    generator = torch.Generator().manual_seed(0)
    rotation = axis_angle_to_matrix(torch.randn(3, 24, 3, generator=generator))
    axis = torch.nn.functional.normalize(torch.randn(24, 3, generator=generator), dim=-1)
    swing, angle = swing_twist(rotation, axis)
    for i in range(3):
        for j in range(24):
            one_swing, one_angle = swing_twist(rotation[i, j], axis[j])
            assert_close(swing[i, j], one_swing)
            assert_close(angle[i, j], one_angle)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_gradients_at_zero_and_elsewhere(scale):
    generator = torch.Generator().manual_seed(0)
    axis_angle = scale * torch.randn(5, 3, generator=generator, dtype=torch.float64)
    axis = torch.nn.functional.normalize(
        torch.randn(5, 3, generator=generator, dtype=torch.float64), dim=-1
    )
    assert gradcheck(
        lambda x: swing_twist(axis_angle_to_matrix(x), axis), (axis_angle.requires_grad_(),)
    )


def test_bone_axes_follow_the_bones_and_the_spine():
    #    4      a trunk 0-1, arms 2 (left) and 3 (right), head 4 with a leaf 5, hand 6 on arm 2
    # 3 -1- 2-6
    #    0
    parents = [-1, 0, 1, 1, 1, 4, 2]
    joints = torch.tensor(
        [[0, 0, 0], [0, 1, 0], [1, 1, 0], [-1, 1, 0], [0, 2, 0.5], [0, 2, 1], [3, 1, 0]]
    ).float()
    axes_found = bone_axes(joints, parents)
    up, left, forward = torch.eye(3)[1], torch.eye(3)[0], torch.eye(3)[2]
    neck = torch.nn.functional.normalize(torch.tensor([0, 1, 0.5]), dim=0)
    assert_close(axes_found, torch.stack([up, neck, left, -left, forward, forward, left]))


def test_bones_without_length_are_named():
    with pytest.raises(ValueError, match=r"joint\(s\) \[0, 1\] have no length"):
        bone_axes(torch.zeros(2, 3), [-1, 0])
    with pytest.raises(ValueError, match=r"rest_joints must be \(2, 3\)"):
        bone_axes(torch.zeros(3, 3), [-1, 0])


@given(axes, axes, st.sampled_from([0.1, 1e-2, 1e-3, 1e-4]), st.floats(-3.0, 3.0))
def test_a_bone_that_is_all_but_reversed_has_the_swing_that_was_made(axis, other, left, twist):
    """Only where a bone is reversed to rounding, any of the half turns may stand in."""
    across = torch.linalg.cross(axis, other)
    assume(across.norm() > 1e-2)
    made_swing = axis_angle_to_matrix((math.pi - left) * across / across.norm())
    swing, angle = swing_twist(made_swing @ axis_angle_to_matrix(twist * axis), axis)
    assert_close(swing, made_swing, rtol=0, atol=1e-6)
    assert_close(angle, torch.tensor(twist, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_bone_along_an_axis_is_reversed_by_a_half_turn_across_it(number, sign):
    """A right arm points to -x: its least coordinate is not the one that it has least of."""
    axis = sign * torch.eye(3)[number]
    rotation = axis_angle_to_matrix(math.pi * torch.eye(3)[number - 1])
    swing, angle = swing_twist(rotation, axis)
    assert_close(swing @ axis, -axis, rtol=0, atol=1e-6)
    assert_close(swing @ twist_matrix(axis, angle), rotation, rtol=0, atol=1e-6)


def test_the_spine_is_the_child_whose_bone_leans_least_however_long_it_is():
    joints = torch.tensor([[0, 0, 0], [0.1, 0.1, 0], [0.2, 2.0, 0]])
    upwards = torch.nn.functional.normalize(joints[2], dim=0)
    assert_close(bone_axes(joints, [-1, 0, 0])[0], upwards)
