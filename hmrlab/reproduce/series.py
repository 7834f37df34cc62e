"""The whole of `make run`: execute, report, say where to look."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hmrlab import paths
from hmrlab.ledger import Ledger, current_command, describe_machine, source_commit, versions
from hmrlab.reproduce.execute import NotebookResult, Progress, Status, execute_series
from hmrlab.reproduce.report import SeriesFacts, write_report
from hmrlab.reproduce.sources import read_series


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
        scale: name of the scale that each notebook is given.
        seed: the seed that each notebook is given.
        progress: told of each notebook and cell.
        only: the wished chapters, by name or number; all of them if empty.
        accelerator: name of this machine's GPU, for the report.

    Raises:
        FileProblem: the chapters cannot be read, or the report cannot be written.
    """
    series = read_series(notebooks, only)
    now = datetime.now().astimezone()
    folder = paths.runs_dir() / now.strftime("%Y-%m-%d_%H-%M-%S")
    parameters = {"scale": scale, "seed": seed}
    with _terminated_as_by_a_key():
        results = execute_series(series, folder, parameters, progress, notebooks)
    facts = SeriesFacts(
        parameters=parameters,
        date=now.strftime("%Y-%m-%d %H:%M"),
        machine=describe_machine(accelerator),
        commit=source_commit(),
        versions=versions(),
        command=current_command(),
    )
    records = Ledger(paths.runs_dir() / "ledger.jsonl").records()
    return SeriesResult(tuple(results), write_report(folder, results, facts, records))


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
