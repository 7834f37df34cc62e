"""One variable out of a CDF file, NASA's Common Data Format, as motion capture is handed out in it.

Only what leads to the variable is read, in files of versions 2.6 to 3; each size and count that
the file names is held against a limit first. https://cdf.gsfc.nasa.gov has the format's description
("CDF Internal Format"), whose names of records are used here: CDR, GDR, VDR, VXR, VVR.
"""

from __future__ import annotations

import struct
import zlib
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmrlab.data.prepare.containers import AGAIN, MAX_BYTES, missing
from hmrlab.files import BadArrayError, FileProblem, read_bytes

_MAGIC = {b"\xcd\xf3\x00\x01": 3, b"\xcd\xf2\x60\x02": 2}
_PLAIN, _COMPRESSED = b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"
_CDR, _GDR, _R_VDR, _VXR, _VVR, _Z_VDR, _CCR, _CVVR = 1, 2, 3, 6, 7, 8, 10, 13
_TYPES = {
    1: "i1", 2: "i2", 4: "i4", 8: "i8", 11: "u1", 12: "u2", 14: "u4", 21: "f4", 22: "f8",
    41: "i1", 44: "f4", 45: "f8",
}  # fmt: skip
_BIG_ENDIAN = (1, 2, 5, 7, 9, 11, 12)
_LITTLE_ENDIAN = (4, 6, 13, 16, 17)
_VDR_FIELDS = "oiiooiiiiiiioi"
_GDR_FIELDS = "ooooiiiiioiii"
_MOST = 10_000  # variables, dimensions, parts


def read_cdf(path: Path, variable: str) -> np.ndarray:
    """One variable of numbers, (records, ...).

    `FileProblem` where the file is missing, damaged, cut short or too large, or has no such one.
    """
    data = read_bytes(path, MAX_BYTES, missing(path))
    try:
        return _Cdf(data).read(variable)
    except Exception as error:  # a damaged file may raise anything
        why = error if isinstance(error, BadArrayError) else f"{type(error).__name__}: {error}"
        raise FileProblem(f"{path}: is no CDF file, or damaged ({why}). {AGAIN}") from error


class _Variable(NamedTuple):
    """What a VDR says of a variable."""

    dtype: np.dtype
    n_records: int
    shape: tuple[int, ...]  # of each record
    parts: int  # where its first VXR lies


