"""The report of a series: one page that links to each notebook's, both readable offline."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from hmrlab.files import write_text_whole
from hmrlab.ledger import RunRecord
from hmrlab.reproduce.execute import NotebookResult, Status
from hmrlab.reproduce.outputs import clean_outputs
from hmrlab.reproduce.pages import OfflineExporter
from hmrlab.reproduce.progress import duration
from hmrlab.reproduce.viewers import script_tags, with_viewers, write_scripts
from hmrlab.tables import newest, runs_table

_THUMBNAIL = (480, 300)  # pixels at most, shown at half the size for sharp screens
_MOST_PICTURES = 12  # of one notebook
_PICTURES = ("image/png", "image/jpeg")


@dataclass(frozen=True)
class SeriesFacts:
    """What stands in the report's head."""

    parameters: Mapping[str, object]  # what the notebooks ran with
    date: str  # when the series began
    machine: str
    commit: str
    versions: Mapping[str, str]
    command: str


def write_report(
    folder: Path,
    results: Sequence[NotebookResult],
    facts: SeriesFacts,
    records: Sequence[RunRecord],
) -> Path:
    """Write `index.html` and a page for each executed notebook.

    Args:
        folder: where the executed notebooks lie and the pages go.
        results: what became of each notebook, in order.
        facts: the report's head.
        records: the ledger's rows; of equal settings the newest is shown.

    Returns:
        The path of `index.html`.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    exporter = OfflineExporter()
    cards = []
    any_viewer = False
    for result in results:
        notebook = None
        if result.path is not None:
            executed, has_viewer = with_viewers(nbformat.read(result.path, as_version=4))
            notebook = clean_outputs(executed)
            page = exporter.page(notebook, result.source.title, script_tags() if has_viewer else "")
            write_text_whole(folder / f"{result.source.name}.html", page)
            any_viewer |= has_viewer
        cards.append(_card(result, notebook))
    if any_viewer:
        write_scripts(folder)
    return write_text_whole(folder / "index.html", _index(results, cards, facts, newest(records)))


def summary(results: Sequence[NotebookResult]) -> str:
    """One line: `4 of 6 notebooks passed, 1 failed, 1 skipped, in 3 min 05 s`."""
    counts = {status: sum(r.status is status for r in results) for status in Status}
    words = [f"{counts[Status.PASSED]} of {len(results)} notebooks passed"]
    words += [f"{counts[s]} {s}" for s in Status if counts[s] and s is not Status.PASSED]
    return ", ".join(words) + f", in {duration(sum(r.seconds for r in results))}"


def _index(
    results: Sequence[NotebookResult],
    cards: Sequence[str],
    facts: SeriesFacts,
    records: Sequence[RunRecord],
) -> str:
    style = (files("hmrlab.reproduce") / "report.css").read_text(encoding="utf-8")
    rows = {
        **{name: str(value) for name, value in facts.parameters.items()},
        "date": facts.date,
        "machine": facts.machine,
        "commit": facts.commit,
        "versions": ", ".join(f"{name} {version}" for name, version in facts.versions.items()),
        "command": facts.command,
    }
    head = "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in rows.items())
    if records:
        runs = f'<div class="scroll">{runs_table(records).to_html()}</div>'
    else:
        runs = '<p class="note">No training is recorded yet.</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hmrlab: {_text(facts.date)}</title>
<style>
{style}</style>
</head>
<body>
<h1>hmrlab</h1>
<p class="lead"><strong>{_text(summary(results))}</strong></p>
<dl>{head}</dl>
<h2>Notebooks</h2>
{"".join(cards)}
<h2>Runs in the ledger</h2>
{runs}
</body>
</html>
"""


def _card(result: NotebookResult, notebook: NotebookNode | None) -> str:
    page = f"{result.source.name}.html"
    title = _text(result.source.title)
    if notebook is not None:
        title = f'<a href="{page}">{title}</a>'
    time = duration(result.seconds) if result.status is not Status.SKIPPED else ""
    pictures = "".join(_thumbnails(notebook, page)) if notebook is not None else ""
    if pictures:
        pictures = f'<div class="pictures">{pictures}</div>\n'
    problem = f"<pre>{_text(result.problem)}</pre>\n" if result.problem else ""
    return f"""<article class="{result.status}">
<header><h3>{title}</h3><span class="time">{time}</span>
<span class="status">{result.status}</span></header>
{problem}{pictures}</article>
"""


def _thumbnails(notebook: NotebookNode, page: str) -> Iterator[str]:
    """Small pictures of the notebook's, each a link to its cell."""
    shown = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            kind = next((kind for kind in _PICTURES if kind in data), None)
            if kind is None or shown == _MOST_PICTURES:
                continue
            shown += 1
            source, width, height = _thumbnail(base64.b64decode(data[kind]))
            yield (
                f'<a href="{page}#cell-id={cell.id}"><img src="{source}" alt="" '
                f'width="{width // 2}" height="{height // 2}" loading="lazy"></a>'
            )


def _thumbnail(encoded: bytes) -> tuple[str, int, int]:
    """A picture's small version as a data address, with its width and height in pixels."""
    with Image.open(io.BytesIO(encoded)) as picture:
        small = picture.convert("RGBA")
    small.thumbnail(_THUMBNAIL)
    paper = Image.new("RGBA", small.size, "white")  # figures may be see-through
    paper.alpha_composite(small)
    buffer = io.BytesIO()
    paper.convert("RGB").save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", *small.size


def _text(value: str) -> str:
    return html.escape(value)
