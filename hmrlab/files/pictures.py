"""One reader for picture files: what the header says is held against a limit before decoding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from hmrlab.files.opening import FileProblem, open_regular

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 200_000_000
MAX_SIDE = 65_535  # pixels; JPEG's own limit, and far above any camera's
_PILLOWS_LIMIT = threading.Lock()
_STRIP = 2**20  # pixels that are converted at a time
_ORIENTATION = 0x0112  # of EXIF: how the camera was held
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.swapaxes(0, 1),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: rgb[::-1, ::-1].swapaxes(0, 1),
    8: lambda rgb: np.rot90(rgb),
}


@contextmanager
def open_picture(path: str | Path, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture whose header is read, to be decoded inside the `with`.

    Raises:
        FileProblem: it is missing, no regular file, no picture, damaged, or larger.
    """
    with open_regular(path, missing=f"{path} is missing.") as file:
        try:
            with _opened(file) as picture:
                width, height = picture.size
                if width * height > max_pixels or max(width, height) > MAX_SIDE:
                    raise FileProblem(
                        f"{path} has {width:,} x {height:,} pixels; at most {max_pixels:,} are "
                        f"decoded, and {MAX_SIDE:,} on a side. Make it smaller, or raise "
                        "--max-pixels where a command has it."
                    )
                yield picture
        except FileProblem:
            raise
        except Exception as error:  # a damaged picture may raise anything
            raise FileProblem(
                f"{path} cannot be read as a picture ({_in_words(error)})."
            ) from error


def read_rgb(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), turned upright by its EXIF note.

    Greyscale, palette, transparent (on white) and 16-bit pictures are converted.

    Raises:
        FileProblem: see `open_picture`.
    """
    with open_picture(path, max_pixels) as picture:
        picture.load()
        width, height = picture.size
        turn = picture.getexif().get(_ORIENTATION)
        rgb = np.empty((height, width, 3), np.uint8)
        # Strip by strip: Pillow's own conversions would hold the whole several times.
        step = max(1, _STRIP // width)
        strips = [(0, top, width, min(top + step, height)) for top in range(0, height, step)]
        most = 255
        if picture.mode.startswith("I"):  # 16 or 32 bits of grey
            most = max(int(np.asarray(picture.crop(strip)).max()) for strip in strips)
        for strip in strips:
            rgb[strip[1] : strip[3]] = _rgb_of(picture.crop(strip), 65535 if most > 255 else 255)
    return np.ascontiguousarray(_UPRIGHT[turn](rgb)) if turn in _UPRIGHT else rgb


def _in_words(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is of no kind that is known here"
    return "it is too large for the memory" if isinstance(error, MemoryError) else str(error)


@contextmanager
def _opened(file: BinaryIO) -> Iterator[Image.Image]:
    """Pillow's own limit, which is one for the whole process, stands aside for ours."""
    from PIL import Image

    with _PILLOWS_LIMIT:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with picture:
        yield picture


def _rgb_of(picture: Image.Image, white: int) -> np.ndarray:
    """(H, W, 3) uint8; `white` is the most that a grey of more than 8 bits has."""
    from PIL import Image

    if picture.mode.startswith("I"):
        grey = np.asarray(picture) * (255.0 / white)
        return grey.round().clip(0, 255).astype(np.uint8)[..., None]
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB"))
