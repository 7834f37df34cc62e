"""Trainings by name: a table of (name, parent, description, what changes).

A preset without a parent starts from what the scale says. `times(x)` stands for x times the scale's
own value: half as many steps, four times its learning rate.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from hmrlab.config import (
    AdversaryConfig,
    Config,
    FitConfig,
    FreshConfig,
    LossWeights,
    ObjectiveWeights,
    PruneConfig,
    Scale,
    SimulatedEyes,
    get_scale,
)
from hmrlab.overrides import with_settings

_LEAST_BATCH = 4  # pictures of a training by the clock: batch normalisation needs some


@dataclass(frozen=True)
class times:  # noqa: N801 -- read as a word in the table
    """So many times what the scale says."""

    factor: float


@dataclass(frozen=True)
class Preset:
    """A named training, before a scale and a seed make a `Config` of it."""

    name: str
    parent: str
    description: str
    changes: Mapping[str, Any]


KEYPOINTS_ONLY = LossWeights(pose=0.0, betas=0.0)
SPINS_MIX = ("studio", "wild")
PRETRAINED = {"encoder_weights": "pretrain_keypoints"}
SPINS_OPTIMISER = {"head_lr_factor": 1.0, "clip_norm": 0.0}
HASTY = FitConfig(headings=(), camera_steps=1, steps=1)

# fmt: off
_DIARY = (
    ("train_test", "train_add_regression",
     "the model without n_iter: one pass; keypoint losses only", {"n_iter": 1}),
    ("train_add_regression", "", "a loop of n_iter = 3; keypoint losses only",
     {"losses": KEYPOINTS_ONLY}),
    ("train_add_regression2", "train_add_regression", "the same, batch size 100",
     {"batch_size": 100}),
    ("train_add_smpl_loss", "",
     "SMPL losses added; sets mixed by SPIN's shares; encoder from scratch; SPIN's optimiser: one "
     "learning rate, gradients not clipped", {"data": SPINS_MIX, **SPINS_OPTIMISER}),
    ("train_add_smpl_loss2", "train_add_smpl_loss",
     "the same, second try (the diary's had has_smpl = 0 everywhere: chapter 06)", {}),
    ("train_add_smpl_loss3", "train_add_smpl_loss",
     "several fixes: gradients clipped, the regressor at a quarter of the learning rate",
     {"head_lr_factor": 0.25, "clip_norm": 5.0}),
    ("train_add_smpl_loss4", "train_add_smpl_loss3",
     "the same, encoder pretrained on 2D keypoints", PRETRAINED),
)
_STUDIES = (
    ("keypoints_only", "train_add_regression", "keypoint losses only, as train_add_regression", {}),
    ("with_pose", "with_smpl", "keypoint and pose losses", {"losses.betas": 0.0}),
    ("with_betas", "with_smpl", "keypoint and beta losses", {"losses.pose": 0.0}),
    ("with_smpl", "", "keypoint, pose and beta losses, n_iter = 3", {}),
    ("no_camera_term", "with_smpl",
     "as with_smpl, without the camera term and with SPIN's optimiser",
     {"losses.camera": 0.0, **SPINS_OPTIMISER}),
    ("pretrain_keypoints", "", "an encoder on maps of the 2D keypoints",
     {"task": "keypoint_maps", "data": SPINS_MIX, "head_lr_factor": 1.0}),
    ("with_smpl_pretrained", "with_smpl", "as with_smpl, encoder pretrained on 2D keypoints",
     PRETRAINED),
)
# Comparisons of one setting each, over several seeds, at half of the steps.
_COMPARISONS = (
    ("half_n1", "half_n3", "the same, n_iter = 1", {"n_iter": 1}),
    ("half_n2", "half_n3", "the same, n_iter = 2", {"n_iter": 2}),
    ("half_n3", "with_smpl", "as with_smpl, half of the steps, n_iter = 3", {"steps": times(0.5)}),
    ("half_n4", "half_n3", "the same, n_iter = 4", {"n_iter": 4}),
    ("half_relu_n1", "half_n1", "as half_n1, ReLUs in the regressor", {"relu": True}),
    ("half_relu_n3", "half_n3", "as half_n3, ReLUs in the regressor", {"relu": True}),
    ("half_no_mean", "half_n3",
     "as half_n3, the regressor starts from a T-pose, not from the mean pose",
     {"mean_pose": False}),
    ("half_batch100", "half_n3", "as half_n3, as many pictures in batches of 100",
     {"batch_size": 100, "steps": times(0.32)}),
    ("half_pretrained", "half_n3", "as half_n3, encoder pretrained on 2D keypoints", PRETRAINED),
    ("half_few", "half_n3", "as half_n3, a tenth of the labelled people", {"data_fraction": 0.1}),
    ("half_few_pretrained", "half_few",
     "as half_n3, a tenth of the labelled people, encoder pretrained on 2D keypoints", PRETRAINED),
    ("half_fewest", "half_n3", "as half_n3, a hundredth of the labelled people",
     {"data_fraction": 0.01}),
    ("half_fewest_pretrained", "half_fewest",
     "as half_n3, a hundredth of the labelled people, encoder pretrained on 2D keypoints",
     PRETRAINED),
    ("half_resnet18", "half_n3", "as half_n3, ResNet-18 from scratch", {"encoder": "resnet18"}),
    ("half_resnet18_pretrained", "half_resnet18",
     "as half_n3, ResNet-18 pretrained on 2D keypoints", PRETRAINED),
    ("half_resnet18_imagenet", "half_resnet18",
     "as half_n3, ResNet-18 from torchvision's ImageNet weights", {"encoder_weights": "imagenet"}),
    ("half_mixed", "half_n3", "as half_n3, sets mixed by SPIN's shares", {"data": SPINS_MIX}),
)
# SPIN: what the labels lack, fits give. The ablation is shown a quarter of the people, so that each
# of them comes by often enough for its fit to be improved. Of the unpaired nobody has a label: the
# prior of the fits is all that is known in 3D.
_2D = "2D keypoints alone are known of anybody; "
_FITTING = (
    ("spin", "with_smpl",
     "SPIN: sets mixed, fits in the loop, encoder pretrained on 2D keypoints, ReLUs",
     {"data": SPINS_MIX, "relu": True, "fits": FitConfig(headings=(0.0, 90.0, 180.0, 270.0)),
      **PRETRAINED}),
    ("half_spin_none", "half_spin",
     "as half_spin without fits: wild people teach by their 2D keypoints alone", {"fits": None}),
    ("half_spin_static", "half_spin", "as half_spin, the first fits stay as they are",
     {"fits.loop": False}),
    ("half_spin", "spin",
     "a quarter of the people, half of the steps; first fits from one start, in the loop",
     {"fits": FitConfig(), "data_fraction": 0.25, "steps": times(0.5)}),
    ("half_unpaired_none", "half_unpaired", _2D + "no fits",
     {"fits": None, "losses.pose": 0.0, "losses.betas": 0.0}),
    ("half_unpaired_static_adam", "half_unpaired",
     _2D + "first fits by SPIN's own 200 steps of Adam",
     {"fits": FitConfig(loop=False, first_by="adam")}),
    ("half_unpaired_adam", "half_unpaired",
     _2D + "the same first fits, in the loop", {"fits.first_by": "adam"}),
    ("half_unpaired_static", "half_unpaired",
     _2D + "first fits by Newton from one start", {"fits.loop": False}),
    ("half_unpaired", "half_spin", _2D + "the same first fits, in the loop",
     {"losses.keypoints_3d": 0.0, "only_2d": True}),
    ("half_unpaired_static4", "half_unpaired",
     _2D + "first fits by Newton, the best of four starts",
     {"fits": FitConfig(loop=False, headings=(0.0, 90.0, 180.0, 270.0))}),
    ("half_unpaired_hasty", "half_unpaired",
     _2D + "in the loop, the memory empty at first, one step for each fit",
     {"fits": HASTY}),
    ("half_unpaired_credulous", "half_unpaired_hasty",
     _2D + "as half_unpaired_hasty, and even the worst fit teaches",
     {"fits.threshold": 0.0}),
    ("half_unpaired_no_prior", "half_unpaired",
     _2D + "in the loop, the fits without pose and angle prior",
     {"fits.weights": ObjectiveWeights(pose_prior=0.0, angle=0.0)}),
)
_FROZEN = {"frozen": True, "views": 2, "resolution": 256, "margin": 1.0, "crop_factor": 1.15,
           "relu": True, "steps": times(3 / 8), "lr": times(0.5), "head_lr_factor": 1.0}
_EYES = (
    ("eyes", "", "eyes that real people have taught (BlazePose), frozen; what the labels say",
     {**_FROZEN, "data": SPINS_MIX, "encoder": "blazepose_full", "dropout": 0.2,
      "studio_train": times(3 / 16), "wild_train": times(3 / 16)}),  # large, so fewer
    ("points", "", "what BlazePose would say of people whom nobody drew; fed back to the regressor",
     {**_FROZEN, "encoder": "blazepose_full:points", "simulated": SimulatedEyes(),
      "feedback": True, "batch_size": 128}),
    ("points_long", "points", "the same, four times as long: the network for photographs",
     {"views": 8, "steps": times(1.5)}),
)
# As keypoints_only: nobody's rotations or betas are known. The diary's question: a discriminator
# next, to the network that there is. Only against one that cannot keep up did judges win.
_ADVERSARIAL = (
    ("adversarial", "keypoints_only",
     "as keypoints_only, and HMR's discriminators judge every body",
     {"adversary": AdversaryConfig()}),
    ("adversarial_wins", "adversarial",
     "half of the steps; the adversary counts 30 times as much, learns 10 times as fast and never "
     "waits",
     {"adversary": AdversaryConfig(weight=30.0, rate=1e-2, guard=0.0), "steps": times(0.5)}),
    ("half_adversarial", "adversarial", "as adversarial, half of the steps",
     {"steps": times(0.5)}),
    ("adversarial_late", "adversarial",
     "from keypoints_only: a quarter of the steps at a quarter of the rate",
     {"init_from": "keypoints_only", "steps": times(0.25), "lr": times(0.25)}),
    ("adversarial_slow", "adversarial_late",
     "from keypoints_only: a quarter of the steps at a hundredth of the rate; the discriminators "
     "learn 10 times as fast and never wait",
     {"lr": times(0.01), "adversary": AdversaryConfig(rate=1e-2, guard=0.0)}),
    ("adversarial_slow_guarded", "adversarial_slow",
     "the same, the discriminators wait where they tell real from fake too well",
     {"adversary.guard": AdversaryConfig.guard}),
)
# Every encoder from a random start, equally long. ReLUs in the regressor: with them no training of
# ours has diverged. The diary kept torchvision's whole classifier and regressed from its logits.
BACKBONE_ENCODERS = ("resnet18", "resnet50", "densenet121", "densenet169", "densenet201",
                     "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
                     "shufflenet_v2_x1_0", "efficientnet_b0", "convnext_tiny")
_BACKBONES = (
    ("backbone_small", "",
     "all labels, a quarter of the steps, ReLUs in the regressor; encoder small",
     {"steps": times(0.25), "relu": True, "encoder": "small"}),
    *((f"backbone_{name}", "backbone_small",
       f"all labels, a quarter of the steps, ReLUs in the regressor; encoder {name}",
       {"encoder": name}) for name in BACKBONE_ENCODERS),
    *((f"train_{diarys}", f"backbone_{name}",
       f"as backbone_{name}, wired as the diary had it: 1000 logits are the features",
       {"encoder": f"{name}:logits"})
      for diarys, name in (
          ("DenseNet121", "densenet121"), ("DenseNet169", "densenet169"),
          ("DenseNet201", "densenet201"), ("MobileNetV2", "mobilenet_v2"),
          ("MobileNetV3_large", "mobilenet_v3_large"), ("ShuffleNetV2", "shufflenet_v2_x1_0"))),
)


def _pruned(name: str, kind: str, amount: float, base: str = "unpruned", **more: Any) -> tuple:
    """A row: pruned by a plan, then fine-tuned."""
    after = "not trained after" if "steps" in more else "fine-tuned"
    return (name, "tuned", f"from {base}: {amount:.0%} pruned by {kind}, {after}",
            {"init_from": base, "prune": PruneConfig(kind, amount), **more})


def _in_rounds(stem: str, amounts: tuple[float, ...], base: str, **more: Any) -> list[tuple]:
    """Rows: a little pruned, fine-tuned, a little more pruned from there, and so on."""
    names = [f"{stem}_{100 * amount:.0f}" for amount in amounts]
    return [
        _pruned(name, "channels", amount, before, **more)
        for name, amount, before in zip(names, amounts, (base, *names), strict=False)
    ]


# Fine-tuning: an eighth of the steps at half of the rate, from the finished network.
_RESNET18 = {"encoder": "resnet18"}
_PRUNED = (
    ("unpruned", "",
     "the network to prune: half of the steps, encoder pretrained on 2D keypoints (shipped)",
     {"encoder_weights": "shipped", "steps": times(0.5), "relu": True}),
    ("tuned", "unpruned", "from unpruned: nothing pruned, fine-tuned",
     {"encoder_weights": "none", "init_from": "unpruned", "steps": times(0.125),
      "lr": times(0.5)}),
    *(_pruned(f"masks_raw_{100 * a:.0f}", "masks", a, steps=times(0.0))
      for a in (0.2, 0.5, 0.8, 0.9, 0.95)),
    *(_pruned(f"masks_{100 * a:.0f}", "masks", a) for a in (0.2, 0.5, 0.8, 0.9, 0.95)),
    *(_pruned(f"channels_raw_{100 * a:.0f}", "channels", a, steps=times(0.0))
      for a in (0.2, 0.5)),
    _pruned("channels_50_at_once", "channels", 0.5),
    *_in_rounds("channels", (0.2, 0.35, 0.5, 0.65, 0.8), "unpruned"),
    ("resnet18_tuned", "tuned", "from backbone_resnet18: nothing pruned, fine-tuned",
     {"init_from": "backbone_resnet18", **_RESNET18}),
    *_in_rounds("resnet18_channels", (0.3, 0.5), "backbone_resnet18", **_RESNET18),
    _pruned("train_ResNet50_P", "masks", 0.2, "backbone_resnet50", encoder="resnet50"),
)
# A quarter of an hour on a borrowed GPU: equal time, not equal steps, on people that the GPU makes.
CARD_ENCODERS = ("resnet50", "densenet121", "densenet169", "densenet201", "mobilenet_v2",
                 "mobilenet_v3_large", "shufflenet_v2_x1_0")
_CARD = (
    ("card_resnet50", "",
     "a minute on the GPU at fresh people, all labels, ReLUs in the regressor; encoder resnet50",
     {"data": SPINS_MIX, "encoder": "resnet50", "batch_size": 128, "relu": True, "lr": times(4.0),
      "fresh": FreshConfig(), "seconds": 60.0}),
    *((f"card_{name}", "card_resnet50",
       f"a minute on the GPU at fresh people, all labels, ReLUs in the regressor; encoder {name}",
       {"encoder": name}) for name in CARD_ENCODERS[1:]),
    *((f"card_{name}_logits", f"card_{name}",
       f"as card_{name}, wired as the diary had it: 1000 logits are the features",
       {"encoder": f"{name}:logits"}) for name in CARD_ENCODERS),
    ("card_pruned", "card_tuned",
     "from card_resnet50: 20% pruned by masks, fine-tuned for 20 s",
     {"prune": PruneConfig("masks", 0.2)}),
    ("card_tuned", "card_resnet50", "from card_resnet50: nothing pruned, fine-tuned for 20 s",
     {"init_from": "card_resnet50", "lr": times(1.0), "seconds": 20.0}),
    ("card_resnet50_long", "card_resnet50",
     "as card_resnet50, 20 minutes, which may lie days apart", {"seconds": 1200.0}),
)
# fmt: on
BACKBONES = tuple(row[0] for row in _BACKBONES)
PRUNED = tuple(row[0] for row in _PRUNED)
PRESETS: dict[str, Preset] = {
    row[0]: Preset(*row)
    for row in (
        *_DIARY, *_STUDIES, *_COMPARISONS, *_FITTING, *_EYES, *_ADVERSARIAL, *_BACKBONES,
        *_PRUNED, *_CARD,
    )
}  # fmt: skip


def preset(name: str, scale: Scale | str, seed: int = 0) -> Config:
    """A named training at a scale.

    >>> config = preset("with_smpl", "smoke")
    >>> config.encoder, config.steps, config.losses.pose
    ('small', 6, 1.0)
    >>> preset("with_smlp", "smoke")
    Traceback (most recent call last):
    ValueError: unknown training 'with_smlp'. Did you mean 'with_smpl'? ...

    Raises:
        ValueError: no preset has that name (the message suggests the nearest), or no scale.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown training {name!r}.{hint} There are: {', '.join(PRESETS)}")
    scale = get_scale(scale) if isinstance(scale, str) else scale
    settings: dict[str, Any] = {}
    for one in reversed(_with_parents(name)):
        for key, value in one.changes.items():
            # a whole part takes the place of what was said of its fields
            settings = {k: v for k, v in settings.items() if not k.startswith(f"{key}.")}
            settings[key] = _at_scale(value, key, scale)
    config = _of_scale(name, PRESETS[name].description, scale, seed, settings)
    return with_settings(config, settings)


