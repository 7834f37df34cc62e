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


def data_dir() -> Path:
    """Where generated and prepared data sets live."""
    return home() / "data"


def runs_dir() -> Path:
    """Where trainings, their ledger and the reports live."""
    return home() / "runs"
