"""Executing notebooks in order through papermill; a failure is reported, never hidden."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill import PapermillExecutionError, execute_notebook

from hmrlab.files import scratch_folder
from hmrlab.rendering import environment_for_children
from hmrlab.reproduce.sources import NotebookSource, load_notebook

_STARTS = 3  # a kernel may fail to come up on a busy machine; a cell that ran is never repeated
_START_TIMEOUT = 180  # seconds
_LONGEST_SOCKET_PATH = 90  # Unix allows 104 to 108 bytes, and a port's number is added
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Status(StrEnum):
    """What became of a notebook."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class NotebookResult:
    """One notebook of a series, executed or not."""

    source: NotebookSource
    status: Status
    seconds: float = 0.0
    path: Path | None = None  # the executed notebook, up to the failure if there was one
    problem: str = ""  # the traceback, or why it was skipped


class Progress(Protocol):
    """Who is told how far it has got. Cells are counted from 1, code cells only."""

    def notebook_started(self, source: NotebookSource, number: int, count: int) -> None: ...
    def cell_started(self, number: int, count: int, first_line: str) -> None: ...
    def cell_done(self, number: int, count: int, first_line: str, seconds: float) -> None: ...
    def notebook_done(self, result: NotebookResult) -> None: ...


def execute_series(
    series: Sequence[NotebookSource],
    folder: Path,
    parameters: Mapping[str, Any],
    progress: Progress,
    working_folder: Path,
) -> list[NotebookResult]:
    """Execute chapters in order, to `<folder>/<name>.ipynb`; one result for each that was begun.

    A chapter that fails, and those that need it, do not keep the others from running. A needed
    chapter that is not in the series does not count as failed. At a KeyboardInterrupt the chapter
    that runs is the last one.
    """
    results: list[NotebookResult] = []
    for number, source in enumerate(series, start=1):
        progress.notebook_started(source, number, len(series))
        gone = {r.source.name: r.status for r in results if r.status is not Status.PASSED}
        missing = [need for need in source.needs if need in gone]
        if missing:
            reason = ", ".join(f"{need} ({gone[need]})" for need in missing)
            result = NotebookResult(source, Status.SKIPPED, problem=f"Skipped: it needs {reason}.")
        else:
            result = execute_source(
                source, folder / f"{source.name}.ipynb", parameters, progress, working_folder
            )
        progress.notebook_done(result)
        results.append(result)
        if result.status is Status.INTERRUPTED:
            break
    return results


def execute_source(
    source: NotebookSource,
    target: Path,
    parameters: Mapping[str, Any],
    progress: Progress,
    working_folder: Path,
) -> NotebookResult:
    """Execute one chapter in a fresh kernel of this interpreter, in a working folder.

    The executed notebook goes to `target`, which is written as it grows. Without `parameters` its
    parameters cell keeps its own values.
    """
    notebook = load_notebook(source.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    problem, interrupted = "", False
    for attempt in range(1, _STARTS + 1):
        cells = _CellClock(notebook, progress, injected=bool(parameters))
        try:
            _run_papermill(notebook, target, parameters, cells, working_folder)
        except PapermillExecutionError as error:
            problem = _ANSI.sub("", "\n".join(error.traceback) or f"{error.ename}: {error.evalue}")
        except (DeadKernelError, CellTimeoutError, RuntimeError) as error:
            if not cells.begun and attempt < _STARTS:
                continue
            problem = f"The kernel died or did not answer ({error}). Out of memory is one reason."
        except KeyboardInterrupt:
            problem, interrupted = "Interrupted while it ran.", True
        break
    failed = Status.INTERRUPTED if interrupted else Status.FAILED
    return NotebookResult(
        source=source,
        status=failed if problem else Status.PASSED,
        seconds=time.monotonic() - start,
        path=target if target.exists() else None,
        problem=problem,
    )


def _run_papermill(
    notebook: NotebookNode,
    target: Path,
    parameters: Mapping[str, Any],
    cells: _CellClock,
    working_folder: Path,
) -> None:
    """Execute in a thread: in the main one nbclient would answer signals itself, and go on.

    At a KeyboardInterrupt the kernel is killed.
    """
    with _kernel_manager_class() as manager, ThreadPoolExecutor(1, "papermill") as thread:
        running = thread.submit(
            execute_notebook,
            notebook,
            target,
            parameters=dict(parameters),
            kernel_name="python3",
            kernel_manager_class=manager,
            progress_bar=False,
            start_timeout=_START_TIMEOUT,
            cwd=working_folder,
            on_cell_execute=cells.started,
            on_cell_executed=cells.done,
        )
        try:
            running.result()
        except KeyboardInterrupt:
            manager.kill()
            raise


class _CellClock:
    """Turns nbclient's callbacks into progress, with code cells counted and timed."""

    def __init__(self, notebook: NotebookNode, progress: Progress, injected: bool) -> None:
        code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
        self.count = len(code) + injected
        self.begun = 0
        self._progress = progress
        self._start = 0.0

    def started(self, cell: NotebookNode, cell_index: int) -> None:
        self.begun += 1
        self._start = time.monotonic()
        self._progress.cell_started(self.begun, self.count, first_line(cell.source))

    def done(self, cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        seconds = time.monotonic() - self._start
        self._progress.cell_done(self.begun, self.count, first_line(cell.source), seconds)


def first_line(code: str) -> str:
    """The first line of a cell that says something: no comment, no import, if there is such."""
    lines = [line.strip() for line in code.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("#", "import ", "from "))]
    return (telling or lines or [""])[0]


@contextmanager
def _kernel_manager_class() -> Iterator[type[AsyncKernelManager]]:
    """A kernel manager class for nbclient, good for one kernel while the context lasts.

    Its kernel is the running interpreter, whatever another environment has installed under the name
    of python3. It talks through Unix sockets in a folder of its own, so that kernels which start at
    the same time cannot race for ports; where there are none (Windows), or the folder's name is too
    long for one, through TCP. `kill` ends the kernel in the midst of a cell, and its children.
    """
    with scratch_folder() as folder:
        made: list[AsyncKernelManager] = []
        sockets = os.name == "posix" and len(os.fsencode(folder)) < _LONGEST_SOCKET_PATH

        class OwnKernelManager(AsyncKernelManager):
            def __init__(self, **options: Any) -> None:
                transport = "ipc" if sockets else "tcp"
                file = str(folder / "kernel.json")
                super().__init__(connection_file=file, transport=transport, **options)
                made.append(self)

            @property
            def kernel_spec(self) -> KernelSpec:
                return KernelSpec(
                    argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                    display_name="Python 3",
                    language="python",
                    interrupt_mode="signal",
                    env=environment_for_children(),
                )

            @staticmethod
            def kill() -> None:
                for pid in [each.provisioner.pid for each in made if each.has_kernel]:
                    with suppress(ProcessLookupError, PermissionError):
                        _kill_group(pid)

        yield OwnKernelManager


def _kill_group(pid: int) -> None:
    """Kill a kernel, which leads a group of its own, and whatever it has started."""
    if os.name == "posix" and os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGTERM)
