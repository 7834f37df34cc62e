"""Files that are whole or not there at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock, Timeout

SWEEP_AFTER = 3600  # seconds


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


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; if all goes well, it takes `folder`'s name and place at the end.

    What killed processes left of earlier attempts, an hour ago or more, is removed.

    Raises:
        FileProblem: the disk is full or the place cannot be written to.
    """
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield temporary
        temporary.rename(folder)
    except OSError as error:
        raise FileProblem(
            f"could not write {folder}: {error.strerror or error}. Free some disk space, or point "
            "HMRLAB_HOME at a folder that you may write to."
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process makes `folder`, and keep others waiting.

    A killed process keeps nobody waiting. Where the file system has no locks, nobody waits.

    Raises:
        FileProblem: the place cannot be written to.
    """
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"{folder.name} is being made by another process; waiting.", file=sys.stderr)
            lock.acquire()
    except NotImplementedError:
        pass  # the file system has no locks
    except OSError as error:
        raise FileProblem(
            f"could not write {folder}: {error.strerror or error}. Point HMRLAB_HOME at a folder "
            "that you may write to."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _sweep(folder: Path) -> None:
    for left in folder.parent.glob(f".{folder.name}.*"):
        if left.is_dir():
            newest = max(path.stat().st_mtime for path in (left, *left.rglob("*")))
            if time.time() - newest > SWEEP_AFTER:
                shutil.rmtree(left, ignore_errors=True)


def _umask() -> int:
    """The process's file mode mask (`os.umask` can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
