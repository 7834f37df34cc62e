"""A file in parts that are small enough to be carried one by one, and put together again.

Each part begins with a line of JSON: what the file is, the digest of every part, and which of them
this one is. So any part says what belongs to it, and which of the others is damaged or missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hmrlab.files import FileProblem, open_regular, parse_json, printable, write_whole

FORMAT = "hmrlab-part-1"
PART_BYTES = 14_000_000  # of a file that what it is sent by takes
MOST_PARTS = 8
_MOST_HEAD = 20_000  # bytes
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ENDING = re.compile(r"\.(\d)of(\d)\.part$")


@dataclass(frozen=True)
class Head:
    """What a part says of itself."""

    format: str
    name: str  # of the file; the parts' names begin with it
    said: dict[str, Any]  # whatever the writer wants known before the file is put together
    part: int  # from 1
    digests: list[str]  # SHA-256 of each part's bytes behind its head


def write_parts(
    content: bytes,
    name: str,
    into: Path,
    said: dict[str, Any] | None = None,
    most: int = MOST_PARTS,
) -> list[Path]:
    """Write bytes as parts `<name>.<k>of<n>.part`, each whole or not at all.

    Args:
        content: of the file.
        name: letters, digits, dots, hyphens, underscores.
        into: folder of the parts; older parts of that name are removed.
        said: plain values that each part repeats.
        most: parts.

    Raises:
        ValueError: more parts would be needed, or the name has other characters.
        FileProblem: the folder cannot be written to.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"a part's name has letters, digits, '.', '_' and '-' only, not {name!r}")
    count = -(-len(content) // PART_BYTES)
    if not 1 <= count <= most:
        raise ValueError(
            f"{name} has {len(content) / 1e6:.0f} MB, which is {count} parts of "
            f"{PART_BYTES / 1e6:.0f} MB; {most} may be used. Take a smaller encoder."
        )
    size = -(-len(content) // count)
    pieces = [content[k * size : (k + 1) * size] for k in range(count)]
    digests = [hashlib.sha256(piece).hexdigest() for piece in pieces]
    for old in part_files(into, name):
        old.unlink()
    written = []
    for number, piece in enumerate(pieces, start=1):
        head = Head(FORMAT, name, said or {}, number, digests)
        path = into / f"{name}.{number}of{count}.part"
        written.append(write_whole(path, _writer(head, piece)))
    return written


def part_files(folder: Path, name: str = "") -> list[Path]:
    """The parts in a folder, of one file or of all, in order."""
    found = [path for path in folder.glob("*.part") if _ENDING.search(path.name)]
    return sorted(path for path in found if not name or _ENDING.sub("", path.name) == name)


def whole_names(folder: Path) -> list[str]:
    """The names of the files that a folder has parts of."""
    return list(dict.fromkeys(_ENDING.sub("", path.name) for path in part_files(folder)))


def read_parts(folder: Path, name: str) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a file in parts, and what was said of it.

    Raises:
        FileProblem: a part is missing, cut short, changed, or another file's; it is named.
    """
    paths = part_files(folder, name)
    if not paths:
        raise FileProblem(f"{folder} has no parts of {name}; copy all of them there")
    wanted, pieces = None, []
    for number, path in enumerate(paths, start=1):
        head, piece = _read_part(path)
        wanted = wanted or head
        if (head.name, head.digests, head.said) != (name, wanted.digests, wanted.said):
            raise FileProblem(f"{path} is a part of another file than {paths[0].name}; remove it")
        expected = f"{name}.{head.part}of{len(head.digests)}.part"
        if path.name != expected:
            raise FileProblem(f"{path} calls itself {expected}; copy the parts under their names")
        if head.part != number:
            raise FileProblem(_missing(folder, name, number, len(head.digests)))
        if hashlib.sha256(piece).hexdigest() != head.digests[number - 1]:
            raise FileProblem(f"{path} is cut short or was changed; copy it anew")
        pieces.append(piece)
    if len(pieces) < len(wanted.digests):
        raise FileProblem(_missing(folder, name, len(pieces) + 1, len(wanted.digests)))
    return b"".join(pieces), wanted.said


def _writer(head: Head, piece: bytes) -> Callable[[BinaryIO], None]:
    line = json.dumps(asdict(head), sort_keys=True).encode() + b"\n"

    def write(file: BinaryIO) -> None:
        file.write(line)
        file.write(piece)

    return write


def _read_part(path: Path) -> tuple[Head, bytes]:
    with open_regular(path) as file:
        line = file.readline(_MOST_HEAD)
        piece = file.read(PART_BYTES + 1)
    try:
        head = parse_json(line, Head)
    except ValueError as error:
        raise FileProblem(f"{path} is no part of a file of ours ({error}); remove it") from error
    if head.format != FORMAT or not 1 <= len(head.digests) <= MOST_PARTS:
        raise FileProblem(
            f"{path} is of the format {printable(head.format[:80])!r}, expected {FORMAT!r}; "
            "remove it, or update hmrlab"
        )
    if not all(map(_DIGEST.fullmatch, head.digests)) or not 1 <= head.part <= len(head.digests):
        raise FileProblem(f"{path} has a damaged head; copy it anew")
    return head, piece


def _missing(folder: Path, name: str, number: int, count: int) -> str:
    return f"{folder} lacks {name}.{number}of{count}.part; copy it there"
