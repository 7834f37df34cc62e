"""The command `hmrlab`. What a command needs is imported when it runs, so that help is quick.

A module here holds one group of commands as its `app`; to add one, name it below.
"""

from __future__ import annotations

import sys

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
from hmrlab.cli.errors import end_with, show_any_name

INTERRUPTED = 130  # the exit code, by the shells' custom


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
    show_any_name()
    try:
        app()
    except KeyboardInterrupt:  # before or after a command; typer sees to those within
        sys.exit(INTERRUPTED)
    except Exception as error:
        end_with(error)
