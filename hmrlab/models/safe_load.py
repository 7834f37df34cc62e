"""Files of torch's as plain data: nothing in them is run, and every failure says what to do.

torch has two formats. Both hold a pickle that names storages by key, and the storages' bytes:
today's as parts of a zip, the older one's behind the pickle. Nothing here is torch's own code: its
unpickler calls what the file names, and its tensors take the memory that the file claims.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import torch
from torch import Tensor

from hmrlab.files import BadArrayError, FileProblem, open_regular, shown
from hmrlab.files.arrays import in_words
from hmrlab.files.opening import fill, open_zip
from hmrlab.unpickling.arrays import NUMPY, Resolver
from hmrlab.unpickling.program import BYTES, PERSISTENT, Call, Global, read_program

MAX_BYTES = 3 * 2**29
"""Of all tensors and arrays of a file: ResNet-152 with what AdamW keeps of it has half of that."""
MAX_DIMENSIONS = 16
_UTILS = "torch._utils"
_TENSOR, _TENSOR_2 = (_UTILS, "_rebuild_tensor"), (_UTILS, "_rebuild_tensor_v2")
_PARAMETER, _SIZE = (_UTILS, "_rebuild_parameter"), ("torch", "Size")
_TYPED = (_UTILS, "_rebuild_tensor_v3")
_REFUSED = {
    (_UTILS, "_rebuild_sparse_tensor"): "a sparse tensor",
    (_UTILS, "_rebuild_meta_tensor_no_storage"): "a tensor without numbers (on the meta device)",
    (_UTILS, "_rebuild_qtensor"): "a quantised tensor",
    (_UTILS, "_rebuild_nested_tensor"): "a nested tensor",
    (_UTILS, "_rebuild_wrapper_subclass"): "a tensor of a class of its own",
    ("torch._tensor", "_rebuild_from_type_v2"): "a tensor of a class of its own",
    (_UTILS, "_rebuild_parameter_with_state"): "a parameter with attributes of its own",
    (_UTILS, "_rebuild_device_tensor_from_numpy"): "a tensor of a special device",
    (_UTILS, "_rebuild_device_tensor_from_cpu_tensor"): "a tensor of a special device",
}
_PLAIN = NUMPY | BYTES.keys() | {PERSISTENT, ("collections", "OrderedDict")}
_TORCHS = ("torch", "torch._utils", "torch._tensor", "torch.serialization", "torch.storage",
           "torch.nn.parameter")  # fmt: skip
MAX_PICKLE = 2**25  # bytes
MAX_PARTS = 100_000
_OLDER_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a pickled number
_OLDER_VERSION = b"\x80\x02M\xe9\x03."  # 1001, pickled
_STORAGES = {
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
_REFUSED_STORAGES = {
    "ComplexFloatStorage": "complex numbers",
    "ComplexDoubleStorage": "complex numbers",
    **dict.fromkeys(
        ("QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage"),
        "quantised numbers",
    ),
}


def read_torch(path: str | Path, max_bytes: int = MAX_BYTES) -> Any:
    """What `torch.save` wrote, of tensors, numbers, text and numpy's arrays of numbers alone.

    Both of torch's formats are read, the zip and the older pickle, onto the CPU. An ordered
    dictionary comes as a plain one, a `torch.Size` as a tuple.

    Raises:
        FileProblem: there is no such file, it is no regular one, cut off, damaged or larger, or
            holds anything else, which is refused before it is called: also sparse, quantised and
            nested tensors, those of complex or 8-bit numbers, and those without numbers.
    """
    missing = f"there is no file {path}; train a model first, or check the path"
    with open_regular(path, missing) as file:
        try:
            with _open_archive(file, max_bytes) as (program, storages):
                content = _Contents(storages, max_bytes).resolve(program)
        except Exception as error:  # a damaged file may raise anything
            raise FileProblem(
                f"{path} cannot be read as weights ({in_words(error)}): it is cut off, damaged, or "
                "holds more than plain tensors. Make it again, or check that it is the right file. "
                "Anything but tensors and arrays is refused, because reading it could run code."
            ) from error
    return content


def not_finite(state: Mapping[str, Any]) -> str:
    """The first entry of a state dict with a NaN or an infinity, in words; "" if there is none."""
    for key, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            count = int((~value.isfinite()).sum())
            if count:
                return f"{shown(key)}: expected finite numbers, {count} of {value.numel()} are not"
    return ""


class _Contents(Resolver):
    """Tensors, arrays and plain values in the place of what a pickle says."""

    max_numbers = math.inf  # of lists; what they hold is counted in bytes

    def __init__(self, storages: _Storages, max_bytes: int) -> None:
        super().__init__()
        self._storages, self._left = storages, max_bytes

    def other(self, value: Call | Global, place: tuple, depth: int) -> Any:
        """What becomes of a call of torch's."""
        if type(value) is Global:
            raise BadArrayError(f"{value}, which is neither a number nor a text")
        function, arguments = value.function, value.arguments
        if value.state is not None:
            raise BadArrayError(f"a {function} with a state, which no tensor's has")
        if function == _SIZE and len(arguments) == 1:
            return tuple(self.resolve(arguments[0], place, depth))
        if function == _PARAMETER and len(arguments) == 3 and not arguments[2]:
            return self.resolve(arguments[0], place, depth)
        if function == _TENSOR and len(arguments) == 4:
            return self._tensor(*arguments)
        if function == _TENSOR_2 and len(arguments) in (6, 7) and not any(arguments[5:]):
            return self._tensor(*arguments[:4])  # the others: its gradient, hooks, and marks
        if function == _TYPED and len(arguments) > 6:
            raise BadArrayError(f"a tensor of {shown(arguments[6])}, which no network here has")
        raise BadArrayError(_REFUSED.get(function, f"more than plain data: {function} makes it"))

    def array(self, call: Call, place: tuple, depth: int) -> np.ndarray | np.generic:
        """What a call of numpy's gives, if that is of numbers or text."""
        array = super().array(call, place, depth)
        if not isinstance(array, np.ndarray | np.generic) or array.dtype.hasobject:
            raise BadArrayError("an array of Python objects")
        self._spend(array.nbytes)
        return array

    def _tensor(self, identity: Any, offset: Any, size: Any, stride: Any) -> Tensor:
        storage = self._storages.take(identity)
        size, stride = _counts(size), _counts(stride)
        if type(offset) is not int or offset < 0 or len(size) != len(stride):
            raise BadArrayError("a tensor of no shape that can be")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        count = math.prod(size)
        if count and last >= len(storage):
            raise BadArrayError(
                f"a tensor of shape {size} that reaches beyond its {len(storage):,} numbers"
            )
        self._spend(count * storage.itemsize)
        return storage.as_strided(size, stride, offset) if count else storage.new_empty(size)

    def _spend(self, n_bytes: int) -> None:
        self._left -= n_bytes
        if self._left < 0:
            raise BadArrayError("more than is read of such a file; save the network by itself")


