"""A photograph as an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hmrlab.files import MAX_PIXELS, FileProblem, read_rgb

_STRIP = 2**22  # pixels of a photo that are shrunk at a time


def read_photo(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), upright, whatever its mode (see `read_rgb`).

    Raises:
        FileProblem: it is missing, damaged, no picture, or has more than `max_pixels`.
    """
    try:
        return read_rgb(path, max_pixels)
    except FileProblem as error:
        raise FileProblem(f"{error} Give a photo, for example a .jpg or a .png.") from error


def shrunk(photo: np.ndarray, longest: int, way: Image.Resampling) -> tuple[np.ndarray, float]:
    """A photo whose longer side has so many pixels at most, and by how much it was shrunk.

    A photo of 200 megapixels takes no more memory here than a small one.

    Args:
        photo: (H, W, 3) uint8.
        longest: pixels.
        way: of taking the mean of pixels.
    """
    height, width = photo.shape[:2]
    zoom = min(1.0, longest / max(height, width))
    if zoom == 1:
        return photo, zoom
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    blocks = max(1, int(0.5 / zoom))  # the rest of the way is at least by half
    rows = max(1, _STRIP // (width * blocks)) * blocks
    strips = [Image.fromarray(photo[top : top + rows]) for top in range(0, height, rows)]
    small = np.concatenate([np.asarray(strip.reduce(blocks)) for strip in strips])
    # the last block of a side may be a part of one
    whole = (0, 0, width / blocks, height / blocks)
    return np.asarray(Image.fromarray(small).resize(size, way, box=whole)), zoom
