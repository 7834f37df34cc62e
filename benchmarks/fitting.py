"""Fits a second and how good they are, as a ratio to SPIN's own way with smplx.

    python benchmarks/fitting.py [--count 256] [--rounds 3] [--device cpu] [--threads N] [--write]

The peer is SMPLify as SPIN runs it: 100 + 100 steps of Adam through `smplx.SMPL` and the regressors
on the full free body. Ours are the same steps through the keypoint body, and `fit_with_newton` with
several numbers of steps. All fit the same people of a synthetic test set by the same objective from
the same starts: cold (mean pose, facing the camera) and warm (what the shipped network says about
the picture). The peer runs once, since it takes minutes; the others every round.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from _common import clock, in_words, markdown, origin, provenance, publish, spread
from _peer_body import SmplxKeypoints
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab import get_scale, load_set
from hmrlab.bodies import Body, SMPLParams, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.data.loader import BatchLoader
from hmrlab.models.shipped import load_reference_model
from hmrlab.smplify import (
    AdamSettings,
    Fits,
    NewtonSettings,
    PosePrior,
    Targets,
    cold_start,
    fit_with_adam,
    fit_with_newton,
    from_camera,
    load_prior,
)

NEWTON_STEPS = ((3, 4), (10, 5), (10, 10), (10, 20), (10, 40))  # first stage, second stage
PEER = "peer"
GOOD_REPROJECTION = 100.0  # SPIN's limit for a fit that may teach, pixels squared
SEED = 0

Way = Callable[[Targets, SMPLParams], Fits]


@dataclass(frozen=True)
class Problems:
    """People to fit, in batches as in training, and where each fit starts."""

    targets: list[Targets]
    starts: dict[str, list[SMPLParams]]  # "cold", "warm"

    def solved_by(self, way: Way, start: str, device: str) -> tuple[Fits, float]:
        """All fits, and the seconds that they took."""
        began = clock(device)
        parts = [
            way(targets, guess)
            for targets, guess in zip(self.targets, self.starts[start], strict=True)
        ]
        return Fits.cat(parts), clock(device) - began


class Counted:
    """A body that moves a bar each time it is posed."""

    def __init__(self, body: SmplxKeypoints, bar: tqdm) -> None:
        self._body, self._bar = body, bar

    def keypoints(self, pose: Tensor, betas: Tensor) -> Tensor:
        self._bar.update()
        return self._body.keypoints(pose, betas)


def make_problems(body: Body, prior: PosePrior, options: argparse.Namespace) -> Problems:
    """The first people of the wild test set and the shipped network's word on each."""
    scale = get_scale(options.scale)
    people = load_set("wild", "test", scale).first(options.count)
    model = load_reference_model().to(options.device)
    targets: list[Targets] = []
    starts: dict[str, list[SMPLParams]] = {"cold": [], "warm": []}
    for batch in BatchLoader(people, batch_size=options.batch, resolution=scale.resolution):
        batch = batch.to(options.device)
        targets.append(Targets.from_normalised(batch.keypoints_2d))
        starts["cold"].append(cold_start(body, prior, targets[-1]))
        with torch.no_grad():
            said = model(batch.images)
        starts["warm"].append(from_camera(said.rotations, said.betas, said.camera))
    return Problems(targets, starts)


def fast_ways(body: Body, prior: PosePrior, steps: int) -> dict[str, Way]:
    """All ways but the peer, by their names in the table."""

    def adam(targets: Targets, start: SMPLParams) -> Fits:
        return fit_with_adam(body, prior, targets, start, AdamSettings(steps=steps))

    def newton(camera_steps: int, body_steps: int) -> Way:
        settings = NewtonSettings(camera_steps=camera_steps, steps=body_steps)
        return lambda targets, start: fit_with_newton(body, prior, targets, start, settings)

    ways: dict[str, Way] = {f"Adam, {steps} + {steps} steps, keypoint body": adam}
    return ways | {f"Newton, {a} + {b} steps": newton(a, b) for a, b in NEWTON_STEPS}


