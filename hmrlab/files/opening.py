"""Opening what a user names: a regular file, or a message that says what is there instead."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

MAX_TEXT_BYTES = 64 * 2**20
MAX_LISTED = 12
MAX_NAME = 80
MAX_DIRECTORY = 2**24  # bytes of a zip's list of its parts
_CHUNK = 2**20
_MAX_END = 2**17  # bytes behind it: a few, and a comment
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (fifo)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_REASONS = {
    errno.ELOOP: "it is a link that leads back to itself",
    errno.EACCES: "you may not read it (its permissions forbid it)",
    errno.EPERM: "you may not read it",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENOTDIR: "a folder in its path is no folder",
    errno.ENXIO: "it is a socket or a pipe",
}


class FileProblem(Exception):
    """A file of the user's that cannot be used; the message names the file and the remedy."""


class BadArrayError(ValueError):
    """What is wrong with an array of a file, in words."""


def printable(text: object) -> str:
    r"""Text that any terminal and any UTF-8 file takes; other characters as `\n`, `\udcff`."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in str(text)
    )


def shown(name: object) -> str:
    """A name out of a file or a folder for a message: short, and what any terminal takes."""
    text = str(name)
    return printable(text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}...")


def listed(names: Iterable[object], nothing: str = "nothing") -> str:
    """The first of some names, "a, b, c and 40 more", each cut to a readable length."""
    names = list(names)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(map(shown, names[:MAX_LISTED])) + more or nothing


def user_path(path: str | Path) -> Path:
    """A path as a user writes it, `~` and `~name` replaced by the home folder.

    Raises:
        FileProblem: there is no such user, or the path holds a null character.
    """
    if "\0" in str(path):
        raise FileProblem(f"{str(path)!r} is no path: it holds a null character.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # "Could not determine home directory."
        name = Path(path).parts[0]
        raise FileProblem(
            f"{path}: there is no user {name}, or no home folder of theirs. Give the whole path."
        ) from error


def resolve(path: str | Path) -> Path:
    """The absolute path without links, `~` replaced.

    Raises:
        FileProblem: a link in it leads back to itself, or see `user_path`.
    """
    path = user_path(path)
    try:
        return path.resolve()
    except (RuntimeError, OSError) as error:  # Python before 3.13 raises RuntimeError for loops
        raise FileProblem(f"{path}: a link in this path leads back to itself.") from error


@contextmanager
def open_regular(path: str | Path, missing: str = "") -> Iterator[BinaryIO]:
    """Open a regular file for reading, following links; never wait for a pipe or a device.

    Where nothing is there, `missing` is the message; by default "no file at PATH.".

    Raises:
        FileProblem: nothing is there, it is no regular file, or it may not be read.
    """
    path = Path(path)
    try:  # without O_NONBLOCK, opening a pipe waits until somebody writes to it
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        raise FileProblem(missing or f"no file at {path}.") from error
    except (OSError, ValueError) as error:  # ValueError: a null character, a name in no encoding
        raise FileProblem(f"{path} cannot be read: {_reason_of(error)}.") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise FileProblem(f"{path} is {kind}; a file is expected.")
    with os.fdopen(handle, "rb") as file:
        yield file


def read_bytes(path: str | Path, max_bytes: int = MAX_TEXT_BYTES, missing: str = "") -> bytes:
    """All of a regular file of a stated size at most.

    Raises:
        FileProblem: it cannot be opened (see `open_regular`) or read, or is larger.
    """
    with open_regular(path, missing) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise FileProblem(
                f"{path} has {size:,} bytes; at most {max_bytes:,} are expected. Is it the right "
                "file?"
            )
        try:
            return file.read(max_bytes + 1)[:max_bytes]
        except OSError as error:
            raise FileProblem(f"{path} cannot be read: {_reason_of(error)}.") from error


def read_text(path: str | Path, max_bytes: int = MAX_TEXT_BYTES, missing: str = "") -> str:
    """A regular UTF-8 text file of a stated size at most; see `read_bytes`.

    Raises:
        FileProblem: see `read_bytes`, or it is no UTF-8 text.
    """
    try:
        return read_bytes(path, max_bytes, missing).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileProblem(f"{path} is no UTF-8 text (byte {error.start}).") from error


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a regular file, hexadecimal; raises as `read_bytes`."""
    with open_regular(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise FileProblem(f"{path} cannot be read: {_reason_of(error)}.") from error


def _reason_of(error: Exception) -> str:
    """An error of the operating system in words."""
    if isinstance(error, OSError):
        return _REASONS.get(error.errno or 0, error.strerror or str(error))
    return "its name cannot be written in this system's encoding"


def open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """A zip that is open for reading; a damaged one makes `zipfile` raise many kinds of errors.

    Raises:
        BadArrayError: its list of parts takes more than a stated number of bytes.
    """
    sparing = _Sparing(file)
    archive = zipfile.ZipFile(sparing)
    sparing.most = -1
    return archive


class _Sparing:
    """A file for `zipfile`, which would read a list of parts of any length at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.most = file, MAX_DIRECTORY
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        if count > self.most >= 0:
            raise BadArrayError("a zip with too long a list of parts")
        return self._file.read(_MAX_END if count < 0 <= self.most else count)


def fill(file: BinaryIO, target: Any) -> None:
    """Read bytes into memory that is there, an array of bytes, a piece at a time.

    Raises:
        BadArrayError: the file has fewer.
    """
    view, at = memoryview(target), 0
    while at < len(view):
        chunk = file.read(min(_CHUNK, len(view) - at))
        if not chunk:
            raise BadArrayError("it is cut short in an array's numbers")
        view[at : at + len(chunk)] = chunk
        at += len(chunk)
