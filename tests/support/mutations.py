"""Ways to damage a file, drawn by seed; each gives the bytes of the damaged one."""

from __future__ import annotations

import copy
import io
import json
import os
import socket
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def instead(contents: dict[str, bytes]) -> dict[str, Damage]:
    """Other contents in place of the good ones."""
    return {words: lambda good, rng, new=new: new for words, new in contents.items()}


# any file


def _cut(share: float) -> Damage:
    return lambda good, rng: good[: int(share * len(good))]


def _flipped(count: int, head: int | None = None) -> Damage:
    def flip(good: bytes, rng: np.random.Generator) -> bytes:
        bad = bytearray(good)
        for at in rng.integers(0, min(len(bad), head or len(bad)), count):
            bad[at] = rng.integers(256)
        return bytes(bad)

    return flip


ANY: dict[str, Damage] = {
    "empty": lambda good, rng: b"",
    "its first byte": lambda good, rng: good[:1],
    **{f"cut at {share:.0%}": _cut(share) for share in (0.02, 0.3, 0.6, 0.95)},
    "without its last byte": lambda good, rng: good[:-1],
    "one byte wrong in its head": _flipped(1, 64),
    "many bytes wrong in its head": _flipped(12, 64),
    "all bytes drawn": lambda good, rng: rng.bytes(min(len(good), 10**5)),
    "zeros": lambda good, rng: bytes(min(len(good), 10**5)),
    "a page of HTML": lambda good, rng: b"<!DOCTYPE html><html><body>404</body></html>",
    "a zip of nothing": lambda good, rng: b"PK\x05\x06" + bytes(18),
    "a pickle of a call": lambda good, rng: b"cos\nsystem\n(S'true'\ntR.",
    "JSON": lambda good, rng: b'{"a": [1, 2]}',
    "text in another encoding": lambda good, rng: "Größe 한국".encode("utf-16"),
    "a line without an end": lambda good, rng: b"x" * 2_000_000,
}


# in a file's place


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _nothing(path: Path) -> None:
    path.symlink_to(path.parent / "not there")


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path has a hundred characters at most
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


IN_ITS_PLACE: dict[str, Callable[[Path], None]] = {
    "nothing": lambda path: None,
    "a folder": _folder,
    "a pipe": os.mkfifo,
    "a link to itself": _loop,
    "a link to nothing": _nothing,
    "a device without end": _device,
    "a socket": _socket,
}


# .npz and .npy


