"""Fit the pose prior that comes with the package: a mixture of the sampler's own poses.

    python tools/build_prior.py

It needs the extra `hmrlab[body]`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np

from hmrlab.bodies.limits import SWING_LIMITS_DEG
from hmrlab.data.synthetic.poses import sample_poses
from hmrlab.files import FileProblem, save_npz_whole, write_text_whole
from hmrlab.ledger import record_run, settings_hash
from hmrlab.smplify.prior import ASSET, N_NUMBERS

RECORD = "prior.json"
COMPONENTS = 8  # as in SMPLify's gmm_08.pkl
HELD_OUT = 2000  # poses
FLOOR = 0.1  # of a joint's swing limit


def build_prior(folder: Path = ASSET.parent, poses: int = 20_000, seed: int = 8) -> Path:
    """Fit the mixture and write it, and beside it a record of how it was made.

    Everyday poses hardly move some joints, and the sampler never moves feet and hands at all: a
    mixture fitted to them alone would hold those as in a vice. So that each joint keeps a deviation
    that goes with its range of motion, the square of a tenth of its swing limit is added to its
    three variances in every component.

    Args:
        folder: where `pose_prior.npz` and `prior.json` go; by default the package's.
        poses: how many the mixture is fitted to.
        seed: of the poses.

    Returns:
        The prior's path.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed (the extra `hmrlab[body]`).
        FileProblem: a file cannot be written.
    """
    sklearn = _load_sklearn()
    began = time.monotonic()
    rng = np.random.default_rng(seed)
    mixture = sklearn.mixture.GaussianMixture(
        COMPONENTS, covariance_type="full", reg_covar=1e-4, max_iter=200, random_state=0
    ).fit(_below_the_root(poses, rng))
    floor = np.radians(FLOOR * SWING_LIMITS_DEG[1:]).repeat(3)
    path = save_npz_whole(
        folder / ASSET.name,
        means=mixture.means_.astype(np.float32),
        covars=(mixture.covariances_ + np.diag(floor**2)).astype(np.float32),
        weights=mixture.weights_.astype(np.float32),
    )
    settings = {"poses": poses, "components": COMPONENTS, "floor": FLOOR, "seed": seed}
    record = record_run(
        name="pose_prior",
        settings=settings,
        settings_hash=settings_hash(settings),
        seed=seed,
        metrics={
            "iterations": mixture.n_iter_,
            "converged": mixture.converged_,
            "held_out_log_likelihood": mixture.score(_below_the_root(HELD_OUT, rng)),
        },
        seconds=time.monotonic() - began,
    )
    written = asdict(record) | {"sha256": {path.name: digest(path)}}
    written["versions"]["scikit-learn"] = sklearn.__version__
    write_text_whole(folder / RECORD, json.dumps(written, indent=1) + "\n")
    return path


def digest(path: Path) -> str:
    """A file's SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _below_the_root(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 69) axis-angles, radians."""
    return sample_poses(count, rng)[0][:, 1:].reshape(-1, N_NUMBERS)


def _load_sklearn() -> ModuleType:
    try:
        import sklearn.mixture
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "fitting the pose prior needs the package 'scikit-learn', which nothing else does. "
            "Install it with: pip install 'hmrlab[body]'"
        ) from error
    return sklearn


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, default=ASSET.parent, help="the package's by default"
    )
    options = parser.parse_args(words)
    try:
        path = build_prior(options.folder)
    except (FileProblem, ModuleNotFoundError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
