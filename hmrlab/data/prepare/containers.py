"""MATLAB's files up to version 7, which scipy reads, and HDF5 files, which they are from 7.3 on.

A small file can claim a large array, nest as deep as it likes, hold a part that inflates to any
size, or name another file as the place of its numbers. scipy and h5py follow it in all of that; so
what a file says of itself is held against what is there, and against a limit, before they read it.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hmrlab.files import BadArrayError, FileProblem, listed, open_regular, read_bytes

if TYPE_CHECKING:
    import h5py

AGAIN = "Unpack the archive again, and download it again if that does not help."
MAX_BYTES = 2**27
"""Of one array that is read, unpacked: many times what any of these data sets has."""
MAX_MAT_BYTES = 5 * 2**28
"""In memory, of all variables that are read: twice what MPII's two million matrices take."""

_EACH = 300  # bytes of a matrix in memory beside its numbers, as measured
_CHAR = 16  # bytes in memory for one of text
_HEAD = 4096  # bytes in which a variable's name must stand
_DEEPEST = 32
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_CELLS, _STRUCT, _OBJECT, _TEXT, _LAST_PLAIN = 1, 2, 3, 4, 15  # classes of matrices

_GZIP, _SHUFFLE, _CHECKSUM = 1, 2, 3  # HDF5's numbers of filters
_MAX_CHUNKS = 100_000
_SPARE = 4096  # bytes that a stored chunk may have more than its numbers


def missing(path: Path) -> str:
    """The message for a file of a download that is not there."""
    return f"{path} is missing. Unpack the download again."