def _counts(values: Any) -> tuple[int, ...]:
    """A shape or strides of a tensor."""
    if type(values) is Call and values.function == _SIZE and len(values.arguments) == 1:
        values = values.arguments[0]
    if type(values) is list:  # as files of torch's first versions have it
        values = tuple(values)
    if (
        type(values) is not tuple
        or len(values) > MAX_DIMENSIONS
        or not all(type(value) is int and value >= 0 for value in values)
    ):
        raise BadArrayError("a tensor of no shape that can be")
    return values


def _may_be_named(name: Global) -> bool:
    """torch's names may stand in a file, since nothing is called: an entry of them is refused."""
    return name in _PLAIN or name.module in _TORCHS


class _Storages:
    """The numbers behind tensors, each storage taken once, of `most` bytes all together."""

    def __init__(self, load: Callable[[str, Tensor], None], most: int) -> None:
        # `load` puts a storage's bytes into a tensor (N,) uint8, by its key; now or at the end
        self._load, self._left = load, most
        self.taken: dict[str, Tensor] = {}

    def take(self, identity: Any) -> Tensor:
        """The storage (N,) that a pickle's persistent id names, if it is there as claimed."""
        key, dtype, count = _named(identity)
        if key not in self.taken:
            n_bytes = count * dtype.itemsize
            if n_bytes > self._left:
                raise BadArrayError(f"a tensor with {n_bytes:,} bytes, more than can be there")
            self._left -= n_bytes
            raw = torch.empty(n_bytes, dtype=torch.uint8)
            self._load(key, raw)
            self.taken[key] = raw if dtype is torch.uint8 else raw.view(dtype)
        found = self.taken[key]
        if (found.dtype, len(found)) != (dtype, count):
            raise BadArrayError("a tensor whose numbers are another's, of another type or count")
        return found

    def tidy(self) -> None:
        """Truth values are 0 or 1: another byte has no meaning in torch."""
        for storage in self.taken.values():
            if storage.dtype is torch.bool:
                storage.view(torch.uint8).clamp_(max=1)


