"""Crops as affine maps, at sub-pixel accuracy."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.geometry._checks import check_trailing

REFERENCE_SIDE = 200.0  # pixels of box side for each unit of `scale`, as in MPII and SPIN


def crop_matrix(
    center: Float[Tensor, "*batch 2"],
    scale: Float[Tensor, "*batch"],
    resolution: int,
    rotation_deg: Float[Tensor, "*#batch"] | float = 0.0,
) -> Float[Tensor, "*batch 3 3"]:
    """The map from image pixels to crop pixels: a square box, scaled, then turned about its middle.

    Same map as SPIN's `get_transform` (`utils/imutils.py`). SPIN then truncates what it maps to
    whole pixels; nothing is rounded here.

    Args:
        center: middle of the box, image pixels.
        scale: box side / 200 pixels.
        resolution: side of the crop, pixels.
        rotation_deg: positive turns the picture's content counter-clockwise on the screen.

    Raises:
        ValueError: the last dimension of `center` is not 2, or a scale is not positive.
    """
    check_trailing(center, "center", 2)
    if not bool((scale > 0).all()):
        raise ValueError(f"every scale must be positive, the least is {float(scale.min())}")
    angle = torch.as_tensor(rotation_deg, dtype=center.dtype, device=center.device)
    angle = (-math.pi / 180 * angle).expand(center.shape[:-1])
    zoom = resolution / (REFERENCE_SIDE * scale)
    cosine, sine = zoom * torch.cos(angle), zoom * torch.sin(angle)
    x, y = center.unbind(-1)
    middle = resolution / 2
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = (
        (cosine, -sine, middle - cosine * x + sine * y),
        (sine, cosine, middle - sine * x - cosine * y),
        (zero, zero, one),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def apply_affine(
    matrix: Float[Tensor, "*#batch 3 3"], points: Float[Tensor, "*#batch n 2"]
) -> Float[Tensor, "*_ n 2"]:
    """Map 2D points by homogeneous affine matrices, whose last row is (0, 0, 1).

    Raises:
        ValueError: a last dimension does not fit.
    """
    check_trailing(matrix, "matrix", 3, 3)
    check_trailing(points, "points", 2)
    return points @ matrix[..., :2, :2].transpose(-1, -2) + matrix[..., None, :2, 2]


def invert_affine(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The inverse of homogeneous affine matrices, last row (0, 0, 1), in closed form.

    `torch.linalg.inv` waits for the GPU, and fails on it where several threads are the first to
    call it at once.

    Raises:
        ValueError: the last dimensions are not 3 and 3.
    """
    check_trailing(matrix, "matrix", 3, 3)
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in matrix[..., :2, :].unbind(-2))
    area = a * d - b * c
    rows = (
        (d / area, -b / area, (b * y - d * x) / area),
        (-c / area, a / area, (c * x - a * y) / area),
    )
    upper = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    return torch.cat([upper, matrix[..., 2:, :]], dim=-2)


def pixels_to_normalised(
    points: Float[Tensor, "*batch 2"], resolution: int
) -> Float[Tensor, "*batch 2"]:
    """Crop pixels to [-1, 1] over the crop; the left edge is -1, the right edge 1."""
    check_trailing(points, "points", 2)
    return 2 * points / resolution - 1


def normalised_to_pixels(
    points: Float[Tensor, "*batch 2"], resolution: int
) -> Float[Tensor, "*batch 2"]:
    """The inverse of `pixels_to_normalised`."""
    check_trailing(points, "points", 2)
    return (points + 1) * resolution / 2
