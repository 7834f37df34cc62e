"""What a pickle says, read and not done.

A pickle is a program for a small machine: it pushes values, names functions, and calls them. Here
its steps are read by this module alone. A function that is named becomes a `Global`, a call of it
a `Call`, an object's state is kept as it is written. Nothing is imported, looked up or called, and
no object but the lists and dictionaries that the program itself made is ever changed.

The opcodes are those of protocols 0 to 5, as Python's `pickletools` describes them.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, BinaryIO

MAX_STEPS = 10_000_000
MAX_MEMO = 5_000_000
MAX_MARKS = 1_000  # open at a time: lists within lists
MAX_INTEGER_BYTES = 8
MAX_COPIED = 2**29  # bytes of what `_MADE` makes, since a small file may ask for it often
PERSISTENT = ("", "persistent id")  # key of the function whose `Call` such an id becomes
_MAX_LONG_TEXT = 24  # characters of a number of 64 bits, with sign and L
_ATOMS = (str, bytes, int, float, bool, type(None))


class Global:
    """A function or class that a pickle names."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    @property
    def key(self) -> tuple[str, str]:
        """Module and name."""
        return self.module, self.name

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Call:
    """A call that a pickle asks for and nobody makes; an instance of a class is such a call.

    Attributes:
        function: what it would call.
        arguments: what with.
        state: of the object that would come out, a dictionary or a tuple; None without one.
    """

    __slots__ = ("arguments", "function", "state")

    def __init__(self, function: Global, arguments: tuple) -> None:
        self.function, self.arguments = function, arguments
        self.state: dict | tuple | None = None


