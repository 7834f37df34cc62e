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
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hmrlab.files import FileProblem, npy_header, read_npy, write_whole

if TYPE_CHECKING:
    from PIL.JpegImagePlugin import JpegImageFile

RAW_MARK = ".npy#"
JPEG_MARK = ".jpegs#"
DECODING_THREADS = 4
MAX_SIDE = 4096  # pixels, of a packed picture
_MAX_OFFSETS = 2**24  # bytes of them, so 2 million pictures
_JPEGS = "file of packed pictures"
_PACK_AGAIN = "Pack the set again."


class DamagedImageError(Exception):
    """One picture that cannot be read; the message names it."""


class Shard(Protocol):
    """N pictures (H, W, 3) uint8 of one size; `DamagedImageError` for one that is damaged."""

    shape: tuple[int, ...]  # N, H, W, 3

    def __getitem__(self, row: int) -> np.ndarray: ...


class JpegShard:
    """A file of N jpegs of one size, mapped into memory; each is decoded when it is asked for.

    Raises:
        FileProblem: the file is missing, cut short, or no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets = read_npy(path, what=_JPEGS, remedy=_PACK_AGAIN, max_bytes=_MAX_OFFSETS)
        first = npy_header(path).n_bytes + self._offsets.nbytes
        try:
            _check_offsets(self._offsets, path.stat().st_size - first)
            self._content = np.memmap(path, np.uint8, "r", offset=first)
            width, height = self._opened(0).size
            if max(width, height) > MAX_SIDE:
                raise ValueError(f"{width:,} x {height:,} pixels; at most {MAX_SIDE:,} on a side")
        except (OSError, ValueError, DamagedImageError) as error:
            raise FileProblem(
                f"{path} is not a readable {_JPEGS} ({error}). {_PACK_AGAIN}"
            ) from error
        self.shape = (len(self._offsets) - 1, height, width, 3)

    def __getitem__(self, row: int) -> np.ndarray:
        """Picture `row`, which must have the size of the first."""
        jpeg = self._opened(row)
        if jpeg.size != (self.shape[2], self.shape[1]):
            raise DamagedImageError(f"picture {row} of {self.path} has another size than the first")
        try:
            return np.asarray(jpeg)
        except Exception as error:  # a damaged picture may raise anything
            raise DamagedImageError(f"picture {row} of {self.path} is damaged") from error

    def _opened(self, row: int) -> JpegImageFile:
        """Picture `row`, in colour, of which only the head is read."""
        from PIL.JpegImagePlugin import JpegImageFile

        content = self._content[self._offsets[row] : self._offsets[row + 1]].tobytes()
        try:
            jpeg = JpegImageFile(io.BytesIO(content))
        except Exception as error:  # a damaged picture may raise anything
            raise DamagedImageError(f"picture {row} of {self.path} is damaged") from error
        if jpeg.mode != "RGB":
            raise DamagedImageError(f"picture {row} of {self.path} is not in colour")
        return jpeg


def _check_offsets(offsets: np.ndarray, size: int) -> None:
    """`ValueError` unless they are where N pictures begin and end in `size` bytes."""
    if offsets.ndim != 1 or offsets.dtype.kind != "i" or len(offsets) < 2:
        raise ValueError("no offsets at its begin")
    if offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any():
        raise ValueError("its offsets do not rise from 0")
    missing = int(offsets[-1]) - size
    if missing:
        raise ValueError(f"{abs(missing):,} bytes are {'missing' if missing > 0 else 'too many'}")


def open_raw_shard(path: Path) -> np.ndarray:
    """An array of pictures (N, H, W, 3) uint8, mapped into memory.

    Raises:
        FileProblem: it is missing, cut short, or no such array.
    """
    remedy = (
        "If it is of a generated set, delete its folder and it is made again; a packed set is to "
        "be packed again."
    )
    array = read_npy(path, mmap=True, what="array of pictures", remedy=remedy)
    expected = ""
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8:
        expected = "uint8 pictures (N, H, W, 3)"
    elif not 1 <= min(array.shape[1:3]) <= max(array.shape[1:3]) <= MAX_SIDE:
        expected = f"pictures of 1 to {MAX_SIDE:,} pixels a side"
    if expected:
        raise FileProblem(
            f"{path}: expected {expected}, found {array.dtype} {array.shape}. {remedy}"
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
        """How many stored pixels, each way, are averaged to one; a working size of 0 is theirs."""
        return max(1, min(self.shape[:2]) // working_size) if working_size else 1

    def read(self, index: np.ndarray, block: int = 1) -> tuple[np.ndarray, dict[int, str]]:
        """The pictures of these rows of the records (B,), averaged by `block`.

        Returns:
            (B, H, W, 3) uint8, black where a picture is damaged, and what is wrong with it by row.
        """
        if len(self._shards) == 1 and isinstance(self._shards[0], np.ndarray) and block == 1:
            return self._shards[0][self._rows[index]], {}
        from PIL import Image

        height, width = (-(-side // block) for side in self.shape[:2])
        pictures = np.zeros((len(index), height, width, 3), np.uint8)
        damaged: dict[int, str] = {}

        def fill(place: int) -> None:
            row = int(index[place])
            try:
                picture = self._shards[self._which[row]][self._rows[row]]
                if block > 1:
                    picture = np.asarray(Image.fromarray(picture).reduce(block))
                pictures[place] = picture
            except DamagedImageError as error:
                damaged[row] = str(error)

        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            list(pool.map(fill, range(len(index))))
        return pictures, damaged
