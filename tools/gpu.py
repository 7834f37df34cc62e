"""One command that turns minutes on a borrowed GPU into results: tests, figures, trainings.

    python tools/gpu.py [--minutes 9] [--folder runs/gpu] [--list] [--dry-run] [--only NAME ...]

Does what is not done yet, the most wanted first, and leaves it in one folder of few files. What was
not reached is next time's: tasks with a row in figures/runs.jsonl or in the folder are not done
again. `tools/gpu_merge.py FOLDER` takes its content over. See tools/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpu_folder import MOST_PARTS, QUEUE, ROWS, Folder, Told
from gpu_tasks import (
    BENCHMARK,
    LEAST_OF_LONG,
    ROOT,
    START_AND_SCORE,
    TRAINING,
    Task,
    all_tasks,
    chosen_tasks,
    counts,
    measured_on_gpu,
    recorded,
)

DONE, NOT_REACHED = "done", "not reached"
_END = 5.0  # seconds kept for the last files
_PARTS = 15.0  # seconds that a stopped training has to write its parts
_GRACE = 60.0  # seconds beyond its need after which a training is taken to hang


@dataclass
class Call:
    """One call: its time, its places, and what was learned so far of how long things take."""

    options: argparse.Namespace
    folder: Folder
    home: Path
    ends: float  # of `time.monotonic()`
    overhead: float  # seconds of a training beside its steps
    sets: object = None  # the child that makes the stored sets
    problems: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        return self.ends - time.monotonic() - _END


def finished(options: argparse.Namespace, tasks: Sequence[Task]) -> set[str]:
    """The names of the tasks that need not be done again."""
    from hmrlab.ledger import source_commit

    dry = options.dry_run
    books = [folder / ROWS for folder in (options.folder, options.earlier)]
    if not dry:
        books.append(ROOT / "figures" / "runs.jsonl")
    figures = {} if dry else measured_on_gpu()
    for folder in (options.folder, options.earlier):
        figures |= Folder(folder, dry).benchmarks()
    commit = source_commit()
    return recorded(books, dry) | {n for n, made in figures.items() if counts(n, made, commit)}


def need_of(task: Task, overhead: float) -> float:
    """Seconds that have to be left for a task to be begun."""
    if task.stops:
        return LEAST_OF_LONG if task.seconds > LEAST_OF_LONG else task.seconds
    return task.seconds + overhead if task.kind == TRAINING else task.seconds


def show(options: argparse.Namespace, tasks: Sequence[Task]) -> None:
    """Print the queue: what is done, what is next."""
    done = finished(options, tasks)
    overhead = 0.0 if options.dry_run else START_AND_SCORE
    for task in tasks:
        state = DONE if task.name in done else f"needs {need_of(task, overhead):.0f} s"
        if task.base and task.name not in done:
            state += f", and {task.base} first where its weights are not at hand"
        print(f"{task.name:32} {task.kind:10} {state}")
    print(f"{sum(task.name in done for task in tasks)} of {len(tasks)} tasks are done.")


def work(options: argparse.Namespace, tasks: Sequence[Task]) -> int:
    """Do the queue; the exit status is 1 if a task failed."""
    began = time.monotonic()
    done = finished(options, tasks)
    forced = {task.name for task in tasks if options.only and task.kind != TRAINING}
    tasks = [task for task in tasks if task.name not in done or task.name in forced]
    call = prepare(options, began)
    for name in sorted(done - forced):
        call.folder.told.setdefault(name, Told(DONE))
    for task in tasks:
        call.folder.told[task.name] = Told(NOT_REACHED)
    call.folder.save()
    start_sets(call, tasks)
    for task in tasks:
        first = lacking_base(call, task)
        need = sum(need_of(each, call.overhead) for each in (task, first) if each)
        if call.left < need:
            note = f"needs {need:.0f} s, {max(0.0, call.left):.0f} s were left"
            tell(call, task, Told(NOT_REACHED, 0.0, note))
            continue
        if first is not None:
            tell(call, first, attempt(call, first))
        tell(call, task, attempt(call, task))
    call.folder.shrink()
    stop_sets(call)
    print(summary(call, [task.name for task in tasks], time.monotonic() - began))
    return 1 if call.problems else 0


def prepare(options: argparse.Namespace, began: float) -> Call:
    """Imports, places, and the weights that earlier calls left in parts."""
    import torch.utils.tensorboard  # noqa: F401

    import hmrlab.runs  # noqa: F401 - forked children have both then
    from hmrlab.ledger import describe_machine, installed_gpu, source_commit, versions

    folder = Folder(options.folder, options.dry_run)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.where = {
        "machine": describe_machine(installed_gpu()),
        "versions": versions(),
        "commit": source_commit(),
        "minutes": options.minutes,
    }
    folder.told = earlier_outcomes(folder.path / QUEUE)
    overhead = 0.0 if options.dry_run else START_AND_SCORE
    home = Path(os.environ["HMRLAB_HOME"])
    call = Call(options, folder, home, began + 60 * options.minutes, overhead)
    take_parts(call)
    return call


def earlier_outcomes(path: Path) -> dict[str, Told]:
    """What a call into the same folder told of the tasks that it did."""
    try:
        tasks = json.loads(path.read_text(encoding="utf-8"))["tasks"]
        found = {
            task["name"]: Told(task["outcome"], task["seconds"], task["note"]) for task in tasks
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {name: told for name, told in found.items() if told.outcome == DONE}


def take_parts(call: Call) -> None:
    """Put together what lies in parts: checkpoints to go on from, weights to prune."""
    from hmrlab.ledger import Ledger
    from hmrlab.training.unfinished import join_parts, parts_in

    ledger = Ledger(call.home / "runs" / "ledger.jsonl")
    known = {record.settings_hash for record in ledger.records()}
    for place in dict.fromkeys((call.folder.path, call.options.earlier)):
        rows = {record.settings_hash: record for record in Ledger(place / ROWS).records()}
        for name, told in parts_in(place).items():
            print(f"{join_parts(place, name, call.home / 'runs' / 'trainings').name}: from parts")
            if told.key in rows and told.key not in known:
                ledger.append(rows[told.key])


def start_sets(call: Call, tasks: Sequence[Task]) -> None:
    """Begin to make the stored sets, beside what comes first."""
    from gpu_children import Child, make_sets

    if any(task.kind in (TRAINING, BENCHMARK) for task in tasks):
        arguments = (call.options.dry_run,)
        call.sets = Child(make_sets, arguments, call.home / "runs" / "gpu-logs" / "sets.log")


def wait_for_sets(call: Call) -> str:
    """Wait for the stored sets; why there are none, "" if there are."""
    if call.sets is None:
        return ""
    ended = call.sets.wait(call.left)
    call.sets = None
    return "" if ended.state == DONE else f"the stored sets were not made: {ended.note}"


def stop_sets(call: Call) -> None:
    """Nobody waits for them any more."""
    if call.sets is not None:
        call.sets.wait(0)


def attempt(call: Call, task: Task) -> Told:
    """Do one task in a child, and take over what came of it."""
    from gpu_children import LATE, Child, Order, do

    if task.kind in (TRAINING, BENCHMARK):  # a benchmark wants the cores for itself
        problem = wait_for_sets(call)
        if problem and task.kind == TRAINING:
            return Told("failed", 0.0, problem)
    if lacking_base(call, task) is not None:
        return Told(NOT_REACHED, 0.0, f"there are no weights of {task.base}")
    result = call.home / "runs" / "gpu-logs" / f"{task.name}.json"
    result.unlink(missing_ok=True)
    order = Order(
        task, call.options.dry_run, call.options.device, call.ends - _END - _PARTS, result,
        call.folder.path, MOST_PARTS,
    )  # fmt: skip
    limit = task.seconds if task.kind != TRAINING else need_of(task, call.overhead) + _GRACE
    limit = call.left if task.stops else min(limit, call.left)
    child = Child(do, (order,), result.with_suffix(".log"))
    ended = child.wait(limit)
    if ended.state == DONE and result.is_file():
        call.folder.add_benchmark(task.name, result)
    if ended.state == DONE and task.kind == TRAINING:
        take_training(call, task, ended.seconds)
    outcome = "failed" if ended.state == LATE else ended.state
    return Told(outcome, round(ended.seconds, 1), ended.note)


def lacking_base(call: Call, task: Task) -> Task | None:
    """The training that a task goes on from, where its weights are not at hand."""
    if not task.base:
        return None
    from gpu_tasks import run_of

    from hmrlab import find_result
    from hmrlab.presets import base_of

    dry = call.options.dry_run
    base = base_of(run_of(task, dry))
    if base is None or find_result(base) is not None:
        return None
    return next(each for each in all_tasks(dry) if each.name == task.base)


def take_training(call: Call, task: Task, seconds: float) -> None:
    """A finished training's row and history into the folder; how long the others will take."""
    from gpu_tasks import run_of

    from hmrlab import find_result

    result = find_result(run_of(task, call.options.dry_run))
    call.folder.add_row(result.record, result.folder)
    if not result.reused and not call.options.dry_run:
        call.overhead = max(1.0, seconds - task.seconds)


