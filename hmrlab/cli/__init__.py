"""The command `hmrlab`. What a command needs is imported when it runs, so that help is quick.

A module here holds one group of commands as its `app`; to add one, name it below. What goes wrong
is told in a line; what nobody foresaw keeps its details in a file.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import typer
from typer.core import TyperGroup

from hmrlab.cli import (
    bodies,
    fits,
    networks,
    photographs,
    series,
    sets,
    tables,
    trainings,
    viewing,
)
from hmrlab.cli.shared import fail

INTERRUPTED = 130  # the exit code, by the shells' custom
UNFORESEEN = 70  # the exit code, EX_SOFTWARE of sysexits.h
_MOST_LETTERS = 300  # of an error's own words
_AT_HAND = ("path", "photo", "file")  # names that variables with a file have here
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # torch's words


class _Commands(TyperGroup):
    def invoke(self, ctx: typer.Context) -> object:
        """Without this, typer takes a file's unexpected end for a closed terminal: "Aborted."."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise ValueError(f"a file ended too early ({error})") from error


app = typer.Typer(
    name="hmrlab",
    cls=_Commands,
    help="Human mesh recovery, rebuilt one piece at a time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
commands = (series, trainings, networks, fits, photographs, viewing)
for module in commands:
    app.add_typer(module.app)
for name, module in (  # groups: `hmrlab body import`
    ("body", bodies),
    ("data", sets),
    ("table", tables),
):
    app.add_typer(module.app, name=name)


def main() -> None:
    """Entry point: whatever goes wrong is a message, no traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names that are no UTF-8 are printed as `\udc..`
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except KeyboardInterrupt:  # before or after a command; typer sees to those within
        sys.exit(INTERRUPTED)
    except Exception as error:
        end_with(error)


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
    from hmrlab import __version__, paths
    from hmrlab.files import FileProblem, write_text_whole
    from hmrlab.ledger import current_command

    now = datetime.now(UTC)
    details = "".join(traceback.format_exception(error))
    text = (
        f"command: {current_command()}\nversion: hmrlab {__version__}, Python {sys.version}\n"
        f"date: {now.isoformat(timespec='seconds')}\n\n{details}"
    )
    name = f"hmrlab_{now:%Y-%m-%d_%H-%M-%S}_{os.getpid()}.txt"
    for folder in (lambda: paths.runs_dir() / "errors", lambda: Path(tempfile.gettempdir())):
        with suppress(FileProblem, OSError):  # either may lead nowhere
            path = write_text_whole(folder() / name, text)
            return f"The details are in {path}; send them along if you report this."
    return "The details could not be written anywhere."
