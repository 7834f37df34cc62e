"""numpy's arrays, rebuilt by our own code from what a pickle says of them.

numpy's own functions follow what a file tells them, so a forged type can make them read memory that
is not theirs. Here a type is one of an allow-list, and an array is made of bytes that are there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hmrlab.files import MAX_BYTES, BadArrayError, shown
from hmrlab.files.arrays import array_of, plain_dtype, plain_shape
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


class Resolver:
    """Arrays in the place of what a pickle says of them; each object is taken once.

    An array of objects becomes the array of its texts or numbers, or, if it holds a single thing,
    that thing; any other is the list of what is in it.
    """

    max_numbers = MAX_NUMBERS

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}  # by id: it, kept alive, and what came out
        self._sizes: dict[int, int] = {}  # of lists and arrays, unfolded, by id

    def resolve(self, value: Any, place: tuple = (), depth: int = 0) -> Any:
        """A value of `read_program` with all that is in it resolved.

        Messages name its place, the keys of the dictionaries that it is in.

        Raises:
            BadArrayError: an array is none of numbers or text, its bytes do not fit, a list holds
                itself, or one unfolds to too many numbers.
        """
        if type(value) not in (Call, Global, list, tuple, dict):
            return value
        if id(value) not in self._done:
            if depth > MAX_DEPTH:
                raise BadArrayError(f"lists more than {MAX_DEPTH} deep")
            try:
                made = self._made(value, place, depth + 1)
            except _PlacedError:
                raise
            except ValueError as error:
                what = f"its entry {'/'.join(map(shown, place))} is" if place else "it is"
                raise _PlacedError(f"{what} {error}") from error
            self._done[id(value)] = value, made
        return self._done[id(value)][1]

    def other(self, value: Call | Global, place: tuple, depth: int) -> Any:
        """What becomes of what is not numpy's: it stays, with its state resolved."""
        if type(value) is Call:
            self._done[id(value)] = value, value  # it may well hold itself
            value.state = self.resolve(value.state, place, depth)
        return value

    def _made(self, value: Any, place: tuple, depth: int) -> Any:
        if type(value) is dict:
            return {key: self.resolve(value[key], (*place, key), depth) for key in value}
        if type(value) is Call and value.function in NUMPY:
            made = self.array(value, place, depth)
            self._sizes[id(made)] = getattr(made, "size", 1)
            return made
        if type(value) in (Call, Global):
            return self.other(value, place, depth)
        made = type(value)([self.resolve(item, place, depth) for item in value])
        size = sum(max(1, self._sizes.get(id(item), 1)) for item in made)
        if size > self.max_numbers:
            raise BadArrayError(f"a list that unfolds to more than {MAX_NUMBERS:,} numbers")
        self._sizes[id(made)] = size
        return made

    def array(self, call: Call, place: tuple, depth: int) -> Any:
        """What a call of numpy's gives."""
        function, arguments = call.function, call.arguments
        if function in RECONSTRUCT:
            return self._reconstructed(call, place, depth)
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

    def _reconstructed(self, call: Call, place: tuple, depth: int) -> Any:
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
            return self.resolve(data[0], place, depth)
        items = self.resolve(data, place, depth)
        if all(type(item) is str for item in items):
            return _texts(items, shape)
        if all(isinstance(item, bool | int | float | np.generic) for item in items):
            numbers = np.array(items).reshape(shape)
            return numbers if numbers.dtype.kind in "biuf" else items
        return items


class _PlacedError(BadArrayError):
    """One that says where in the file."""


def dtype_of(value: Any) -> np.dtype | None:
    """The type that a pickle's call of `numpy.dtype` asks for; None for Python objects."""
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
    """An array's bytes; Python 2 wrote them as text."""
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