def quality(fits: Fits) -> dict[str, float]:
    """What the fits reached."""
    objective, reprojection = fits.objective[fits.valid], fits.reprojection[fits.valid]
    figures = {
        "objective_mean": objective.mean(),
        "objective_median": objective.median(),
        "reprojection_mean": reprojection.mean(),
        "share_below_100": (reprojection < GOOD_REPROJECTION).double().mean(),
    }
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way and start."""
    arrays = read_body_file(ASSETS / "free_body_full.npz")
    body, prior = Body(arrays).to(options.device), load_prior().to(options.device)
    peer_body = SmplxKeypoints(arrays).to(options.device)
    problems = make_problems(body, prior, options)
    ways = fast_ways(body, prior, options.steps)
    for way in ways.values():  # warms up
        way(problems.targets[0], problems.starts["cold"][0])
    peer_body.keypoints(
        problems.starts["cold"][0].pose.flatten(1), problems.starts["cold"][0].betas
    )
    rows = []
    posed = len(problems.targets) * (2 * options.steps + 1)
    for start in problems.starts:
        with tqdm(total=posed, desc=f"{start} start, smplx", unit="call", mininterval=1) as bar:
            counted, settings = Counted(peer_body, bar), AdamSettings(steps=options.steps)
            fits, peer_took = problems.solved_by(
                lambda targets, guess, counted=counted, settings=settings: fit_with_adam(
                    counted, prior, targets, guess, settings
                ),
                start,
                options.device,
            )
        name = f"{PEER}: Adam, {options.steps} + {options.steps} steps, smplx.SMPL"
        rows.append(_row(start, name, fits, [peer_took], peer_took))
        taken: dict[str, list[float]] = {name: [] for name in ways}
        reached: dict[str, Fits] = {}
        total = options.rounds * len(ways)
        with tqdm(total=total, desc=f"{start} start, the others", unit="run") as bar:
            for _ in range(options.rounds):
                for name, way in ways.items():
                    reached[name], took = problems.solved_by(way, start, options.device)
                    taken[name].append(took)
                    bar.update()
        rows += [_row(start, name, reached[name], taken[name], peer_took) for name in ways]
    return rows


def _row(start: str, way: str, fits: Fits, taken: list[float], peer: float) -> dict[str, Any]:
    speed = {
        "fits": len(fits),
        "valid": int(fits.valid.sum()),
        "fits_per_second": spread([len(fits) / t for t in taken]),
        "ratio": spread([peer / t for t in taken]),
    }
    return {"start": start, "way": way, **speed, **quality(fits)}


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    settings = result["settings"]
    head = ["way", "fits a second", "ratio", "objective, mean", "median", "reprojection, mean",
            "below 100"]  # fmt: skip
    parts = [
        f"{settings['count']} people of the synthetic wild test set, {settings['batch']} at a "
        "time, full free body. Median (least to most) of "
        f"{settings['rounds']} rounds, the peer once."
    ]
    for start in ("cold", "warm"):
        lines = []
        for row in result["rows"]:
            if row["start"] != start:
                continue
            peer = row["way"].startswith(PEER)
            lines.append(
                [
                    row["way"],
                    in_words(row["fits_per_second"], 2 if peer else 0),
                    "1" if peer else in_words(row["ratio"], 0),
                    f"{row['objective_mean']:,.0f}",
                    f"{row['objective_median']:,.0f}",
                    f"{row['reprojection_mean']:.1f}",
                    f"{100 * row['share_below_100']:.1f} %",
                ]
            )
        parts.append(f"{start.capitalize()} start. {_verdict(result['rows'], start)}")
        parts.append(markdown(head, lines))
    return "\n\n".join([*parts, origin(result)])


def _verdict(rows: list[dict[str, Any]], start: str) -> str:
    """Which way is the fastest of those whose mean objective ends no higher than the peer's."""
    rows = [row for row in rows if row["start"] == start]
    limit = next(row["objective_mean"] for row in rows if row["way"].startswith(PEER))
    as_low = [row for row in rows if row["objective_mean"] <= limit]
    best = max(as_low, key=lambda row: row["ratio"]["median"])
    return (
        "The fastest that ends at a mean objective no higher than the peer's: "
        f"{best['way']}, {best['ratio']['median']:,.0f} times the peer's rate."
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=256, help="people to fit")
    parser.add_argument("--batch", type=int, default=64, help="people fitted at a time")
    parser.add_argument("--rounds", type=int, default=3, help="of all ways but the peer")
    parser.add_argument("--steps", type=int, default=100, help="of each of Adam's two stages")
    parser.add_argument("--scale", default="laptop", help="whose test set is taken")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="of PyTorch; by default as many as it takes")
    parser.add_argument("--write", action="store_true", help="update results/ and README.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = measure(options)
    names = ("count", "batch", "rounds", "steps", "scale", "device")
    settings = {name: getattr(options, name) for name in names}
    result = {"provenance": provenance(SEED, options.device), "settings": settings, "rows": rows}
    print(table(result))
    if options.write:
        publish("fitting", result, table(result))
    return result


if __name__ == "__main__":
    main()