def plain(scale: Scale, seed: int = 0) -> Config:
    """The training that a scale stands for, before any preset changes it."""
    return _of_scale("plain", "all that the scale says", scale, seed, {})


def base_of(config: Config) -> Config | None:
    """The training whose finished model a config starts from, at its scale and seed.

    Raises:
        ValueError: there is no training of that name, it is of another kind or encoder, bases go
            round in a circle, or the config names first weights besides.
    """
    if not config.init_from:
        return None
    _check_chain(config)
    base = preset(config.init_from, replace(config.scale, body=config.body), config.seed)
    if base.task != "bodies":
        raise ValueError(
            f"{config.name!r} cannot go on from {base.name!r}: that trains an encoder alone; "
            f"name it as `encoder_weights`"
        )
    if config.encoder_weights != "none":
        raise ValueError(
            f"{config.name!r} has two starts, the base {base.name!r} and the weights "
            f"{config.encoder_weights!r}; keep one of them"
        )
    if config.encoder != base.encoder:
        raise ValueError(
            f"{config.name!r} has the encoder {config.encoder!r} and cannot go on from "
            f"{base.name!r}, which has {base.encoder!r}"
        )
    return base


def _check_chain(config: Config) -> None:
    """Follow the bases by their names to the first training of all."""
    chain: list[str] = []
    name = config.init_from
    while name:
        chain.append(name)
        if chain.count(name) > 1:
            raise ValueError(f"the bases of {config.name!r} go in a circle: {' -> '.join(chain)}")
        name = preset(name, config.scale).init_from


