"""How fast 49 keypoints and their gradients are, as a ratio to smplx's mesh and the regressors.

    python benchmarks/keypoint_body.py [--batch 64] [--rounds 7] [--threads N] [--write]

Each call is forward and backward, from axis-angles and betas to keypoints and back to gradients of
both. The peer is `smplx.SMPL` on the very same body with the rows of regressors that SPIN adds.
Peer and ours take turns round by round; the ratio of each round's times is taken, then the median.
That both give the same keypoints and gradients is checked in the run, before anything is timed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from _common import clock, in_words, markdown, origin, provenance, publish, spread
from _peer_body import SmplxKeypoints
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.bodies import Body, BodyArrays, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.compiled import compile_keypoints

BODIES = {
    "full": "free body, full",
    "light": "free body, light",
    "correctives": "free body, full, with made-up pose correctives",
}
WAYS = {
    "smplx": "peer: smplx.SMPL and regressors",
    "keypoint body": "keypoint body",
    "compiled": "keypoint body, compiled",
}
LARGEST_DIFFERENCE = 1e-5  # metres; for gradients, parts of the largest
SEED = 0

Call = Callable[[], tuple[Tensor, Tensor, Tensor]]  # keypoints, gradients of pose and betas


def body_arrays(kind: str) -> BodyArrays:
    """One of `BODIES`; the correctives are noise of 1 mm: their values do not matter to speed."""
    detail = "light" if kind == "light" else "full"
    arrays = read_body_file(ASSETS / f"free_body_{detail}.npz")
    if kind != "correctives":
        return arrays
    noise = np.random.default_rng(SEED).normal(0, 1e-3, (*arrays.v_template.shape, 207))
    return dataclasses.replace(arrays, posedirs=noise)


def calls(kind: str, device: str, batch: int, compiled: bool) -> tuple[dict[str, Call], float]:
    """Forward and backward of each way on the same input, and what compiling took, seconds."""
    arrays = body_arrays(kind)
    body, peer = Body(arrays).to(device), SmplxKeypoints(arrays).to(device)
    ways = {"smplx": peer.keypoints, "keypoint body": body.keypoints}
    began = clock(device)
    if compiled:
        ways["compiled"] = compile_keypoints(body, batch)
    took = clock(device) - began
    if ways.get("compiled") == body.keypoints:  # it fell back, and has said why
        del ways["compiled"]
    generator = torch.Generator().manual_seed(SEED)
    pose, betas, weights = (
        torch.randn(batch, *shape, generator=generator).to(device)
        for shape in ((72,), (10,), (49, 3))
    )
    pose, betas = (0.5 * pose).requires_grad_(), betas.requires_grad_()

    def call(way: Callable[[Tensor, Tensor], Tensor]) -> Call:
        def both() -> tuple[Tensor, Tensor, Tensor]:
            points = way(pose, betas)
            return points.detach(), *torch.autograd.grad((points * weights).sum(), (pose, betas))

        return both

    return {name: call(way) for name, way in ways.items()}, took


def largest_differences(call: Call, peer: Call) -> dict[str, float]:
    """How far a way's results are from the peer's.

    Raises:
        ValueError: too far: there is nothing to compare the speed of.
    """
    (points, *gradients), (expected, *expected_gradients) = call(), peer()
    found = {"keypoints_m": (points - expected).abs().max()}
    for name, ours, theirs in zip(("pose", "betas"), gradients, expected_gradients, strict=True):
        found[f"{name}_gradient"] = (ours - theirs).abs().max() / theirs.abs().max()
    differences = {name: float(f"{value:.2g}") for name, value in found.items()}
    if not all(value <= LARGEST_DIFFERENCE for value in differences.values()):
        raise ValueError(f"not the same as smplx within {LARGEST_DIFFERENCE}: {differences}")
    return differences


def seconds_per_call(call: Call, device: str, least: float) -> float:
    """Mean of as many calls as fit into `least` seconds, at least one."""
    count, began = 0, clock(device)
    while count == 0 or clock(device) - began < least:
        call()
        count += 1
    return (clock(device) - began) / count


def measure(options: argparse.Namespace, kind: str, device: str, bar: tqdm) -> list[dict[str, Any]]:
    """One row for each way on one body."""
    bar.set_description(f"{kind} on {device}")
    ways, compiling = calls(kind, device, options.batch, options.compile)
    differences = {n: largest_differences(c, ways["smplx"]) for n, c in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, call in ways.items():
            times[name].append(seconds_per_call(call, device, options.seconds))
        bar.update()
    rows = []
    for name, taken in times.items():
        ratios = [peer / ours for peer, ours in zip(times["smplx"], taken, strict=True)]
        row = {"body": kind, "way": name, "device": device, "differences": differences[name]}
        row |= {"ms": spread([1000 * t for t in taken]), "ratio": spread(ratios)}
        if name == "compiled":
            row["compile_seconds"] = round(compiling, 1)
        rows.append(row)
    return rows


def table(result: dict[str, Any]) -> str:
    """The result for README.md."""
    lines = []
    for row in result["rows"]:
        where = "CPU" if row["device"] == "cpu" else "GPU"
        ratio = in_words(row["ratio"]) if row["way"] != "smplx" else "1"
        lines.append([BODIES[row["body"]], where, WAYS[row["way"]], in_words(row["ms"], 2), ratio])
    settings = result["settings"]
    head = ["body", "on", "way", "ms a call", "ratio, round by round"]
    rounds = f"median (least to most) of {settings['rounds']} rounds"
    text = f"Batch of {settings['batch']}, {rounds}.\n\n{markdown(head, lines)}\n\n"
    compiling = [row["compile_seconds"] for row in result["rows"] if "compile_seconds" in row]
    if compiling:
        text += f"Compiling took {compiling[0]:.0f} s for the first body.\n"
    return text + origin(result)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=64, help="bodies in a call")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="at least, a way and round")
    parser.add_argument("--bodies", nargs="+", choices=BODIES, default=list(BODIES))
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--threads", type=int, help="of PyTorch; by default as many as it takes")
    parser.add_argument("--write", action="store_true", help="update results/ and README.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows: list[dict[str, Any]] = []
    total = len(devices) * len(options.bodies) * options.rounds
    with tempfile.TemporaryDirectory() as folder, tqdm(total=total, unit="round") as bar:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # or nothing might be left to compile
        for device in devices:
            for kind in options.bodies:
                rows += measure(options, kind, device, bar)
    settings = {"batch": options.batch, "rounds": options.rounds, "seconds": options.seconds}
    result = {"provenance": provenance(SEED, devices[-1]), "settings": settings, "rows": rows}
    print(table(result))
    if options.write:
        publish("keypoint_body", result, table(result))
    return result


if __name__ == "__main__":
    main()
