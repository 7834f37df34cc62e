"""Progress on a terminal: a line for each notebook and each cell, the running one with a clock."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from hmrlab.reproduce.execute import NotebookResult, Status
from hmrlab.reproduce.sources import NotebookSource

_COLOURS = {
    Status.PASSED: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "yellow",
    Status.INTERRUPTED: "red",
}


class ConsoleProgress:
    """Prints as the series goes on; use it as a context. On no terminal, plain lines only."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live = Progress(
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
