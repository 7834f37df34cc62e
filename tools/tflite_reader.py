"""What a TensorFlow Lite file holds, read without TensorFlow: weights by their names.

A flatbuffer is tables of offsets (https://flatbuffers.dev/internals); the fields' numbers are those
of TensorFlow Lite's `schema.fbs`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CONV, DEPTHWISE, DEQUANTIZE, DENSIFY = 3, 4, 6, 124  # codes of operators
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
INDEX_TYPES = {1: np.int32, 2: np.uint16, 3: np.uint8}  # of a sparse tensor's vectors


@dataclass(frozen=True)
class Convolution:
    """A convolution of a file.

    Attributes:
        name: of its weight, as Keras had it; layers are counted in it.
        weight: (outputs, height, width, inputs); (1, height, width, channels) if depthwise.
        bias: (outputs,).
        depthwise: whether each channel is by itself.
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray
    depthwise: bool


class Table:
    """A table of a flatbuffer, its fields by number."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data = data
        self.place = place

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table that all others hang on.

        Raises:
            ValueError: it is no TensorFlow Lite file.
        """
        if data[4:8] != b"TFL3":
            raise ValueError("it is no TensorFlow Lite file: the letters TFL3 are missing")
        return cls(data, _unpack("<I", data, 0))

    def number(self, field: int, kind: str = "<i", default: int = 0) -> int:
        """A number; `kind` as in `struct`."""
        place = self._field(field)
        return default if place is None else _unpack(kind, self.data, place)

    def table(self, field: int) -> Table | None:
        """A table, if it is there."""
        place = self._field(field)
        return None if place is None else Table(self.data, self._followed(place))

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        start, count = self._vector(field)
        return [Table(self.data, self._followed(start + 4 * k)) for k in range(count)]

    def numbers(self, field: int, dtype: type = np.int32) -> np.ndarray:
        """A vector of numbers."""
        start, count = self._vector(field)
        return np.frombuffer(self.data, dtype, count, start)

    def text(self, field: int) -> str:
        """A string."""
        return self.numbers(field, np.uint8).tobytes().decode()

    def _field(self, field: int) -> int | None:
        layout = self.place - _unpack("<i", self.data, self.place)
        entry = 4 + 2 * field
        if entry >= _unpack("<H", self.data, layout):
            return None
        offset = _unpack("<H", self.data, layout + entry)
        return self.place + offset if offset else None

    def _followed(self, place: int) -> int:
        return place + _unpack("<I", self.data, place)

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._field(field)
        if place is None:
            return 0, 0
        start = self._followed(place)
        return start + 4, _unpack("<I", self.data, start)


def convolutions(data: bytes) -> list[Convolution]:
    """All convolutions of a file, in the order in which they are computed.

    Raises:
        ValueError: it is no such file, or is cut off.
    """
    try:
        return list(_convolutions(Table.root(data)))
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"it is cut off or damaged ({error})") from error


def _convolutions(model: Table) -> Iterator[Convolution]:
    (graph,) = model.tables(2)
    buffers, tensors = model.tables(4), graph.tables(0)
    codes = [max(c.number(0, "<b"), c.number(3)) for c in model.tables(1)]
    held: dict[int, np.ndarray] = {}  # what operators make of weights

    def array(tensor: int) -> np.ndarray:
        return held[tensor] if tensor in held else _stored(tensors[tensor], buffers)

    for operator in graph.tables(3):
        code = codes[operator.number(0, "<I")]
        inputs = operator.numbers(1)
        if code == DEQUANTIZE:  # half precision to single: no other number
            held[int(operator.numbers(2)[0])] = array(int(inputs[0]))
        elif code == DENSIFY:
            tensor = tensors[inputs[0]]
            held[int(operator.numbers(2)[0])] = densified(tensor, _flat(tensor, buffers))
        elif code in (CONV, DEPTHWISE):
            _, weight, bias = (int(k) for k in inputs)
            yield Convolution(
                tensors[weight].text(3), array(weight), array(bias), code == DEPTHWISE
            )


def _flat(tensor: Table, buffers: list[Table]) -> np.ndarray:
    dtype = DTYPES[tensor.number(1, "<b")]
    return buffers[tensor.number(2, "<I")].numbers(0, np.uint8).view(dtype)


def _stored(tensor: Table, buffers: list[Table]) -> np.ndarray:
    return _flat(tensor, buffers).reshape(tensor.numbers(0))


def densified(tensor: Table, values: np.ndarray) -> np.ndarray:
    """A sparse tensor's numbers among zeros.

    It has one compressed dimension, as in a compressed sparse row, and no blocks.

    Raises:
        ValueError: another layout.
    """
    sparsity, shape = tensor.table(6), tensor.numbers(0)
    dimensions = sparsity.tables(2)
    formats = [d.number(0, "<b") for d in dimensions]
    order = sparsity.numbers(0)
    plain = list(order) == list(range(len(shape))) and not len(sparsity.numbers(1))
    if not plain or formats != [0] * (len(shape) - 1) + [1]:
        raise ValueError("a sparse tensor is laid out in another way")
    last = dimensions[-1]
    kinds = INDEX_TYPES[last.number(2, "<b")], INDEX_TYPES[last.number(4, "<b")]
    bounds, columns = last.table(3).numbers(0, kinds[0]), last.table(5).numbers(0, kinds[1])
    dense = np.zeros((int(np.prod(shape[:-1])), int(shape[-1])), values.dtype)
    rows = np.repeat(np.arange(len(dense)), np.diff(bounds.astype(np.int64)))
    dense[rows, columns] = values
    return dense.reshape(shape)


def _unpack(kind: str, data: bytes, place: int) -> int:
    return struct.unpack_from(kind, data, place)[0]