def tell(call: Call, task: Task, told: Told) -> None:
    """Write down and print how a task ended."""
    call.folder.tell(task.name, told)
    if told.outcome == "failed":
        call.problems.append(task.name)
    note = f" ({told.note.splitlines()[-1]})" if told.note else ""
    print(f"{task.name}: {told.outcome}, {told.seconds:.1f} s{note}", flush=True)


def summary(call: Call, names: Sequence[str], seconds: float) -> str:
    """The last words: how each task of this call ended."""
    lines = [f"\n{'task':32} {'outcome':12} {'seconds':>8}"]
    for name in names:
        told = call.folder.told[name]
        lines.append(f"{name:32} {told.outcome:12} {told.seconds:8.1f}")
    size = sum(path.stat().st_size for path in call.folder.path.iterdir()) / 1e6
    lines.append(f"{seconds:.0f} s in all. {call.folder.path} has {size:.1f} MB.")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="of this call, at most")
    parser.add_argument("--folder", type=Path, help="for the results; runs/gpu")
    parser.add_argument("--earlier", type=Path, help="folder of an earlier call, with its parts")
    parser.add_argument("--home", type=Path, help="for sets and weights; as HMRLAB_HOME, if set")
    parser.add_argument("--device", default="auto", help="auto, cuda or cuda:N")
    parser.add_argument("--dry-run", action="store_true", help="everything tiny, on the CPU")
    parser.add_argument("--list", action="store_true", help="print the queue and do nothing")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="do these tasks")
    options = parser.parse_args(arguments)
    options.folder = options.folder or ROOT / "runs" / ("gpu-dry" if options.dry_run else "gpu")
    options.earlier = options.earlier or options.folder
    try:
        tasks = chosen_tasks(all_tasks(options.dry_run), options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        show(options, tasks)
        return 0
    if options.dry_run:
        options.device = "cpu"
    elif shutil.which("nvidia-smi") is None:
        parser.error("there is no NVIDIA GPU here; --dry-run tries everything on the CPU")
    home = options.home or os.environ.get("HMRLAB_HOME") or default_home(options.dry_run)
    os.environ["HMRLAB_HOME"] = str(Path(home).resolve())
    from hmrlab.files import FileProblem

    try:
        return work(options, tasks)
    except (FileProblem, ValueError) as error:  # a damaged part, a commit that is none
        print(f"tools/gpu.py: {error}", file=sys.stderr)
        return 2


def default_home(dry: bool) -> Path:
    """Where sets and weights go: as everywhere into the checkout; those of a dry run apart."""
    return ROOT / "runs" / "gpu-dry-home" if dry else ROOT


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
