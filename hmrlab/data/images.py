"""Where pictures come from: a folder of files, or one packed array."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrlab.files import FileProblem

PACKED_MARK = ".npy#"


class DamagedImageError(Exception):
    """One picture that cannot be read; the message names it."""


class ImageSource:
    """Pictures by their `imgname`, as uint8 RGB (H, W, 3).

    A name like `images.npy#17` is row 17 of an array (N, H, W, 3) uint8 beside the records, which
    is mapped into memory, never read whole. Other names are files below `folder`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._packed: dict[str, np.ndarray] = {}

    def read(self, name: str) -> np.ndarray:
        """One picture.

        Raises:
            DamagedImageError: it is missing, damaged or no picture.
        """
        if PACKED_MARK in name:
            array, _, row = name.partition("#")
            return self.packed(array)[int(row)]
        return read_image(self.folder / name)

    def packed(self, name: str) -> np.ndarray:
        """A packed array (N, H, W, 3) uint8, mapped into memory.

        Raises:
            FileProblem: it is missing, cut short, or no such array.
        """
        if name not in self._packed:
            path = self.folder / name
            try:
                array = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise FileProblem(
                    f"{path} is not a readable array of pictures ({error}). "
                    "If it is a generated set, delete its folder and it is made again."
                ) from error
            if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
                raise FileProblem(
                    f"{path}: expected uint8 pictures (N, H, W, 3), found {array.dtype} "
                    f"{array.shape}."
                )
            self._packed[name] = array
        return self._packed[name]


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
                grey = np.asarray(picture).astype(np.float64)
                top = 65535.0 if grey.max() > 255 else 255.0
                picture = Image.fromarray((grey * (255.0 / top)).round().astype(np.uint8))
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
            return np.asarray(picture.convert("RGB"))
    except FileNotFoundError as error:
        raise DamagedImageError(f"{path} is missing") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedImageError(f"{path} cannot be read as a picture ({error})") from error
