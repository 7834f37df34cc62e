"""One person's box out of a picture. Without torch, so that processes which pack start soon."""

from __future__ import annotations

import math

import numpy as np

# A crop that is kept shows this many boxes, so that it can be turned and enlarged: SPIN's largest
# box, 1.25 times the person's, is covered at any angle (1.25 times the square root of 2).
MARGIN = 1.77
_REFERENCE_SIDE = 200.0  # as in hmrlab.geometry.crops


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

    side = _REFERENCE_SIDE * float(scale)
    left, top = (float(middle) - side / 2 for middle in center)
    image = Image.fromarray(picture)
    blocks = int(side / size / 4)  # a box of any size then takes no more memory than 16 crops
    if blocks > max(image.size):  # all of the picture is less than a quarter of a pixel
        return np.zeros((size, size, 3), np.uint8)
    if blocks > 1:
        whole = (-(-extent // blocks) * blocks for extent in image.size)
        image = image.crop((0, 0, *whole)).reduce(blocks)
        left, top, side = left / blocks, top / blocks, side / blocks
    reach = 2 + math.ceil(side / size)  # pixels beyond the box that its outermost pixels mix in
    x, y = math.floor(left) - reach, math.floor(top) - reach
    around = image.crop((x, y, math.ceil(left + side) + reach, math.ceil(top + side) + reach))
    box = (left - x, top - y, left - x + side, top - y + side)
    return np.asarray(around.resize((size, size), Image.Resampling.BILINEAR, box=box))
