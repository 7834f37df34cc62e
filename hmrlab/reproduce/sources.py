"""The notebooks' sources: Python files in jupytext's percent format, the only thing one edits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from hmrlab.files import FileProblem

_NAME = re.compile(r"\d\d_\w+")
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
_CHECKOUT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class NotebookSource:
    """One chapter's source."""

    name: str  # NN_name
    path: Path
    title: str  # its first heading
    needs: tuple[str, ...]  # chapters without which this one is pointless


def notebooks_folder() -> Path:
    """The checkout's `notebooks/`; FileProblem where hmrlab was installed without it."""
    folder = _CHECKOUT / "notebooks"
    if not (folder / "source").is_dir():
        raise FileProblem(
            f"no notebooks at {folder}: hmrlab was installed without them. Clone the repository "
            "and install from there (make run does both), or name their folder."
        )
    return folder


def read_series(folder: Path, only: Sequence[str] = ()) -> list[NotebookSource]:
    """The chapters of `folder/source`, in order.

    Args:
        folder: a folder with a `source/` of `NN_name.py` files.
        only: names, or numbers such as "04", of the wished chapters; all of them if empty.

    Raises:
        FileProblem: a source cannot be read or needs one that does not come before it, or a chapter
            that is asked for does not exist.
    """
    paths = sorted((folder / "source").glob("[0-9][0-9]_*.py"))
    if not paths:
        raise FileProblem(f"no chapters (NN_name.py) in {folder / 'source'}")
    series = [read_source(path) for path in paths]
    names = [source.name for source in series]
    for place, source in enumerate(series):
        late = [need for need in source.needs if need not in names[:place]]
        if late:
            raise FileProblem(
                f"{source.path} needs {late[0]!r}, which does not come before it; "
                f"before it there are: {', '.join(names[:place]) or 'none'}"
            )
    for wish in only:
        if not any(_meant(wish, name) for name in names):
            raise FileProblem(f"no chapter {wish!r}; there are: {', '.join(names)}")
    return [s for s in series if not only or any(_meant(wish, s.name) for wish in only)]


def read_source(path: Path) -> NotebookSource:
    """One source's name, title and needs; FileProblem where it is not called `NN_name.py`."""
    if not _NAME.fullmatch(path.stem):
        raise FileProblem(f"{path}: a chapter's source is called NN_name.py")
    notebook = load_notebook(path)
    settings = notebook.metadata.get("hmrlab", {})
    heading = re.search(
        r"^# +(.+)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M
    )
    return NotebookSource(
        name=path.stem,
        path=path,
        title=heading.group(1).strip() if heading else path.stem,
        needs=tuple(settings.get("needs", ())),
    )


def load_notebook(path: Path) -> NotebookNode:
    """The source as a notebook for Python 3; a cell's id stays the same while its text does."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileProblem(f"{path}: cannot be read ({error})") from error
    notebook = jupytext.reads(text, fmt="py:percent")
    notebook.metadata.pop("jupytext", None)  # how the source is written, not what it is
    notebook.metadata["kernelspec"] = _KERNEL
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        key = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[key] = seen.get(key, 0) + 1
        cell["id"] = key if seen[key] == 1 else f"{key}-{seen[key]}"
    return notebook


def _meant(wish: str, name: str) -> bool:
    return wish in (name, name[:2]) or wish == str(int(name[:2]))
