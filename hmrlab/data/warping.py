"""Crops of stored pictures, coloured and normalised, in one pass over their pixels on the CPU.

The same numbers as `warp` and `coloured` of `hmrlab.data.augment`, to float32's rounding; a float
copy of every stored picture, and of every step in between, would take more than ten times as long.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def warp_and_colour(
    images: np.ndarray,
    inverse: np.ndarray,
    flip: np.ndarray,
    factor: np.ndarray,
    shift: np.ndarray,
    highest: np.ndarray,
    out: np.ndarray,
) -> None:
    """Sample crops bilinearly, black outside; mirror and colour them.

    Args:
        images: (B, H, W, 3) uint8.
        inverse: (B, 3, 3) float64, from crop pixels to picture pixels.
        flip: (B,) bool, whether the crop is mirrored.
        factor: (B, 3) float32, each colour is multiplied by it;
        shift: (3,) float32, this is added;
        highest: (3,) float32, and what is above this is cut off.
        out: (B, 3, R, R) float32, written.
    """
    count, height, width, _ = images.shape
    side = out.shape[2]
    one = np.float32(1)
    for b in range(count):
        pixels = images[b].reshape(height * width * 3)
        step_x, step_y = inverse[b, 0, 0], inverse[b, 1, 0]
        for row in range(side):
            # the middle of pixel i is i + 0.5, in the crop as in the picture
            x0 = inverse[b, 0, 1] * (row + 0.5) + inverse[b, 0, 2] + 0.5 * step_x - 0.5
            y0 = inverse[b, 1, 1] * (row + 0.5) + inverse[b, 1, 2] + 0.5 * step_y - 0.5
            for column in range(side):
                x, y = x0 + column * step_x, y0 + column * step_y
                left, top = int(np.floor(x)), int(np.floor(y))
                u, v = np.float32(x - left), np.float32(y - top)
                a, c = (one - v) * (one - u), (one - v) * u
                d, e = v * (one - u), v * u
                red = green = blue = np.float32(0)
                if left >= 0 and top >= 0 and left + 1 < width and top + 1 < height:
                    upper = np.uint32(3 * (top * width + left))
                    lower = np.uint32(upper + 3 * width)
                    red = _mix(pixels, upper, lower, a, c, d, e)
                    green = _mix(pixels, upper + np.uint32(1), lower + np.uint32(1), a, c, d, e)
                    blue = _mix(pixels, upper + np.uint32(2), lower + np.uint32(2), a, c, d, e)
                elif left >= -1 and top >= -1 and left < width and top < height:
                    for i, j, weight in (
                        (top, left, a), (top, left + 1, c), (top + 1, left, d),
                        (top + 1, left + 1, e),
                    ):  # fmt: skip
                        if 0 <= i < height and 0 <= j < width:
                            red += weight * np.float32(images[b, i, j, 0])
                            green += weight * np.float32(images[b, i, j, 1])
                            blue += weight * np.float32(images[b, i, j, 2])
                place = side - 1 - column if flip[b] else column
                red, green, blue = (
                    red * factor[b, 0] + shift[0], green * factor[b, 1] + shift[1],
                    blue * factor[b, 2] + shift[2],
                )  # fmt: skip
                out[b, 0, row, place] = min(red, highest[0])
                out[b, 1, row, place] = min(green, highest[1])
                out[b, 2, row, place] = min(blue, highest[2])


@njit(cache=True, nogil=True, inline="always")
def _mix(pixels, upper, lower, a, c, d, e):
    """One colour of four neighbours, weighted."""
    return (
        a * np.float32(pixels[upper])
        + c * np.float32(pixels[upper + np.uint32(3)])
        + d * np.float32(pixels[lower])
        + e * np.float32(pixels[lower + np.uint32(3)])
    )
