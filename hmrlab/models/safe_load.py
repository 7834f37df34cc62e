"""Files of torch's as plain data: nothing in them is run, and every failure says what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from hmrlab.files import BadArrayError, FileProblem, open_regular
from hmrlab.files.arrays import in_words
from hmrlab.files.words import printable
from hmrlab.models.archives import Storages, open_archive
from hmrlab.unpickling.arrays import NUMPY, resolve
from hmrlab.unpickling.program import PERSISTENT, Call, Global

MAX_BYTES = 3 * 2**29
"""Of all tensors and arrays of a file: ResNet-152 with what AdamW keeps of it has half of that."""
MAX_DEPTH = 64
MAX_DIMENSIONS = 16
_SHOWN = 80  # characters of a name in a message
_ATOMS = (str, bytes, int, float, bool, type(None))
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
_PLAIN = NUMPY | {
    PERSISTENT,
    ("_codecs", "encode"),
    ("__builtin__", "bytes"),
    ("builtins", "bytes"),
    ("collections", "OrderedDict"),
}
_TORCHS = ("torch", "torch._utils", "torch._tensor", "torch.serialization", "torch.storage",
           "torch.nn.parameter")  # fmt: skip


def read_torch(path: str | Path, max_bytes: int = MAX_BYTES) -> Any:
    """What `torch.save` wrote, of tensors, numbers, text and numpy's arrays of numbers alone.

    Both of torch's formats are read, the zip and the older pickle, onto the CPU. An ordered
    dictionary comes as a plain one, a `torch.Size` as a tuple.

    Args:
        path: of the file.
        max_bytes: of all its tensors and arrays.

    Raises:
        FileProblem: there is no such file, it is no regular one, cut off, damaged or larger, or
            holds anything else, which is refused before it is called: also sparse, quantised and
            nested tensors, those of complex or 8-bit numbers, and those without numbers.
    """
    missing = f"there is no file {path}; train a model first, or check the path"
    with open_regular(path, missing) as file:
        try:
            with open_archive(file, _may_be_named, max_bytes) as (said, storages):
                content = _Contents(storages, max_bytes).plain(said, "")
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


def shown(name: Any) -> str:
    """A name out of a file for a message: short, and without what a terminal would act on."""
    text = str(name)
    return printable(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


class _Contents:
    """Tensors, arrays and plain values in the place of what a pickle says; each taken once."""

    def __init__(self, storages: Storages, max_bytes: int) -> None:
        self._storages, self._left = storages, max_bytes
        self._done: dict[int, tuple[Any, Any]] = {}  # by id: it, kept alive, and what came out

    def plain(self, value: Any, place: str, depth: int = 0) -> Any:
        """The value; `place` says where in the file it is, for messages."""
        if type(value) in _ATOMS:
            return value
        if id(value) not in self._done:
            if depth > MAX_DEPTH:
                raise BadArrayError(f"lists more than {MAX_DEPTH} deep")
            try:
                made = self._made(value, place, depth + 1)
            except _PlacedError:
                raise
            except ValueError as error:
                what = f"its entry {place} is" if place else "it is"
                raise _PlacedError(f"{what} {error}") from error
            self._done[id(value)] = value, made
        return self._done[id(value)][1]

    def _made(self, value: Any, place: str, depth: int) -> Any:
        if type(value) is dict:
            return {
                key: self.plain(item, f"{place}/{shown(key)}" if place else shown(key), depth)
                for key, item in value.items()
            }
        if type(value) in (list, tuple):
            return type(value)(self.plain(item, place, depth) for item in value)
        if type(value) is not Call:
            raise BadArrayError(f"{value}, which is neither a number nor a text")
        if value.function in NUMPY:
            return self._array(value)
        return self._called(value, place, depth)

    def _called(self, call: Call, place: str, depth: int) -> Any:
        key, arguments = call.function, call.arguments
        if call.state is not None:
            raise BadArrayError(f"a {call.function} with a state, which no tensor's has")
        if key == _SIZE and len(arguments) == 1:
            return tuple(self.plain(arguments[0], place, depth))
        if key == _PARAMETER and len(arguments) == 3 and not arguments[2]:
            return self.plain(arguments[0], place, depth)
        if key == _TENSOR and len(arguments) == 4:
            return self._tensor(*arguments)
        if key == _TENSOR_2 and len(arguments) in (6, 7) and not any(arguments[5:]):
            return self._tensor(*arguments[:4])  # the others: its gradient, hooks, and marks
        if key == _TYPED and len(arguments) > 6:
            raise BadArrayError(f"a tensor of {shown(arguments[6])}, which no network here has")
        raise BadArrayError(_REFUSED.get(key, f"more than plain data: {call.function} makes it"))

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

    def _array(self, call: Call) -> np.ndarray | np.generic:
        array = resolve(call)
        if not isinstance(array, np.ndarray | np.generic) or array.dtype.hasobject:
            raise BadArrayError("an array of Python objects")
        self._spend(array.nbytes)
        return array

    def _spend(self, n_bytes: int) -> None:
        self._left -= n_bytes
        if self._left < 0:
            raise BadArrayError("more than is read of such a file; save the network by itself")


class _PlacedError(BadArrayError):
    """One that says where in the file."""


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
