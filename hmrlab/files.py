"""Files that are whole or not there at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np


class FileProblem(Exception):
    """A file of the user's that cannot be used; the message names the file and the remedy."""


def write_whole(
    path: str | Path, writer: Callable[[BinaryIO], None], *, durable: bool = True
) -> Path:
    """Write a file under a temporary name in the same folder, then rename it into place.

    A reader never sees half a file, and a full disk leaves an older version as it was.

    Args:
        path: where the file goes; missing parent folders are made.
        writer: called with a binary file open for writing.
        durable: wait until the disk has it; thousands of small files that are made again if a
            power cut takes them can do without.

    Returns:
        The path written.

    Raises:
        FileProblem: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            writer(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise FileProblem(
            f"could not write {path}: {error.strerror or error}. Nothing was changed there. "
            "Free some disk space, or name a folder that you may write to (HMRLAB_HOME moves "
            "data/ and runs/)."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return path


def save_npz_whole(path: str | Path, **arrays: np.ndarray) -> Path:
    """Save arrays as a compressed `.npz`, whole or not at all (see `write_whole`)."""
    return write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def write_text_whole(path: str | Path, text: str) -> Path:
    """Write UTF-8 text, whole or not at all (see `write_whole`)."""
    return write_whole(path, lambda file: file.write(text.encode()))


def _umask() -> int:
    """The process's file mode mask (`os.umask` can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