class _Cdf:
    """A file in memory. Places are bytes from its beginning; numbers are big-endian."""

    def __init__(self, data: bytes) -> None:
        if data[:4] not in _MAGIC or data[4:8] not in (_PLAIN, _COMPRESSED):
            raise BadArrayError("its first bytes are others")
        self._data = memoryview(data)
        self._offset = "q" if _MAGIC[data[:4]] == 3 else "i"
        self._name = 256 if _MAGIC[data[:4]] == 3 else 64
        if data[4:8] == _COMPRESSED:
            _, ccr = self._record(8, _CCR)
            (_, _, _), rest = self._take(ccr, "ooi")
            self._data = memoryview(data[:4] + _PLAIN + _inflated(rest, MAX_BYTES))
        _, cdr = self._record(8, _CDR)
        (self._gdr, _, _, encoding, flags), _ = self._take(cdr, "oiiii")
        if encoding not in (*_BIG_ENDIAN, *_LITTLE_ENDIAN):
            raise BadArrayError(f"numbers in encoding {encoding}")
        self._order = ">" if encoding in _BIG_ENDIAN else "<"
        self._by_rows = bool(flags & 1)

    def read(self, name: str) -> np.ndarray:
        """A variable's records."""
        variables = self._variables()
        if name not in variables:
            raise BadArrayError(f"no variable '{name}', only: {', '.join(variables) or 'nothing'}")
        dtype, n_records, shape, parts = self._variable(variables[name])
        each = prod(shape) * dtype.itemsize
        if each * n_records > MAX_BYTES:
            raise BadArrayError(
                f"'{name}' has {n_records:,} records of {shape} {dtype}, more than the "
                f"{MAX_BYTES:,} bytes that are read"
            )
        data, n = bytearray(), 0
        for first, last, place in sorted(self._parts(parts)):
            if n >= n_records:
                break
            count = min(last + 1, n_records) - first
            part = self._part(place, each * (last + 1 - first))[: each * count]
            if first != n or len(part) != each * count:
                raise BadArrayError(f"'{name}' lacks records behind number {n:,}")
            data += part
            n += count
        if n < n_records:
            raise BadArrayError(f"'{name}' has {n:,} of {n_records:,} records")
        array = np.frombuffer(data, dtype)
        if self._by_rows:
            return array.reshape(n, *shape)
        return array.reshape(n, *shape[::-1]).transpose(0, *range(len(shape), 0, -1))

    def _take(self, data: memoryview, fields: str) -> tuple[tuple[int, ...], memoryview]:
        """Numbers at the beginning of bytes, "o" for a place and "i" for others, and the rest."""
        layout = struct.Struct(">" + fields.replace("o", self._offset))
        return layout.unpack_from(data), data[layout.size :]

    def _record(self, at: int, *kinds: int) -> tuple[int, memoryview]:
        """Kind and content of the record that begins there."""
        begin = at + struct.calcsize(f">{self._offset}i")
        if at >= 8 and begin <= len(self._data):
            (size, kind), _ = self._take(self._data[at:begin], "oi")
            if kind in kinds and begin <= at + size <= len(self._data):
                return kind, self._data[begin : at + size]
        raise BadArrayError(f"no whole record of kind {kinds} at byte {at:,}")

    def _text(self, data: memoryview) -> str:
        return bytes(data[: self._name]).split(b"\0")[0].decode("latin-1")

    def _variables(self) -> dict[str, int]:
        """Where each variable's VDR lies, by name."""
        _, gdr = self._record(self._gdr, _GDR)
        (r_head, z_head, _, _, n_r, _, _, _, n_z, *_), _ = self._take(gdr, _GDR_FIELDS)
        if n_r + n_z > _MOST:
            raise BadArrayError(f"{n_r + n_z:,} variables")
        places = {}
        for at, count in ((z_head, n_z), (r_head, n_r)):
            for _ in range(count):
                (following, *_), rest = self._take(self._record(at, _R_VDR, _Z_VDR)[1], _VDR_FIELDS)
                places[self._text(rest)] = at
                at = following
        return places

    def _variable(self, at: int) -> _Variable:
        kind, vdr = self._record(at, _R_VDR, _Z_VDR)
        numbers, rest = self._take(vdr, _VDR_FIELDS)
        _, type_number, last, parts, _, flags, sparse, _, _, _, n_elements, _, _, _ = numbers
        name, rest = self._text(rest), rest[self._name :]
        if kind == _Z_VDR:
            (n_dims,), rest = self._take(rest, "i")
            sizes, rest = self._take(rest, "i" * _few(n_dims))
        else:
            _, gdr = self._record(self._gdr, _GDR)
            (_, _, _, _, _, _, _, n_dims, *_), sizes = self._take(gdr, _GDR_FIELDS)
            sizes, _ = self._take(sizes, "i" * _few(n_dims))
        varies, _ = self._take(rest, "i" * _few(n_dims))
        shape = tuple(size for size, one in zip(sizes, varies, strict=True) if one)
        if type_number not in _TYPES or n_elements != 1 or sparse or min(shape, default=1) < 1:
            raise BadArrayError(f"'{name}' is no array of numbers with all its records")
        n_records = max(last + 1, 0) if flags & 1 else 1
        return _Variable(np.dtype(self._order + _TYPES[type_number]), n_records, shape, parts)

    def _parts(self, at: int) -> list[tuple[int, int, int]]:
        """First and last record, and the place, of each part of a variable."""
        parts, todo, seen = [], [at], set()
        while todo and len(seen) + len(parts) < _MOST:
            at = todo.pop()
            if at in seen:
                raise BadArrayError("lists of records that lead back to themselves")
            seen.add(at)
            (following, n, n_used), rest = self._take(self._record(at, _VXR)[1], "oii")
            if not 0 <= n_used <= n <= _MOST:
                raise BadArrayError(f"a list of {n_used:,} of {n:,} parts")
            entries, _ = self._take(rest, "i" * n + "i" * n + "o" * n)
            for first, last, place in zip(
                entries[:n_used], entries[n : n + n_used], entries[2 * n :], strict=False
            ):
                if self._record(place, _VXR, _VVR, _CVVR)[0] == _VXR:
                    todo.append(place)
                else:
                    parts.append((first, last, place))
            if following:
                todo.append(following)
        return parts

    def _part(self, at: int, size: int) -> bytes | memoryview:
        kind, content = self._record(at, _VVR, _CVVR)
        if kind == _VVR:
            return content
        (_, packed), rest = self._take(content, "io")
        return _inflated(rest[:packed], size)


def _few(count: int) -> int:
    if not 0 <= count <= 32:
        raise BadArrayError(f"{count:,} dimensions")
    return count


def _inflated(data: memoryview, size: int) -> bytes:
    """Gzip's bytes unpacked, of this size at most."""
    unpacked = zlib.decompressobj(wbits=47).decompress(data, size + 1)  # gzip's header or zlib's
    if len(unpacked) > size:
        raise BadArrayError(f"a part that unpacks to more than {size:,} bytes")
    return unpacked