class _Machine:
    """Stack, memo and marks, as pickle's own machine has them."""

    def __init__(self, file: BinaryIO, size: int, allowed: Callable[[Global], bool]) -> None:
        self.file, self.left, self.allowed, self.copied = file, size, allowed, 0
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # stacks below the open marks
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_STEPS):
            code = self.take(1)
            if code == b".":
                return self.pop()
            step = _STEPS.get(code)
            if step is None:
                raise UnpicklingError(f"it has a step that no pickle of arrays has ({code!r})")
            step(self)
        raise UnpicklingError(f"it has more than {MAX_STEPS:,} steps")

    # bytes of the file

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise UnpicklingError("it is cut short")
        data = self.file.read(count)
        if len(data) < count:
            raise UnpicklingError("it is cut short")
        self.left -= count
        return data

    def line(self) -> bytes:
        data = self.file.readline(self.left)
        self.left -= len(data)
        if data[-1:] != b"\n":
            raise UnpicklingError("it is cut short")
        return data[:-1]

    def integer(self, count: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(count), "little", signed=signed)

    def counted(self, count: int) -> bytes:
        """Bytes behind their length, which has `count` bytes itself."""
        return self.take(self.integer(count))

    # the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack:
            raise UnpicklingError("it takes a value that is not there")
        return self.stack.pop()

    def top(self, kind: type, what: str) -> Any:
        """The value on top, which must be something the program made by itself."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise UnpicklingError(f"it {what} something else")
        return self.stack[-1]

    def mark(self) -> None:
        if len(self.outer) >= MAX_MARKS:
            raise UnpicklingError(f"it is more than {MAX_MARKS:,} lists deep")
        self.outer.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        if not self.outer:
            raise UnpicklingError("it goes back to a mark that is not there")
        values, self.stack = self.stack, self.outer.pop()
        return values

    def drop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def remember(self, number: int) -> None:
        if len(self.memo) >= MAX_MEMO:
            raise UnpicklingError(f"it remembers more than {MAX_MEMO:,} values")
        if not self.stack:
            raise UnpicklingError("it remembers a value that is not there")
        self.memo[number] = self.stack[-1]

    def recall(self, number: int) -> None:
        if number not in self.memo:
            raise UnpicklingError("it recalls a value that it never had")
        self.push(self.memo[number])

    # lists and dictionaries

    def extend(self, values: list[Any]) -> None:
        self.top(list, "appends to").extend(values)

    def set_items(self, values: list[Any]) -> None:
        self.top(dict, "sets an item of").update(_pairs(values))

    # names, calls and states

    def find(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise UnpicklingError("it asks for something without a name")
        found = Global(module, name)
        if not self.allowed(found):
            raise UnpicklingError(f"it asks for {found}")
        self.push(found)

    def call(self, function: Any, arguments: Any) -> None:
        if type(function) is not Global:
            raise UnpicklingError("it calls what is no function")
        if type(arguments) is not tuple:
            raise UnpicklingError(f"it calls {function} with what are no arguments")
        make = _MADE.get(function.key)
        if make and arguments:
            each = 1 if isinstance(arguments[0], str) else 100  # bytes of an item, about
            self.copied += each * len(arguments[0]) if hasattr(arguments[0], "__len__") else each
            if self.copied > MAX_COPIED:
                raise UnpicklingError(f"it unfolds to more than {MAX_COPIED:,} bytes")
        self.push(make(*arguments) if make else Call(function, arguments))

    def build(self) -> None:
        state = self.pop()
        if self.stack and type(self.stack[-1]) is Global:
            raise UnpicklingError(f"it sets the state of {self.stack[-1]}, which is no object")
        if self.stack and type(self.stack[-1]) is dict:
            return  # an ordered dictionary's attributes, as torch has them beside its entries
        made = self.top(Call, "sets the state of")
        if type(state) not in (dict, tuple):
            raise UnpicklingError(f"the state of a {made.function} is a {type(state).__name__}")
        if made.state is not None:
            raise UnpicklingError(f"it sets the state of a {made.function} twice")
        made.state = state


def read_program(file: BinaryIO, size: int, allowed: Callable[[Global], bool]) -> Any:
    """The value that a pickle describes, of plain values, `Global` and `Call`.

    Args:
        file: open at the pickle's start.
        size: bytes that there are from here on.
        allowed: whether a name may stand in it.

    Raises:
        UnpicklingError: it is damaged, goes beyond a limit, or holds a name that may not.
    """
    try:
        return _Machine(file, size, allowed).run()
    except (ValueError, TypeError, struct.error, OverflowError) as error:
        raise UnpicklingError(f"it is damaged: {error}") from error


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


_MADE: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): _ordered,
    ("copy_reg", "_reconstructor"): _instance_of,
    ("copyreg", "_reconstructor"): _instance_of,
    ("__builtin__", "set"): lambda values=(): list(values),
    ("builtins", "set"): lambda values=(): list(values),
    ("__builtin__", "bytes"): lambda: b"",  # protocols 0 to 2 write no bytes so
    ("builtins", "bytes"): lambda: b"",
}
"""What comes out of calls whose meaning is plain, by code of this module."""


def _whole_number(text: bytes) -> int | bool:
    if text in (b"00", b"01"):
        return text == b"01"
    if len(text) > _MAX_LONG_TEXT:
        raise UnpicklingError("a number of more than 64 bits")
    return int(text.rstrip(b"L"))


def _long(machine: _Machine, count: int) -> None:
    data = machine.counted(count)
    if len(data) > MAX_INTEGER_BYTES + 1:  # one for the sign of what has none
        raise UnpicklingError("a number of more than 64 bits")
    machine.push(int.from_bytes(data, "little", signed=True))


def _quoted(machine: _Machine) -> None:
    text = machine.line().strip()
    if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
        raise UnpicklingError("a text without quotes")
    machine.push(codecs.escape_decode(text[1:-1])[0].decode("latin-1"))


def _global(machine: _Machine) -> None:
    machine.find(machine.line().decode("utf-8"), machine.line().decode("utf-8"))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.find(module, name)


def _reduce(machine: _Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.call(function, arguments)


def _new_object_ex(machine: _Machine) -> None:
    keywords, arguments, kind = machine.pop(), machine.pop(), machine.pop()
    if keywords:
        raise UnpicklingError(f"it makes a {kind} with named arguments")
    machine.call(kind, arguments)


def _instance(machine: _Machine) -> None:
    arguments = tuple(machine.since_mark())
    _global(machine)
    machine.call(machine.pop(), arguments)


def _object(machine: _Machine) -> None:
    kind, *arguments = machine.since_mark() or [None]
    machine.call(kind, tuple(arguments))


def _persistent(machine: _Machine) -> None:
    identity = machine.pop()
    machine.find(*PERSISTENT)
    machine.call(machine.pop(), (identity,))


def _duplicate(machine: _Machine) -> None:
    value = machine.pop()
    machine.stack += [value, value]


def _append(machine: _Machine) -> None:
    value = machine.pop()
    machine.extend([value])


def _set_item(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.set_items([key, value])


def _tuple(machine: _Machine, count: int) -> None:
    values = [machine.pop() for _ in range(count)]
    machine.push(tuple(reversed(values)))


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(value(machine))


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: m.take(1) and None,  # PROTO
    b"\x95": lambda m: m.take(8) and None,  # FRAME
    b"(": _Machine.mark,
    b"0": _Machine.drop,
    b"1": lambda m: m.since_mark() and None,
    b"2": _duplicate,
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"I": _push(lambda m: _whole_number(m.line())),
    b"L": _push(lambda m: _whole_number(m.line())),
    b"J": _push(lambda m: m.integer(4, signed=True)),
    b"K": _push(lambda m: m.integer(1)),
    b"M": _push(lambda m: m.integer(2)),
    b"\x8a": lambda m: _long(m, 1),
    b"\x8b": lambda m: _long(m, 4),
    b"F": _push(lambda m: float(m.line())),
    b"G": _push(lambda m: struct.unpack(">d", m.take(8))[0]),
    b"S": _quoted,
    b"T": _push(lambda m: m.counted(4).decode("latin-1")),
    b"U": _push(lambda m: m.counted(1).decode("latin-1")),
    b"V": _push(lambda m: m.line().decode("raw-unicode-escape")),
    b"X": _push(lambda m: m.counted(4).decode("utf-8", "surrogatepass")),
    b"\x8c": _push(lambda m: m.counted(1).decode("utf-8", "surrogatepass")),
    b"\x8d": _push(lambda m: m.counted(8).decode("utf-8", "surrogatepass")),
    b"B": _push(lambda m: m.counted(4)),
    b"C": _push(lambda m: m.counted(1)),
    b"\x8e": _push(lambda m: m.counted(8)),
    b"\x96": _push(lambda m: m.counted(8)),
    b"]": _push(lambda m: []),
    b"l": _push(lambda m: m.since_mark()),
    b"a": _append,
    b"e": lambda m: m.extend(m.since_mark()),
    b"}": _push(lambda m: {}),
    b"d": _push(lambda m: _pairs(m.since_mark())),
    b"s": _set_item,
    b"u": lambda m: m.set_items(m.since_mark()),
    b"\x8f": _push(lambda m: []),  # a set is kept as the list of what is in it
    b"\x90": lambda m: m.extend(m.since_mark()),
    b"\x91": _push(lambda m: m.since_mark()),
    b")": _push(lambda m: ()),
    b"t": _push(lambda m: tuple(m.since_mark())),
    b"\x85": lambda m: _tuple(m, 1),
    b"\x86": lambda m: _tuple(m, 2),
    b"\x87": lambda m: _tuple(m, 3),
    b"p": lambda m: m.remember(int(m.line()[:_MAX_LONG_TEXT])),
    b"q": lambda m: m.remember(m.integer(1)),
    b"r": lambda m: m.remember(m.integer(4)),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"g": lambda m: m.recall(int(m.line()[:_MAX_LONG_TEXT])),
    b"h": lambda m: m.recall(m.integer(1)),
    b"j": lambda m: m.recall(m.integer(4)),
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _reduce,
    b"\x81": _reduce,
    b"\x92": _new_object_ex,
    b"i": _instance,
    b"o": _object,
    b"b": _Machine.build,
    b"Q": _persistent,
}
"""Left out, so refused: the extension registry, buffers outside of the file."""
