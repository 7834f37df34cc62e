"""What a training step costs with fits in the loop, as a ratio to the same step without them.

    python benchmarks/loop.py [--rounds 9] [--steps 10] [--scale laptop] [--threads N] [--write]

Three trainings of one network on one mixture of sets take turns, a few steps each: without fits,
taught by fits that were made beforehand, and with a fit of every unlabelled person of every batch
(SPIN). The peer is the training without fits. The memories begin empty: what a fit costs does not
depend on what it is compared with.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _common import clock, in_words, markdown, origin, provenance, publish, spread
from tqdm.auto import tqdm

from hmrlab.models.shipped import shipped_path
from hmrlab.training import Run, Trainer, get_scale, load_training_set, named_run
from hmrlab.training.device import choose_device
from hmrlab.training.experiments import build_model, make_loader, make_settings
from hmrlab.training.tasks import make_task
from hmrlab.training.teacher import FitPlan

WAYS: dict[str, FitPlan | None] = {
    "peer: no fits": None,
    "fits made beforehand": FitPlan(loop=False, headings=()),
    "fits in the loop": FitPlan(headings=()),
}
SEED = 0


def make_trainer(run: Run, device: torch.device, folder: Path) -> Trainer:
    """A training as `run_training` would make it, from the shipped encoder."""
    dataset = load_training_set(run.data, run.scale)
    start = shipped_path("encoder") if run.scale.encoder == "small" else None
    model = build_model(replace(run, weights="none"), start)
    objective = make_task(run, device).objective(dataset, progress=False)
    loader = make_loader(run, dataset, device)
    return Trainer(model, objective, loader, make_settings(run, "fp32"), folder, device)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way."""
    device = choose_device(options.device)
    scale = get_scale(options.scale)
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        trainings = {}
        for way, plan in WAYS.items():
            run = replace(named_run("half_spin", scale, SEED), fits=plan)
            trainer = make_trainer(run, device, Path(folder) / str(len(trainings)))
            trainer.model.train()
            trainings[way] = trainer, trainer.batches()
        total = (options.rounds + 1) * len(WAYS)
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
            batches.close()
    peer = taken[next(iter(WAYS))]
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
    body = markdown(["training", "ms a step", "ratio, turn by turn"], lines)
    return "\n\n".join([head, body, origin(result)])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, help="by default what torch takes")
    parser.add_argument("--write", action="store_true", help="record the figures")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    kept = ("rounds", "steps", "scale")
    result = {
        "settings": {name: getattr(options, name) for name in kept},
        "rows": measure(options),
        "provenance": provenance(SEED, choose_device(options.device).type),
    }
    print(table(result))
    if options.write:
        publish("loop", result, table(result))
    return result


if __name__ == "__main__":
    main()
