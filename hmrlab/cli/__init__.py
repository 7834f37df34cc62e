"""The command `hmrlab`. What a command needs is imported when it runs, so that help is quick.

A module here holds one group of commands as its `app`; to add one, name it below.
"""

from __future__ import annotations

import typer

from hmrlab.cli import (
    assets,
    bodies,
    evaluations,
    fits,
    lighter,
    notebooks,
    packing,
    photographs,
    series,
    sets,
    tables,
    trainings,
    viewing,
)
from hmrlab.cli.shared import fail

app = typer.Typer(
    name="hmrlab",
    help="Human mesh recovery, rebuilt one piece at a time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
commands = (series, trainings, evaluations, fits, photographs, lighter, viewing)
for module in commands:
    app.add_typer(module.app)
for name, module in (  # groups: `hmrlab body build`
    ("body", bodies),
    ("data", sets),
    ("table", tables),
    ("notebooks", notebooks),
    ("assets", assets),
):
    app.add_typer(module.app, name=name)
sets.app.add_typer(packing.app)  # `hmrlab data pack`


def main() -> None:
    """Entry point: an error of the user's, or of the machine's, is a message, no traceback."""
    from hmrlab.files import FileProblem

    try:
        app()
    except FileProblem as error:
        fail(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        fail(f"{error.strerror or error}{where}")
