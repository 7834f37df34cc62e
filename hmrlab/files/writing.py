"""Files that are whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from hmrlab.files.opening import FileProblem

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SWEEP_AFTER = 3600  # seconds
_PREFIX, _SUFFIX = ".hmrlab-", ".part"  # of what is being written


def write_whole(
    path: str | Path, writer: Callable[[BinaryIO], None], *, durable: bool = True
) -> Path:
    """Write a file under a temporary name in the same folder, then rename it into place.

    A reader never sees half a file, and a full disk leaves an older version as it was. Missing
    parent folders are made. What killed processes left in the folder goes, once for each folder and
    process. Thousands of small files that are made again if a power cut takes them need not be
    `durable`: nobody waits until the disk has them.

    Raises:
        FileProblem: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        with _temporary(_make_file, path.parent) as temporary:
            with temporary.open("wb") as file:
                writer(file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, path)
    except OSError as error:
        raise _not_written(path, error) from error
    return path


def save_npz_whole(path: str | Path, **arrays: np.ndarray) -> Path:
    """Save arrays as a compressed `.npz`, whole or not at all (see `write_whole`)."""
    return write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def write_text_whole(path: str | Path, text: str) -> Path:
    r"""Write UTF-8 text, whole or not at all (see `write_whole`).

    What no UTF-8 can hold (a file's name in another encoding) is written as `\udc..`.
    """
    return write_whole(path, lambda file: file.write(text.encode(errors="backslashreplace")))


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill; if all goes well, it takes `folder`'s name and place at the end.

    What killed processes left beside it is removed, see `sweep`.

    Raises:
        FileProblem: the disk is full or the place cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        with _temporary(tempfile.mkdtemp, folder.parent) as temporary:
            yield temporary
            temporary.rename(folder)
    except OSError as error:
        raise _not_written(folder, error) from error


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders that dead processes left in a folder.

    Whoever makes one holds a lock on it, which the system releases when the process ends, be it
    killed. Where a lock says nothing (another machine's cannot be seen on every file system, and
    some have none), what nobody has written to for an hour is removed.
    """
    for left in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):  # its maker lives, it is another user's, or is gone by now
            handle = _take_lock(left)
            try:
                dead = handle is not None and left.name.startswith(_PREFIX + _machine())
                if dead or _untouched(left) > SWEEP_AFTER:
                    _remove(left)
            finally:
                _close(handle)


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
        raise _not_written(folder, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder among the system's temporary ones, gone at the end; what killed processes left, too.

    Raises:
        OSError: the system has no place for temporary files.
    """
    place = Path(tempfile.gettempdir())
    sweep(place)
    with _temporary(tempfile.mkdtemp, place) as folder:
        yield folder


@contextmanager
def _temporary(make: Callable[..., str], folder: Path) -> Iterator[Path]:
    """Something new that no sweep takes while this process lives; gone in the end, if still there.

    It is made in a folder as `tempfile.mkdtemp` does.
    """
    path, handle = _made_and_locked(make, folder)
    try:
        yield path
    finally:
        _remove(path)
        _close(handle)


def _not_written(path: Path, error: OSError) -> FileProblem:
    return FileProblem(
        f"could not write {path}: {error.strerror or error}. Nothing was changed there. Free some "
        "disk space, or name a folder that you may write to (HMRLAB_HOME moves data/ and runs/)."
    )


def _made_and_locked(make: Callable[..., str], folder: Path) -> tuple[Path, int | None]:
    while True:
        path = Path(make(prefix=f"{_PREFIX}{_machine()}-", suffix=_SUFFIX, dir=folder))
        try:
            handle = _take_lock(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # a sweep came between the two
        if path.exists():
            return path, handle
        _close(handle)  # it had come between, and is over


def _make_file(**where: str | Path) -> str:
    handle, name = tempfile.mkstemp(**where)
    os.close(handle)
    return name


def _take_lock(path: Path) -> int | None:
    """A handle that keeps a file's or folder's lock until it is closed; None where there are none.

    Raises:
        BlockingIOError: somebody else has it.
        OSError: it is gone, or may not be opened.
    """
    if fcntl is None:
        return None
    writing = os.O_RDONLY if path.is_dir() else os.O_RDWR  # some locks need it
    handle = os.open(path, writing | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return handle


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _untouched(path: Path) -> float:
    """Seconds since anything in it was written."""
    return time.time() - max(part.stat().st_mtime for part in (path, *path.rglob("*")))


@lru_cache(maxsize=1024)
def _sweep_once(folder: Path) -> None:
    """Not before each file: looking through a folder of many files takes long."""
    sweep(folder)


@cache
def _machine() -> str:
    """A name for this machine since its start; locks are not always seen from another."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _umask() -> int:
    """The process's file mode mask (`os.umask` can only be read by setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
