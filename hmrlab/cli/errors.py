"""What went wrong, told in a line; what nobody foresaw keeps its details in a file."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from hmrlab.cli.shared import fail

UNFORESEEN = 70  # the exit code, EX_SOFTWARE of sysexits.h
_MOST_LETTERS = 300  # of an error's own words
_AT_HAND = ("path", "photo", "file")  # names that variables with a file have here
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # torch's words


def show_any_name() -> None:
    """Let file names that are no UTF-8 be printed, as `\\udc..`, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def end_with(error: Exception) -> NoReturn:
    """Say what went wrong, and end.

    The exit code is 1 for what a user can mend; for all else 70, and the traceback goes into a
    file, or with HMRLAB_DEBUG=1 onto the terminal.
    """
    from hmrlab.files import FileProblem

    if isinstance(error, FileProblem):
        fail(str(error))
    if _is_lack_of_memory(error):
        fail(
            f"there is not enough memory for this{_at_work_on(error)} ({_first_line(error)}). "
            "Close other programs, or ask for less at a time: smaller pictures, fewer people, a "
            "smaller batch or --scale."
        )
    if isinstance(error, OSError) and error.errno:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fail(
                f"the disk is full{where}. Free some space, or let HMRLAB_HOME name a folder on "
                "another disk."
            )
        fail(f"{error.strerror or error}{where}")
    if os.environ.get("HMRLAB_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
        sys.exit(UNFORESEEN)
    fail(
        f"something went wrong that nobody foresaw{_at_work_on(error)}: {type(error).__name__}: "
        f"{_first_line(error)}. {_kept(error)} HMRLAB_DEBUG=1 shows them here.",
        UNFORESEEN,
    )


def _is_lack_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _at_work_on(error: Exception) -> str:
    """The file that was at hand in the innermost of our functions that had one."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if frame.f_globals.get("__name__", "").startswith("hmrlab."):
            for name in _AT_HAND:
                if isinstance(frame.f_locals.get(name), Path):
                    return f", at work on {frame.f_locals[name]}"
    return ""


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return line if len(line) <= _MOST_LETTERS else f"{line[:_MOST_LETTERS]}..."


def _kept(error: Exception) -> str:
    """Write the details to a file; gives a sentence that says where."""
    from hmrlab import __version__
    from hmrlab.files import FileProblem, write_text_whole
    from hmrlab.ledger import current_command

    now = datetime.now(UTC)
    details = "".join(traceback.format_exception(error))
    text = (
        f"command: {current_command()}\nversion: hmrlab {__version__}, Python {sys.version}\n"
        f"date: {now.isoformat(timespec='seconds')}\n\n{details}"
    )
    name = f"hmrlab_{now:%Y-%m-%d_%H-%M-%S}_{os.getpid()}.txt"
    for folder in _places():
        with suppress(FileProblem):
            path = write_text_whole(folder / name, text)
            return f"The details are in {path}; send them along if you report this."
    return "The details could not be written anywhere."


def _places() -> Iterator[Path]:
    """Where details may go, the best place first."""
    from hmrlab import paths
    from hmrlab.files import FileProblem

    with suppress(FileProblem):  # HMRLAB_HOME may lead nowhere
        yield paths.runs_dir() / "errors"
    with suppress(OSError):  # there may be no such folder
        yield Path(tempfile.gettempdir())
