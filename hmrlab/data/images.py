"""Where pictures come from: a folder of files, or packed files of many; and boxes out of them.

Without torch, so that processes which pack start soon.
"""

from __future__ import annotations

import math
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from hmrlab.data.shards import (
    JPEG_MARK,
    RAW_MARK,
    DamagedImageError,
    JpegShard,
    PackedPictures,
    Shard,
    open_raw_shard,
)
from hmrlab.files import FileProblem, open_picture, read_rgb

MAX_PIXELS = 50_000_000
"""Of a picture file of a data set, several of which are decoded at a time."""
_LARGE = 10_000_000  # pixels; such pictures are decoded one by one, for the memory's sake
_one_large_picture = threading.Lock()
_DIGITS = 9  # of a row's number
# A crop that is kept shows this many boxes, so that it can be turned and enlarged: SPIN's largest
# box, 1.25 times the person's, is covered at any angle (1.25 times the square root of 2).
MARGIN = 1.77
_REFERENCE_SIDE = 200.0  # as in hmrlab.geometry.crops


class ImageSource:
    """Pictures by their `imgname`, as uint8 RGB (H, W, 3).

    A name like `images.npy#17` is row 17 of a packed file beside the records (see
    `hmrlab.data.shards`), which is mapped into memory, never read whole. Other names are files
    below `folder`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._packed: dict[str, Shard] = {}

    def read(self, name: str) -> np.ndarray:
        """One picture.

        Raises:
            DamagedImageError: it is missing, damaged or no picture.
            FileProblem: a packed file cannot be used.
        """
        if is_packed_name(name):
            file, _, row = name.rpartition("#")
            shard = self.packed(file)
            if not row.isdecimal() or len(row) > _DIGITS or int(row) >= shard.shape[0]:
                raise DamagedImageError(f"{self.folder / file} has no picture {row[:20]!r}.")
            return shard[int(row)]
        return read_image(self.folder / name)

    def packed(self, name: str) -> Shard:
        """A packed file of pictures, for the raw ones an array (N, H, W, 3) uint8.

        Raises:
            FileProblem: it is missing, cut short, or no such file.
        """
        if name not in self._packed:
            path = self.folder / name
            jpegs = f"{name}#".endswith(JPEG_MARK)
            self._packed[name] = JpegShard(path) if jpegs else open_raw_shard(path)
        return self._packed[name]

    def all_packed(self, names: np.ndarray) -> PackedPictures | None:
        """Pictures by number of these names, if all are packed, and of one size.

        Raises:
            FileProblem: see `packed`, or a name is of no row of its file.
        """
        if len(names) == 0 or not all(is_packed_name(name) for name in (names[0], names[-1])):
            return None
        parts = np.char.rpartition(names, "#")
        files, which = np.unique(parts[:, 0], return_inverse=True)
        if not all(is_packed_name(f"{file}#") for file in files):
            return None
        shards = [self.packed(str(file)) for file in files]
        if len({shard.shape[1:] for shard in shards}) > 1:
            return None
        rows = parts[:, 2]
        known = np.char.isdecimal(rows) & (np.char.str_len(rows) <= _DIGITS)
        rows = np.where(known, rows, "-1").astype(np.int64)
        lengths = np.array([shard.shape[0] for shard in shards])
        wrong = np.flatnonzero((rows < 0) | (rows >= lengths[which]))
        if len(wrong):
            number = which[wrong[0]]
            raise FileProblem(
                f"{self.folder / files[number]} has {lengths[number]:,} pictures, but a record "
                f"names '{names[wrong[0]]}'. They do not belong together: make the set anew."
            )
        return PackedPictures(shards, which, rows)


def is_packed_name(name: str) -> bool:
    """Whether an `imgname` is of a row of a packed file."""
    return RAW_MARK in name or JPEG_MARK in name


def read_image(path: str | Path) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), turned upright (see `hmrlab.files.read_rgb`).

    Raises:
        DamagedImageError: it is missing, damaged, no picture, or has more than `MAX_PIXELS`.
    """
    try:
        with open_picture(path, MAX_PIXELS) as picture:
            is_large = math.prod(picture.size) > _LARGE
        with _one_large_picture if is_large else nullcontext():
            return read_rgb(path, MAX_PIXELS)
    except FileProblem as problem:
        raise DamagedImageError(str(problem)) from problem


def crop_box(picture: np.ndarray, center: np.ndarray, scale: float, size: int) -> np.ndarray:
    """A person's upright box (S, S, 3) out of a picture (H, W, 3) uint8 of any size; black outside.

    The map is `crop_matrix`'s, of a middle (2,) in pixels and a side of 200 `scale` pixels. Where
    the box is shrunk, each pixel is a mean over all of the picture that it covers, so that nothing
    turns into moire, whatever the size; where it is enlarged, it is bilinear.
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
