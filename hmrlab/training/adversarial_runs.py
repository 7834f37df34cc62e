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
# The diary's question: a discriminator next, to the network that there is.
_LATE = replace(
    _ADVERSARIAL,
    name="adversarial_late",
    options="from keypoints_only: a quarter of the steps at a quarter of the rate",
    base="keypoints_only",
    effort=0.25,
    rate=0.25,
)
_SLOW = replace(
    _LATE,
    name="adversarial_slow",
    options="from keypoints_only: a quarter of the steps at a hundredth of the rate; the "
    "discriminators learn 10 times as fast and never wait",
    rate=0.01,
    adversary=replace(_PLAN, rate=1e-2, guard=0.0),
)
ADVERSARIAL_RUNS: tuple[Training, ...] = (
    _ADVERSARIAL,
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
    _LATE,
    # A network that cannot keep up: only against such a one did judges win, and the guard act.
    _SLOW,
    replace(
        _SLOW,
        name="adversarial_slow_guarded",
        options="the same, the discriminators wait where they tell real from fake too well",
        adversary=replace(_SLOW.adversary, guard=_PLAN.guard),
    ),
)
