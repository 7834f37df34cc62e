"""MATLAB's files up to version 7: what a file says of its size is added up before it is read.

scipy reads them. It makes room for what a file claims, and goes as deep as it is nested; so first
the file is walked through in the same order, and nothing is made of what is found.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hmrlab.data.prepare.containers import AGAIN, missing
from hmrlab.files import BadArrayError, FileProblem, open_regular

MAX_BYTES = 5 * 2**28
"""In memory, of all variables that are read: twice what MPII's two million matrices take."""
_EACH = 300  # bytes of a matrix in memory beside its numbers, as measured
_CHAR = 16  # bytes in memory for one of text
_HEAD = 4096  # bytes in which a variable's name must stand
_DEEPEST = 32
_CHUNK = 2**20
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_CELLS, _STRUCT, _OBJECT, _TEXT, _LAST_PLAIN = 1, 2, 3, 4, 15  # classes of matrices


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Variables of a MATLAB file up to version 7; cells come as arrays of objects.

    Nothing in such a file can run code: its objects are arrays, never pickles.

    Args:
        path: the file.
        names: those to read; what the file lacks is absent from the answer.

    Raises:
        FileProblem: the file is missing, damaged or cut short, too large, or of version 7.3.
    """
    from scipy.io import loadmat

    with open_regular(path, missing=missing(path)) as file:
        try:
            _check(file, names)
            file.seek(0)
            content = loadmat(file, variable_names=list(names), appendmat=False)
            return {name: np.asarray(content[name]) for name in names if name in content}
        except _NewerVersion as error:
            raise FileProblem(
                f"{path}: is a MATLAB file of version 7.3, where one up to version 7 is expected. "
                "Is it the file of the download?"
            ) from error
        except Exception as error:  # a damaged file may raise anything
            raise FileProblem(
                f"{path}: is no MATLAB file, or damaged ({error}). {AGAIN}"
            ) from error


class _NewerVersion(Exception):
    """The file is an HDF5 file."""


def _check(file: BinaryIO, names: Collection[str]) -> None:
    start = file.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(start[126:])
    if order is None:
        raise BadArrayError("its first bytes are others")
    if struct.unpack(f"{order}H", start[124:126])[0] == 0x0200:
        raise _NewerVersion
    left = MAX_BYTES
    while tag := file.read(8):
        if len(tag) < 8:
            raise BadArrayError("it is cut short")
        kind, size = struct.unpack(f"{order}II", tag)
        following = file.tell() + size
        if kind in (_MATRIX, _COMPRESSED):
            left -= _cost(_Variable(file, tag, size, kind == _COMPRESSED), names, order, left)
        file.seek(following)


def _cost(variable: _Variable, names: Collection[str], order: str, limit: int) -> int:
    """Bytes that a variable takes in memory; 0 for one that is not read.

    Raises:
        BadArrayError: it is damaged, or takes more than the limit.
    """
    start = bytes(variable.upto(_HEAD))
    head = _Head(start, 8, order)
    if head.end_of_name > len(start):
        raise BadArrayError("a variable whose name is too long or cut short")
    if head.name not in names:
        return 0
    data = variable.upto(limit + 1)
    if len(data) > limit:
        raise BadArrayError(f"{head.name} has more than {limit:,} bytes")
    walk = _Walk(data, order, limit)
    walk.matrix(8, len(data), depth=0)
    return walk.cost


class _Variable:
    """The bytes of one variable's element, unpacked as far as they are asked for."""

    def __init__(self, file: BinaryIO, tag: bytes, size: int, compressed: bool) -> None:
        self._file, self._left = file, size
        self._inflate = zlib.decompressobj() if compressed else None
        self._data = bytearray() if compressed else bytearray(tag)

    def upto(self, count: int) -> bytearray:
        """The first bytes, so many if there are."""
        while len(self._data) < count and (new := self._more(count - len(self._data))):
            self._data += new
        return self._data

    def _more(self, count: int) -> bytes:
        if self._inflate is None:
            return self._read(count)
        new = b""
        while not (new or self._inflate.eof):
            packed = self._inflate.unconsumed_tail or self._read(_CHUNK)
            new = self._inflate.decompress(packed, min(_CHUNK, count))
            if not packed:
                break
        return new

    def _read(self, count: int) -> bytes:
        data = self._file.read(min(count, _CHUNK, self._left))
        self._left -= len(data)
        return data


