"""From a source to the executed notebook that is committed."""

from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from hmrlab.bodies import require_free_body
from hmrlab.files import FileProblem, scratch_folder, write_text_whole
from hmrlab.reproduce.execute import NotebookResult, Progress, Status, execute_source
from hmrlab.reproduce.pictures import smaller_png
from hmrlab.reproduce.sources import NotebookSource

LARGEST_NOTEBOOK = 500_000  # bytes; larger ones read badly where no code runs
WIDGET = "application/vnd.jupyter.widget-view+json"
_LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
_KEPT_METADATA = ("kernelspec", "hmrlab")
_BAR = re.compile(r"\d+%\|.*\||\d+it \[|\d+/\d+ \[\d\d:\d\d")  # how tqdm writes a bar


def build_notebook(
    source: NotebookSource,
    folder: Path,
    progress: Progress,
    parameters: Mapping[str, Any] | None = None,
) -> NotebookResult:
    """Execute a source and write it, cleaned, as `<folder>/<name>.ipynb`.

    Args:
        source: the chapter.
        folder: where the notebook goes; also its current folder while it runs.
        progress: told of each cell.
        parameters: values for its parameters cell; by default the cell's own.

    Returns:
        What became of it; a notebook that failed is not written.

    Raises:
        FileProblem: the notebook is too large or names a folder of this machine, or another body
            is in use than the free one; it is not written.
    """
    require_free_body("a notebook that is committed")
    with scratch_folder() as scratch:
        target = scratch / f"{source.name}.ipynb"
        result = execute_source(source, target, parameters or {}, progress, folder)
        if result.status is not Status.PASSED:
            return result
        notebook = clean(nbformat.read(target, as_version=4))
    text = nbformat.writes(notebook) + "\n"
    final = folder / target.name
    _refuse_unfit(final, text)
    write_text_whole(final, text)
    return NotebookResult(source, result.status, result.seconds, final)


def clean(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what changes from run to run or bloats it.

    Gone are papermill's injected cell, times of execution, the interpreter's exact version, and
    what `clean_outputs` takes out. PNG pictures of few colours become smaller.
    """
    cleaned = clean_outputs(notebook)
    kept = {key: value for key, value in notebook.metadata.items() if key in _KEPT_METADATA}
    cleaned.metadata = nbformat.from_dict(kept | {"language_info": _LANGUAGE})
    cleaned.cells = [
        cell for cell in cleaned.cells if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    count = 0
    for cell in cleaned.cells:
        for noise in ("papermill", "execution"):
            cell.metadata.pop(noise, None)
        if not cell.metadata.get("tags", ["any"]):  # papermill leaves an empty list
            del cell.metadata["tags"]
        if cell.cell_type == "code" and cell.source.strip():
            count += 1
            cell.execution_count = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
                if "image/png" in (data := output.get("data", {})):
                    png = smaller_png(base64.b64decode(data["image/png"]))
                    data["image/png"] = base64.b64encode(png).decode()
    return cleaned


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


def _refuse_unfit(path: Path, text: str) -> None:
    size = len(text.encode())
    if size > LARGEST_NOTEBOOK:
        raise FileProblem(
            f"{path.name} would have {size / 1000:.0f} KB, more than {LARGEST_NOTEBOOK // 1000}: "
            "make its figures smaller (fewer pixels, or JPEG for photos). It was not written."
        )
    for folder in {str(path.parent.resolve().parent), str(Path.home()), tempfile.gettempdir()}:
        at = text.find(folder + "/")
        if at >= 0:
            raise FileProblem(
                f"{path.name} would name a folder of this machine, …{text[at : at + 80]}…: keep "
                "paths out of what its cells print. It was not written."
            )
