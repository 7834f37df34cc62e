"""Where hmrlab keeps what it makes: data sets in `data/`, trainings and reports in `runs/`."""

from __future__ import annotations

import os
from pathlib import Path

from hmrlab.files import FileProblem, resolve


def home() -> Path:
    """The folder that holds `data/` and `runs/`.

    `$HMRLAB_HOME` if it is set; else the checkout, when hmrlab runs from one; else
    `~/.local/share/hmrlab`.

    Raises:
        FileProblem: that path leads nowhere.
    """
    chosen = os.environ.get("HMRLAB_HOME")
    if chosen:
        try:
            return resolve(chosen)
        except FileProblem as error:
            raise FileProblem(f"HMRLAB_HOME is of no use: {error}") from error
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout
    return resolve("~/.local/share/hmrlab")


def chosen_body() -> str:
    """The body that the user chose by `$HMRLAB_BODY`, a name or a path; "free" where it is not set.

    Asked for once, where something begins (a command, `preset`, `get_scale`, `load_body()` without
    a name); from there on the body's name is an argument.
    """
    return os.environ.get("HMRLAB_BODY") or "free"


def data_dir() -> Path:
    """Where generated and prepared data sets live."""
    return home() / "data"


def runs_dir() -> Path:
    """Where trainings, their ledger and the reports live."""
    return home() / "runs"
