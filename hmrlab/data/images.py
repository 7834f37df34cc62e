"""Where pictures come from: a folder of files, or packed files of many."""

from __future__ import annotations

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

__all__ = ["DamagedImageError", "ImageSource", "read_image"]


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
        """
        if RAW_MARK in name or JPEG_MARK in name:
            shard, _, row = name.rpartition("#")
            return self.packed(shard)[int(row)]
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
            FileProblem: see `packed`.
        """
        if len(names) == 0 or not all(_is_packed(name) for name in (names[0], names[-1])):
            return None
        parts = np.char.rpartition(names, "#")
        files, which = np.unique(parts[:, 0], return_inverse=True)
        if not all(_is_packed(f"{file}#") for file in files):
            return None
        shards = [self.packed(str(file)) for file in files]
        if len({shard.shape[1:] for shard in shards}) > 1:
            return None
        return PackedPictures(shards, which, parts[:, 2].astype(np.int64))


def _is_packed(name: str) -> bool:
    return RAW_MARK in name or JPEG_MARK in name


def read_image(path: str | Path) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), turned upright by its EXIF note.

    Greyscale, palette, transparent (on white) and 16-bit pictures are converted.

    Raises:
        DamagedImageError: it is missing, damaged or no picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            picture = ImageOps.exif_transpose(picture)
            if picture.mode.startswith("I"):  # 16 or 32 bits of grey
                picture = Image.fromarray(_in_a_byte(np.asarray(picture)))
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            return np.asarray(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise DamagedImageError(f"{path} is missing") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedImageError(f"{path} cannot be read as a picture ({error})") from error


def _in_a_byte(grey: np.ndarray) -> np.ndarray:
    """16 or 32 bits of grey (H, W) as 8, row by row: floats of the whole would be large."""
    top = 65535.0 if grey.max() > 255 else 255.0
    out = np.empty(grey.shape, np.uint8)
    for row, line in enumerate(grey):
        out[row] = (line * (255.0 / top)).round().clip(0, 255)
    return out
