"""Costs of networks, measured by turns beside a peer, and kept with where they come from."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.files import read_json, scratch_folder, write_text_whole
from hmrlab.ledger import current_command, describe_machine, source_commit, versions
from hmrlab.models import HMR
from hmrlab.models.cost import (
    LATENCY_BATCH,
    PRECISIONS,
    THROUGHPUT_BATCH,
    Spread,
    asker,
    count_macs,
    count_nonzero,
    count_parameters,
    file_bytes,
    ratios,
    step_bytes,
    time_by_turns,
    weights_bytes,
)
from hmrlab.models.export import OnnxHMR, check_onnx, export_onnx, quantise_onnx

RESULTS = ("figures",)  # what stands there is no part of the source
INT8 = "_int8"  # behind a network's name
_SEED = 0
_MAX_BOOK = 2**24  # bytes
_REMEDY = "So it holds no measured costs: delete it, and measure again with --measure."


@dataclass(frozen=True)
class Subject:
    """A network to be measured."""

    name: str
    make: Callable[[], HMR]  # picklable
    peer: str  # name of the subject that its times are divided by
    of: str = ""  # settings hash of the recorded run that it came from; empty: untrained
    int8: bool = False  # measure and score it in int8, too


@dataclass(frozen=True)
class CostPlan:
    """What is measured, and how often."""

    resolution: int  # side of the pictures, pixels
    rounds: int = 9  # turns of each timing; of the slow ones with 64 pictures half as many
    step_batch: int = 0  # batch of the training step whose memory is measured; 0: not measured
    throughput: bool = True  # time batches of 64, too


@dataclass(frozen=True)
class Timing:
    """How long one call takes."""

    milliseconds: Spread
    ratio: Spread | None  # over the peer's, turn by turn


@dataclass(frozen=True)
class Cost:
    """What one network costs."""

    name: str
    peer: str
    of: str
    parameters: int
    nonzero: int | None  # None: not counted, as in int8
    macs: int  # multiply-accumulates of one picture
    file_bytes: int  # of weights, or of the ONNX file in int8
    compressed_bytes: int
    step_bytes: int | None  # memory of a training step; None: not measured, or no room for it
    timings: dict[str, Timing]  # by `timing_name`
    scores: dict[str, float] = field(default_factory=dict)  # `<set>/<metric>`, where no run has any


@dataclass(frozen=True)
class CostBook:
    """All costs of a table."""

    scale: str
    plan: CostPlan
    provenance: dict[str, Any]
    costs: dict[str, Cost]

    def save(self, path: Path) -> Path:
        """Write it as JSON, whole or not at all."""
        content = asdict(self) | {"costs": [asdict(cost) for cost in self.costs.values()]}
        return write_text_whole(path, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> CostBook | None:
        """What `save` wrote; None where there is no such file.

        Raises:
            FileProblem: the file is damaged, or another kind of file.
        """
        if not os.path.lexists(path):
            return None
        saved = read_json(path, _Saved, remedy=_REMEDY, max_bytes=_MAX_BOOK)
        return cls(
            saved.scale,
            saved.plan,
            asdict(saved.provenance),
            {cost.name: cost for cost in saved.costs},
        )

    @property
    def origin(self) -> str:
        """Where the figures come from, as a sentence."""
        made = self.provenance
        commit, _, dirty = made["commit"].partition("+")
        commit = commit[:8] + (" and changes to it" if dirty else "")
        threads = f"{made['threads']} thread{'s' if made['threads'] != 1 else ''}"
        return (
            f"Costs measured {made['date']} by `{made['command']}` at commit {commit} on "
            f"{made['machine']}; {threads}, {self.plan.rounds} turns each (median; ratios turn by "
            f"turn); torch {made['versions']['torch']}, onnxruntime "
            f"{made['versions']['onnxruntime']}."
        )


@dataclass(frozen=True)
class _Provenance:
    """Where a book's figures come from (see `where_and_how`)."""

    command: str
    commit: str
    machine: str
    versions: dict[str, str]
    threads: int
    seed: int
    date: str


@dataclass(frozen=True)
class _Saved:
    """What `CostBook.save` writes."""

    scale: str
    plan: CostPlan
    provenance: _Provenance
    costs: list[Cost]


def timing_name(runtime: str, device: str, precision: str, batch: int) -> str:
    """Name of a timing: "torch cpu bf16 64", "onnxruntime cpu fp32 1"."""
    return f"{runtime} {device} {precision} {batch}"


def measure(
    scale: str,
    subjects: Sequence[Subject],
    plan: CostPlan,
    calibration: Iterable[Tensor] = (),
    score: Callable[[OnnxHMR], dict[str, float]] | None = None,
) -> CostBook:
    """Measure every network; progress bars say how far it is.

    Args:
        scale: name of the scale whose resolution the plan has.
        subjects: whose peers are among them, or have no ratios.
        plan: what is measured.
        calibration: batches of pictures that set the ranges of int8.
        score: scores an int8 network.

    Raises:
        FileProblem: an exported network's answers are not torch's.
    """
    provenance = where_and_how()  # asked before anything is written
    made = {subject.name: subject.make().eval() for subject in subjects}
    with scratch_folder() as folder:
        with _memories(subjects, plan) as memories:
            files, low = _exported(subjects, made, plan, list(calibration), folder)
            costs = {
                subject.name: _counted(subject, made[subject.name], plan, memories)
                for subject in tqdm(subjects, desc="counting, memory of a step", unit="network")
            }
        for subject in subjects:
            if subject.int8:
                file = low[subject.name]
                found = _quantised(costs[subject.name], file, score)
                costs[found.name] = found
        peers = {name: cost.peer for name, cost in costs.items()}
        timings = _timings(made, files, low, plan, peers)
    return CostBook(
        scale,
        plan,
        provenance,
        {name: replace(cost, timings=timings[name]) for name, cost in costs.items()},
    )


