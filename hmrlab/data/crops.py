"""Crops by one affine warp, at sub-pixel accuracy.

Coordinates: the left edge of a picture is 0, its right edge W; the middle of pixel i is i + 0.5.
Nothing is rounded to whole pixels (SPIN's crops are).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from hmrlab.geometry import apply_affine
from hmrlab.geometry.crops import REFERENCE_SIDE


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
    inverse = torch.linalg.inv(matrix)
    middle = torch.arange(resolution, dtype=images.dtype, device=images.device) + 0.5
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    crop_points = torch.stack([x, y], -1).reshape(1, -1, 2).expand(len(images), -1, -1)
    points = apply_affine(inverse.to(images.dtype), crop_points)
    size = images.new_tensor([width, height])
    grid = (2 * points / size - 1).view(len(images), resolution, resolution, 2)
    return nnf.grid_sample(images, grid, align_corners=False, padding_mode="zeros")


def crop_picture(picture: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """One crop from one picture of any size.

    Where the crop shrinks the picture by more than two, whole blocks of pixels are averaged first,
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


def crop_box(picture: np.ndarray, center: np.ndarray, scale: float, size: int) -> np.ndarray:
    """A person's upright box out of a picture of any size; black outside.

    The map is `crop_matrix`'s. Where the box is shrunk, each pixel is a mean over all of the
    picture that it covers, so that nothing turns into moire, whatever the size; where it is
    enlarged, it is bilinear.

    Args:
        picture: (H, W, 3) uint8.
        center: (2,) middle of the box, pixels.
        scale: box side / 200 pixels.
        size: side S of the crop, pixels.

    Returns:
        (S, S, 3) uint8.
    """
    from PIL import Image

    side = REFERENCE_SIDE * float(scale)
    left, top = (float(middle) - side / 2 for middle in center)
    image = Image.fromarray(picture)
    blocks = int(side / size / 4)  # a box of any size then takes no more memory than 16 crops
    if blocks > 1:
        image = image.reduce(blocks)
        left, top, side = left / blocks, top / blocks, side / blocks
    reach = 2 + math.ceil(side / size)  # pixels beyond the box that its outermost pixels mix in
    x, y = math.floor(left) - reach, math.floor(top) - reach
    around = image.crop((x, y, math.ceil(left + side) + reach, math.ceil(top + side) + reach))
    box = (left - x, top - y, left - x + side, top - y + side)
    return np.asarray(around.resize((size, size), Image.Resampling.BILINEAR, box=box))
