"""What a mesh's file says of its size, held against limits before anything is built of it.

Counts alone can be absurd in a small file, and trimesh's readers trust them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hmrlab.files import parse_json

MAX_VERTICES = 500_000
MAX_FACES = 1_000_000
MAX_PARTS = 1_000
MAX_GROUPS = 100_000  # which make no parts
MAX_WORDS = 12_000_000  # of a text file; what stands between white space
MAX_EDGES = 10_000  # lines beside the triangles, which nobody sees
MAX_HEADER_BYTES = 2**16  # of PLY
MAX_JSON_MARKS = 2_000_000  # brackets and commas
MAX_ACCESSORS = 10_000
MAX_NUMBERS = 32_000_000  # of all arrays of a glTF
MAX_BYTES = {".obj": 2**27, ".glb": 2**27, ".gltf": 2**27, ".ply": 2**26, ".stl": 2**27}
"""Of a file, and of what a glTF brings beside it."""
MESH_ENDINGS = tuple(MAX_BYTES)
_NUMBERS_EACH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_GLB_HEADER = 20
_LINE_ENDS = (b"\n", b"\r", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e")
_PLY_WIDTHS = {
    name: width
    for width, names in (
        (1, (b"char", b"uchar", b"int8", b"uint8")),
        (2, (b"short", b"ushort", b"int16", b"uint16", b"float16")),
        (4, (b"int", b"uint", b"float", b"int32", b"uint32", b"float32")),
        (8, (b"double", b"float64", b"int64", b"uint64")),
    )
    for name in names
}


class TooLargeError(ValueError):
    """There is more of something than is read."""


def check_counts(ending: str, data: bytes) -> None:
    """Whether a file of these bytes, whose name ends in one of `MESH_ENDINGS`, may be read.

    Raises:
        TooLargeError: it speaks of more than is read.
        ValueError: it is no such file, or names files that are not beside it.
    """
    _CHECKS[ending](data)


def at_most(count: int, most: int, what: str) -> None:
    """Raise a TooLargeError where there are more."""
    if count > most:
        raise TooLargeError(f"it has {count:,} {what}, and at most {most:,} are read")


def check_name(uri: str) -> None:
    """Whether a file that a mesh names is one of its own folder, by its name.

    Raises:
        ValueError: the name leads elsewhere.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|[/\\~]", uri) or ".." in re.split(r"[/\\]", uri):
        raise ValueError(f"it names {uri[:80]!r}, and only files beside it are read")


def _check_obj(data: bytes) -> None:
    at_most(_lines(data, b"v ") + _lines(data, b"v\t"), MAX_VERTICES, "vertices")
    at_most(_lines(data, b"f"), MAX_FACES, "faces")
    at_most(data.count(b"usemtl"), MAX_PARTS, "changes of material")
    at_most(_lines(data, b"g") + _lines(data, b"o"), MAX_GROUPS, "groups")
    _check_words(data)
    faces = (line.group() for line in re.finditer(rb"^f.*", data, re.MULTILINE))
    corners = sum(line.count(b" ") + line.count(b"\t") for line in faces)
    at_most(corners, 4 * MAX_FACES, "corners of faces")


@dataclass
class _Element:
    """What a PLY has many of, row by row."""

    length: int
    properties: list[list[bytes]] = field(default_factory=list)  # the words of each


def _check_ply(data: bytes) -> None:
    elements, at = _ply_header(data)
    lengths = {name: element.length for name, element in elements.items()}
    at_most(lengths.get(b"vertex", 0), MAX_VERTICES, "vertices")
    at_most(lengths.get(b"edge", 0), MAX_EDGES, "edges")
    at_most(max(lengths.values(), default=0), MAX_FACES, "faces, or other things")
    form = data[:at].split(b"\n")[1].lower()
    if b"ascii" not in form:
        _check_lists(data, at, elements, "big" if b"big" in form else "little")
        return
    body = data[at:]
    if not body.isascii():
        raise ValueError("it says that it is text, and is not")
    _check_words(body)
    at_most(sum(map(body.count, _LINE_ENDS)), sum(lengths.values()) + 100, "lines")


def _ply_header(data: bytes) -> tuple[dict[bytes, _Element], int]:
    """The elements by name, and where their rows begin."""
    words, elements, at = [], {}, 0
    while b"end_header" not in words:
        end = data.find(b"\n", at, MAX_HEADER_BYTES)
        if end < 0:
            raise ValueError("its header does not end")
        words, at = data[at:end].split(), end + 1
        if words and b"element" in words[0]:
            if len(words) != 3 or not re.fullmatch(rb"\d{1,18}", words[2]):
                raise ValueError("its header does not say how much it has of everything")
            elements[words[1]] = _Element(int(words[2]))
        elif words and b"property" in words[0] and elements:
            list(elements.values())[-1].properties.append(words)
    return elements, at


