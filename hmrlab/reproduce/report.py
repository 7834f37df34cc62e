"""The whole of `make run`: execute the series, say how far it is, and write an offline report."""

from __future__ import annotations

import base64
import html
import io
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as LiveProgress
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from hmrlab import paths
from hmrlab.files import write_text_whole
from hmrlab.ledger import (
    Ledger,
    RunRecord,
    current_command,
    describe_machine,
    source_commit,
    versions,
)
from hmrlab.reproduce.execute import NotebookResult, Progress, Status, execute_series
from hmrlab.reproduce.pages import OfflineExporter, clean_outputs, with_viewers, write_scripts
from hmrlab.reproduce.sources import NotebookSource, read_series
from hmrlab.tables import newest, runs_table

_THUMBNAIL = (480, 300)  # pixels at most, shown at half the size for sharp screens
_MOST_PICTURES = 12  # of one notebook
_PICTURES = ("image/png", "image/jpeg")
_COLOURS = {
    Status.PASSED: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "yellow",
    Status.INTERRUPTED: "red",
}


@dataclass(frozen=True)
class SeriesResult:
    """A series that was run, and its report."""

    results: tuple[NotebookResult, ...]
    report: Path

    @property
    def passed(self) -> bool:
        """Whether every notebook ran to its end."""
        return all(result.status is Status.PASSED for result in self.results)

    @property
    def interrupted(self) -> bool:
        """Whether it was ended by a key or by SIGTERM."""
        return any(result.status is Status.INTERRUPTED for result in self.results)


def run_series(
    notebooks: Path,
    *,
    scale: str,
    seed: int,
    progress: Progress,
    only: Sequence[str] = (),
    accelerator: str | None = None,
) -> SeriesResult:
    """Execute the series and write its report under `runs/<time>/`.

    An interrupt, by a key or by SIGTERM, ends it; the report then says what was done.

    Args:
        notebooks: the folder that holds the chapters' `source/`.
        scale, seed: what each notebook is given.
        progress: told of each notebook and cell.
        only: the chapters to run, by name or number; all of them if empty.
        accelerator: name of this machine's GPU, for the report.
    """
    series = read_series(notebooks, only)
    now = datetime.now().astimezone()
    folder = paths.runs_dir() / now.strftime("%Y-%m-%d_%H-%M-%S")
    parameters = {"scale": scale, "seed": seed}
    with _terminated_as_by_a_key():
        results = execute_series(series, folder, parameters, progress, notebooks)
    facts = {
        **{name: str(value) for name, value in parameters.items()},
        "date": now.strftime("%Y-%m-%d %H:%M"),
        "machine": describe_machine(accelerator),
        "commit": source_commit(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "command": current_command(),
    }
    records = Ledger(paths.runs_dir() / "ledger.jsonl").records()
    return SeriesResult(tuple(results), _write_report(folder, results, facts, records))


@contextmanager
def _terminated_as_by_a_key() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class ConsoleProgress:
    """Prints as the series goes on; use it as a context. On no terminal, plain lines only."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live = LiveProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._running = None

    def __enter__(self) -> ConsoleProgress:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()

    def notebook_started(self, source: NotebookSource, number: int, count: int) -> None:
        """Head of a notebook."""
        self._line(f"[bold]\\[{number}/{count}] {escape(source.name)}[/bold]")

    def cell_started(self, number: int, count: int, first_line: str) -> None:
        """Show the running cell, with a clock."""
        words = f"cell {number}/{count}  {escape(shorten(first_line))}"
        self._running = self._live.add_task(words, total=None)

    def cell_done(self, number: int, count: int, first_line: str, seconds: float) -> None:
        """Leave the finished cell's line behind."""
        if self._running is not None:
            self._live.remove_task(self._running)
            self._running = None
        place = f"{number:>{len(str(count))}}/{count}"
        self._line(f"  cell {place} {seconds:7.1f} s  [dim]{escape(shorten(first_line))}[/dim]")

    def notebook_done(self, result: NotebookResult) -> None:
        """Say what became of the notebook; its traceback if it failed."""
        colour = _COLOURS[result.status]
        if result.problem:
            self.console.print(result.problem, markup=False, highlight=False)
        took = f" in {duration(result.seconds)}" if result.status is not Status.SKIPPED else ""
        self._line(f"  [{colour}]{result.status}[/{colour}]{took}")

    def _line(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds in words: `8.2 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def shorten(text: str, width: int = 60) -> str:
    """The text's beginning, with an ellipsis where something is left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _write_report(
    folder: Path,
    results: Sequence[NotebookResult],
    facts: Mapping[str, str],
    records: Sequence[RunRecord],
) -> Path:
    """Write `index.html`, with facts at its head, and a page for each executed notebook."""
    exporter = OfflineExporter()
    cards = []
    any_viewer = False
    for result in results:
        notebook = None
        if result.path is not None:
            executed, has_viewer = with_viewers(nbformat.read(result.path, as_version=4))
            notebook = clean_outputs(executed)
            page = exporter.page(notebook, result.source.title, has_viewer)
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
    facts: Mapping[str, str],
    records: Sequence[RunRecord],
) -> str:
    style = (files("hmrlab.reproduce") / "report.css").read_text(encoding="utf-8")
    head = "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items())
    if records:
        runs = f'<div class="scroll">{runs_table(records).to_html()}</div>'
    else:
        runs = '<p class="note">No training is recorded yet.</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>hmrlab: {html.escape(facts["date"])}</title>
<style>
{style}</style>
</head>
<body>
<h1>hmrlab</h1>
<p class="lead"><strong>{html.escape(summary(results))}</strong></p>
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
    title = html.escape(result.source.title)
    if notebook is not None:
        title = f'<a href="{page}">{title}</a>'
    time = duration(result.seconds) if result.status is not Status.SKIPPED else ""
    pictures = "".join(_thumbnails(notebook, page)) if notebook is not None else ""
    if pictures:
        pictures = f'<div class="pictures">{pictures}</div>\n'
    problem = f"<pre>{html.escape(result.problem)}</pre>\n" if result.problem else ""
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
