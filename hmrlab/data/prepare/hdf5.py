"""HDF5 files, which MATLAB's are from version 7.3 on: sizes are checked before anything is read.

A small file can claim a large array, all of one fill value, or hold a part that inflates to any
size; and it can name another file as the place of its numbers. Nothing of that is read.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmrlab.data.prepare.containers import AGAIN, MAX_BYTES, missing
from hmrlab.files import BadArrayError, FileProblem, listed, open_regular

if TYPE_CHECKING:
    import h5py

_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3  # HDF5's numbers of filters
_MAX_CHUNKS = 100_000
_SPARE = 4096  # bytes that a stored chunk may have more than its numbers


class Hdf5File:
    """An HDF5 file that is open for reading; axes of MATLAB's are in the reverse order there."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path = path
        self._file = file

    def names(self) -> tuple[str, ...]:
        """Of what lies at the file's top."""
        with _in_words(self._path):
            return tuple(map(str, self._file))

    def read(self, key: str) -> np.ndarray:
        """An array of numbers, texts or references at the file's top.

        Raises:
            FileProblem: there is none, it is damaged or too large, or lies in another file.
        """
        import h5py

        with _in_words(self._path, key):
            link = self._file.get(key, getlink=True)
            if link is None:
                raise BadArrayError(f"it is not there, only: {listed(self.names())}")
            if not isinstance(link, h5py.HardLink):
                raise BadArrayError("it is a link to another place or file, which is not followed")
            return self._array(self._file[key])

    def referred(self, reference: Any, key: str) -> np.ndarray:
        """The array that an element of `read`'s points to.

        Args:
            reference: the element.
            key: what to call it in messages.

        Raises:
            FileProblem: it points to none, or see `read`.
        """
        import h5py

        with _in_words(self._path, key):
            if not isinstance(reference, h5py.Reference) or not reference:
                raise BadArrayError("it points nowhere")
            return self._array(self._file[reference])

    def _array(self, dataset: Any) -> np.ndarray:
        import h5py

        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise BadArrayError("it is no array")
        dtype, size = dataset.dtype, math.prod(dataset.shape) * dataset.dtype.itemsize
        is_text = h5py.check_string_dtype(dtype) is not None
        if size > MAX_BYTES:
            raise BadArrayError(
                f"an array of {dataset.shape} {dtype} has {size:,} bytes, more than the "
                f"{MAX_BYTES:,} that are read"
            )
        is_reference = h5py.check_ref_dtype(dtype) is h5py.Reference
        if dtype.kind not in "fiubS" and not is_text and not is_reference:
            raise BadArrayError(f"an array of type {dtype}; expected numbers, texts or references")
        plan = dataset.id.get_create_plist()
        if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
            raise BadArrayError("its numbers lie in another file, which is not opened")
        if dataset.chunks is not None:
            _check_chunks(dataset, plan)
        if is_text and dtype.kind == "O" and self._path.stat().st_size > MAX_BYTES:
            raise BadArrayError(f"texts of any length in a file of more than {MAX_BYTES:,} bytes")
        return _texts(dataset) if is_text and dtype.kind == "O" else np.asarray(dataset[()])


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5File]:
    """An HDF5 file.

    Raises:
        FileProblem: the file is missing or damaged.
    """
    import h5py

    with open_regular(path, missing=missing(path)):
        pass
    with _in_words(path):
        file = h5py.File(path, "r")
    with file:
        yield Hdf5File(path, file)


@contextmanager
def _in_words(path: Path, key: str = "") -> Iterator[None]:
    try:
        yield
    except BadArrayError as error:
        raise FileProblem(f"{path}: '{key}' cannot be read: {error}. {AGAIN}") from error
    except Exception as error:  # a damaged file may raise anything
        what = f"'{key}' cannot be read" if key else "is no HDF5 file (MATLAB 7.3), or damaged"
        raise FileProblem(f"{path}: {what} ({error}). {AGAIN}") from error


def _check_chunks(dataset: Any, plan: Any) -> None:
    """Each stored part must unpack to what the array's layout says, by known filters."""
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    filters = [plan.get_filter(k)[0] for k in range(plan.get_nfilters())]
    if size > MAX_BYTES:
        raise BadArrayError(f"it is stored in parts of {size:,} bytes, more than {MAX_BYTES:,}")
    if not set(filters) <= {_GZIP, _SHUFFLE, _CHECKSUM} or len(set(filters)) < len(filters):
        raise BadArrayError(f"it is compressed by filters {filters}; expected gzip or none")
    if _GZIP not in filters:
        return
    chunks: list[Any] = []

    def note(chunk: Any) -> bool | None:
        chunks.append(chunk)
        return True if len(chunks) > _MAX_CHUNKS else None  # True: no more

    dataset.id.chunk_iter(note)
    if len(chunks) > _MAX_CHUNKS:
        raise BadArrayError(f"it is stored in more than {_MAX_CHUNKS:,} parts")
    for chunk in chunks:
        if chunk.filter_mask >> filters.index(_GZIP) & 1:  # this one is not compressed
            continue
        if chunk.size > size + size // 100 + _SPARE:
            raise BadArrayError(f"a part of {size:,} bytes is stored as {chunk.size:,}")
        _, stored = dataset.id.read_direct_chunk(chunk.chunk_offset)
        if len(zlib.decompressobj().decompress(stored, size + _SPARE)) >= size + _SPARE:
            raise BadArrayError(f"a part of {size:,} bytes unpacks to more")


def _texts(dataset: Any) -> np.ndarray:
    """Texts of any length, one by one: many may be one and the same large one in the file."""
    found, left = [], MAX_BYTES
    for place in np.ndindex(dataset.shape):
        found.append(dataset[place])
        left -= len(found[-1])
        if left < 0:
            raise BadArrayError(f"its texts have more than {MAX_BYTES:,} bytes")
    array = np.empty(dataset.shape, object)
    array.reshape(-1)[:] = found
    return array