def where_and_how() -> dict[str, Any]:
    """Where figures that are measured now come from."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "command": current_command(),
        "commit": source_commit(apart_from=RESULTS),
        "machine": describe_machine(gpu),
        "versions": versions() | {"onnxruntime": metadata.version("onnxruntime")},
        "threads": torch.get_num_threads(),
        "seed": _SEED,
        "date": time.strftime("%Y-%m-%d"),
    }


def devices() -> tuple[str, ...]:
    """Those that networks are timed on here."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@contextlib.contextmanager
def _memories(
    subjects: Sequence[Subject], plan: CostPlan
) -> Iterator[dict[str, Future[int | None]]]:
    """The networks' memory in a training step, if the plan wants it: measured while files are made.

    On the CPU other processes measure it. A GPU is used by this one, so all wait for that.
    """
    device = devices()[-1]
    background = ThreadPoolExecutor(1)
    try:
        found = {
            subject.name: background.submit(
                step_bytes, subject.make, plan.resolution, plan.step_batch, device
            )
            for subject in (subjects if plan.step_batch else ())
        }
        if device == "cuda":
            wait(found.values())
        yield found
    finally:
        background.shutdown(cancel_futures=True)


def _counted(
    subject: Subject, model: HMR, plan: CostPlan, memories: Mapping[str, Future[int | None]]
) -> Cost:
    size, compressed = weights_bytes(model)
    memory = memories[subject.name].result() if subject.name in memories else None
    return Cost(
        subject.name,
        subject.peer,
        subject.of,
        count_parameters(model),
        count_nonzero(model),
        count_macs(model, plan.resolution),
        size,
        compressed,
        memory,
        {},
    )


def _exported(
    subjects: Sequence[Subject],
    made: Mapping[str, HMR],
    plan: CostPlan,
    calibration: list[Tensor],
    folder: Path,
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Each network as a checked ONNX file, and those in int8 that are asked for, by name."""
    files, low = {}, {}
    for number, subject in enumerate(tqdm(subjects, desc="exporting", unit="network")):
        model = made[subject.name]
        path = export_onnx(model, folder / f"{number}.onnx", plan.resolution)
        check_onnx(path, model)
        files[subject.name] = path
        if subject.int8:
            low[subject.name] = quantise_onnx(path, folder / f"{number}{INT8}.onnx", calibration)
    return files, low


def _quantised(whole: Cost, file: Path, score: Callable | None) -> Cost:
    size, compressed = file_bytes(file)
    return replace(
        whole,
        name=whole.name + INT8,
        nonzero=None,
        file_bytes=size,
        compressed_bytes=compressed,
        step_bytes=None,
        scores=score(OnnxHMR(file)) if score else {},
    )


def _timings(
    made: Mapping[str, HMR],
    files: Mapping[str, Path],
    low: Mapping[str, Path],
    plan: CostPlan,
    peers: Mapping[str, str],
) -> dict[str, dict[str, Timing]]:
    """All timings by the networks' names; each kind goes round all networks by turns."""
    found: dict[str, dict[str, Timing]] = {name: {} for name in peers}
    sessions = {name: OnnxHMR(path) for name, path in files.items()}
    sessions |= {name + INT8: OnnxHMR(path) for name, path in low.items()}
    picture = _pictures(LATENCY_BATCH, plan, "cpu")
    work = {name: asker(session, picture) for name, session in sessions.items()}
    kind = timing_name("onnxruntime", "cpu", "fp32", LATENCY_BATCH)
    _time(work, kind, "cpu", plan.rounds, peers, found)
    batches = (LATENCY_BATCH, THROUGHPUT_BATCH) if plan.throughput else (LATENCY_BATCH,)
    for device in devices():
        models = {
            name: model.to(device, memory_format=torch.channels_last)
            for name, model in made.items()
        }
        for batch in batches:
            rounds = plan.rounds if batch == LATENCY_BATCH else -(-plan.rounds // 2)
            images = _pictures(batch, plan, device).to(memory_format=torch.channels_last)
            for precision in PRECISIONS:
                work = {name: asker(model, images, precision) for name, model in models.items()}
                kind = timing_name("torch", device, precision, batch)
                _time(work, kind, device, rounds, peers, found)
    return found


def _time(
    work: Mapping[str, Callable[[], object]],
    kind: str,
    device: str,
    rounds: int,
    peers: Mapping[str, str],
    found: dict[str, dict[str, Timing]],
) -> None:
    taken = time_by_turns(work, rounds, device=device, progress=kind)
    for name, times in taken.items():
        peer = taken.get(peers[name])
        found[name][kind] = Timing(
            Spread.of([1000 * t for t in times]), ratios(times, peer) if peer else None
        )


def _pictures(batch: int, plan: CostPlan, device: str) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    side = plan.resolution
    return torch.randn(batch, 3, side, side, generator=generator).to(device)
