"""How fast synthetic people are made, as a ratio to making them naively, one at a time.

    python benchmarks/generate.py [--size 64] [--count 600] [--rounds 5]

The naive way is what one writes first: for each picture a call of `smplx.SMPL` with one body of
full detail, and pyrender (or our rasteriser, where there is no GL) with its own normals and light.
Both ways take turns in one process each with one thread; the medians of their rates are compared.
The set as users get it, in as many processes as there are cores, is timed as well.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from _common import in_words, provenance, spread

from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import BodyArrays, read_body_file
from hmrlab.bodies.smplx_adapter import smplx_model
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.data.synthetic.people import make_chunk
from hmrlab.data.synthetic.poses import sample_betas, sample_poses
from hmrlab.rendering import choose_backend, overlay

SEED = 0
CAMERA = torch.tensor([[0.9, 0.0, 0.0]])


def naive(n: int, size: int, model: torch.nn.Module, faces: np.ndarray) -> None:
    """Pose and draw n people one by one."""
    rng = np.random.default_rng(SEED)
    for _ in range(n):
        poses, _ = sample_poses(1, rng)
        poses[:, 0] = [np.pi, 0, 0]
        pose = torch.from_numpy(poses).float().flatten(1)
        betas = torch.from_numpy(sample_betas(1, rng)).float()
        with torch.no_grad():
            out = model(betas=betas, body_pose=pose[:, 3:], global_orient=pose[:, :3])
        background = rng.integers(0, 255, (1, size, size, 3), dtype=np.uint8)
        overlay(background, out.vertices, faces, CAMERA)


def rate(work: Callable[[int], None], count: int) -> float:
    """Pictures a second."""
    started = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="side of the pictures, pixels")
    parser.add_argument("--count", type=int, default=640, help="pictures of a round, ours")
    parser.add_argument("--naive-count", type=int, default=24, help="pictures of a round, naive")
    parser.add_argument("--set-count", type=int, default=6000, help="pictures of a whole set")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    arrays: BodyArrays = read_body_file(ASSETS / "free_body_full.npz")
    model = smplx_model(arrays)
    ours, theirs = [], []
    for round_number in range(options.rounds + 1):
        a = rate(
            lambda n: make_chunk(n, options.size, False, np.random.default_rng(SEED)), options.count
        )
        b = rate(lambda n: naive(n, options.size, model, arrays.faces), options.naive_count)
        if round_number:  # the first warms up: compilation, the backend's probe
            ours.append(a)
            theirs.append(b)
    with tempfile.TemporaryDirectory() as folder:
        spec = SetSpec("studio", "train", options.set_count, options.size)
        whole = rate(lambda _: ensure_set(spec, folder, progress=False), options.set_count)
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    for name, value in provenance(SEED).items():
        print(f"{name:<10} {value}")
    print(f"naive with smplx and {choose_backend()}, 1 process: {_spread(theirs)} pictures/s")
    print(f"batched, own rasteriser, 1 process: {_spread(ours)} pictures/s")
    print(f"ratio: {_spread(ratios)}")
    print(f"a set of {options.set_count:,}, all cores: {whole:.0f} pictures/s, files and all")


def _spread(values: list[float]) -> str:
    return f"median {in_words(spread(values))}"


if __name__ == "__main__":
    main()
