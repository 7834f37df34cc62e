"""One reader for `.npz` and `.npy`: a file's own words are checked before anything is allocated.

An array's header says its type and shape. Here it is read as plain text, the type must be numbers
or text, and the size that it claims must be the size that is there and within a stated limit. So a
small file cannot fill the memory, and nothing in it is unpickled.
"""

from __future__ import annotations

import ast
import math
import os
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType
from typing import BinaryIO

import numpy as np

from hmrlab.files.opening import BadArrayError, FileProblem, fill, open_regular, open_zip

MAX_BYTES = 2**30
"""Of all arrays that are read from one file, unpacked."""
MAX_MEMBERS = 10_000
MAX_HEADER_BYTES = 2**16
MAX_NDIM = 32
MAX_LENGTH = 2**40  # of one axis
_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}  # by the format's version
_TYPE = re.compile(r"[<>|=]?([biufSU])(\d{1,6})")
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}
_PYTHON_2_LONG = re.compile(r"(?<=\d)L\b")
_MAX_BRACKETS = 8
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
Shape = tuple[int | str | EllipsisType, ...]
"""Lengths of the axes; a letter stands for any length, the same wherever it stands, and `...` at
the end for any further axes."""


@dataclass(frozen=True)
class ArrayHeader:
    """What an `.npy` says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype | None  # None: Python objects, as a pickle
    fortran_order: bool
    n_bytes: int  # of the header itself

    @property
    def data_bytes(self) -> int:
        """Of the array's numbers.

        Raises:
            BadArrayError: it holds Python objects.
        """
        if self.dtype is None:
            raise BadArrayError(
                "it holds Python objects, which hmrlab never unpickles from such a file, because "
                "reading them could run code: save plain arrays, texts as strings"
            )
        return math.prod(self.shape) * self.dtype.itemsize


def plain_dtype(text: object) -> np.dtype:
    """The type that a file names, if it is one of numbers or text of a fixed width.

    Raises:
        BadArrayError: it is any other: objects, records, sub-arrays, dates, complex numbers.
    """
    match = _TYPE.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        kind, size = match[1], int(match[2])
        if size in _SIZES.get(kind, ()) or (kind in "SU" and size > 0):
            return np.dtype(text)
    shown = repr(text)
    raise BadArrayError(
        f"an array of type {shown[:60]}{'...' if len(shown) > 60 else ''}; expected numbers or text"
    )


def plain_shape(shape: object) -> tuple[int, ...]:
    """The shape that a file names.

    Raises:
        BadArrayError: it is no tuple of counts.
    """
    if (
        not isinstance(shape, tuple)
        or len(shape) > MAX_NDIM
        or not all(type(length) is int and 0 <= length <= MAX_LENGTH for length in shape)
    ):
        raise BadArrayError(f"an array of shape {str(shape)[:60]}")
    return shape


def array_of(
    data: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], fortran: bool
) -> np.ndarray:
    """An array of these bytes, as many as its type and shape ask for.

    Raises:
        BadArrayError: there are more or fewer, or it is text that is no Unicode.
    """
    n_bytes = math.prod(shape) * dtype.itemsize
    if len(data) != n_bytes:
        raise BadArrayError(
            f"an array of {shape} {dtype} needs {n_bytes:,} bytes, not {len(data):,}"
        )
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    if array.dtype.kind == "U" and array.size:
        codes = np.ascontiguousarray(array.ravel()).view(array.dtype.str[0] + "u4")
        # 0xDC80 to 0xDCFF are bytes of file names that are no UTF-8; no other half pair is a name
        half = (codes >= 0xD800) & (codes <= 0xDFFF) & ~((codes >= 0xDC80) & (codes <= 0xDCFF))
        if (codes > 0x10FFFF).any() or half.any():
            raise BadArrayError("text with characters that do not exist")
    return array


def read_header(file: BinaryIO) -> ArrayHeader:
    """What stands before an array's numbers; the file is read up to them.

    Raises:
        BadArrayError: it is damaged, or the array is none of numbers, text or Python objects.
    """
    start = file.read(8)
    n_length = _LENGTH_BYTES.get(start[6:])
    if start[:6] != _MAGIC or n_length is None:
        raise BadArrayError("no array of numpy's: its first bytes are others")
    length = int.from_bytes(file.read(n_length), "little")
    if length > MAX_HEADER_BYTES:
        raise BadArrayError(f"an array with a header of {length:,} bytes")
    text = file.read(length)
    if len(text) < length:
        raise BadArrayError("an array that is cut short in its header")
    entries = _literal(_PYTHON_2_LONG.sub("", text.decode("latin-1")))
    if not isinstance(entries, dict) or set(entries) != {"descr", "fortran_order", "shape"}:
        raise BadArrayError("an array whose header does not say type, order and shape")
    if not isinstance(entries["fortran_order"], bool):
        raise BadArrayError("an array whose header does not say its order")
    is_objects = isinstance(entries["descr"], str) and entries["descr"].lstrip("|<>=") == "O"
    dtype = None if is_objects else plain_dtype(entries["descr"])
    shape = plain_shape(entries["shape"])
    return ArrayHeader(shape, dtype, entries["fortran_order"], 8 + n_length + length)


class NpzArchive:
    """An `.npz` that is open for reading; see `open_npz`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise BadArrayError(f"an archive of {len(infos):,} parts")
        arrays = [info for info in infos if info.filename.endswith(".npy")]
        self._members = {info.filename.removesuffix(".npy"): info for info in arrays}
        self._archive = archive

    @property
    def keys(self) -> tuple[str, ...]:
        """The arrays' names."""
        return tuple(self._members)

    @contextmanager
    def member(self, key: str) -> Iterator[tuple[BinaryIO, ArrayHeader, int]]:
        """An array's bytes behind its header, the header, and how many bytes follow, as it claims.

        Raises:
            BadArrayError: it is damaged; the message names it.
        """
        info = self._members[key]
        try:
            if info.flag_bits & 1:
                raise BadArrayError("encrypted, which no .npz of numpy's is")
            if info.compress_type not in _METHODS:
                raise BadArrayError(f"compressed by method {info.compress_type}, not by numpy's")
            with self._archive.open(info) as file:
                header = read_header(file)
                yield file, header, info.file_size - header.n_bytes
        except FileProblem:
            raise
        except Exception as error:  # a damaged archive may raise anything
            raise BadArrayError(f"'{key}': {in_words(error)}") from error

    def header(self, key: str) -> ArrayHeader:
        """What an array says of itself; see `member`."""
        with self.member(key) as (_, header, _):
            return header

    def read(self, key: str, max_bytes: int = MAX_BYTES) -> np.ndarray:
        """One array, of a stated size at most and not of Python objects; see `member`."""
        with self.member(key) as (file, header, size):
            return _read_data(file, header, size, max_bytes)


