"""Whether a GPU is kept busy: training steps as they are fed, beside steps that wait for nothing.

    python benchmarks/gpu.py [--fresh [--compile]] [--seconds 2] [--rounds 3] [--write]

The network of scale gpu, ResNet-50 at 224 px, learns by SPIN's losses in batches of 64. The peer
trains on one batch again and again that is on the card already: no feeding can be faster. The
others take turns with it, on people in frames of 1,000 px as in benchmarks/packing.py: SPIN's own
way, which cuts every sample out of its frame in a DataLoader's processes, and hmrlab's loader from
frames, from packed jpegs and from packed crops as they are. What was made ahead is used up before
the clock starts. A loader alone trains nothing. Needs a CUDA device.

With --fresh the others are people made on the card itself (`hmrlab.data.synthetic.fresh`); with
--compile also such whose rasteriser is compiled.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import packing
import torch
from _common import clock, in_words, keep_json, markdown, origin, provenance, publish, spread
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from hmrlab import Config, Trainer, get_scale, preset
from hmrlab.data.augment import Augmentation, AugmentationSettings, draw
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.prepared import read_set
from hmrlab.data.records import Records
from hmrlab.data.synthetic.fresh import FreshPeople
from hmrlab.device import choose_device
from hmrlab.runs import build_model, make_loader, make_objective, make_settings

SEED = 0
PRECISIONS = ("bf16", "fp32")
ALONE = "no training"
PEER = "peer: one batch, already there"
SPINS = "SPIN's way, in processes"
FRESH = {"people made on the card": False, "people made on the card, compiled": True}


class SpinsSamples(Dataset):
    """Samples as SPIN makes them, one by one, in whichever process."""

    def __init__(self, records: Records, images: Path, drawn: Augmentation) -> None:
        self.records, self.images, self.drawn = records, images, drawn

    @cached_property
    def decode(self) -> Any:
        return packing.decoder()[1]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return packing.sample_as_spin(self.records, self.images, self.drawn, row, self.decode)


@dataclass
class Way:
    """How batches come, and how many may lie ready when a turn begins."""

    batches: Iterator[Batch]
    ahead: int


def peer(ready: Batch) -> Way:
    """One batch for ever."""
    return Way(itertools.repeat(ready), 0)


def by_our_loader(run: Config, dataset: PoseDataset | FreshPeople, device: torch.device) -> Way:
    """Batches of our loader, epoch after epoch."""
    loader = make_loader(run, dataset, device)
    return Way(itertools.chain.from_iterable(itertools.repeat(loader)), loader.prefetch + 1)


def by_spins_loader(folder: Path, ready: Batch, workers: int) -> Way:
    """Pictures made by SPIN's way in processes; all else of a batch is that of `ready`."""
    found, records = read_set(folder), Records.open(folder / "records.npz")
    drawn = draw(AugmentationSettings(), len(records), torch.Generator().manual_seed(SEED))
    on_gpu = ready.images.device.type == "cuda"
    loader = DataLoader(
        SpinsSamples(records, found.images, drawn), batch_size=len(ready), shuffle=True,
        drop_last=True, num_workers=workers, pin_memory=on_gpu, persistent_workers=workers > 0,
    )  # fmt: skip

    def batches() -> Iterator[Batch]:
        while True:
            for images, _ in loader:
                yield replace(ready, images=images.to(ready.images.device, non_blocking=True))

    return Way(batches(), 2 * workers)


def make_trainer(
    run: Config,
    dataset: PoseDataset | FreshPeople,
    device: torch.device,
    precision: str,
    folder: Path,
) -> Trainer:
    """A training that never leaves its first step, where the learning rate is next to nothing."""
    objective = make_objective(run, dataset, device, progress=False)
    loader, settings = make_loader(run, dataset, device), make_settings(run, precision)
    trainer = Trainer(build_model(run), objective, loader, settings, folder, device)
    trainer.model.train()
    return trainer