def _element(data: bytes | bytearray, at: int, order: str) -> tuple[int, int, int, int]:
    """Of the element there: its kind, where its content begins and ends, where the next begins."""
    word, size = struct.unpack_from(f"{order}II", data, at)
    if word >> 16:  # a small one
        return word & 0xFFFF, at + 4, at + 4 + (word >> 16), at + 8
    return word, at + 8, at + 8 + size, at + 8 + size + -size % 8


class _Head:
    """What stands at the beginning of a matrix: class, dimensions, name."""

    def __init__(self, data: bytes | bytearray, at: int, order: str) -> None:
        tag, size, flags = struct.unpack_from(f"{order}III", data, at)
        _, begin, end, at_name = _element(data, at + 16, order)
        count = (end - begin) // 4
        if (tag, size) != (6, 8) or count > 32:
            raise BadArrayError("a variable without class and dimensions")
        self.kind = flags & 0xFF
        self.n = prod(struct.unpack_from(f"{order}{count}I", data, begin))
        _, begin, self.end_of_name, self.following = _element(data, at_name, order)
        self.name = bytes(data[begin : self.end_of_name]).decode("latin-1")


class _Walk:
    """Goes through a matrix and those in it, and adds up what they will take."""

    def __init__(self, data: bytearray, order: str, limit: int) -> None:
        self._data, self._order, self._limit = data, order, limit
        self.cost = 0

    def matrix(self, at: int, end: int, depth: int) -> None:
        """That whose content lies between two places.

        Raises:
            BadArrayError: it is not all there, holds something unknown, or takes too much.
        """
        self._add(_EACH)
        if at == end:
            return
        head = _Head(self._data, at, self._order)
        if head.kind > _LAST_PLAIN or depth > _DEEPEST:
            raise BadArrayError(
                f"{head.name} holds what no annotations do: functions, or cells too deep"
            )
        if head.n > end - at:
            raise BadArrayError(f"{head.name} claims {head.n:,} elements in {end - at:,} bytes")
        at, children = head.following, head.n if head.kind == _CELLS else 0
        if head.kind in (_STRUCT, _OBJECT):
            at, n_fields = self._fields(at, end, head.kind == _OBJECT)
            children = head.n * n_fields
        self._add(8 * children)
        while at < end:
            kind, begin, stop, at = _element(self._data, at, self._order)
            if stop > end or (kind == _MATRIX) != (children > 0):
                raise BadArrayError(f"{head.name} is not whole")
            if kind == _MATRIX:
                children -= 1
                self.matrix(begin, stop, depth + 1)
            else:
                self._add((stop - begin) * (_CHAR if head.kind == _TEXT else 1))
        if children:
            raise BadArrayError(f"{head.name} is not whole")

    def _fields(self, at: int, end: int, has_class: bool) -> tuple[int, int]:
        """Where a struct's fields begin, and how many there are of each element."""
        if has_class:
            at = _element(self._data, at, self._order)[3]
        _, begin, _, at = _element(self._data, at, self._order)
        (length,) = struct.unpack_from(f"{self._order}I", self._data, begin)
        _, begin, stop, at = _element(self._data, at, self._order)
        if stop > end or length == 0:
            raise BadArrayError("a struct without the names of its fields")
        self._add(stop - begin)
        return at, (stop - begin) // length

    def _add(self, size: int) -> None:
        self.cost += size
        if self.cost > self._limit:
            raise BadArrayError(f"it takes more than {self._limit:,} bytes in memory")
