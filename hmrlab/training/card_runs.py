"""Trainings for a quarter of an hour on a borrowed GPU: every encoder the same time, by name.

Equal time, not equal steps: what a network is worth to whoever has the GPU for so long. The people
are made on the GPU as they are needed, so that nothing is to be generated or copied beforehand.
"""

from __future__ import annotations

from dataclasses import replace

from hmrlab.models.pruning import PrunePlan
from hmrlab.training.losses import LossWeights
from hmrlab.training.runs import FreshPlan, Run
from hmrlab.training.scales import SCALES

ENCODERS = (
    "resnet50",
    "densenet121",
    "densenet169",
    "densenet201",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
)

_CARD = Run(
    "card_resnet50",
    "a minute on the GPU at fresh people, all labels, ReLUs in the regressor; encoder resnet50",
    LossWeights(),
    SCALES["laptop"],
    data=("studio", "wild"),
    encoder="resnet50",
    batch_size=128,
    rectified=True,
    rate=4.0,
    fresh=FreshPlan(),
    seconds=60.0,
)
_POOLED = tuple(
    replace(
        _CARD,
        name=f"card_{name}",
        options=_CARD.options.replace("resnet50", name),
        encoder=name,
    )
    for name in ENCODERS
)
_LOGITS = tuple(
    replace(
        _CARD,
        name=f"card_{name}_logits",
        options=f"as card_{name}, wired as the diary had it: 1000 logits are the features",
        encoder=f"{name}:logits",
    )
    for name in ENCODERS
)
_TUNED = replace(
    _CARD,
    name="card_tuned",
    options="from card_resnet50: nothing pruned, fine-tuned for 20 s",
    base="card_resnet50",
    rate=1.0,
    seconds=20.0,
)
_PRUNED = replace(
    _TUNED,
    name="card_pruned",
    options="from card_resnet50: 20% pruned by masks, fine-tuned for 20 s",
    prune=PrunePlan("masks", 0.2),
)
_LONG = replace(
    _CARD,
    name="card_resnet50_long",
    options="as card_resnet50, 20 minutes, which may lie days apart",
    seconds=1200.0,
)

CARD_RUNS: tuple[Run, ...] = (*_POOLED, *_LOGITS, _PRUNED, _TUNED, _LONG)