@contextmanager
def _open_archive(file: BinaryIO, most: int) -> Iterator[tuple[Any, _Storages]]:
    """What a file of torch's says (see `read_program`), and its storages.

    The storages, of `most` bytes together, are whole when the `with` ends: the older format has
    them behind all else.
    """
    size = os.fstat(file.fileno()).st_size
    most = min(most, size)
    start = file.read(len(_OLDER_MAGIC))
    if start == _OLDER_MAGIC:
        yield from _older(file, size, most)
        return
    file.seek(0)
    if start[:2] != b"PK":
        raise BadArrayError("it does not begin as torch's files do" if start else "it is empty")
    with open_zip(file) as archive:
        yield from _zipped(archive, size, most)


def _zipped(archive: ZipFile, size: int, most: int) -> Iterator[tuple[Any, _Storages]]:
    parts = {info.filename: info for info in archive.infolist()}
    if len(parts) > MAX_PARTS:
        raise BadArrayError(f"a zip of {len(parts):,} parts")
    claimed = sum(info.file_size for info in parts.values())
    if claimed > size:
        raise BadArrayError(f"a zip whose parts claim {claimed:,} bytes; it has {size:,} itself")
    pickles = [name for name in parts if name.count("/") == 1 and name.endswith("/data.pkl")]
    if not pickles:
        raise BadArrayError("a zip, but none of torch's: it holds no data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in parts:
        raise BadArrayError("a TorchScript program; save its state_dict() instead")

    @contextmanager
    def part(name: str, least: int, limit: int) -> Iterator[tuple[BinaryIO, int]]:
        info = parts.get(folder + name)
        if info is None:
            raise BadArrayError(f"its part {folder}{name} is missing"[:200])
        n_bytes = info.file_size
        if info.compress_type != ZIP_STORED or info.compress_size != n_bytes:
            raise BadArrayError(f"its part {folder}{name} is compressed, which none of torch's is")
        if not least <= n_bytes <= limit:
            raise BadArrayError(
                f"its part {name} has {n_bytes:,} bytes; {least:,} to {limit:,} are expected"
            )
        with archive.open(info) as file:
            yield file, n_bytes

    def load(key: str, raw: Tensor) -> None:
        with part(f"data/{key}", len(raw), len(raw)) as (file, _):
            fill(file, raw.numpy())

    if f"{folder}byteorder" in parts:
        with part("byteorder", 0, 16) as (file, _):
            if file.read() != b"little":
                raise BadArrayError("its numbers are those of a big-endian machine")
    with part("data.pkl", 0, MAX_PICKLE) as (file, n_bytes):
        content = read_program(file, n_bytes, _may_be_named)
    storages = _Storages(load, most)
    yield content, storages
    storages.tidy()


def _older(file: BinaryIO, size: int, most: int) -> Iterator[tuple[Any, _Storages]]:
    def program(allowed: Callable[[Global], bool] = lambda name: False) -> Any:
        return read_program(file, min(size - file.tell(), MAX_PICKLE), allowed)

    if file.read(len(_OLDER_VERSION)) != _OLDER_VERSION:
        raise BadArrayError("torch's older format in a version that is not known")
    machine = program()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise BadArrayError("its numbers are those of a big-endian machine")
    content = program(_may_be_named)
    keys = program()
    storages = _Storages(lambda key, raw: None, most)
    yield content, storages
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages.taken):
        raise BadArrayError("the numbers behind it are not those of its tensors")
    for key in keys:
        storage = storages.taken[str(key)]
        count = int.from_bytes(file.read(8), "little", signed=True)
        if count != len(storage):
            raise BadArrayError(f"a tensor claims {len(storage):,} numbers, {count:,} are there")
        fill(file, storage.view(torch.uint8).numpy())
    storages.tidy()


def _named(identity: Any) -> tuple[str, torch.dtype, int]:
    """Key, type and count of the storage that a persistent id means."""
    if type(identity) is not Call or identity.function != PERSISTENT:
        raise BadArrayError("a tensor without numbers of its own")
    entries = identity.arguments[0]
    if type(entries) is not tuple or len(entries) not in (5, 6) or entries[0] != "storage":
        raise BadArrayError("a reference to something that is no tensor's numbers")
    kind, key, _, count = entries[1:5]
    if type(kind) is not Global or kind.module != "torch" or kind.name not in _STORAGES:
        name = kind.name if type(kind) is Global else ""
        what = _REFUSED_STORAGES.get(name, f"another type ({kind})")
        raise BadArrayError(f"a tensor of {what}"[:120])
    if len(entries) == 6 and entries[5] is not None:
        raise BadArrayError("a tensor whose numbers are a part of another's")
    if type(key) not in (str, int) or type(count) is not int or count < 0:
        raise BadArrayError(f"a tensor of {str(count)[:20]} numbers")
    return str(key), _STORAGES[kind.name], count
