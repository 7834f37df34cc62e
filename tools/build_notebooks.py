"""Build the committed notebooks: execute notebooks/source at laptop scale.

    python tools/build_notebooks.py            all of them, some hours
    python tools/build_notebooks.py 04 13      these two

Without `--folder` they are those of this checkout. A notebook that fails is left as it was.
"""

from __future__ import annotations

import argparse
import base64
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from small_png import smaller_png

from hmrlab.bodies import require_free_body
from hmrlab.files import FileProblem, scratch_folder, write_text_whole
from hmrlab.reproduce.execute import NotebookResult, Progress, Status, execute_source
from hmrlab.reproduce.pages import clean_outputs
from hmrlab.reproduce.report import ConsoleProgress
from hmrlab.reproduce.sources import NotebookSource, notebooks_folder, read_series

LARGEST_NOTEBOOK = 500_000  # bytes; larger ones read badly where no code runs
_LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
_KEPT_METADATA = ("kernelspec", "hmrlab")


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


def code_differences(source: NotebookNode, built: NotebookNode) -> list[str]:
    """Where a built notebook's cells are not its source's, in words; empty if they are the same.

    Compared are the kind, the text and the tags of each cell; outputs are not.
    """
    if len(source.cells) != len(built.cells):
        return [f"{len(source.cells)} cells in the source, {len(built.cells)} in the notebook"]
    differences = []
    for number, (ours, theirs) in enumerate(zip(source.cells, built.cells, strict=True), start=1):
        for what, a, b in (
            ("kind", ours.cell_type, theirs.cell_type),
            ("text", ours.source, theirs.source),
            ("tags", ours.metadata.get("tags", []), theirs.metadata.get("tags", [])),
        ):
            if a != b:
                differences.append(f"cell {number}: its {what} differs: {a!r} against {b!r}")
    return differences


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


def build_series(folder: Path, only: Sequence[str] = ()) -> list[NotebookResult]:
    """Build the chapters of `folder/source`, or those that are named, and show how far it is.

    Raises:
        FileProblem: see `read_series` and `build_notebook`.
    """
    series = read_series(folder, only)
    results = []
    with ConsoleProgress() as progress:
        for number, source in enumerate(series, start=1):
            progress.notebook_started(source, number, len(series))
            results.append(build_notebook(source, folder, progress))
            progress.notebook_done(results[-1])
    return results


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapters", nargs="*", metavar="NAME", help="by name or number; all")
    parser.add_argument("--folder", type=Path, help="holds source/NN_name.py")
    options = parser.parse_args(words)
    try:
        results = build_series(options.folder or notebooks_folder(), options.chapters)
    except FileProblem as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    failed = sum(result.status is not Status.PASSED for result in results)
    if failed:
        parser.exit(1, f"{failed} of {len(results)} notebooks failed and were left as they were.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
