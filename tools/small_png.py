"""PNG files of few colours in a third of their size."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

MOST_OFF = 8  # of 255 in any channel of any pixel; nobody sees it


def smaller_png(data: bytes) -> bytes:
    """The picture with a palette of 256 colours, where that is smaller and cannot be seen.

    A plot has few colours, and its lines' soft edges some hundreds more. A photo has too many for
    a palette; a picture with transparency, or one that cannot be read, is left alone. These come
    back as they went in.
    """
    try:
        picture = Image.open(io.BytesIO(data))
        picture.load()
    except (UnidentifiedImageError, OSError):
        return data
    if picture.mode not in ("RGB", "RGBA"):
        return data
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
        return data
    picture = picture.convert("RGB")
    small = picture.quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    off = np.asarray(small.convert("RGB")).astype(int) - np.asarray(picture)
    if np.abs(off).max() > MOST_OFF:
        return data
    buffer = io.BytesIO()
    small.save(buffer, format="png", optimize=True)
    return min(data, buffer.getvalue(), key=len)
