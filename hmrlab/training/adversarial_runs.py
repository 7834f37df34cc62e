"""Trainings with HMR's adversarial prior, by name."""

from __future__ import annotations

from dataclasses import replace

from hmrlab.training.adversary import AdversaryPlan
from hmrlab.training.losses import LossWeights
from hmrlab.training.runs import Run, Training
from hmrlab.training.scales import SCALES

_PLAN = AdversaryPlan()
# As keypoints_only: nobody's rotations or betas are known.
_ADVERSARIAL = Run(
    "adversarial",
    "as keypoints_only, and HMR's discriminators judge every body",
    LossWeights(pose=0.0, betas=0.0),
    SCALES["laptop"],
    adversary=_PLAN,
)
ADVERSARIAL_RUNS: tuple[Training, ...] = (
    _ADVERSARIAL,
    replace(
        _ADVERSARIAL,
        name="adversarial_no_guard",
        options="as adversarial, the discriminators learn in every step",
        adversary=replace(_PLAN, guard=0.0),
    ),
    # The failure: what the pictures show no longer counts beside what the discriminators say.
    replace(
        _ADVERSARIAL,
        name="adversarial_wins",
        options="half of the steps; the adversary counts 30 times as much, learns 10 times as "
        "fast and never waits",
        adversary=replace(_PLAN, weight=30.0, rate=1e-2, guard=0.0),
        effort=0.5,
    ),
    replace(
        _ADVERSARIAL,
        name="half_adversarial",
        options="as adversarial, half of the steps",
        effort=0.5,
    ),
)
