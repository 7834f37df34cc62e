"""Writes pickles as Python 2.7 does with protocol 2, numpy 1.x, scipy 1.2 and chumpy 0.68.

Opcode by opcode, since none of them can be had for today's Python; only the memo is left out.
"""

import struct
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Ch:
    """An instance of a class of chumpy's, `x` or other terms in its state."""

    name: str = "chumpy.ch Ch"
    terms: dict = field(default_factory=dict)

    def state(self):
        return {
            "_make_sparse": False, "_dirty_vars": set(), "_itr": None, "_depends_on_deps": {},
            "_make_dense": False, "_status": "new",
        } | self.terms  # fmt: skip


@dataclass
class Sparse:
    """A scipy.sparse csc_matrix of a dense one."""

    dense: np.ndarray

    def state(self):
        places = [np.flatnonzero(column) for column in self.dense.T]
        return {
            "indices": np.concatenate(places).astype("<i4"),
            "indptr": np.cumsum([0, *map(len, places)]).astype("<i4"),
            "data": np.concatenate([c[p] for c, p in zip(self.dense.T, places, strict=True)]),
            "maxprint": 50,
            "_shape": self.dense.shape,
        }


def plain(array):
    return Ch(terms={"x": np.asarray(array, np.float64)})


def dumps(value) -> bytes:
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value) -> bytes:
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, str):
        return _bytes(value.encode("latin1"))
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, set):
        return b"c__builtin__\nset\n" + _opcodes(list(value)) + b"\x85R"
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items()) + b"u"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Sparse):
        return _instance("scipy.sparse.csc csc_matrix", value.state())
    if isinstance(value, Ch):
        return _instance(value.name, value.state())
    raise TypeError(type(value))


def _instance(name, state) -> bytes:
    return b"c" + name.replace(" ", "\n").encode() + b"\n)\x81" + _opcodes(state) + b"b"


def _array(array) -> bytes:
    code = array.dtype.str.lstrip("<|")
    dtype = (
        b"cnumpy\ndtype\n" + _bytes(code.encode()) + b"K\x00K\x01\x87R"
        + _opcodes((3, "<", None, None, None, -1, -1, 0)) + b"b"
    )  # fmt: skip
    content = _bytes(np.ascontiguousarray(array).tobytes())
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return made + b"(K\x01" + _opcodes(tuple(array.shape)) + dtype + b"\x89" + content + b"tb"


def _bytes(content) -> bytes:
    if len(content) < 256:
        return b"U" + bytes([len(content)]) + content
    return b"T" + struct.pack("<i", len(content)) + content