def _check_lists(
    data: bytes, at: int, elements: dict[bytes, _Element], order: Literal["big", "little"]
) -> None:
    """The lists of binary rows are all as long as the first row's says."""
    for element in elements.values():
        width = 0
        for words in element.properties:
            if len(words) == 5:
                place, n_bytes = at + width, _width(words[2])
                count = int.from_bytes(data[place : place + n_bytes], order)
                at_most(count * element.length, 4 * MAX_FACES, "corners of faces")
                width += n_bytes + count * _width(words[3])
            else:
                width += _width(words[1])
        at += element.length * width


def _width(kind: bytes) -> int:
    """Bytes of a number of PLY's: char, uint8, float32, ..."""
    if kind not in _PLY_WIDTHS:
        raise ValueError(f"its header speaks of {kind[:40]!r}, which is no kind of number")
    return _PLY_WIDTHS[kind]


def _check_stl(data: bytes) -> None:
    count = int.from_bytes(data[80:84], "little")
    if len(data) == 84 + 50 * count:
        at_most(count, MAX_FACES, "triangles")
        return
    text = data.lower()
    at_most(text.count(b"endsolid"), MAX_PARTS, "solids")
    at_most(text.count(b"vertex"), 3 * MAX_FACES, "corners")
    _check_words(text)


def _check_words(text: bytes) -> None:
    at_most(sum(map(text.count, (b" ", b"\t", b"\n"))), MAX_WORDS, "words")


def _lines(data: bytes, start: bytes) -> int:
    """How many lines start so."""
    return data.count(b"\n" + start) + data.startswith(start)


@dataclass(frozen=True)
class _Bytes:
    """A buffer, a view of one, or a picture."""

    byteLength: int = 0  # noqa: N815 - glTF's own names
    uri: str | None = None


@dataclass(frozen=True)
class _Accessor:
    count: int
    type: str


@dataclass(frozen=True)
class _Mesh:
    primitives: list[dict]


@dataclass(frozen=True)
class _Header:
    """What of a glTF's JSON tells how large it is, and what it names."""

    buffers: list[_Bytes] = field(default_factory=list)
    bufferViews: list[_Bytes] = field(default_factory=list)  # noqa: N815
    accessors: list[_Accessor] = field(default_factory=list)
    images: list[_Bytes] = field(default_factory=list)
    materials: list[dict] = field(default_factory=list)
    meshes: list[_Mesh] = field(default_factory=list)
    nodes: list[dict] = field(default_factory=list)


def _check_glb(data: bytes) -> None:
    length = int.from_bytes(data[12:16], "little")
    if data[:4] != b"glTF" or data[16:20] != b"JSON" or _GLB_HEADER + length > len(data):
        raise ValueError("its first bytes are no binary glTF's, or it is cut short")
    _check_gltf(data[_GLB_HEADER : _GLB_HEADER + length])


def _check_gltf(text: bytes) -> None:
    at_most(sum(map(text.count, (b"{", b"[", b","))), MAX_JSON_MARKS, "brackets and commas")
    if b"KHR_draco_mesh_compression" in text:
        raise ValueError("it is compressed by Draco, which is not read; export it uncompressed")
    header = parse_json(text, _Header)
    for things, what in (
        (header.buffers, "buffers"),
        (header.images, "pictures"),
        (header.materials, "materials"),
        (header.meshes, "meshes"),
        (header.nodes, "nodes"),
        ([part for mesh in header.meshes for part in mesh.primitives], "parts"),
    ):
        at_most(len(things), MAX_PARTS, what)
    at_most(max(len(header.accessors), len(header.bufferViews)), MAX_ACCESSORS, "arrays")
    if any(each.byteLength < 0 for each in (*header.buffers, *header.bufferViews)):
        raise ValueError("it has a buffer of less than no bytes")
    at_most(sum(view.byteLength for view in header.bufferViews), MAX_BYTES[".glb"], "bytes")
    if any(each.count < 0 or each.type not in _NUMBERS_EACH for each in header.accessors):
        raise ValueError("it has an array of no known kind")
    at_most(max((each.count for each in header.accessors), default=0), 3 * MAX_FACES, "corners")
    numbers = sum(each.count * _NUMBERS_EACH[each.type] for each in header.accessors)
    at_most(numbers, MAX_NUMBERS, "numbers")
    for each in (*header.buffers, *header.images):
        if each.uri is not None and "base64," not in each.uri:
            check_name(each.uri)


_CHECKS: dict[str, Callable[[bytes], None]] = {
    ".obj": _check_obj,
    ".ply": _check_ply,
    ".stl": _check_stl,
    ".gltf": _check_gltf,
    ".glb": _check_glb,
}
