"""How fast synthetic people are made where they are needed, as a ratio to making stored ones.

    python benchmarks/people.py [--device cuda] [--batch 64] [--rounds 5] [--write]

The peer is one process of a CPU that makes people as for a stored set (`make_chunk`) and cuts
augmented crops out of them; writing and reading a set is not counted. The others make the same
kind of people straight into augmented crops on the device (`hmrlab.data.synthetic.fresh`), plain
and with the rasteriser compiled. Drawing people as numbers, which a CPU does beside the device's
work, is timed by itself. All take turns.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import clock, in_words, keep_json, markdown, origin, provenance, publish, spread
from tqdm.auto import tqdm

from hmrlab.bodies import body_digest
from hmrlab.bodies.paths import FREE
from hmrlab.data.augment import AugmentationSettings, RawBatch, draw
from hmrlab.data.images import MARGIN
from hmrlab.data.synthetic import casting
from hmrlab.data.synthetic.fresh import FreshPeople
from hmrlab.data.synthetic.people import make_chunk
from hmrlab.device import choose_device

SEED = 0
PEER = "peer: as for a stored set, one process of the CPU"
NUMBERS = "drawn as numbers, one core of the CPU"


def as_stored(count: int, resolution: int, number: int) -> None:
    """Wild people in stored pictures, and crops of them."""
    size = round(MARGIN * resolution)
    chunk = make_chunk(count, size, True, np.random.default_rng([SEED, number]))
    labels = {
        name: torch.from_numpy(getattr(chunk, name)).float()
        for name in ("center", "scale", "keypoints", "joints_3d", "pose", "betas")
    }
    known = torch.ones(count, dtype=torch.bool)
    raw = RawBatch(
        images=torch.from_numpy(chunk.images), **labels, has_smpl=known, has_pose_3d=known,
        index=torch.arange(count),
    )  # fmt: skip
    raw.augmented(_draws(count, number), resolution)


def on_device(people: FreshPeople, device: torch.device, count: int, resolution: int) -> Callable:
    """Makes the batch of a number, pictures and all."""

    def make(number: int) -> None:
        rows = np.arange(number * count, (number + 1) * count)
        (raw,) = people.gather_by_set(rows, round(MARGIN * resolution))
        raw.to(device).augmented(_draws(count, number), resolution)

    return make


def _draws(count: int, number: int) -> Any:
    return draw(AugmentationSettings(), count, torch.Generator().manual_seed(number))


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way."""
    device = choose_device(options.device)
    count, resolution = options.batch, options.resolution
    ways: dict[str, tuple[int, Callable[[int], object]]] = {
        PEER: (count, lambda k: as_stored(count, resolution, k)),
        NUMBERS: (
            casting.CHUNK,
            lambda k: casting.draw_chunk.__wrapped__(SEED, True, k, FREE, body_digest(FREE)),
        ),
    }
    for compiled in (False, True) if options.compile else (False,):
        for name in ("studio", "wild"):
            people = FreshPeople({name: 1.0}, 2**24, compiled=compiled)
            way = f"{name}, on the device" + (", compiled" if compiled else "")
            ways[way] = count, on_device(people, device, count, resolution)
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with tqdm(total=(options.rounds + 1) * len(ways), desc="ways by turns", unit="turn") as bar:
        for number in range(options.rounds + 1):
            for way, (made, make) in ways.items():
                seen = rate(made, make, options.seconds if number else 0, device)
                if number:  # the first warms up and compiles
                    rates[way].append(seen)
                bar.update()
    return [
        {
            "way": way,
            "people": spread(seen),
            "ratio": spread(np.divide(seen, rates[PEER]).tolist()),
        }
        for way, seen in rates.items()
    ]


def rate(count: int, make: Callable[[int], object], seconds: float, device: torch.device) -> float:
    """People a second."""
    done, began = 0, clock(device.type)
    while done < 2 or clock(device.type) - began < seconds:
        for _ in range(2 if seconds else 1):  # between two looks at the clock
            make(done)
            done += 1
    return done * count / (clock(device.type) - began)


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    settings = result["settings"]
    lines = [
        [row["way"], in_words(row["people"], 0),
         "1" if row["way"] == PEER else in_words(row["ratio"], 2)]
        for row in result["rows"]
    ]  # fmt: skip
    head = (
        f"{settings['resolution']} px, {settings['batch']} people at a time. Median (least to "
        f"most) of {settings['rounds']} turns of {settings['seconds']} s."
    )
    columns = ["people", "a second", "ratio, turn by turn"]
    return "\n\n".join([head, markdown(columns, lines), origin(result)])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn, at least")
    parser.add_argument("--compile", action="store_true", help="compiled ways, too")
    parser.add_argument("--threads", type=int, help="by default what torch takes")
    parser.add_argument("--write", action="store_true", help="record the figures")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = measure(options)
    kept = ("batch", "resolution", "rounds", "seconds")
    result = {
        "settings": {name: getattr(options, name) for name in kept},
        "rows": rows,
        "provenance": provenance(SEED, choose_device(options.device).type),
    }
    print(table(result))
    keep_json(options.json, result)
    if options.write:
        publish("people", result, table(result))
    return result


if __name__ == "__main__":
    main()