def numbers(path: Path, name: str, value: object, shape: tuple[int | None, ...]) -> np.ndarray:
    """A float64 array of this shape, None for any length; `FileProblem` for anything else."""
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FileProblem(f"{path}: '{name}' holds no numbers ({error}). {AGAIN}") from error
    fits = array.ndim == len(shape) and all(
        want in (None, have) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiub" or array.size > MAX_BYTES // 4:
        expected = " x ".join("n" if want is None else str(want) for want in shape)
        raise FileProblem(
            f"{path}: '{name}' must hold {expected} numbers, found {array.dtype} {array.shape}. "
            f"{AGAIN}"
        )
    return array.astype(np.float64)


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Variables of a MATLAB file up to version 7, those that it has; cells are arrays of objects.

    Raises:
        FileProblem: the file is missing, damaged or cut short, too large, or of version 7.3.
    """
    from scipy.io import loadmat

    content = read_bytes(path, MAX_MAT_BYTES, missing(path))
    if content[124:128] in (b"\x00\x02IM", b"\x02\x00MI"):
        raise FileProblem(
            f"{path}: is a MATLAB file of version 7.3, where one up to version 7 is expected. Is "
            "it the file of the download?"
        )
    try:
        _check_variables(content, names)
        variables = loadmat(io.BytesIO(content), variable_names=list(names), appendmat=False)
    except Exception as error:  # a damaged file may raise anything
        raise FileProblem(f"{path}: is no MATLAB file, or damaged ({error}). {AGAIN}") from error
    return {name: np.asarray(variables[name]) for name in names if name in variables}


def _check_variables(content: bytes, names: Collection[str]) -> None:
    """`BadArrayError` where a variable is damaged, or these take more than `MAX_MAT_BYTES`."""
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise BadArrayError("its first bytes are others")
    at, left = 128, MAX_MAT_BYTES
    while at < len(content):
        if at + 8 > len(content):
            raise BadArrayError("it is cut short")
        kind, size = struct.unpack_from(f"{order}II", content, at)
        variable, at = content[at : at + 8 + size], at + 8 + size
        if kind not in (_MATRIX, _COMPRESSED):
            continue
        start = _first(variable, kind, _HEAD)
        head = _Walk(start, order, left).head(8)
        if head.end_of_name > len(start):
            raise BadArrayError("a variable whose name is too long or cut short")
        if head.name in names:
            data = _first(variable, kind, left + 1)
            if len(data) > left:
                raise BadArrayError(f"{head.name} has more than {left:,} bytes")
            walk = _Walk(data, order, left)
            walk.matrix(8, len(data), depth=0)
            left -= walk.cost


def _first(variable: bytes, kind: int, count: int) -> bytes:
    """The first bytes of a variable, unpacked."""
    if kind == _COMPRESSED:
        return zlib.decompressobj().decompress(variable[8:], count)
    return variable[:count]


class _Head(NamedTuple):
    """What stands at the beginning of a matrix."""

    kind: int
    count: int  # of its elements
    name: str
    end_of_name: int
    following: int  # where its content begins


class _Walk:
    """Goes through a matrix and those in it, and adds up what they will take in memory.

    All methods raise `BadArrayError` or `struct.error` where it is not whole, holds something
    unknown, or takes more than the limit.
    """

    def __init__(self, data: bytes, order: str, limit: int) -> None:
        self._data, self._order, self._limit = data, order, limit
        self.cost = 0

    def head(self, at: int) -> _Head:
        tag, size, flags = struct.unpack_from(f"{self._order}III", self._data, at)
        _, begin, end, at_name = self._element(at + 16)
        count = (end - begin) // 4
        if (tag, size) != (6, 8) or count > 32:
            raise BadArrayError("a variable without class and dimensions")
        n = math.prod(struct.unpack_from(f"{self._order}{count}I", self._data, begin))
        _, begin, end, following = self._element(at_name)
        return _Head(flags & 0xFF, n, self._data[begin:end].decode("latin-1"), end, following)

    def matrix(self, at: int, end: int, depth: int) -> None:
        """The matrix whose content lies between two places."""
        self._add(_EACH)
        if at == end:
            return
        head = self.head(at)
        if head.kind > _LAST_PLAIN or depth > _DEEPEST:
            raise BadArrayError(
                f"{head.name} holds what no annotations do: functions, or cells too deep"
            )
        if head.count > end - at:
            raise BadArrayError(f"{head.name} claims {head.count:,} elements in {end - at:,} bytes")
        at, children = head.following, head.count if head.kind == _CELLS else 0
        if head.kind in (_STRUCT, _OBJECT):
            at, n_fields = self._fields(at, end, head.kind == _OBJECT)
            children = head.count * n_fields
        self._add(8 * children)
        while at < end:
            kind, begin, stop, at = self._element(at)
            if stop > end or (kind == _MATRIX) != (children > 0):
                raise BadArrayError(f"{head.name} is not whole")
            if kind == _MATRIX:
                children -= 1
                self.matrix(begin, stop, depth + 1)
            else:
                self._add((stop - begin) * (_CHAR if head.kind == _TEXT else 1))
        if children:
            raise BadArrayError(f"{head.name} is not whole")

    def _element(self, at: int) -> tuple[int, int, int, int]:
        """Of the element there: its kind, where its content begins and ends, where the next is."""
        word, size = struct.unpack_from(f"{self._order}II", self._data, at)
        if word >> 16:  # a small one
            return word & 0xFFFF, at + 4, at + 4 + (word >> 16), at + 8
        return word, at + 8, at + 8 + size, at + 8 + size + -size % 8

    def _fields(self, at: int, end: int, has_class: bool) -> tuple[int, int]:
        """Where a struct's fields begin, and how many there are of each element."""
        if has_class:
            at = self._element(at)[3]
        _, begin, _, at = self._element(at)
        (length,) = struct.unpack_from(f"{self._order}I", self._data, begin)
        _, begin, stop, at = self._element(at)
        if stop > end or length == 0:
            raise BadArrayError("a struct without the names of its fields")
        self._add(stop - begin)
        return at, (stop - begin) // length

    def _add(self, size: int) -> None:
        self.cost += size
        if self.cost > self._limit:
            raise BadArrayError(f"it takes more than {self._limit:,} bytes in memory")


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

        `FileProblem` where there is none, it is damaged or too large, or lies in another file.
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
        """The array that an element of `read`'s points to; `key` is for messages."""
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
        if not is_text or dtype.kind != "O":
            return np.asarray(dataset[()])
        if self._path.stat().st_size > MAX_BYTES:
            raise BadArrayError(f"texts of any length in a file of more than {MAX_BYTES:,} bytes")
        return _texts(dataset)


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5File]:
    """An HDF5 file; `FileProblem` where it is missing or damaged."""
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
    except Exception as error:  # a damaged file may raise anything
        if isinstance(error, BadArrayError):
            what = f"'{key}' cannot be read: {error}"
        elif key:
            what = f"'{key}' cannot be read ({error})"
        else:
            what = f"is no HDF5 file (MATLAB 7.3), or damaged ({error})"
        raise FileProblem(f"{path}: {what}. {AGAIN}") from error


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
    array, left = np.empty(dataset.shape, object), MAX_BYTES
    for place in np.ndindex(dataset.shape):
        array[place] = dataset[place]
        left -= len(array[place])
        if left < 0:
            raise BadArrayError(f"its texts have more than {MAX_BYTES:,} bytes")
    return array
