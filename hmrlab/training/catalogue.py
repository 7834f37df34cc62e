"""Trainings by name: each a few fields different from another."""

from __future__ import annotations

import difflib
from dataclasses import replace

from hmrlab.fitting import ObjectiveWeights
from hmrlab.training.adversarial_runs import ADVERSARIAL_RUNS
from hmrlab.training.card_runs import CARD_RUNS
from hmrlab.training.lighter_runs import LIGHTER_RUNS
from hmrlab.training.losses import LossWeights
from hmrlab.training.runs import Pretraining, Run, Training
from hmrlab.training.scales import SCALES, Scale
from hmrlab.training.teacher import FitPlan

KEYPOINTS_ONLY = LossWeights(pose=0.0, betas=0.0)
WITH_SMPL = LossWeights()

_LAPTOP = SCALES["laptop"]
_SPINS_MIX = ("studio", "wild")
_REGRESSION = Run(
    "train_add_regression", "a loop of n_iter = 3; keypoint losses only", KEYPOINTS_ONLY, _LAPTOP
)
_SMPL_LOSS = Run(
    "train_add_smpl_loss",
    "SMPL losses added; sets mixed by SPIN's shares; encoder from scratch; SPIN's optimiser: one "
    "learning rate, gradients not clipped",
    WITH_SMPL,
    _LAPTOP,
    data=_SPINS_MIX,
    regressor_rate=1.0,
    clip_norm=0.0,
)
_SMPL_LOSS_FIXED = replace(
    _SMPL_LOSS,
    name="train_add_smpl_loss3",
    options="several fixes: gradients clipped, the regressor at a quarter of the learning rate",
    regressor_rate=0.25,
    clip_norm=5.0,
)
_WITH_SMPL = Run("with_smpl", "keypoint, pose and beta losses, n_iter = 3", WITH_SMPL, _LAPTOP)

_DIARY: tuple[Training, ...] = (
    replace(
        _REGRESSION,
        name="train_test",
        options="the model without n_iter: one pass; keypoint losses only",
        n_iter=1,
    ),
    _REGRESSION,
    replace(
        _REGRESSION,
        name="train_add_regression2",
        options="the same, batch size 100",
        batch_size=100,
    ),
    _SMPL_LOSS,
    replace(
        _SMPL_LOSS,
        name="train_add_smpl_loss2",
        options="the same, second try (the diary's had has_smpl = 0 everywhere: chapter 06)",
    ),
    _SMPL_LOSS_FIXED,
    replace(
        _SMPL_LOSS_FIXED,
        name="train_add_smpl_loss4",
        options="the same, encoder pretrained on 2D keypoints",
        weights="pretrain_keypoints",
    ),
)
_STUDIES: tuple[Training, ...] = (
    replace(
        _REGRESSION, name="keypoints_only", options="keypoint losses only, as train_add_regression"
    ),
    replace(
        _WITH_SMPL,
        name="with_pose",
        options="keypoint and pose losses",
        losses=replace(WITH_SMPL, betas=0.0),
    ),
    replace(
        _WITH_SMPL,
        name="with_betas",
        options="keypoint and beta losses",
        losses=replace(WITH_SMPL, pose=0.0),
    ),
    _WITH_SMPL,
    replace(
        _WITH_SMPL,
        name="no_camera_term",
        options="as with_smpl, without the camera term and with SPIN's optimiser",
        losses=replace(WITH_SMPL, camera=0.0),
        regressor_rate=1.0,
        clip_norm=0.0,
    ),
    Pretraining("pretrain_keypoints", "an encoder on maps of the 2D keypoints", _LAPTOP),
    replace(
        _WITH_SMPL,
        name="with_smpl_pretrained",
        options="as with_smpl, encoder pretrained on 2D keypoints",
        weights="pretrain_keypoints",
    ),
)
# Comparisons of one setting each, over several seeds, at half of the steps.
_HALF = replace(
    _WITH_SMPL, name="half_n3", options="as with_smpl, half of the steps, n_iter = 3", effort=0.5
)
_COMPARISONS: tuple[Training, ...] = (
    *(
        replace(_HALF, name=f"half_n{n}", options=f"the same, n_iter = {n}", n_iter=n)
        for n in (1, 2)
    ),
    _HALF,
    replace(_HALF, name="half_n4", options="the same, n_iter = 4", n_iter=4),
    *(
        replace(
            _HALF,
            name=f"half_relu_n{n}",
            options=f"as half_n{n}, ReLUs in the regressor",
            n_iter=n,
            rectified=True,
        )
        for n in (1, 3)
    ),
    replace(
        _HALF,
        name="half_no_mean",
        options="as half_n3, the regressor starts from a T-pose, not from the mean pose",
        mean_start=False,
    ),
    replace(
        _HALF,
        name="half_batch100",
        options="as half_n3, as many pictures in batches of 100",
        batch_size=100,
        effort=0.32,
    ),
    replace(
        _HALF,
        name="half_pretrained",
        options="as half_n3, encoder pretrained on 2D keypoints",
        weights="pretrain_keypoints",
    ),
    *(
        replace(
            _HALF,
            name=f"half_{name}{suffix}",
            options=f"as half_n3, {words} of the labelled people{start}",
            share=share,
            weights=weights,
        )
        for name, words, share in (("few", "a tenth", 0.1), ("fewest", "a hundredth", 0.01))
        for suffix, start, weights in (
            ("", "", "none"),
            ("_pretrained", ", encoder pretrained on 2D keypoints", "pretrain_keypoints"),
        )
    ),
    *(
        replace(
            _HALF,
            name=f"half_resnet18{suffix}",
            options=f"as half_n3, ResNet-18 {words}",
            encoder="resnet18",
            weights=weights,
        )
        for suffix, words, weights in (
            ("", "from scratch", "none"),
            ("_pretrained", "pretrained on 2D keypoints", "pretrain_keypoints"),
            ("_imagenet", "from torchvision's ImageNet weights", "imagenet"),
        )
    ),
    replace(
        _HALF, name="half_mixed", options="as half_n3, sets mixed by SPIN's shares", data=_SPINS_MIX
    ),
)

