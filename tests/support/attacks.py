"""Attacks on the reader of pickles, each as the bytes of a file."""

import struct

from pickles import STOP, array, call, dictionary, dtype, group, name, number, scalar, text

POINTER = struct.pack("<Q", 0x4141414141)
TWO = struct.pack("<2d", 1, 2)
_POINTERS = text(POINTER * 2)
_BROKEN_TYPES = {
    "objects under the kind of floats": dtype(flags=63),
    "objects under the kind of bytes": dtype("S8", "|", flags=61, size=8),
    "objects under the kind of voids": dtype("V8", "|", flags=61, size=8),
    "a pointer's flag": dtype(flags=4),
    "a size that is another": dtype(size=64),
    "a size below nothing": dtype("S8", "|", size=-8),
    "a sub-array": dtype(parts=(group(dtype(), group(b"K\x09")), b"N", b"N")),
    "fields": dtype("V8", "|", (b"N", group(text("x")), b"}" + text("x") + dtype() + b"s"), 8),
    "no known byte order": dtype(order="!"),
    "dates": dtype("M8"),
    "voids": dtype("V8", "|"),
    "complex numbers": dtype("c16"),
    "a field's list": dtype("f8,f8"),
    "a type by a comma and a shape": dtype("(2,)f8"),
    "text without a width": dtype("U0"),
    "text as wide as the memory": dtype("U999999"),
    "no call at all": text("f8"),
    "numpy's array as the type": name("numpy", "ndarray"),
    "a type with another as its code": call("numpy", "dtype", dtype()),
}
_BROKEN_SHAPES = {
    "more than is there": (10**6,),
    "more than any memory": (10**15,),
    "below nothing": (-1,),
    "a product that wraps round": (2**33, 2**31),
    "none of it, and endless": (0, 2**62),
}


def nested(step: bytes, count: int) -> bytes:
    """A list within a list within a list."""
    return b"]" * count + step * (count - 1)


def doubled(times: int) -> bytes:
    """A list of two lists of two lists, each the same one twice: 2 ** times numbers, unfolded."""
    inner = b"](K\x01K\x01e"
    for turn in range(times):
        inner += b"q" + bytes([turn]) + b"0](h" + bytes([turn]) + b"h" + bytes([turn]) + b"e"
    return inner


ATTACKS: dict[str, bytes] = {
    **{f"{words}: number": dictionary(a=scalar(t, POINTER)) for words, t in _BROKEN_TYPES.items()},
    **{
        f"{words}: array": dictionary(a=array(t, (2,), _POINTERS))
        for words, t in _BROKEN_TYPES.items()
    },
    **{
        f"a shape: {words}": dictionary(a=array(dtype(), shape, text(TWO)))
        for words, shape in _BROKEN_SHAPES.items()
    },
    "objects without objects": dictionary(a=array(dtype("O8", "|", flags=63), (2,), _POINTERS)),
    "objects that are fewer": dictionary(a=array(dtype("O8", "|", flags=63), (9,), b"](K\x01e")),
    "a number of objects": dictionary(a=scalar(dtype("O8", "|", flags=63), POINTER)),
    "objects out of bytes": dictionary(
        a=call("numpy.core.numeric", "_frombuffer", text(POINTER), dtype("O8", "|", flags=63),
               group(b"K\x01"), text("C"))
    ),
    "another type's array": dictionary(
        a=call("numpy.core.multiarray", "_reconstruct", dtype(), group(b"K\x00"), text("b"))
    ),
    "an array that is built twice": dictionary(
        a=array(dtype(), (2,), text(TWO)) + group(b"K\x01", group(b"K\x02"), dtype(), b"\x89",
                                                  text(TWO)) + b"b"
    ),
    "a type that is built twice": dictionary(
        a=scalar(dtype() + group(b"K\x03", text("|"), b"NNN", number(8), b"K\x01", number(63))
                 + b"b", POINTER)
    ),
    "texts as wide as the memory": dictionary(
        a=array(dtype("O8", "|", flags=63), (2,), b"](" + text("x" * 5000) + text("y") + b"e")
    ),
    "the state of numpy": dictionary(a=name("numpy", "ndarray") + b"}" + text("x") + b"K\x01sb"),
    "the state of a list": b"\x80\x02]}b" + STOP,
    "an item of an array": dictionary(a=array(dtype(), (2,), text(TWO)) + b"K\x00K\x01s"),
    "more items for a type": dictionary(a=name("numpy", "dtype") + b"(K\x01e"),
    "a call of a call": dictionary(a=scalar(dtype(), POINTER) + b")R"),
    "a call of a list": dictionary(a=b"])R"),
    "a call with a list": dictionary(a=name("numpy", "dtype") + b"]R"),
    "an object by INST": dictionary(a=b"(K\x01ios\nsystem\n"),
    "an object by OBJ": dictionary(a=b"(cos\nsystem\nK\x01o"),
    "an object by STACK_GLOBAL": dictionary(a=text("os") + text("system") + b"\x93"),
    "a name of a name": dictionary(a=text("numpy") + text("ndarray.dot.__self__") + b"\x93"),
    "a name that is no text": dictionary(a=b"K\x01K\x02\x93"),
    "an extension of the registry": dictionary(a=b"\x82\x01"),
    "a persistent id": dictionary(a=b"K\x01Q"),
    "a buffer from outside": dictionary(a=b"\x97"),
    "named arguments": dictionary(a=name("numpy", "dtype") + b")}" + text("x") + b"K\x01s\x92"),
    "a set's subclass": dictionary(a=call("builtins", "frozenset", b"]")),
    "a key that is a list": b"\x80\x02}]K\x01s" + STOP,
    "a key that is a tuple of tuples": b"\x80\x02})\x85\x85K\x01s" + STOP,
    "a list that holds itself": dictionary(a=b"]q\x00h\x00a"),
    "a dictionary that holds itself": b"\x80\x02}q\x00" + text("a") + b"h\x00s" + STOP,
    "lists too deep": dictionary(a=nested(b"a", 5000)),
    "tuples too deep": dictionary(a=b")" + b"\x85" * 100_000),
    "marks too deep": dictionary(a=b"(" * 100_000 + b"t" * 100_000),
    "lists that unfold": dictionary(a=doubled(60)),
    "a number too long": dictionary(a=b"\x8b" + struct.pack("<I", 10_000) + b"\x7f" * 10_000),
    "a number too long as text": dictionary(a=b"L" + b"9" * 100_000 + b"L\n"),
    "a text that is cut short": b"\x80\x02}T\xff\xff\xff\x7fx",
    "a text longer than any memory": b"\x80\x04}\x8d" + b"\xff" * 7 + b"\x7fx",
    "bytes longer than any memory": b"\x80\x04}\x8e" + b"\xff" * 7 + b"\x7fx",
    "a memo's number too large": dictionary(a=b"K\x01r\xff\xff\xff\xffj\xfe\xff\xff\xff"),
    "nothing on the stack": b"\x80\x02" + STOP,
    "a mark that is not there": b"\x80\x02}u" + STOP,
    "a pickle in a pickle": dictionary(
        a=call("pickle", "loads", text(dictionary(a=call("os", "getpid"))))
    ),
    "bytes in another encoding": dictionary(a=call("_codecs", "encode", text("x"), text("rot13"))),
}  # fmt: skip
