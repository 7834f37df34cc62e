"""What a pickle says, read and not done.

A pickle is a program for a small machine: it pushes values, names functions, and calls them. Here
Python's own machine runs with each step replaced that would look up, call or change something: a
function that is named becomes a `Global`, a call of it a `Call`, an object's state is kept as it
is written. No object but the lists and dictionaries that the program itself made is ever changed.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, BinaryIO, NamedTuple

MAX_READS = 10_000_000  # each step is at least one
MAX_MEMO = 5_000_000
MAX_INTEGER = 2**72  # 64 bits, and a byte for the sign of what has none
MAX_COPIED = 2**29  # bytes of what `MADE` makes, since a small file may ask for it often
_ATOMS = (str, bytes, int, float, bool, type(None))


class Global(NamedTuple):
    """A function or class that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


PERSISTENT = Global("", "persistent id")  # the function whose `Call` such an id becomes


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """A call that a pickle asks for and nobody makes; an instance of a class is such a call."""

    function: Global
    arguments: tuple
    state: dict | tuple | None = None  # of the object that would come out


class _Bounded:
    """A file of which no more bytes than there are, and no endless number of them, are read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left, self._reads = file, size, 0

    def read(self, count: int) -> bytes:
        data = self._file.read(count) if count <= self._left else b""
        return self._counted(data, len(data) == count)

    def readline(self) -> bytes:
        data = self._file.readline(self._left)
        return self._counted(data, data.endswith(b"\n"))

    def _counted(self, data: bytes, is_whole: bool) -> bytes:
        if not is_whole:
            raise UnpicklingError("it is cut short")
        self._left -= len(data)
        self._reads += 1
        if self._reads > MAX_READS:
            raise UnpicklingError(f"it has more than {MAX_READS:,} steps")
        return data


class _Machine(pickle._Unpickler):  # the one in Python, whose steps can be replaced
    def __init__(self, file: BinaryIO, size: int, allowed: Callable[[Global], bool]) -> None:
        super().__init__(_Bounded(file, size), encoding="latin1")
        self._allowed, self._copied = allowed, 0

    def find_class(self, module: str, name: str) -> Global:
        found = Global(module, name)
        if not self._allowed(found):
            raise UnpicklingError(f"it asks for {found}")
        return found

    def persistent_load(self, pid: Any) -> Call:
        return Call(self.find_class(*PERSISTENT), (pid,))

    def _instantiate(self, klass: Any, args: list[Any]) -> None:
        self._call(klass, tuple(args))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self._call(function, arguments)

    def new_object_ex(self) -> None:
        keywords = self.stack.pop()
        if keywords:
            raise UnpicklingError(f"it makes a {self.stack[-2]} with named arguments")
        self.reduce()

    def _call(self, function: Any, arguments: Any) -> None:
        if type(function) is not Global:
            raise UnpicklingError("it calls what is no function")
        if type(arguments) is not tuple:
            raise UnpicklingError(f"it calls {function} with what are no arguments")
        make = MADE.get(function)
        if make and arguments:
            each = 1 if isinstance(arguments[0], str) else 100  # bytes of an item, about
            self._copied += each * len(arguments[0]) if hasattr(arguments[0], "__len__") else each
            if self._copied > MAX_COPIED:
                raise UnpicklingError(f"it unfolds to more than {MAX_COPIED:,} bytes")
        self.append(make(*arguments) if make else Call(function, arguments))

    def build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if type(made) is Global:
            raise UnpicklingError(f"it sets the state of {made}, which is no object")
        if type(made) is dict:
            return  # an ordered dictionary's attributes, as torch has them beside its entries
        if type(made) is not Call:
            raise UnpicklingError("it sets the state of something else")
        if type(state) not in (dict, tuple):
            raise UnpicklingError(f"the state of a {made.function} is a {type(state).__name__}")
        if made.state is not None:
            raise UnpicklingError(f"it sets the state of a {made.function} twice")
        made.state = state

    def dictionary(self) -> None:
        items = self.pop_mark()  # which changes the stack that is appended to
        self.append(_pairs(items))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def set_items(self) -> None:
        self._update(self.pop_mark())

    def _update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise UnpicklingError("it sets an item of something else")
        self.stack[-1].update(_pairs(items))

    def frame(self) -> None:
        self.read(8)  # its length: frames are of use to readers of sockets alone


def _with_limit(
    step: Callable[[_Machine], None], goes_beyond: Callable[[_Machine], bool], what: str
) -> Callable[[_Machine], None]:
    def checked(machine: _Machine) -> None:
        step(machine)
        if goes_beyond(machine):
            raise UnpicklingError(what)

    return checked


def _steps() -> dict[int, Callable[[_Machine], None]]:
    """Python's, but for those that are replaced."""
    steps = dict(pickle._Unpickler.dispatch)
    for outside in ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"):
        del steps[getattr(pickle, outside)[0]]
    replaced = {
        "REDUCE": _Machine.reduce,
        "NEWOBJ": _Machine.reduce,
        "NEWOBJ_EX": _Machine.new_object_ex,
        "BUILD": _Machine.build,
        "DICT": _Machine.dictionary,
        "SETITEM": _Machine.set_item,
        "SETITEMS": _Machine.set_items,
        "FRAME": _Machine.frame,
        "EMPTY_SET": _Machine.load_empty_list,  # a set is kept as the list of what is in it
        "ADDITEMS": _Machine.load_appends,
        "FROZENSET": _Machine.load_list,
        "BYTEARRAY8": _Machine.load_binbytes8,
    }
    for name in ("INT", "LONG", "LONG1", "LONG4"):
        step = steps[getattr(pickle, name)[0]]
        replaced[name] = _with_limit(
            step, lambda m: abs(m.stack[-1]) >= MAX_INTEGER, "a number of more than 64 bits"
        )
    for name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
        step = steps[getattr(pickle, name)[0]]
        replaced[name] = _with_limit(
            step, lambda m: len(m.memo) > MAX_MEMO, f"it remembers more than {MAX_MEMO:,} values"
        )
    return steps | {getattr(pickle, name)[0]: step for name, step in replaced.items()}