def rate(trainer: Trainer | None, way: Way, seconds: float, device: torch.device) -> float:
    """Pictures a second that are trained on, or with no trainer are made."""
    for _ in itertools.islice(way.batches, way.ahead):
        pass
    count, began = 0, clock(device.type)
    while count == 0 or clock(device.type) - began < seconds:
        for _ in range(5):  # between two looks at the clock, which wait for the card
            if trainer is None:
                count += len(next(way.batches))
            else:
                count += len(trainer.train_step(way.batches)[1])
    return count / (clock(device.type) - began)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each precision and way."""
    device = choose_device(options.device)
    run = preset("with_smpl", get_scale(options.scale), SEED)
    run = replace(run, encoder=options.encoder, batch_size=options.batch)
    if options.fresh:
        datasets = {
            way: FreshPeople({"studio": 1 / 3, "wild": 2 / 3}, 2**24, compiled=compiled)
            for way, compiled in FRESH.items()
            if options.compile or not compiled
        }
    else:
        folder = packing.make_set(options.people, options.size)
        datasets, _ = packing.in_all_forms(folder)
    first = next(iter(datasets.values()))
    ready = next(iter(make_loader(run, first, device)))
    ways = {PEER: peer(ready)}
    if not options.fresh:
        ways[SPINS] = by_spins_loader(folder, ready, options.workers)
    ways |= {way: by_our_loader(run, dataset, device) for way, dataset in datasets.items()}
    rates: dict[tuple[str, str], list[float]] = {}
    peaks = {}
    precisions = PRECISIONS[:1] if options.fresh else PRECISIONS
    with tempfile.TemporaryDirectory() as place:
        trainers = {
            precision: make_trainer(run, first, device, precision, Path(place) / precision)
            for precision in precisions
        }
        # SPIN's way keeps any card waiting, so that one precision says all
        turns = [(p, way) for p in precisions for way in ways if way != SPINS or p == PRECISIONS[0]]
        turns += [(ALONE, way) for way in ways if way not in (PEER, SPINS)]
        total = (options.rounds + 1) * len(turns)
        with tqdm(total=total, desc="ways by turns", unit="turn", mininterval=1) as bar:
            for number in range(options.rounds + 1):
                for precision, way in turns:
                    trainer = trainers.get(precision)
                    if number == 0 and way == PEER and device.type == "cuda":
                        torch.cuda.reset_peak_memory_stats()
                    seen = rate(trainer, ways[way], options.seconds if number else 0, device)
                    if number == 0 and way == PEER and device.type == "cuda":
                        peaks[precision] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
                    if number:  # the first warms up
                        rates.setdefault((precision, way), []).append(seen)
                    bar.update()
    for way in ways.values():
        if hasattr(way.batches, "close"):
            way.batches.close()
    return [
        {
            "precision": precision,
            "way": way,
            "pictures": spread(rates[precision, way]),
            "ratio": spread(np.divide(rates[precision, way], rates[precision, PEER]).tolist()),
            "alone": spread(rates[ALONE, way]) if (ALONE, way) in rates else None,
            "peak_gigabytes": peaks.get(precision),
        }
        for precision, way in turns
        if precision in trainers
    ]


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    settings, lines = result["settings"], []
    for row in result["rows"]:
        at_peer = row["way"] == PEER
        lines.append(
            [
                row["precision"],
                row["way"],
                in_words(row["pictures"], 0),
                "1" if at_peer else in_words(row["ratio"], 2),
                in_words(row["alone"], 0) if row["alone"] else "",
            ]
        )
    peaks = {row["precision"]: row["peak_gigabytes"] for row in result["rows"]}
    memory = ", ".join(f"{peak} GB in {name}" for name, peak in peaks.items() if peak)
    fed = (
        "people made on the card"
        if settings["fresh"]
        else f"{settings['people']} people in frames of {settings['size']} x {settings['size']} "
        f"px; {settings['workers']} processes for SPIN's way"
    )
    head = (
        f"{settings['encoder']} at {get_scale(settings['scale']).resolution} px, batches of "
        f"{settings['batch']}; {fed}; "
        f"{settings['cores']} cores. Median (least to most) of {settings['rounds']} turns of "
        f"{settings['seconds']} s." + (f" At most {memory} of the card's memory." if memory else "")
    )
    columns = ["precision", "fed by", "pictures a second", "share of the peer's rate",
               "loader alone, pictures a second"]  # fmt: skip
    return "\n\n".join([head, markdown(columns, lines), origin(result)])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="people made on the card alone")
    parser.add_argument("--scale", default="gpu", help="of the network and its pictures")
    parser.add_argument("--compile", action="store_true", help="these compiled, too")
    parser.add_argument("--people", type=int, default=1024)
    parser.add_argument("--size", type=int, default=1000, help="side of the frames, pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--workers", type=int, default=8, help="processes for SPIN's way")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn, at least")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--write", action="store_true", help="record the figures")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args(arguments)
    with packing.in_a_home_of_its_own():
        rows = measure(options)
    kept = ("scale", "fresh", "people", "size", "batch", "encoder", "workers", "rounds", "seconds")
    settings = {name: getattr(options, name) for name in kept} | {"cores": os.cpu_count()}
    made = provenance(SEED, choose_device(options.device).type)
    result = {"settings": settings, "rows": rows, "provenance": made}
    print(table(result))
    keep_json(options.json, result)
    if options.write:
        publish("gpu", result, table(result))
    return result


if __name__ == "__main__":
    main()
