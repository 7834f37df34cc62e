"""torch's two file formats taken apart: what a file says, and the numbers of its tensors.

Both hold a pickle that names storages by key, and the storages' bytes: today's as parts of a zip,
the older one's behind the pickle. Nothing here is torch's own code: its unpickler calls what the
file names, and its tensors take the memory that the file claims.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import torch
from torch import Tensor

from hmrlab.files import BadArrayError
from hmrlab.files.zips import open_zip
from hmrlab.unpickling.program import PERSISTENT, Call, Global, read_program

MAX_PICKLE = 2**25  # bytes
MAX_PARTS = 100_000
_CHUNK = 2**20
_OLDER_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number
_OLDER_VERSION = b"\x80\x02M\xe9\x03."  # 1001, pickled
_KINDS = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_OTHERS = {
    "ComplexFloatStorage": "complex numbers",
    "ComplexDoubleStorage": "complex numbers",
    **dict.fromkeys(
        ("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage"),
        "quantised numbers",
    ),
}

Allowed = Callable[[Global], bool]


class Storages:
    """The numbers behind tensors, each storage taken once.

    Args:
        fill: puts a storage's bytes into a tensor (N,) uint8, by its key; now or at the end.
        most: bytes of all together.
    """

    def __init__(self, fill: Callable[[str, Tensor], None], most: int) -> None:
        self._fill, self._left = fill, most
        self.taken: dict[str, Tensor] = {}

    def take(self, identity: Any) -> Tensor:
        """The storage (N,) that a pickle's persistent id names.

        Raises:
            BadArrayError: it names none, one of other numbers than torch's plain ones, or claims
                more of them than there are.
        """
        key, dtype, count = _named(identity)
        if key not in self.taken:
            n_bytes = count * dtype.itemsize
            if n_bytes > self._left:
                raise BadArrayError(f"a tensor with {n_bytes:,} bytes, more than can be there")
            self._left -= n_bytes
            raw = torch.empty(n_bytes, dtype=torch.uint8)
            self._fill(key, raw)
            self.taken[key] = raw if dtype is torch.uint8 else raw.view(dtype)
        found = self.taken[key]
        if (found.dtype, len(found)) != (dtype, count):
            raise BadArrayError("a tensor whose numbers are another's, of another type or count")
        return found


@contextmanager
def open_archive(file: BinaryIO, allowed: Allowed, most: int) -> Iterator[tuple[Any, Storages]]:
    """What a file of torch's says (see `read_program`), and its storages.

    The storages are whole when the `with` ends: the older format has them behind all else.

    Args:
        file: open at its start.
        allowed: whether a name may stand in its pickle.
        most: bytes of all storages together.

    Raises:
        UnpicklingError: its pickle is damaged, or holds a name that may not.
        BadArrayError: its other parts are damaged, or too large.
    """
    size = os.fstat(file.fileno()).st_size
    most = min(most, size)
    start = file.read(len(_OLDER_MAGIC))
    if start == _OLDER_MAGIC:
        yield from _older(file, size, allowed, most)
        return
    file.seek(0)
    if start[:2] != b"PK":
        raise BadArrayError("it does not begin as torch's files do" if start else "it is empty")
    with open_zip(file) as archive:
        yield from _zipped(archive, size, allowed, most)


def _zipped(
    archive: zipfile.ZipFile, size: int, allowed: Allowed, most: int
) -> Iterator[tuple[Any, Storages]]:
    parts = {info.filename: info for info in archive.infolist()}
    if len(parts) > MAX_PARTS:
        raise BadArrayError(f"a zip of {len(parts):,} parts")
    told = sum(info.file_size for info in parts.values())
    if told > size:
        raise BadArrayError(f"a zip whose parts claim {told:,} bytes; it has {size:,} itself")
    pickles = [name for name in parts if name.count("/") == 1 and name.endswith("/data.pkl")]
    if not pickles:
        raise BadArrayError("a zip, but none of torch's: it holds no data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in parts:
        raise BadArrayError("a TorchScript program; save its state_dict() instead")

    @contextmanager
    def part(name: str, n_bytes: int | None, limit: int) -> Iterator[tuple[BinaryIO, int]]:
        info = parts.get(folder + name)
        if info is None:
            raise BadArrayError(f"its part {folder}{name} is missing"[:200])
        found = info.file_size
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != found:
            raise BadArrayError(f"its part {folder}{name} is compressed, which none of torch's is")
        if found > limit or (n_bytes is not None and found != n_bytes):
            wanted = f"at most {limit:,}" if n_bytes is None else f"{n_bytes:,}"
            raise BadArrayError(f"its part {name} has {found:,} bytes; {wanted} are expected")
        with archive.open(info) as file:
            yield file, found

    def fill(key: str, raw: Tensor) -> None:
        with part(f"data/{key}", len(raw), most) as (file, _):
            _read_into(file, raw)

    if f"{folder}byteorder" in parts:
        with part("byteorder", None, 16) as (file, _):
            if file.read() != b"little":
                raise BadArrayError("its numbers are those of a big-endian machine")
    with part("data.pkl", None, MAX_PICKLE) as (file, length):
        said = read_program(file, length, allowed)
    storages = Storages(fill, most)
    yield said, storages
    _tidy(storages)


def _older(
    file: BinaryIO, size: int, allowed: Allowed, most: int
) -> Iterator[tuple[Any, Storages]]:
    def program(may: Allowed) -> Any:
        return read_program(file, min(size - file.tell(), MAX_PICKLE), may)

    if file.read(len(_OLDER_VERSION)) != _OLDER_VERSION:
        raise BadArrayError("torch's older format in a version that is not known")
    machine = program(_nothing)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise BadArrayError("its numbers are those of a big-endian machine")
    said = program(allowed)
    keys = program(_nothing)
    storages = Storages(lambda key, raw: None, most)
    yield said, storages
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages.taken):
        raise BadArrayError("the numbers behind it are not those of its tensors")
    for key in keys:
        storage = storages.taken[str(key)]
        count = int.from_bytes(file.read(8), "little", signed=True)
        if count != len(storage):
            raise BadArrayError(f"a tensor claims {len(storage):,} numbers, {count:,} are there")
        _read_into(file, storage.view(torch.uint8))
    _tidy(storages)


def _tidy(storages: Storages) -> None:
    """Truth values are 0 or 1: another byte has no meaning in torch."""
    for storage in storages.taken.values():
        if storage.dtype is torch.bool:
            storage.view(torch.uint8).clamp_(max=1)


def _named(identity: Any) -> tuple[str, torch.dtype, int]:
    """Key, type and count of the storage that a persistent id means."""
    if type(identity) is not Call or identity.function != PERSISTENT:
        raise BadArrayError("a tensor without numbers of its own")
    told = identity.arguments[0]
    if type(told) is not tuple or len(told) not in (5, 6) or told[0] != "storage":
        raise BadArrayError("a reference to something that is no tensor's numbers")
    kind, key, _, count = told[1:5]
    if type(kind) is not Global or kind.module != "torch" or kind.name not in _KINDS:
        name = kind.name if type(kind) is Global else ""
        raise BadArrayError(f"a tensor of {_OTHERS.get(name, f'another type ({kind})')}"[:120])
    if len(told) == 6 and told[5] is not None:
        raise BadArrayError("a tensor whose numbers are a part of another's")
    if type(key) not in (str, int) or type(count) is not int or count < 0:
        raise BadArrayError(f"a tensor of {str(count)[:20]} numbers")
    return str(key), _KINDS[kind.name], count


def _read_into(file: BinaryIO, raw: Tensor) -> None:
    view, at = memoryview(raw.numpy()), 0
    while at < len(view):
        chunk = file.read(min(_CHUNK, len(view) - at))
        if not chunk:
            raise BadArrayError("it is cut short in a tensor's numbers")
        view[at : at + len(chunk)] = chunk
        at += len(chunk)


def _nothing(name: Global) -> bool:
    return False
