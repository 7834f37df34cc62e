"""Costs of networks, measured by turns beside a peer, and kept with where they come from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path

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
    file_bytes,
    ratios,
    step_bytes,
    time_by_turns,
    weights_bytes,
)
from hmrlab.models.counting import count_macs, count_nonzero, count_parameters
from hmrlab.models.export import OnnxHMR, check_onnx, export_onnx
from hmrlab.models.quantise import quantise_onnx

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
    timings: dict[str, Timing] = field(default_factory=dict)  # by `timing_name`
    scores: dict[str, float] = field(default_factory=dict)  # `<set>/<metric>`, where no run has any


@dataclass(frozen=True)
class Provenance:
    """Where figures that are measured come from."""

    command: str
    commit: str
    machine: str
    versions: dict[str, str]
    threads: int
    seed: int
    date: str

    @classmethod
    def now(cls) -> Provenance:
        """Here and now."""
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        return cls(
            command=current_command(),
            commit=source_commit(apart_from=RESULTS),
            machine=describe_machine(gpu),
            versions=versions() | {"onnxruntime": metadata.version("onnxruntime")},
            threads=torch.get_num_threads(),
            seed=_SEED,
            date=time.strftime("%Y-%m-%d"),
        )


@dataclass(frozen=True)
class CostBook:
    """All costs of a table, as they are kept in its JSON file."""

    scale: str
    plan: CostPlan
    provenance: Provenance
    costs: list[Cost]

    def by_name(self) -> dict[str, Cost]:
        """The costs by their networks' names."""
        return {cost.name: cost for cost in self.costs}

    def save(self, path: Path) -> Path:
        """Write it, whole or not at all."""
        return write_text_whole(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> CostBook | None:
        """What `save` wrote, None where there is no such file; FileProblem if it is damaged."""
        if not os.path.lexists(path):
            return None
        return read_json(path, cls, remedy=_REMEDY, max_bytes=_MAX_BOOK)

    @property
    def origin(self) -> str:
        """Where the figures come from, as a sentence."""
        made = self.provenance
        commit, _, dirty = made.commit.partition("+")
        commit = commit[:8] + (" and changes to it" if dirty else "")
        threads = f"{made.threads} thread{'s' if made.threads != 1 else ''}"
        return (
            f"Costs measured {made.date} by `{made.command}` at commit {commit} on "
            f"{made.machine}; {threads}, {self.plan.rounds} turns each (median; ratios turn by "
            f"turn); torch {made.versions['torch']}, onnxruntime {made.versions['onnxruntime']}."
        )


@dataclass(frozen=True)
class _Network:
    """A network that is ready to be timed."""

    cost: Cost
    onnx: OnnxHMR
    model: HMR | None  # None in int8


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
    provenance = Provenance.now()  # asked before anything is written
    pictures = list(calibration)
    networks: list[_Network] = []
    with scratch_folder() as folder:
        for subject in tqdm(subjects, desc="exporting, counting", unit="network"):
            file = folder / f"{len(networks)}.onnx"
            network = _counted(subject, plan, file)
            networks.append(network)
            if subject.int8:
                low = quantise_onnx(file, file.with_stem(file.stem + INT8), pictures)
                networks.append(_in_int8(network.cost, low, score))
        timings = _timings(networks, plan)
    costs = [replace(each.cost, timings=timings[each.cost.name]) for each in networks]
    return CostBook(scale, plan, provenance, costs)


def devices() -> tuple[str, ...]:
    """Those that networks are timed on here."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def _counted(subject: Subject, plan: CostPlan, file: Path) -> _Network:
    """A network with what is counted of it, written to a file and checked."""
    model = subject.make().eval()
    check_onnx(export_onnx(model, file, plan.resolution), model)
    size, compressed = weights_bytes(model)
    memory = None
    if plan.step_batch:
        memory = step_bytes(subject.make, plan.resolution, plan.step_batch, devices()[-1])
    cost = Cost(
        subject.name,
        subject.peer,
        subject.of,
        count_parameters(model),
        count_nonzero(model),
        count_macs(model, plan.resolution),
        size,
        compressed,
        memory,
    )
    return _Network(cost, OnnxHMR(file), model)


def _in_int8(whole: Cost, file: Path, score: Callable | None) -> _Network:
    size, compressed = file_bytes(file)
    onnx = OnnxHMR(file)
    cost = replace(
        whole,
        name=whole.name + INT8,
        nonzero=None,
        file_bytes=size,
        compressed_bytes=compressed,
        step_bytes=None,
        scores=score(onnx) if score else {},
    )
    return _Network(cost, onnx, None)


def _timings(networks: Sequence[_Network], plan: CostPlan) -> dict[str, dict[str, Timing]]:
    """All timings by the networks' names; each kind goes round all networks by turns."""
    peers = {each.cost.name: each.cost.peer for each in networks}
    found: dict[str, dict[str, Timing]] = {name: {} for name in peers}

    def timed(
        work: Mapping[str, Callable[[], object]], kind: str, rounds: int, device: str
    ) -> None:
        taken = time_by_turns(work, rounds, device=device, progress=kind)
        for name, times in taken.items():
            peer = taken.get(peers[name])
            found[name][kind] = Timing(
                Spread.of([1000 * t for t in times]), ratios(times, peer) if peer else None
            )

    picture = _pictures(LATENCY_BATCH, plan, "cpu")
    work = {each.cost.name: asker(each.onnx, picture) for each in networks}
    kind = timing_name("onnxruntime", "cpu", "fp32", LATENCY_BATCH)
    timed(work, kind, plan.rounds, "cpu")
    for device in devices():
        models = {
            each.cost.name: each.model.to(device, memory_format=torch.channels_last)
            for each in networks
            if each.model is not None
        }
        for batch in (LATENCY_BATCH, THROUGHPUT_BATCH) if plan.throughput else (LATENCY_BATCH,):
            rounds = plan.rounds if batch == LATENCY_BATCH else -(-plan.rounds // 2)
            images = _pictures(batch, plan, device).to(memory_format=torch.channels_last)
            for precision in PRECISIONS:
                work = {name: asker(model, images, precision) for name, model in models.items()}
                timed(work, timing_name("torch", device, precision, batch), rounds, device)
    return found


def _pictures(batch: int, plan: CostPlan, device: str) -> Tensor:
    generator = torch.Generator().manual_seed(_SEED)
    side = plan.resolution
    return torch.randn(batch, 3, side, side, generator=generator).to(device)
