"""Trainings of other encoders and of pruned ones, by name."""

from __future__ import annotations

from dataclasses import replace

from hmrlab.models import ENCODER_NAMES
from hmrlab.models.pruning import PrunePlan
from hmrlab.training.losses import LossWeights
from hmrlab.training.runs import Run, Training
from hmrlab.training.scales import SCALES

# Every encoder from a random start, equally long. ReLUs in the regressor: with them no training of
# ours has diverged.
_BACKBONE = Run(
    "backbone_small",
    "all labels, a quarter of the steps, ReLUs in the regressor; encoder small",
    LossWeights(),
    SCALES["laptop"],
    effort=0.25,
    rectified=True,
)
_BACKBONES: tuple[Training, ...] = tuple(
    replace(
        _BACKBONE,
        name=f"backbone_{name}",
        options=_BACKBONE.options.replace("small", name),
        encoder=name,
    )
    for name in ENCODER_NAMES
)
# The diary kept torchvision's whole classifier and regressed from its 1000 logits.
_DIARYS: tuple[Training, ...] = tuple(
    replace(
        _BACKBONE,
        name=f"train_{diarys}",
        options=f"as backbone_{name}, wired as the diary had it: 1000 logits are the features",
        encoder=f"{name}:logits",
    )
    for diarys, name in (
        ("DenseNet121", "densenet121"),
        ("DenseNet169", "densenet169"),
        ("DenseNet201", "densenet201"),
        ("MobileNetV2", "mobilenet_v2"),
        ("MobileNetV3_large", "mobilenet_v3_large"),
        ("ShuffleNetV2", "shufflenet_v2_x1_0"),
    )
)

_UNPRUNED = replace(
    _BACKBONE,
    name="unpruned",
    options="the network to prune: half of the steps, encoder pretrained on 2D keypoints (shipped)",
    weights="shipped",
    effort=0.5,
)
# Fine-tuning: an eighth of the steps at half of the rate, from the finished network.
_TUNED = replace(_UNPRUNED, weights="none", base="unpruned", effort=0.125, rate=0.5)


def _pruned(name: str, plan: PrunePlan | None, base: str = "unpruned", **changes) -> Run:
    """Pruned by a plan, then fine-tuned."""
    words = "nothing pruned" if plan is None else f"{plan.amount:.0%} pruned by {plan.kind}"
    after = "not trained after" if changes.get("effort") == 0 else "fine-tuned"
    return replace(
        _TUNED,
        name=name,
        options=f"from {base}: {words}, {after}",
        base=base,
        prune=plan,
        **changes,
    )


def _in_rounds(stem: str, kind: str, amounts: tuple[float, ...], base: str, **changes) -> list[Run]:
    """A little pruned, fine-tuned, a little more pruned from there, and so on."""
    runs = []
    for amount in amounts:
        runs.append(_pruned(f"{stem}_{amount:.0%}"[:-1], PrunePlan(kind, amount), base, **changes))
        base = runs[-1].name
    return runs


_MASKED = (0.2, 0.5, 0.8, 0.9, 0.95)
_PRUNED: tuple[Training, ...] = (
    _UNPRUNED,
    _pruned("tuned", None),
    *(_pruned(f"masks_raw_{a:.0%}"[:-1], PrunePlan("masks", a), effort=0.0) for a in _MASKED),
    *(_pruned(f"masks_{a:.0%}"[:-1], PrunePlan("masks", a)) for a in _MASKED),
    *(
        _pruned(f"channels_raw_{a:.0%}"[:-1], PrunePlan("channels", a), effort=0.0)
        for a in (0.2, 0.5)
    ),
    _pruned("channels_50_at_once", PrunePlan("channels", 0.5)),
    *_in_rounds("channels", "channels", (0.2, 0.35, 0.5, 0.65, 0.8), "unpruned"),
    _pruned("resnet18_tuned", None, "backbone_resnet18", encoder="resnet18"),
    *_in_rounds(
        "resnet18_channels", "channels", (0.3, 0.5), "backbone_resnet18", encoder="resnet18"
    ),
    _pruned("train_ResNet50_P", PrunePlan("masks", 0.2), "backbone_resnet50", encoder="resnet50"),
)

LIGHTER_RUNS: tuple[Training, ...] = (*_BACKBONES, *_DIARYS, *_PRUNED)