def read_program(file: BinaryIO, size: int, allowed: Callable[[Global], bool]) -> Any:
    """The value that a pickle describes, of plain values, `Global` and `Call`.

    The file is open at the pickle's start, has `size` bytes from there on, and is read up to the
    pickle's end; `allowed` says whether a name may stand in it.

    Raises:
        UnpicklingError: it is damaged, goes beyond a limit, or holds a name that may not.
    """
    try:
        return _Machine(file, size, allowed).load()
    except UnpicklingError:
        raise
    except Exception as error:  # a damaged one's steps may fail in any way
        raise UnpicklingError(f"it is damaged: {type(error).__name__}: {error}") from error


def _pairs(values: list[Any]) -> dict[Any, Any]:
    keys = values[::2]
    if len(values) % 2 or not all(isinstance(key, _ATOMS) for key in keys):
        raise UnpicklingError("a dictionary's keys are no plain values")
    return dict(zip(keys, values[1::2], strict=True))


def _instance_of(kind: Any, *_others: Any) -> Call:
    """`copyreg._reconstructor`, by which pickles of protocols 0 and 1 make instances."""
    if type(kind) is not Global or kind.module.split(".")[0] == "numpy":
        raise UnpicklingError(f"it makes an instance of {kind}")
    return Call(kind, ())


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """`_codecs.encode`, by which protocols 0 to 2 write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise UnpicklingError(f"it encodes bytes as {encoding}")
    return text.encode("latin-1")


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return _pairs([part for key, value in pairs for part in (key, value)])


BYTES: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): lambda: b"",  # protocols 0 to 2 write no bytes so
    ("builtins", "bytes"): lambda: b"",
}
MADE = BYTES | {
    ("collections", "OrderedDict"): _ordered,
    ("copy_reg", "_reconstructor"): _instance_of,
    ("copyreg", "_reconstructor"): _instance_of,
    ("__builtin__", "set"): lambda values=(): list(values),
    ("builtins", "set"): lambda values=(): list(values),
}
"""What comes out of calls whose meaning is plain, by code of this module."""

_Machine.dispatch = _steps()
