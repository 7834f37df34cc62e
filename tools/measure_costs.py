"""Measure what networks cost, for `hmrlab table backbones` and `hmrlab table pruning`.

    python tools/measure_costs.py backbones
    python tools/measure_costs.py pruning --threads 1

All are timed by turns beside a peer. The costs go to `<folder>/<table>_<scale>.json`.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab import RunResult, Scale, find_result, get_scale, preset
from hmrlab.files import FileProblem, scratch_folder
from hmrlab.ledger import RunRecord, current_command, describe_machine, source_commit, versions
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
    untrained,
    weights_bytes,
)
from hmrlab.models.export import OnnxHMR, check_onnx, export_onnx, quantise_onnx
from hmrlab.reproduce.costs import INT8, Cost, CostBook, CostPlan, Provenance, Timing, timing_name
from hmrlab.reproduce.exporting import calibration_pictures, score_exported
from hmrlab.reproduce.lighter import IN_INT8, PEER, ROOT, backbone_runs, pruning_runs
from hmrlab.tables import Recorded, find_recorded, known_records

RESULTS = ("figures",)  # what stands there is no part of the source
TABLES = ("backbones", "pruning")
_SEED = 0


@dataclass(frozen=True)
class Subject:
    """A network to be measured."""

    name: str
    make: Callable[[], HMR]  # picklable
    peer: str  # name of the subject that its times are divided by
    of: str = ""  # settings hash of the recorded run that it came from; empty: untrained
    int8: bool = False  # measure and score it in int8, too


@dataclass(frozen=True)
class _Network:
    """A network that is ready to be timed."""

    cost: Cost
    onnx: OnnxHMR
    model: HMR | None  # None in int8


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
    provenance = made_here()  # asked before anything is written
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


def made_here() -> Provenance:
    """Of figures that are measured here and now."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return Provenance(
        command=current_command(),
        commit=source_commit(apart_from=RESULTS),
        machine=describe_machine(gpu),
        versions=versions() | {"onnxruntime": metadata.version("onnxruntime")},
        threads=torch.get_num_threads(),
        seed=_SEED,
        date=time.strftime("%Y-%m-%d"),
    )


def measure_backbones(scale: Scale, rounds: int) -> CostBook:
    """Of untrained networks, which cost what trained ones cost."""
    subjects = [
        Subject(name, functools.partial(untrained, name), PEER) for name in backbone_runs(scale)
    ]
    return measure(scale.name, subjects, CostPlan(scale.resolution, rounds, scale.batch_size))


def measure_pruning(scale: Scale, rounds: int, records: Sequence[RunRecord]) -> CostBook:
    """Of the networks whose files are here: of each training the least seed."""
    subjects = []
    for name, root in pruning_runs().items():
        result = _first_result(name, scale, find_recorded(name, scale, records))
        if result is not None:
            subjects.append(
                Subject(name, result.model, root, result.record.settings_hash, name in IN_INT8)
            )
    if not subjects:
        raise FileProblem(
            f"there is no network to measure at {scale.name} scale yet; hmrlab train {ROOT} "
            f"--scale {scale.name}"
        )
    return measure(
        scale.name,
        subjects,
        CostPlan(scale.resolution, rounds, throughput=False),
        calibration_pictures(scale),
        lambda model: score_exported(model, scale),
    )


def _first_result(name: str, scale: Scale, found: Recorded) -> RunResult | None:
    for seed in sorted(record.seed for record in found.records):
        result = find_result(preset(name, scale, seed))
        if result is not None and result.config.task == "bodies":
            return result
    return None


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--scale", default="laptop", help="of the runs; laptop")
    parser.add_argument("--folder", type=Path, default=Path("figures"), help="figures")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each timing; 9")
    parser.add_argument("--threads", type=int, help="by default what torch takes")
    options = parser.parse_args(words)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        scale = get_scale(options.scale)
        if options.table == "backbones":
            book = measure_backbones(scale, options.rounds)
        else:
            book = measure_pruning(scale, options.rounds, known_records(options.folder))
        print(book.save(options.folder / f"{options.table}_{scale.name}.json"))
    except (FileProblem, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