def pretraining_of(config: Config) -> Config:
    """The pretraining that a config starts from: one for all its seeds."""
    pretraining = preset("pretrain_keypoints", config.scale, seed=0)
    return replace(pretraining, encoder=config.encoder, body=config.body)


def _with_parents(name: str) -> list[Preset]:
    """A preset, its parent, its parent's parent..."""
    chain = []
    while name:
        chain.append(PRESETS[name])
        name = PRESETS[name].parent
    return chain


def _of_scale(
    name: str, description: str, scale: Scale, seed: int, settings: dict[str, Any]
) -> Config:
    """The training that a scale stands for; one by the clock has the scale's share of the time."""
    if "seconds" in settings:
        settings["seconds"] *= scale.timed
        batch = settings["batch_size"]
        settings["batch_size"] = max(min(batch, _LEAST_BATCH), round(scale.timed * batch))
        settings["steps"] = 0
    shared = {each.name for each in fields(Config)} & {each.name for each in fields(Scale)}
    return Config(
        description=description,
        scale=scale,
        seed=seed,
        data=("studio",),
        eval_batch_size=scale.batch_size,
        lr=scale.learning_rate,
        **{each: getattr(scale, each) for each in shared} | {"name": name},
    )


def _at_scale(value: Any, key: str, scale: Scale) -> Any:
    if not isinstance(value, times):
        return value
    if key == "steps":
        return max(1, round(value.factor * scale.steps)) if value.factor else 0
    if key == "lr":
        return value.factor * scale.learning_rate
    whole = getattr(scale, key)
    return max(1, round(value.factor * whole)) if isinstance(whole, int) else value.factor * whole