# SPIN: what the labels lack, fits give. The ablation is shown a quarter of the people, so that each
# of them comes by often enough for its fit to be improved.
_SPIN = replace(
    _WITH_SMPL,
    name="spin",
    options="SPIN: sets mixed, fits in the loop, encoder pretrained on 2D keypoints, ReLUs",
    data=_SPINS_MIX,
    weights="pretrain_keypoints",
    rectified=True,
    fits=FitPlan(headings=(0.0, 90.0, 180.0, 270.0)),
)
_ABLATED = replace(
    _SPIN,
    name="half_spin",
    options="a quarter of the people, half of the steps; first fits from one start, in the loop",
    fits=FitPlan(),
    share=0.25,
    effort=0.5,
)
# Nobody has a label: the prior of the fits is all that is known in 3D.
_UNPAIRED = replace(_ABLATED, losses=replace(WITH_SMPL, keypoints_3d=0.0), only_2d=True)
_ADAM_STATIC = FitPlan(loop=False, first_by="adam")
_FITTING: tuple[Training, ...] = (
    _SPIN,
    replace(
        _ABLATED,
        name="half_spin_none",
        options="as half_spin without fits: wild people teach by their 2D keypoints alone",
        fits=None,
    ),
    replace(
        _ABLATED,
        name="half_spin_static",
        options="as half_spin, the first fits stay as they are",
        fits=FitPlan(loop=False),
    ),
    _ABLATED,
    *(
        replace(
            _UNPAIRED,
            name=f"half_unpaired{suffix}",
            options=f"2D keypoints alone are known of anybody; {words}",
            losses=_UNPAIRED.losses if fits else replace(KEYPOINTS_ONLY, keypoints_3d=0.0),
            fits=fits,
        )
        for suffix, words, fits in (
            ("_none", "no fits", None),
            ("_static_adam", "first fits by SPIN's own 200 steps of Adam", _ADAM_STATIC),
            ("_adam", "the same first fits, in the loop", replace(_ADAM_STATIC, loop=True)),
            ("_static", "first fits by Newton from one start", FitPlan(loop=False)),
            ("", "the same first fits, in the loop", FitPlan()),
            (
                "_static4",
                "first fits by Newton, the best of four starts",
                replace(_SPIN.fits, loop=False),
            ),
            (
                "_hasty",
                "in the loop, the memory empty at first, one step for each fit",
                FitPlan(headings=(), camera_steps=1, steps=1),
            ),
            (
                "_credulous",
                "as half_unpaired_hasty, and even the worst fit teaches",
                FitPlan(headings=(), camera_steps=1, steps=1, threshold=0.0),
            ),
            (
                "_no_prior",
                "in the loop, the fits without pose and angle prior",
                FitPlan(weights=ObjectiveWeights(pose_prior=0.0, angle=0.0)),
            ),
        )
    ),
)
_ALL = (
    *_DIARY,
    *_STUDIES,
    *_COMPARISONS,
    *_FITTING,
    *ADVERSARIAL_RUNS,
    *LIGHTER_RUNS,
    *CARD_RUNS,
)
_NAMED: dict[str, Training] = {run.name: run for run in _ALL}


def list_runs() -> list[Training]:
    """Every named training, at `laptop` scale: the diary's first, in its order."""
    return list(_NAMED.values())


def named_run(name: str, scale: Scale, seed: int = 0) -> Training:
    """A training of the list at another scale and seed.

    Raises:
        ValueError: no run has that name; the message suggests the nearest.
    """
    if name not in _NAMED:
        near = difflib.get_close_matches(name, _NAMED, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown run {name!r}.{hint} There are: {', '.join(_NAMED)}")
    return replace(_NAMED[name], scale=scale, seed=seed)
