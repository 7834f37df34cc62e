"""Child processes that do a task each, so that a crash, a hang or a dead card costs one task.

They are forked from a process that has imported torch and hmrlab and has done nothing with them:
what takes ten seconds to import is there at once, and a GPU is first touched in the child.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu_tasks import BENCHMARK, ROOT, TEST, Task, run_of

DONE, FAILED, STOPPED, LATE = "done", "failed", "stopped", "too late"
_STOPPED = 75  # exit code, EX_TEMPFAIL of sysexits.h
_SHOWN_LINES = 12
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Order:
    """What a child is to do, and where it leaves what came of it."""

    task: Task
    dry: bool
    device: str
    deadline: float  # of `time.monotonic()`: a training stops there
    result: Path  # JSON of a benchmark or of the tests
    parts: Path  # folder for weights
    most_parts: int


@dataclass(frozen=True)
class Outcome:
    """How a child ended."""

    state: str
    seconds: float
    note: str = ""


class Child:
    """A forked process; what it prints goes to a file."""

    def __init__(self, work: Callable[..., None], arguments: tuple, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log, self.began = log, time.monotonic()
        self.process = _FORK.Process(target=_in_child, args=(work, arguments, log))
        self.process.start()

    def wait(self, limit: float) -> Outcome:
        """Wait for its end, at most so many seconds, after which it is killed."""
        self.process.join(max(0.0, limit))
        late = self.process.is_alive()
        if late:
            self.process.kill()
            self.process.join()
        seconds, code = time.monotonic() - self.began, self.process.exitcode
        if code == 0:
            return Outcome(DONE, seconds)
        if code == _STOPPED:
            return Outcome(STOPPED, seconds, _last_lines(self.log, 1))
        if late:
            return Outcome(LATE, seconds, f"ended after {limit:.0f} s\n{_last_lines(self.log)}")
        how = f"ended by signal {-code}\n" if code < 0 else ""
        return Outcome(FAILED, seconds, how + _last_lines(self.log))


def make_sets(dry: bool) -> None:
    """The test sets of the trainings, on the cores."""
    from gpu_tasks import dry_scale

    from hmrlab import get_scale, load_set
    from hmrlab.training.sets import TEST_SETS

    os.nice(10)  # what else runs meanwhile is waited for
    for name in TEST_SETS:
        load_set(name, "test", dry_scale() if dry else get_scale("gpu"))


def do(order: Order) -> None:
    """Do a task, in a child."""
    if order.task.kind == TEST:
        _test(order)
    elif order.task.kind == BENCHMARK:
        _measure(order)
    else:
        _train(order)


def _test(order: Order) -> None:
    import pytest

    from hmrlab.ledger import describe_machine, installed_gpu, source_commit, versions

    made = {
        "commit": source_commit(),
        "machine": describe_machine(installed_gpu()),
        "versions": versions(),
        "date": time.strftime("%Y-%m-%d"),
    }
    found = {"ended": {}, "tests": list(order.task.arguments), "whole": False, "provenance": made}

    class Counted:
        """How the tests ended; written down after each, should the time be over."""

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or report.outcome != "passed":
                found["ended"][report.outcome] = found["ended"].get(report.outcome, 0) + 1
                _write(order.result, found)

    os.environ["COLUMNS"] = "400"  # or pytest's last lines name a failed test, not what it said
    tests = [str(ROOT / name) for name in order.task.arguments]
    words = ["-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    code = pytest.main([*words, *tests], [Counted()])
    _write(order.result, found | {"whole": True})
    if code:
        raise SystemExit(int(code))


def _measure(order: Order) -> None:
    script = ROOT / order.task.script
    sys.path[:0] = [str(script.parent), str(ROOT / "benchmarks")]
    sys.argv = [order.task.script, *order.task.arguments]  # for the recorded command
    measure = importlib.import_module(script.stem)
    _write(order.result, measure.main(list(order.task.arguments)))


def _train(order: Order) -> None:
    from hmrlab import TrainingStoppedError, run_training
    from hmrlab.keys import run_key
    from hmrlab.training.results import training_folder
    from hmrlab.training.unfinished import split_checkpoint, split_weights

    run = run_of(order.task, order.dry)
    key = run_key(run)
    try:
        result = run_training(run, device=order.device, progress=False, deadline=order.deadline)
    except TrainingStoppedError as stopped:
        from hmrlab import paths

        folder = paths.runs_dir() / "trainings" / training_folder(run, key)
        if order.task.stops:  # others would take the place of weights that are needed
            _in_parts(lambda: split_checkpoint(folder, order.parts, order.most_parts), order)
        print(stopped)
        raise SystemExit(_STOPPED) from None
    from gpu_tasks import CARRIED

    if order.task.name in CARRIED:
        _in_parts(lambda: split_weights(result.folder, key, order.parts, order.most_parts), order)


def _in_parts(split: Callable[[], list[Path]], order: Order) -> None:
    """Weights for another day, in place of others; a network that is too large goes without."""
    try:
        written = split()
    except ValueError as error:
        print(error)
        return
    for old in order.parts.glob("*.part"):
        if old not in written:
            old.unlink()


def _write(path: Path, result: object) -> None:
    from hmrlab.files import write_text_whole

    write_text_whole(path, json.dumps(result, default=str) + "\n")


def _in_child(work: Callable[..., None], arguments: tuple, log: Path) -> None:
    from hmrlab.processes import end_with_parent

    end_with_parent()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = sys.stderr = os.fdopen(handle, "w", buffering=1, errors="backslashreplace")
    try:
        work(*arguments)
    except SystemExit:
        raise
    except BaseException:
        traceback.print_exc()
        raise SystemExit(1) from None


def _last_lines(log: Path, count: int = _SHOWN_LINES) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return "\n".join(text.strip().splitlines()[-count:])
