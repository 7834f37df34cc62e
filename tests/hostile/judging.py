"""A command run in this process with a hard limit of time and memory, and what came of it."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hmrlab import cli

SECONDS = 20
FIRST_SECONDS = 120  # of a command that loads what others have then
MAX_MB = 1_300  # with the 700 that a process has which has loaded torch, 2 GB
HEADROOM = (
    4 * 2**30
)  # of addresses beyond those that the process has: a limit that cannot be passed
CRASH = 70  # the exit code of an error that nobody foresaw


class TookTooLong(BaseException):
    """Nothing catches it."""


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    code: int
    out: str
    err: str
    seconds: float
    peak_mb: float  # of memory, above what was in use before
    left: frozenset[str]  # files that were not there before

    def problem(self, names: tuple[str, ...] = ()) -> str:
        """What is wrong with it, in words; nothing if it ended well or with one clear message.

        Args:
            names: one of which a message must have.
        """
        if self.code == CRASH or "Traceback (most recent call last)" in self.err + self.out:
            return f"an error that nobody foresaw: {self.err[-2000:]}"
        if self.peak_mb > MAX_MB:
            return f"{self.peak_mb:.0f} MB"
        if self.code == 0:
            return ""
        if self.code not in (1, 2):
            return f"ended by {self.code}: {self.err[-500:]}"
        if not self.err.strip():
            return "ended without a message"
        if names and not any(name in self.err for name in names):
            return f"the message names none of {', '.join(names)}: {self.err[-500:]}"
        unnamed = sorted(path for path in self.left if not self._is_named(Path(path)))
        return f"left {', '.join(unnamed)[:500]}" if unnamed else ""

    def _is_named(self, path: Path) -> bool:
        """Whether the message names a file, or a folder that it is in: it stays on purpose."""
        names = [str(one) for one in (path, *path.parents) if one.parts]
        return any(re.search(re.escape(name) + r"(?![\w/])", self.err) for name in names)


def run(words: tuple[object, ...], watched: Path, seconds: int = SECONDS) -> Outcome:
    """A command with its words, as `hmrlab WORDS`; files below `watched` are looked for after it.

    Raises:
        TookTooLong: it did not end in time.
    """
    before = files_below(watched)
    _forget_peak()
    in_use = _memory_mb("VmRSS")
    out, err, began = io.StringIO(), io.StringIO(), time.monotonic()
    with _limits(seconds), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _code_of(words)
    took = time.monotonic() - began
    left = frozenset() if code == 0 else frozenset(files_below(watched) - before)
    return Outcome(code, out.getvalue(), err.getvalue(), took, _memory_mb("VmHWM") - in_use, left)


def files_below(folder: Path) -> set[str]:
    """Files and empty folders, but locks, which are empty, and the logs of errors."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if not path.is_dir() and path.suffix != ".lock" and "errors" not in path.parts
    }


def _code_of(words: tuple[object, ...]) -> int:
    before, sys.argv = sys.argv, ["hmrlab", *map(str, words)]
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        sys.argv = before
    return 0


def _too_long(*_: object) -> None:
    raise TookTooLong("not done in time")


@contextlib.contextmanager
def _limits(seconds: int) -> Iterator[None]:
    """Of time, by an alarm (the process ends where it is not heard), and of addresses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_addresses() + HEADROOM, hard))
    heard = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, heard)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _status(name: str) -> int:
    """A number of /proc/self/status, in kB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))


def _addresses() -> int:
    return _status("VmSize") * 1024


def _memory_mb(name: str) -> float:
    return _status(name) / 1024


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
