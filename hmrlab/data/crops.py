"""Crops by one affine warp, at sub-pixel accuracy.

Coordinates: the left edge of a picture is 0, its right edge W; the middle of pixel i is i + 0.5.
Nothing is rounded to whole pixels (SPIN's crops are).
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from hmrlab.geometry import apply_affine, invert_affine


def warp(images: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """Sample crops from pictures of one size, bilinearly; black outside.

    Args:
        images: (B, C, H, W) float.
        matrix: (B, 3, 3) from picture pixels to crop pixels.
        resolution: side R of the crops, pixels.

    Returns:
        (B, C, R, R).
    """
    height, width = images.shape[-2:]
    inverse = invert_affine(matrix)
    middle = torch.arange(resolution, dtype=images.dtype, device=images.device) + 0.5
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    crop_points = torch.stack([x, y], -1).reshape(1, -1, 2).expand(len(images), -1, -1)
    points = apply_affine(inverse.to(images.dtype), crop_points)
    size = images.new_tensor([width, height])
    grid = (2 * points / size - 1).view(len(images), resolution, resolution, 2)
    return nnf.grid_sample(images, grid, align_corners=False, padding_mode="zeros")


def crop_picture(picture: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """One crop from one picture of any size.

    Where the crop shrinks the picture by four or more, whole blocks of pixels are averaged first,
    so that fine patterns do not turn into moire.

    Args:
        picture: (C, H, W) float.
        matrix: (3, 3) from picture pixels to crop pixels.
        resolution: side R of the crop, pixels.

    Returns:
        (C, R, R).
    """
    zoom = float(torch.linalg.det(matrix[:2, :2]).abs().sqrt())
    block = max(1, int(0.5 / max(zoom, 1e-6)))
    height, width = picture.shape[-2:]
    block = min(block, height, width)
    if block > 1:
        # avg_pool2d drops an incomplete last block; the scale stays exactly `block`.
        picture = nnf.avg_pool2d(picture[None], block)[0]
        enlarge = torch.diag(matrix.new_tensor([block, block, 1.0]))
        matrix = matrix @ enlarge
    return warp(picture[None], matrix[None], resolution)[0]
