"""Rotations: axis-angle vectors, 3x3 matrices and the continuous 6D representation."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.geometry._checks import check_trailing

NEAR_ZERO = 1e-8  # of a squared angle; below it two terms of a series have all digits


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula. Differentiable everywhere, at the zero rotation too.

    R = I + sin t / t [a]x + (1 - cos t) / t^2 [a]x^2, where t is the length of a. Near zero the two
    factors are the first terms of their series, and 1 - cos t is written as 2 sin^2 (t / 2), which
    keeps its digits.

    >>> quarter_about_z = torch.tensor([0.0, 0.0, math.pi / 2])
    >>> axis_angle_to_matrix(quarter_about_z).round().int().tolist()
    [[0, -1, 0], [1, 0, 0], [0, 0, 1]]

    Args:
        axis_angle: (..., 3) unit axis times angle, radians.

    Returns:
        (..., 3, 3) rotation matrices.

    Raises:
        ValueError: the last dimension is not 3.
    """
    check_trailing(axis_angle, "axis_angle", 3)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    squared = axis_angle.square().sum(-1)[..., None, None]
    near = squared < NEAR_ZERO
    angle = torch.where(near, 1, squared).sqrt()
    first = torch.where(near, 1 - squared / 6 + squared**2 / 120, angle.sin() / angle)
    half = (angle / 2).sin() / angle
    second = torch.where(near, 0.5 - squared / 24 + squared**2 / 720, 2 * half.square())
    identity = torch.eye(3, dtype=skew.dtype, device=skew.device)
    return identity + first * skew + second * skew @ skew


def matrix_to_axis_angle(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """The axis-angle vector of a rotation, of length at most pi, by way of its unit quaternion.

    At exactly pi both signs of the axis are right; compare such results as matrices.

    Args:
        rotation: (..., 3, 3) rotation matrices.

    Returns:
        (..., 3) unit axis times angle, radians.

    Raises:
        ValueError: the last dimensions are not (3, 3).
    """
    check_trailing(rotation, "rotation", 3, 3)
    quaternion = _unit_quaternion(rotation)
    cosine, vector = quaternion[..., :1], quaternion[..., 1:]  # of half of the angle
    squared = vector.square().sum(-1, keepdim=True)
    near = squared < NEAR_ZERO
    sine = torch.where(near, 1, squared).sqrt()
    sure = torch.where(near, cosine, 1)  # the cosine is 0 after half a turn
    by_series = (2 - 2 * squared / (3 * sure.square())) / sure
    return torch.where(near, by_series, 2 * torch.atan2(sine, cosine) / sine) * vector


def six_d_to_matrix(six_d: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """Gram-Schmidt on two vectors: any six numbers become a rotation, without jumps.

    Source: Zhou et al., "On the Continuity of Rotation Representations in Neural Networks",
    CVPR 2019, section 4.2, in SPIN's layout: the six numbers are a 3x2 matrix row by row, whose
    columns are the two vectors (a1x, a2x, a1y, a2y, a1z, a2z). Most later libraries write the two
    vectors one after the other instead.

    >>> six_d_to_matrix(torch.tensor([2.0, 5, 0, 3, 0, 0])).int().tolist()  # (2, 0, 0), (5, 3, 0)
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]]

    Args:
        six_d: (..., 6), no unit.

    Returns:
        (..., 3, 3) rotation matrices; their first column points along the first vector.

    Raises:
        ValueError: the last dimension is not 6.
    """
    check_trailing(six_d, "six_d", 6)
    columns = six_d.unflatten(-1, (3, 2))
    first, second = columns[..., 0], columns[..., 1]
    x = torch.nn.functional.normalize(first, dim=-1)
    along = (x * second).sum(-1, keepdim=True) * x
    y = torch.nn.functional.normalize(second - along, dim=-1)
    z = torch.linalg.cross(x, y, dim=-1)
    return torch.stack((x, y, z), dim=-1)


def matrix_to_six_d(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two columns of a rotation in SPIN's layout (see `six_d_to_matrix`).

    Args:
        rotation: (..., 3, 3) rotation matrices.

    Returns:
        (..., 6).

    Raises:
        ValueError: the last dimensions are not (3, 3).
    """
    check_trailing(rotation, "rotation", 3, 3)
    return rotation[..., :2].flatten(-2)


def rotation_angle_between(
    a: Float[Tensor, "*#batch 3 3"], b: Float[Tensor, "*#batch 3 3"]
) -> Float[Tensor, "*_"]:
    """The geodesic distance of two rotations: the angle of the turn that takes one to the other.

    Written with atan2, which keeps its accuracy near 0 and pi, where arccos of the trace loses
    half of the digits. The gradient at equal rotations, where the distance has a kink, is 0.

    Args:
        a: (..., 3, 3) rotation matrices.
        b: (..., 3, 3), broadcast against `a`.

    Returns:
        (...) angles from 0 to pi, radians.

    Raises:
        ValueError: the last dimensions are not (3, 3).
    """
    check_trailing(a, "a", 3, 3)
    check_trailing(b, "b", 3, 3)
    turn = a.transpose(-1, -2) @ b
    sine = torch.linalg.vector_norm(_vee(turn), dim=-1)
    cosine = (turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)


def rotate_in_image_plane(
    orientation: Float[Tensor, "*batch 3 3"], degrees: Float[Tensor, "*#batch"] | float
) -> Float[Tensor, "*batch 3 3"]:
    """Turn global orientations with a picture that is turned about the camera's optical axis.

    Same sense as `crop_matrix`: what the crop does to the keypoints, this does to the person.

    Args:
        orientation: (..., 3, 3) root rotations in the camera's frame.
        degrees: (...) or a number, the crop's rotation, degrees.

    Returns:
        (..., 3, 3).

    Raises:
        ValueError: the last dimensions of `orientation` are not (3, 3).
    """
    check_trailing(orientation, "orientation", 3, 3)
    angle = torch.as_tensor(degrees, dtype=orientation.dtype, device=orientation.device)
    angle = -math.pi / 180 * angle
    zero = torch.zeros_like(angle)
    about_the_optical_axis = torch.stack((zero, zero, angle), -1)
    return axis_angle_to_matrix(about_the_optical_axis) @ orientation


def _unit_quaternion(rotation: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Cosine, then axis times sine of half of the angle; cosine >= 0.

    Each of four formulas divides by one of the numbers; taken is that which divides by the largest
    (Shepperd, "Quaternion from rotation matrix", 1978).
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotation.unbind(-2))
    each = torch.stack((a + e + i, a - e - i, e - a - i, i - a - e), -1)
    rows = (
        (1 + each[..., 0], h - f, c - g, d - b),
        (h - f, 1 + each[..., 1], b + d, c + g),
        (c - g, b + d, 1 + each[..., 2], f + h),
        (d - b, c + g, f + h, 1 + each[..., 3]),
    )
    candidates = torch.stack([torch.stack(row, -1) for row in rows], -2)
    largest = each.argmax(-1)[..., None, None].expand(*rotation.shape[:-2], 1, 4)
    chosen = torch.nn.functional.normalize(candidates.gather(-2, largest)[..., 0, :], dim=-1)
    return torch.where(chosen[..., :1] < 0, -chosen, chosen)


def _vee(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """Axis times sine of the angle, for a rotation matrix."""
    skew = (matrix - matrix.transpose(-1, -2)) / 2
    return torch.stack((skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]), dim=-1)
