"""numpy's arrays, rebuilt by our own code from what a pickle says of them.

numpy's own functions follow what a file tells them, so a forged type can make them read memory that
is not theirs. Here a type is one of an allow-list, and an array is made of bytes that are there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hmrlab.files import MAX_BYTES, BadArrayError, array_of, plain_dtype, plain_shape
from hmrlab.unpickling.program import Call, Global

MAX_NUMBERS = 20_000_000  # of a list, where what is in it more than once counts as often
MAX_DEPTH = 64
MAX_TEXT = 4_096  # characters of one text in an array of them
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before numpy 2, and since
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
DTYPE, NDARRAY = Global("numpy", "dtype"), Global("numpy", "ndarray")
RECONSTRUCT = frozenset(Global(module, "_reconstruct") for module in _MULTIARRAY)
SCALAR = frozenset(Global(module, "scalar") for module in _MULTIARRAY)
FROM_BUFFER = frozenset(Global(module, "_frombuffer") for module in _NUMERIC)
NUMPY = frozenset({DTYPE, NDARRAY}) | RECONSTRUCT | SCALAR | FROM_BUFFER
"""Names that pickles of numpy's arrays hold."""
_PLAIN_FLAGS = (0, 8)  # 8: text, which needs Python to be read
_ORDERS = ("<", ">", "|", "=")


def resolve(value: Any) -> Any:
    """The same value with arrays in the place of numpy's calls.

    Lists and dictionaries are filled anew; other libraries' objects stay `Call`s, with their state
    resolved. An array of objects becomes the array of its texts or numbers, or, if it holds a
    single thing, that thing; any other is the list of what is in it.

    Raises:
        ValueError: an array is none of numbers or text, its bytes do not fit, a list holds itself,
            or one unfolds to more than a stated number of numbers.
    """
    return _Resolver().resolve(value, 0)


class _Resolver:
    """Takes each object once, however often the program refers to it."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}  # by id: it, kept alive, and what came out
        self._sizes: dict[int, int] = {}  # of lists and arrays, unfolded, by id
        self._open: set[int] = set()

    def resolve(self, value: Any, depth: int) -> Any:
        if type(value) not in (Call, list, tuple, dict):
            return value
        name = id(value)
        if name in self._done:
            return self._done[name][1]
        if depth > MAX_DEPTH:
            raise BadArrayError(f"lists more than {MAX_DEPTH} deep")
        if name in self._open:
            raise BadArrayError("a list that holds itself")
        if type(value) is Call and value.function not in NUMPY:
            self._done[name] = value, value  # it may well hold itself
            value.state = self.resolve(value.state, depth + 1)
            return value
        self._open.add(name)
        made = self._made(value, depth + 1)
        self._open.discard(name)
        self._done[name] = value, made
        return made

    def _made(self, value: Any, depth: int) -> Any:
        if type(value) is Call:
            made = self._array(value, depth)
            if isinstance(made, np.ndarray):
                self._sizes[id(made)] = made.size
            return made
        if type(value) is dict:
            for key in value:
                value[key] = self.resolve(value[key], depth)
            return value
        items = [self.resolve(item, depth) for item in value]
        size = sum(max(1, self._sizes.get(id(item), 1)) for item in items)
        if size > MAX_NUMBERS:
            raise BadArrayError(f"a list that unfolds to more than {MAX_NUMBERS:,} numbers")
        if type(value) is tuple:
            made = tuple(items)
        else:
            made, value[:] = value, items
        self._sizes[id(made)] = size
        return made

    def _array(self, call: Call, depth: int) -> Any:
        function, arguments = call.function, call.arguments
        if function in RECONSTRUCT:
            return self._reconstructed(call, depth)
        if function in SCALAR and len(arguments) == 2:
            dtype = dtype_of(arguments[0])
            if dtype is None:
                raise BadArrayError("a number of type object")
            return array_of(as_bytes(arguments[1]), dtype, (), False)[()]
        if function in FROM_BUFFER and len(arguments) == 4:
            data, dtype, shape, order = arguments
            if dtype_of(dtype) is None or order not in ("C", "F"):
                raise BadArrayError("an array of objects out of bytes")
            return array_of(as_bytes(data), dtype_of(dtype), plain_shape(shape), order == "F")
        raise BadArrayError(f"a {function} where an array is expected")

    def _reconstructed(self, call: Call, depth: int) -> Any:
        state = call.state
        if call.arguments[:1] != (NDARRAY,):
            raise BadArrayError("an array that is no numpy.ndarray")
        if type(state) is not tuple or len(state) not in (4, 5):
            raise BadArrayError("an array without its numbers")
        shape, dtype, fortran, data = state[-4:]
        shape, dtype = plain_shape(shape), dtype_of(dtype)
        if dtype is not None:
            return array_of(as_bytes(data), dtype, shape, bool(fortran))
        if type(data) is not list or len(data) != math.prod(shape):
            raise BadArrayError(f"an array of shape {shape} with another number of objects")
        if len(data) == 1:
            return self.resolve(data[0], depth)
        items = self.resolve(data, depth)
        if all(type(item) is str for item in items):
            return _texts(items, shape)
        if all(isinstance(item, bool | int | float | np.generic) for item in items):
            numbers = np.array(items).reshape(shape)
            return numbers if numbers.dtype.kind in "biuf" else items
        return items


def dtype_of(value: Any) -> np.dtype | None:
    """The type that a pickle's call of `numpy.dtype` asks for; None for Python objects.

    Raises:
        BadArrayError: it is none of numbers or text, or its state says anything else of it.
    """
    if type(value) is not Call or value.function != DTYPE or not value.arguments:
        raise BadArrayError("an array without a type")
    code, state = value.arguments[0], value.state
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    order, parts, flags = "=", (None, None, None), 0
    if state is not None:
        if type(state) is not tuple or len(state) < 8:
            raise BadArrayError("an array whose type is damaged")
        order, parts, flags = state[1], state[2:5], state[7]
    if isinstance(order, bytes):
        order = order.decode("latin-1")
    if not isinstance(code, str):
        raise BadArrayError("an array without a type")
    if parts != (None, None, None) or order not in _ORDERS:
        raise BadArrayError("an array of records or of arrays")
    if code in ("O", "O8", "O4"):
        return None
    dtype = plain_dtype(f"{order}{code}")
    size = -1 if state is None else state[5]
    if flags not in _PLAIN_FLAGS or size not in (-1, dtype.itemsize):
        raise BadArrayError(f"an array of type {code} that claims to be another")
    return dtype


def as_bytes(data: Any) -> bytes:
    """An array's bytes; Python 2 wrote them as text.

    Raises:
        BadArrayError: they are none.
    """
    if isinstance(data, str):
        return data.encode("latin-1")
    if isinstance(data, bytes):
        return data
    raise BadArrayError(f"an array of {type(data).__name__} where its bytes are expected")


def _texts(items: list[str], shape: tuple[int, ...]) -> np.ndarray:
    longest = max(map(len, items), default=0)
    if longest > MAX_TEXT or 4 * longest * len(items) > MAX_BYTES:
        raise BadArrayError(f"an array of texts of up to {longest:,} characters")
    return np.array(items, dtype=f"U{max(1, longest)}").reshape(shape)
