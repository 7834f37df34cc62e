"""Pickles written step by step, as no pickler would write them."""

import struct

STOP = b"."


def text(value: str | bytes) -> bytes:
    """Python 2's text."""
    data = value.encode("latin-1") if isinstance(value, str) else value
    return b"T" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """A signed number of up to 64 bits."""
    return b"\x8a\x08" + struct.pack("<q", value)


def group(*steps: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(steps) + b"t"


def name(module: str, attribute: str) -> bytes:
    """A global by its name."""
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    """A call of a global."""
    return name(module, attribute) + group(*arguments) + b"R"


def dictionary(**entries: bytes) -> bytes:
    """The whole file: a dictionary of values."""
    return b"\x80\x02}" + b"".join(text(k) + v + b"s" for k, v in entries.items()) + STOP


def dtype(code: str = "f8", order: str = "<", parts=(b"N", b"N", b"N"), size=-1, flags=0) -> bytes:
    """numpy's type with the state that is claimed for it."""
    made = call("numpy", "dtype", text(code), b"K\x00", b"K\x01")
    state = group(b"K\x03", text(order), *parts, number(size), number(-1), number(flags))
    return made + state + b"b"


_EMPTY = (name("numpy", "ndarray"), group(b"K\x00"), text("b"))


def array(
    kind: bytes, shape: tuple[int, ...], data: bytes, module="numpy.core.multiarray"
) -> bytes:
    """numpy's array of these bytes (a step that pushes them)."""
    made = call("numpy.core.multiarray", "_reconstruct", *_EMPTY)
    lengths = group(*(number(length) for length in shape))
    return made + group(b"K\x01", lengths, kind, b"\x89", data) + b"b"


def scalar(kind: bytes, data: bytes) -> bytes:
    """numpy's single number."""
    return call("numpy.core.multiarray", "scalar", kind, text(data))
