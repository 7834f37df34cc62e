"""Trainings by name: each is a frozen dataclass, a few fields different from another."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from hmrlab.training.losses import LossWeights
from hmrlab.training.scales import SCALES, Scale


@dataclass(frozen=True)
class Run:
    """All that decides a training's result. Equal runs share one result through the ledger."""

    name: str
    options: str  # one line in words, as in the diary's table
    losses: LossWeights
    scale: Scale
    n_iter: int = 3
    schedule: str = "warm_cosine"
    weight_decay: float = 1e-4
    regressor_rate: float = 0.25  # learning rate of the regressor over the encoder's
    dropout: float = 0.0
    clip_norm: float = 5.0
    accumulate: int = 1  # micro-batches for one optimiser step
    precision: str = "auto"
    seed: int = 0


KEYPOINTS_ONLY = LossWeights(pose=0.0, betas=0.0)
WITH_SMPL = LossWeights()

_NAMED: dict[str, Run] = {
    run.name: run
    for run in (
        Run(
            "train_test",
            "keypoint losses only, one pass of the regressor (no n_iter)",
            KEYPOINTS_ONLY,
            SCALES["laptop"],
            n_iter=1,
        ),
        Run(
            "keypoints_only",
            "keypoint losses only, n_iter = 3",
            KEYPOINTS_ONLY,
            SCALES["laptop"],
        ),
        Run(
            "with_smpl",
            "keypoint losses and SMPL pose and beta losses, n_iter = 3",
            WITH_SMPL,
            SCALES["laptop"],
        ),
    )
}


def list_runs() -> list[Run]:
    """Every named run, at `laptop` scale."""
    return list(_NAMED.values())


def named_run(name: str, scale: Scale, seed: int = 0) -> Run:
    """A run of the list at another scale and seed.

    Raises:
        ValueError: no run has that name; the message suggests the nearest.
    """
    if name not in _NAMED:
        near = difflib.get_close_matches(name, _NAMED, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown run {name!r}.{hint} There are: {', '.join(_NAMED)}")
    return replace(_NAMED[name], scale=scale, seed=seed)
