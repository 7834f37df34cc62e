"""Left-right mirroring of poses and keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hmrlab.geometry._checks import check_trailing
from hmrlab.geometry.constants import constant

_POSE_SIGNS = (1.0, -1.0, -1.0)
_MATRIX_SIGNS = ((1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (-1.0, 1.0, 1.0))


def flip_pose(
    axis_angle: Float[Tensor, "*batch j 3"], permutation: Sequence[int] | Int[Tensor, " j"]
) -> Float[Tensor, "*batch j 3"]:
    """The pose of the mirrored person: sides exchanged, rotations reflected in the plane x = 0.

    A reflection keeps a rotation's x component and reverses y and z.

    Args:
        axis_angle: (..., J, 3) radians; the root in the camera's frame.
        permutation: J indices; entry k is the joint whose mirror image joint k becomes.

    Returns:
        (..., J, 3).

    Raises:
        ValueError: shapes do not fit.
    """
    check_trailing(axis_angle, "axis_angle", len(permutation), 3)
    signs = constant(_POSE_SIGNS, axis_angle.dtype, axis_angle.device)
    return axis_angle[..., _indices(permutation, axis_angle), :] * signs


def flip_rotations(
    rotations: Float[Tensor, "*batch j 3 3"], permutation: Sequence[int] | Int[Tensor, " j"]
) -> Float[Tensor, "*batch j 3 3"]:
    """`flip_pose` for rotation matrices: M R M with M = diag(-1, 1, 1), sides exchanged.

    Args:
        rotations: (..., J, 3, 3).
        permutation: J indices.

    Returns:
        (..., J, 3, 3).

    Raises:
        ValueError: shapes do not fit.
    """
    check_trailing(rotations, "rotations", len(permutation), 3, 3)
    signs = constant(_MATRIX_SIGNS, rotations.dtype, rotations.device)
    return rotations[..., _indices(permutation, rotations), :, :] * signs


def flip_keypoints(
    keypoints: Float[Tensor, "*batch k d"], permutation: Sequence[int] | Int[Tensor, " k"]
) -> Float[Tensor, "*batch k d"]:
    """Mirrored keypoints: sides exchanged, x negated; y, z and confidence stay.

    Args:
        keypoints: (..., K, D) with x first, measured from the mirror's plane: normalised crop
            coordinates or metres, not pixels from the left edge.
        permutation: K indices.

    Returns:
        (..., K, D).

    Raises:
        ValueError: shapes do not fit.
    """
    if keypoints.ndim < 2:
        raise ValueError(f"keypoints must have shape (..., K, D), got {tuple(keypoints.shape)}")
    check_trailing(keypoints, "keypoints", len(permutation), keypoints.shape[-1])
    flipped = keypoints[..., _indices(permutation, keypoints), :]
    return torch.cat((-flipped[..., :1], flipped[..., 1:]), dim=-1)


def _indices(permutation: Sequence[int] | Tensor, like: Tensor) -> Tensor:
    if isinstance(permutation, Tensor):
        return permutation.to(like.device, torch.long)
    return constant(tuple(permutation), torch.long, like.device)