def arrays_in(good: bytes) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`."""
    with np.load(io.BytesIO(good), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def npz_of(arrays: dict[str, Any]) -> bytes:
    """An `.npz` of arrays."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy_of(array: Any) -> bytes:
    """An `.npy` of an array."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _filled(value: float) -> Callable[[np.ndarray], Any]:
    def fill(array: np.ndarray) -> Any:
        bad = array.astype(np.float64) if array.dtype.kind != "U" else np.zeros(array.shape)
        bad.reshape(-1)[: max(1, bad.size // 3)] = value
        return bad

    return fill


CHANGES: dict[str, Callable[[np.ndarray], Any]] = {
    "text": lambda a: a.astype(str) if a.dtype.kind != "U" else np.zeros(a.shape),
    "objects": lambda a: np.array([{"a": 1}, None], object),
    "complex numbers": lambda a: np.zeros(a.shape, complex),
    "dates": lambda a: np.zeros(a.shape, "M8[s]"),
    "NaN": _filled(np.nan),
    "infinity": _filled(-np.inf),
    "1e300": _filled(1e300),
    "the largest integers": lambda a: np.full(a.shape, 2**63 - 1),
    "the largest unsigned": lambda a: np.full(a.shape, 2**64 - 1, np.uint64),
    "negative numbers": _filled(-7.0),
    "no axis": lambda a: a.reshape(-1)[:1].reshape(()) if a.size else np.zeros(()),
    "nothing in it": lambda a: a[:0] if a.ndim else np.zeros(0),
    "an axis more": lambda a: a[None],
    "fewer": lambda a: a[:-1] if a.ndim else np.zeros(3),
    "many more": lambda a: np.repeat(a, 3, 0) if a.ndim else np.zeros(30),
    "turned over": lambda a: a.T if a.ndim > 1 else np.zeros((2, 2)),
}


def changed(key: str, what: str) -> Damage:
    """One array of an `.npz` changed, or left out."""

    def change(good: bytes, rng: np.random.Generator) -> bytes:
        arrays = arrays_in(good)
        array = arrays.pop(key)
        if what != "missing":
            arrays[key] = CHANGES[what](array)
        return npz_of(arrays)

    return change


def npz_changes(keys: tuple[str, ...]) -> dict[str, Damage]:
    """All of them for some of the arrays of an `.npz`."""
    return {f"{k}: {what}": changed(k, what) for k in keys for what in ("missing", *CHANGES)}


NPY_CHANGES: dict[str, Damage] = {
    what: lambda good, rng, change=change: npy_of(change(np.load(io.BytesIO(good))))
    for what, change in CHANGES.items()
}


def npy(descr="'<f8'", shape="(2,)", order="False", data=bytes(16), magic=b"\x93NUMPY\x01\x00"):
    """An array file with any words in its header."""
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return magic + struct.pack("<H", len(header)) + header + data


HEADERS: dict[str, bytes] = {
    "nested dictionaries": npy("{'a': " * 60 + "1" + "}" * 60),
    "an unterminated bracket": npy(shape="(2,"),
    "a bad indent": npy(shape="(2,)\n  }\n 1"),
    "brackets without end": npy(shape="(" * 9000),
    "10^12 elements": npy(shape=f"({10**12},)"),
    "10^30 elements": npy(shape=f"({10**30},)"),
    "a shape of truths": npy(shape="(True, 2)"),
    "a length below nothing": npy(shape="(-1,)"),
    "no magic": npy(magic=b"no magic"),
    "an empty member": b"",
    "an endless header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{",
    "records": npy("[('x', '<f8')]"),
    "Python objects": npy("'|O'"),
    "text beyond Unicode": npy(
        "'<U1'", data=struct.pack("<4I", 0x110000, 65, 65, 65), shape="(4,)"
    ),
}


def with_header(key: str, what: str) -> Damage:
    """One member of an `.npz` with a damaged header."""

    def change(good: bytes, rng: np.random.Generator) -> bytes:
        return _rezipped(good, {f"{key}.npy": HEADERS[what]})

    return change


def _rezipped(good: bytes, others: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(file, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, others.get(name, old.read(name)))
    return file.getvalue()


def patched(local: int, central: int, value: int) -> Damage:
    """A field of a zip's first member changed, in both of its headers."""

    def change(good: bytes, rng: np.random.Generator) -> bytes:
        bad = bytearray(good)
        struct.pack_into("<H", bad, bad.index(b"PK\x03\x04") + local, value)
        struct.pack_into("<H", bad, bad.index(b"PK\x01\x02") + central, value)
        return bytes(bad)

    return change


def bomb(key: str, size: int) -> Damage:
    """A member of zeros, made of one compressed piece again and again: some MB that are `size`."""

    def change(good: bytes, rng: np.random.Generator) -> bytes:
        piece = 2**24
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        head = npy("'<f4'", f"({size // 4},)", data=b"")
        start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
        zeros = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
        data = start + zeros * (size // piece + 1) + packer.flush()
        name, whole = f"{key}.npy".encode(), len(head) + size
        sizes = struct.pack("<QQ", whole, len(data))
        extra = struct.pack("<HH", 1, 16) + sizes
        local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 8, 0, 33, 0, 0xFFFFFFFF, 0xFFFFFFFF,
                            len(name), len(extra)) + name + extra + data  # fmt: skip
        central = struct.pack(
            "<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0, 8, 0, 33, 0, 0xFFFFFFFF, 0xFFFFFFFF,
            len(name), len(extra), 0, 0, 0, 0, 0,
        ) + name + extra  # fmt: skip
        end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), len(local), 0)
        return local + central + end

    return change


def npz_attacks(key: str) -> dict[str, Damage]:
    """Damage to the zip, and to the header of one member."""
    return {
        **{f"{key}: {what}": with_header(key, what) for what in HEADERS},
        "method 99": patched(8, 10, 99),
        "encrypted": patched(6, 8, 1),
        "method lzma": lambda good, rng: _rezipped(good, {}, zipfile.ZIP_LZMA),
        "method bzip2": lambda good, rng: _rezipped(good, {}, zipfile.ZIP_BZIP2),
        "a bomb of 5.6 GB": bomb(key, 5_600_000_000),
        "a single array": lambda good, rng: npy(),
        "nothing in it": lambda good, rng: npz_of({}),
        "many members": lambda good, rng: npz_of({f"x{k}": 0 for k in range(300)}),
        "a name that climbs out": lambda good, rng: npz_of({"../../up": np.zeros(3)}),
        "five bytes wrong": _flipped(5),
        "fifty bytes wrong": _flipped(50),
    }


# JSON

VALUES: dict[str, Any] = {
    "null": None,
    "a list": [],
    "a dictionary": {},
    "a text": "x",
    "below nothing": -1,
    "no number": float("nan"),
    "infinity": float("inf"),
    "huge": 10**400,
    "a truth": True,
    "a part": 3.7,
    "a list in a list": [[[["x"]]]],
}


def paths_in(content: Any, before: tuple = ()) -> Iterator[tuple]:
    """All places in JSON, of lists the first alone."""
    yield before
    if isinstance(content, dict):
        for key, value in content.items():
            yield from paths_in(value, (*before, key))
    elif isinstance(content, list) and content:
        yield from paths_in(content[0], (*before, 0))


def _replaced(content: Any, path: tuple, value: Any) -> Any:
    if not path:
        return value
    whole = copy.deepcopy(content)
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return whole


def _without(content: Any, path: tuple) -> Any:
    whole = copy.deepcopy(content)
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return whole


def json_changes(content: Any, most: int = 40) -> dict[str, Damage]:
    """Each place of JSON with each wrong value, and left out."""
    changes: dict[str, Damage] = {}

    def add(words: str, value: Any) -> None:
        changes[words] = lambda good, rng: json.dumps(value).encode()

    for path in list(paths_in(content))[:most]:
        where = "/".join(map(str, path)) or "all of it"
        for words, value in VALUES.items():
            add(f"{where}: {words}", _replaced(content, path, value))
        if path:
            add(f"{where}: missing", _without(content, path))
        nested = json.dumps(_replaced(content, path, "HERE"))
        changes[f"{where}: nested"] = lambda good, rng, text=nested: text.replace(
            '"HERE"', "[" * 50_000 + "]" * 50_000
        ).encode()
    return changes


# pictures


def png_head(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to nothing behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


PICTURES: dict[str, Damage] = {
    "a picture of 20,000 x 20,000": lambda good, rng: png_head(20_000, 20_000),
    "a picture of 1 x 178,956,970": lambda good, rng: png_head(1, 178_956_970),
    "a picture of 2^31 x 2^31": lambda good, rng: png_head(2**31 - 1, 2**31 - 1),
    "a picture without pixels": lambda good, rng: png_head(0, 0),
    "a picture that ends early": lambda good, rng: png_head(500, 500),
    "a GIF of one byte": lambda good, rng: b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "an EPS": lambda good, rng: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "ten bytes wrong": _flipped(10),
    "a hundred bytes wrong": _flipped(100),
}
