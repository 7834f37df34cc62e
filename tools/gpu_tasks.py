"""The queue of `tools/gpu.py`: what is to be done on a borrowed GPU, the most wanted first.

To import it takes the standard library only, so that the queue is listed at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmrlab import Config, Scale

ROOT = Path(__file__).resolve().parent.parent
TEST, BENCHMARK, TRAINING = "test", "benchmark", "training"
START_AND_SCORE = 30.0  # seconds of a training beside its steps, until one has been seen
LEAST_OF_LONG = 45.0  # seconds: for less the long training is not worth its start
CARRIED = ("card_resnet50", "card_resnet50_long")  # whose final weights are kept in parts

FIGURES = {  # where a task's figures go: the file in benchmarks/results, and the page's block
    "tests": "gpu_tests",
    "people": "gpu_people",
    "busy": "gpu",
    "loop": "gpu_loop",
    "loop_small": "gpu_loop_small",
    "profile": "gpu_profile",
    "busy_compiled": "gpu_compiled",
}

# In the order of SPIN's own encoder, then of what the README's table wants first.
_ENCODERS = (
    "resnet50",
    "densenet121",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "mobilenet_v3_large",
    "densenet169",
    "densenet201",
)
_DRY_ENCODERS = ("shufflenet_v2_x1_0",)  # quick on a CPU
_LONG = "card_resnet50_long"
_CUDA_TESTS = (
    "tests/gpu",
    "tests/training/test_device.py",
    "tests/training/test_micro_batches.py::test_a_card_with_little_memory_left_is_met",
    "tests/data/test_dataset.py::test_a_gpu_makes_the_batches_of_the_cpu",
    "tests/bodies/test_compiled.py::test_a_cuda_graph_gives_the_plain_bodys_points_and_gradients",
)


@dataclass(frozen=True)
class Task:
    """One thing to do."""

    name: str
    kind: str
    seconds: float  # of a training's steps; of another task: at most
    script: str = ""  # of a benchmark
    arguments: tuple[str, ...] = ()
    seed: int = 0  # of a training
    base: str = ""  # training whose weights it needs
    stops: bool = False  # takes what time is left, and goes on another day

    @property
    def run(self) -> str:
        """The named training, without the seed."""
        return self.name.partition("@")[0]


def all_tasks(dry: bool = False) -> list[Task]:
    """The whole queue; of a dry run each kind of task, tiny, on the CPU."""
    tests = [name for name in _CUDA_TESTS if _there(name)]
    on = ("--device", "cpu" if dry else "cuda")
    tasks = [
        Task("tests", TEST, 120, arguments=tuple(tests)),
        Task("people", BENCHMARK, 90, "benchmarks/people.py", (*on, *_words(dry, "people"))),
        Task("busy", BENCHMARK, 90, "benchmarks/gpu.py", (*on, *_words(dry, "busy"))),
        Task("loop", BENCHMARK, 90, "benchmarks/loop.py", (*on, *_words(dry, "loop"))),
        Task("loop_small", BENCHMARK, 60, "benchmarks/loop.py", (*on, *_words(dry, "loop_small"))),
        Task("profile", BENCHMARK, 60, "tools/profile_step.py", (*on, *_words(dry, "profile"))),
    ]
    minute, short, long = (0.01, 0.01, 3.0) if dry else (60.0, 20.0, 1200.0)
    encoders, seeds = _ENCODERS, (1, 2)
    if dry:
        tasks.append(Task("card_resnet50", TRAINING, minute))
        encoders, seeds = _DRY_ENCODERS, (1,)
    tasks += [Task(f"card_{name}", TRAINING, minute) for name in encoders]
    words = (*on, *_words(dry, "busy_compiled"))
    tasks.append(Task("busy_compiled", BENCHMARK, 100, "benchmarks/gpu.py", words))
    tasks += [Task(f"card_{name}_logits", TRAINING, minute) for name in encoders]
    tuned = ("card_pruned",) if dry else ("card_pruned", "card_tuned")
    tasks += [Task(name, TRAINING, short, base="card_resnet50") for name in tuned]
    tasks += [
        Task(f"card_{name}@{seed}", TRAINING, minute, seed=seed)
        for seed in seeds
        for name in encoders
    ]
    return [*tasks, Task(_LONG, TRAINING, long, stops=True)]


def chosen_tasks(tasks: list[Task], only: Iterable[str]) -> list[Task]:
    """Those of these names, in the queue's order; all without names.

    Raises:
        ValueError: no task has one of the names.
    """
    names = set(only)
    unknown = names - {task.name for task in tasks}
    if unknown:
        raise ValueError(f"no task {', '.join(sorted(unknown))}; `--list` prints all names")
    return [task for task in tasks if not names or task.name in names]


def dry_scale() -> Scale:
    """Sizes for a rehearsal on the CPU: everything is done, nothing is learned."""
    from dataclasses import replace

    from hmrlab import get_scale

    smoke = get_scale("smoke")
    people = {"studio_test": 8, "wild_test": 8}
    # at a rate that leaves the networks as they began: no loss may become infinite
    return replace(smoke, name="dry", resolution=32, learning_rate=1e-6, timed=1e-4, **people)


def run_of(task: Task, dry: bool) -> Config:
    """The training that a task means."""
    from hmrlab import get_scale, preset

    return preset(task.run, dry_scale() if dry else get_scale("gpu"), task.seed)


def recorded(paths: Iterable[Path], dry: bool) -> set[str]:
    """The names of the trainings' tasks with a row in one of these files.

    The rows are taken by name, scale and seed. Lines that are no rows are passed over: what they
    stood for is done again.
    """
    found = set()
    for path in paths:
        for line in path.read_bytes().splitlines() if path.is_file() else ():
            try:
                row = json.loads(line)
                name, seed, scale = row["name"], row["seed"], row["settings"]["scale"]["name"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if scale == ("dry" if dry else "gpu"):
                found.add(f"{name}@{seed}" if seed else name)
    return found


def measured_on_gpu() -> dict[str, Any]:
    """The figures in this checkout that are a GPU's, by the names of their tasks."""
    found = {}
    for name, file in FIGURES.items():
        try:
            text = (ROOT / "benchmarks" / "results" / f"{file}.json").read_text(encoding="utf-8")
            result = json.loads(text)
            machine = result["provenance"]["machine"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not measured, or not readable: measured again
        if "no GPU" not in machine:
            found[name] = result
    return found


def counts(name: str, result: Any, commit: str) -> bool:
    """Whether a task with such a result need not be done again at this commit.

    Tests are: where one failed or none was reached, or where the source has changed since.
    """
    if name != "tests":
        return True
    try:
        ended, whole, made = result["ended"], result["whole"], result["provenance"]["commit"]
    except (KeyError, TypeError):
        return False
    return whole and made == commit and set(ended) <= {"passed", "skipped"}


def _there(test: str) -> bool:
    return (ROOT / test.partition("::")[0]).exists()


def _words(dry: bool, name: str) -> tuple[str, ...]:
    return tuple(_DRY_WORDS[name].split() if dry else _WORDS[name].split())


_LOOP = "--fresh --rounds 5"
_WORDS = {
    "people": "--rounds 3",
    "busy": "--fresh --batch 128",
    "busy_compiled": "--fresh --compile --batch 128 --rounds 2",
    "loop": f"{_LOOP} --scale gpu --encoder resnet50 --batch 128 --precision bf16",
    "loop_small": f"{_LOOP} --scale quick",
    "profile": "",
}
_DRY_BUSY = "--fresh --scale smoke --batch 2 --encoder small --rounds 1 --seconds 0"
_DRY_LOOP = "--fresh --scale smoke --rounds 1 --steps 1"
_DRY_WORDS = {
    "people": "--batch 2 --resolution 32 --rounds 1 --seconds 0",
    "busy": _DRY_BUSY,
    "busy_compiled": _DRY_BUSY,
    "loop": f"{_DRY_LOOP} --batch 4",
    "loop_small": f"{_DRY_LOOP} --batch 4",
    "profile": "--dry",
}
