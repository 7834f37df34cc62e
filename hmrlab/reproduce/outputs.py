"""Outputs of an executed notebook without what only a running kernel could show."""

from __future__ import annotations

import re

import nbformat
from nbformat import NotebookNode

WIDGET = "application/vnd.jupyter.widget-view+json"
_BAR = re.compile(r"\d+%\|.*\||\d+it \[|\d+/\d+ \[\d\d:\d\d")  # how tqdm writes a bar


def clean_outputs(notebook: NotebookNode) -> NotebookNode:
    """The notebook without widgets, their state, and progress bars."""
    cleaned = nbformat.from_dict(notebook)
    cleaned.metadata.pop("widgets", None)
    for cell in cleaned.cells:
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _clean_output(output))]
    return cleaned


def _clean_output(output: NotebookNode) -> NotebookNode | None:
    """The output without widgets and progress bars; None where nothing is left to see."""
    if output.output_type == "stream":
        kept = [line for line in output.text.splitlines(keepends=True) if not _BAR.search(line)]
        output.text = "".join(kept)
        return output if output.text.strip() else None
    if WIDGET in output.get("data", {}):
        # All that a widget shows without its state is its own name. Ours have a picture besides.
        del output.data[WIDGET]
        return output if any(kind.startswith("image/") for kind in output.data) else None
    return output