@contextmanager
def open_npz(
    path: str | Path, *, what: str = ".npz of arrays", remedy: str = "", missing: str = ""
) -> Iterator[NpzArchive]:
    """An `.npz` whose arrays are read one by one.

    The message is "{path} is not a readable {what} (...). {remedy}", or `missing` where nothing is
    there.

    Raises:
        FileProblem: it is missing or no `.npz`, or an array that is read is damaged.
    """
    with open_regular(path, missing) as file, _readable(path, what, remedy):
        if file.read(6) == _MAGIC:
            raise BadArrayError("it is a single array without a name, an .npy")
        file.seek(0)
        with open_zip(file) as archive:
            yield NpzArchive(archive)


def read_npz(
    path: str | Path,
    keys: Collection[str] | None = None,
    *,
    what: str = ".npz of arrays",
    remedy: str = "",
    missing: str = "",
    max_bytes: int = MAX_BYTES,
    shapes: Mapping[str, Shape] | None = None,
    numbers: bool = False,
) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`, of numbers or text.

    Args:
        path: of the file; for `what`, `remedy` and `missing` see `open_npz`.
        keys: those to read, if they are there; by default all.
        max_bytes: of all of them together, unpacked.
        shapes: of those that must be there, see `check_shapes`; looked at before any is read.
        numbers: whether all must be of numbers.

    Raises:
        FileProblem: it is missing, damaged, no `.npz`, holds Python objects, is larger, or lacks an
            array or has one of another shape.
    """
    with open_npz(path, what=what, remedy=remedy, missing=missing) as archive:
        given = {key: archive.header(key).shape for key in archive.keys if key in (shapes or {})}
        check_shapes(given, shapes or {})
        arrays, left = {}, max_bytes
        for key in archive.keys:
            if keys is None or key in keys:
                arrays[key] = archive.read(key, left)
                left -= arrays[key].nbytes
                if numbers and arrays[key].dtype.kind in "SU":
                    raise BadArrayError(f"'{key}' must hold numbers, found {arrays[key].dtype}")
        return arrays


def read_npy(
    path: str | Path,
    *,
    mmap: bool = False,
    what: str = "array",
    remedy: str = "",
    max_bytes: int = MAX_BYTES,
) -> np.ndarray:
    """The array of an `.npy`, of numbers or text; for `what` and `remedy` see `open_npz`.

    With `mmap` the numbers, of any size, stay on the disk, read-only, until they are used.

    Raises:
        FileProblem: it is missing, damaged, no `.npy`, holds Python objects, or is larger.
    """
    with open_regular(path) as file, _readable(path, what, remedy):
        header = read_header(file)
        size = os.fstat(file.fileno()).st_size - header.n_bytes
        if not mmap or header.data_bytes == 0:
            return _read_data(file, header, size, max_bytes)
        _check_size(header, size)
        order = "F" if header.fortran_order else "C"
        return np.memmap(file, header.dtype, "r", header.n_bytes, header.shape, order)


def npy_header(path: str | Path) -> ArrayHeader:
    """What an `.npy` says of itself; its numbers are not read.

    Raises:
        FileProblem: it is missing, damaged, or no `.npy`.
    """
    with open_regular(path) as file, _readable(path, "array"):
        header = read_header(file)
        _check_size(header, os.fstat(file.fileno()).st_size - header.n_bytes)
        return header


def check_shapes(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, Shape]
) -> dict[str, int]:
    """Hold shapes against those that must be there, `{"pose": ("N", 24, 3), "betas": ("N", 10)}`.

    Gives what each letter stands for.

    Raises:
        BadArrayError: one is missing, or is of another shape.
    """
    lengths: dict[str, int] = {}
    for key, shape in expected.items():
        if key not in found:
            raise BadArrayError(f"it has no '{key}'")
        if not _fits(found[key], shape, lengths):
            wanted = ["..." if one is ... else str(lengths.get(one, one)) for one in shape]
            in_words = ", ".join(wanted) + ("," if len(wanted) == 1 else "")
            raise BadArrayError(f"'{key}' must have shape ({in_words}), found {found[key]}")
    return lengths


def _fits(found: tuple[int, ...], shape: Shape, lengths: dict[str, int]) -> bool:
    """Whether a shape is the expected one; lengths that are new are noted."""
    if shape[-1:] == (...,):
        shape = shape[:-1]
        found = found[: len(shape)]
    return len(found) == len(shape) and all(
        length == (lengths.setdefault(name, length) if isinstance(name, str) else name)
        for length, name in zip(found, shape, strict=True)
    )


def in_words(error: Exception) -> str:
    """What an error says; its kind, too, where that is needed to understand it."""
    if isinstance(error, BadArrayError):
        return str(error)
    if isinstance(error, MemoryError):
        return "it does not fit into the memory"
    return f"{type(error).__name__}: {error}"


def _literal(text: str) -> object:
    if sum(text.count(bracket) for bracket in "([{") > _MAX_BRACKETS:
        raise BadArrayError("an array whose header is nested, so of no plain type")
    try:
        return ast.literal_eval(text.strip(" \0\n"))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise BadArrayError("an array whose header is damaged") from error


def _check_size(header: ArrayHeader, size: int) -> None:
    """Whether as many bytes follow as the header speaks of."""
    if size < header.data_bytes:
        raise BadArrayError(
            f"cut short: an array of {header.shape} {header.dtype} needs {header.data_bytes:,} "
            f"bytes, {size:,} are there"
        )


def _read_data(file: BinaryIO, header: ArrayHeader, size: int, max_bytes: int) -> np.ndarray:
    _check_size(header, size)
    if header.data_bytes > max_bytes:
        raise BadArrayError(
            f"an array of {header.shape} {header.dtype} takes {header.data_bytes:,} bytes, more "
            f"than the {max_bytes:,} that are read of such a file"
        )
    data = bytearray(header.data_bytes)
    fill(file, data)
    return array_of(data, header.dtype, header.shape, header.fortran_order)


@contextmanager
def _readable(path: str | Path, what: str, remedy: str = "") -> Iterator[None]:
    """Whatever is raised is entries of the file: a damaged one may raise anything."""
    try:
        yield
    except FileProblem:
        raise
    except Exception as error:
        message = f"{path} is not a readable {what} ({in_words(error)})."
        remedy = remedy or "It may be cut short: get it anew."
        raise FileProblem(f"{message} {remedy}") from error
