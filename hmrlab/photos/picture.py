"""A photograph as an array."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from hmrlab.data.images import DamagedImageError, read_image
from hmrlab.files import FileProblem


def read_photo(path: str | Path) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), upright, whatever its mode (see `read_image`).

    Raises:
        FileProblem: it is missing, damaged, no picture, or has more than 178 megapixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 megapixels on and refuses twice that: cameras have 100 by now.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return read_image(path)
    except DamagedImageError as error:
        raise FileProblem(f"{error}. Give a photo, for example a .jpg or a .png.") from error
