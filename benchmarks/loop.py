"""What a training step costs with fits in the loop, as a ratio to the same step without them.

    python benchmarks/loop.py [--rounds 9] [--steps 10] [--scale laptop] [--encoder resnet50]
        [--batch 64] [--precision bf16] [--fresh] [--threads N] [--write]

Three trainings of one network on one mixture of sets take turns, a few steps each: without fits,
taught by fits that were made beforehand, and with a fit of every unlabelled person of every batch
(SPIN). The peer is the training without fits. The memories begin empty: what a fit costs does not
depend on what it is compared with. On a GPU there is a fourth, whose fits are launched kernel by
kernel, not replayed as one. With --fresh a few batches of people, made beforehand where the
training is, come again and again: no step waits for pictures, and no set is stored.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _common import clock, in_words, markdown, origin, provenance, publish, spread
from tqdm.auto import tqdm

from hmrlab import Config, Trainer, get_scale, load_training_set, preset
from hmrlab.config import FreshConfig
from hmrlab.data.batch import Batch
from hmrlab.device import choose_device, choose_precision
from hmrlab.models.shipped import shipped_path
from hmrlab.runs import build_model, make_loader, make_objective, make_settings
from hmrlab.spin import FitConfig

WAYS: dict[str, FitConfig | None] = {
    "peer: no fits": None,
    "fits made beforehand": FitConfig(loop=False, headings=()),
    "fits in the loop": FitConfig(headings=()),
}
NOT_REPLAYED = "fits in the loop, not replayed"
SEED = 0
PEOPLE = 20_000  # fresh ones of each set, for whom the memories have rows
READY = 8  # batches of them


def ways_on(device: torch.device) -> dict[str, FitConfig | None]:
    """What is measured there."""
    return WAYS | ({NOT_REPLAYED: FitConfig(headings=())} if device.type == "cuda" else {})


def make_trainer(
    run: Config, device: torch.device, folder: Path, precision: str, replayed: bool = True
) -> Trainer:
    """A training as `run_training` would make it, from the shipped encoder where there is one."""
    dataset = load_training_set(run)
    start = shipped_path("encoder") if run.encoder == "small" else None
    model = build_model(replace(run, encoder_weights="none"), start)
    objective = make_objective(run, dataset, device, progress=False)
    if objective.supervisor is not None:
        objective.supervisor.replayed = replayed
    loader = make_loader(run, dataset, device)
    return Trainer(model, objective, loader, make_settings(run, precision), folder, device)


def make_run(options: argparse.Namespace) -> Config:
    """The run that all ways share."""
    run = preset("half_spin", get_scale(options.scale), SEED)
    fresh = FreshConfig(count=PEOPLE, labelled=False) if options.fresh else None
    return replace(
        run, encoder=options.encoder or run.encoder, batch_size=options.batch or run.batch_size,
        fresh=fresh, data_fraction=1.0 if options.fresh else run.data_fraction,
    )  # fmt: skip


def batches_of(trainer: Trainer, fresh: bool) -> Iterator[Batch]:
    """The training's batches; of fresh people the first ones, again and again."""
    batches = trainer.batches()
    if not fresh:
        return batches
    ready = list(itertools.islice(batches, READY))
    batches.close()
    return itertools.cycle(ready)


def measure(options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """One row for each way."""
    ways, precision = ways_on(device), choose_precision(options.precision, device)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        trainings = {}
        for way, plan in ways.items():
            run, place = replace(make_run(options), fits=plan), Path(folder) / str(len(trainings))
            trainer = make_trainer(run, device, place, precision, way != NOT_REPLAYED)
            trainer.model.train()
            trainings[way] = trainer, batches_of(trainer, options.fresh)
        total = (options.rounds + 1) * len(ways)
        with tqdm(total=total, desc="steps by turns", unit="turn", mininterval=1) as bar:
            for number in range(options.rounds + 1):
                for way, (trainer, batches) in trainings.items():
                    began = clock(device.type)
                    for _ in range(options.steps):
                        trainer.train_step(batches)
                    if number:  # the first warms up
                        taken[way].append((clock(device.type) - began) / options.steps)
                    bar.update()
        for _, batches in trainings.values():
            if hasattr(batches, "close"):
                batches.close()
    peer = taken[next(iter(ways))]
    return [
        {
            "way": way,
            "milliseconds": spread([1000 * t for t in times]),
            "ratio": spread([t / p for t, p in zip(times, peer, strict=True)]),
        }
        for way, times in taken.items()
    ]


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    settings = result["settings"]
    lines = [
        [row["way"], in_words(row["milliseconds"]),
         "1" if row["way"].startswith("peer") else in_words(row["ratio"], 2)]
        for row in result["rows"]
    ]  # fmt: skip
    head = f"Scale {settings['scale']}, median (least to most) of {settings['rounds']} turns."
    if "encoder" in settings:  # figures of before do not say it
        head += (
            f" Encoder {settings['encoder']}, batches of {settings['batch']}, "
            f"{settings['precision']}."
        ) + (" People made on the device." if settings["fresh"] else "")
    body = markdown(["training", "ms a step", "ratio, turn by turn"], lines)
    return "\n\n".join([head, body, origin(result)])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--encoder", default="", help="by default the scale's")
    parser.add_argument("--batch", type=int, default=0, help="by default the scale's")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "auto"))
    parser.add_argument("--fresh", action="store_true", help="people made on the device")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="by default what torch takes")
    parser.add_argument("--write", action="store_true", help="record the figures")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    device, run = choose_device(options.device), make_run(options)
    kept = ("rounds", "steps", "scale", "fresh")
    used = {
        "encoder": run.encoder,
        "batch": run.batch_size,
        "precision": choose_precision(options.precision, device),
    }
    result = {
        "settings": {name: getattr(options, name) for name in kept} | used,
        "rows": measure(options, device),
        "provenance": provenance(SEED, device.type),
    }
    print(table(result))
    if options.write:
        publish("loop", result, table(result))
    return result


if __name__ == "__main__":
    main()
