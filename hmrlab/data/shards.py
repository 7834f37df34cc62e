"""Pictures of people, many to a file: raw and mapped into memory, or each one as a jpeg.

A record names its picture "FILE#ROW": "images.npy#17" is row 17 of an array (N, H, W, 3) uint8,
"crops-00003.jpegs#17" picture 17 of a file of jpegs. Such a file holds an array of N + 1 offsets
in numpy's own format, and after it the N jpegs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from hmrlab.files import FileProblem, write_whole

RAW_MARK = ".npy#"
JPEG_MARK = ".jpegs#"
DECODING_THREADS = 4


class DamagedImageError(Exception):
    """One picture that cannot be read; the message names it."""


class Shard(Protocol):
    """N pictures (H, W, 3) uint8 of one size."""

    shape: tuple[int, ...]  # N, H, W, 3

    def __getitem__(self, row: int) -> np.ndarray:
        """One of them.

        Raises:
            DamagedImageError: it cannot be decoded.
        """


class JpegShard:
    """A file of N jpegs of one size, mapped into memory; each is decoded when it is asked for.

    Raises:
        FileProblem: the file is missing, cut short, or no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._offsets = np.lib.format.read_array(file, allow_pickle=False)
                first = file.tell()
            if self._offsets.ndim != 1 or self._offsets.dtype.kind != "i" or not len(self._offsets):
                raise ValueError("no offsets at its begin")
            missing = first + int(self._offsets[-1]) - path.stat().st_size
            if missing:
                raise ValueError(f"{missing} bytes are missing")
            self._content = np.memmap(path, np.uint8, "r", offset=first)
            height, width, _ = self[0].shape
        except (OSError, ValueError, EOFError, DamagedImageError) as error:
            raise FileProblem(
                f"{path} is not a readable file of packed pictures ({error}). Pack the set again."
            ) from error
        self.shape = (len(self._offsets) - 1, height, width, 3)

    def __getitem__(self, row: int) -> np.ndarray:
        """Picture `row`, (H, W, 3) uint8.

        Raises:
            DamagedImageError: it cannot be decoded.
        """
        from PIL.JpegImagePlugin import JpegImageFile

        jpeg = self._content[self._offsets[row] : self._offsets[row + 1]].tobytes()
        try:
            return np.asarray(JpegImageFile(io.BytesIO(jpeg)))
        except (OSError, ValueError, SyntaxError) as error:
            raise DamagedImageError(f"picture {row} of {self.path} is damaged") from error


def open_raw_shard(path: Path) -> np.ndarray:
    """An array of pictures (N, H, W, 3) uint8, mapped into memory.

    Raises:
        FileProblem: it is missing, cut short, or no such array.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FileProblem(
            f"{path} is not a readable array of pictures ({error}). If it is of a generated set, "
            "delete its folder and it is made again; a packed set is to be packed again."
        ) from error
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        raise FileProblem(
            f"{path}: expected uint8 pictures (N, H, W, 3), found {array.dtype} {array.shape}."
        )
    return array


def write_raw_shard(path: Path, pictures: Sequence[np.ndarray]) -> Path:
    """Write pictures (H, W, 3) uint8 of one size as an array, whole or not at all."""
    return write_whole(path, lambda file: np.save(file, np.stack(pictures)))


def write_jpeg_shard(path: Path, jpegs: Sequence[bytes]) -> Path:
    """Write jpegs as one file (see the module's text), whole or not at all."""
    offsets = np.cumsum([0, *map(len, jpegs)], dtype=np.int64)

    def write(file: io.BufferedIOBase) -> None:
        np.lib.format.write_array(file, offsets, allow_pickle=False)
        file.write(b"".join(jpegs))

    return write_whole(path, write)


def to_jpeg(picture: np.ndarray, quality: int) -> bytes:
    """A picture (H, W, 3) uint8 as a jpeg."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


class PackedPictures:
    """The pictures of a set whose records all name rows of packed files, by row of the records."""

    def __init__(self, shards: Sequence[Shard], which: np.ndarray, rows: np.ndarray) -> None:
        self._shards = tuple(shards)
        self._which = which  # (N,) number of the shard
        self._rows = rows  # (N,) row in it
        self.shape = self._shards[0].shape[1:]

    def in_file_order(self, index: np.ndarray) -> np.ndarray:
        """The same rows of the records in the order of the files, kind to the disk."""
        return index[np.lexsort((self._rows[index], self._which[index]))]

    def block(self, working_size: int) -> int:
        """How many stored pixels, each way, are averaged to one where so many are enough.

        For a working size of 0, which asks for the pictures as they are: 1.
        """
        return max(1, min(self.shape[:2]) // working_size) if working_size else 1

    def read(self, index: np.ndarray, block: int = 1) -> tuple[np.ndarray, dict[int, str]]:
        """The pictures of these rows of the records.

        Args:
            index: (B,) rows.
            block: see `block`.

        Returns:
            (B, H, W, 3) uint8, black where a picture is damaged, and what is wrong with it by row.
        """
        if len(self._shards) == 1 and isinstance(self._shards[0], np.ndarray) and block == 1:
            return self._shards[0][self._rows[index]], {}
        height, width = (-(-side // block) for side in self.shape[:2])
        pictures = np.zeros((len(index), height, width, 3), np.uint8)
        damaged: dict[int, str] = {}

        def fill(place: int) -> None:
            row = int(index[place])
            try:
                picture = self._shards[self._which[row]][self._rows[row]]
                pictures[place] = picture if block == 1 else _averaged(picture, block)
            except DamagedImageError as error:
                damaged[row] = str(error)

        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            list(pool.map(fill, range(len(index))))
        return pictures, damaged


def _averaged(picture: np.ndarray, block: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).reduce(block))
