"""What decides the result of a training, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from hmrlab.ledger import later
from hmrlab.models.pruning import PrunePlan
from hmrlab.training.adversary import AdversaryPlan
from hmrlab.training.losses import LossWeights
from hmrlab.training.scales import Scale
from hmrlab.training.teacher import FitPlan


@dataclass(frozen=True)
class FreshPlan:
    """People made on the training's device as they are needed, in place of stored ones."""

    count: int = 2**24  # of each set; so many that nobody comes twice
    labelled: bool = True  # wild people, too, have 3D and SMPL labels; stored ones have not
    compiled: bool = later(False)  # the rasteriser: see `FreshPeople`


@dataclass(frozen=True)
class Run:
    """All that decides the result of training an HMR. Equal runs share one through the ledger."""

    name: str
    options: str  # one line in words, as in the diary's table
    losses: LossWeights
    scale: Scale
    n_iter: int = 3
    data: tuple[str, ...] = ("studio",)  # several are mixed by SPIN's shares
    encoder: str = ""  # the scale's, unless another is named
    weights: str = "none"  # the encoder's start: see `START_WEIGHTS`
    mean_start: bool = True  # begin at the sampler's mean pose, else with all rotations the unit
    batch_size: int | str = 0  # the scale's, unless it is given; "auto": see `wanted_batch`
    schedule: str = "warm_cosine"
    weight_decay: float = 1e-4
    regressor_rate: float = 0.25  # learning rate of the regressor over the encoder's
    dropout: float = 0.0
    clip_norm: float = 5.0
    accumulate: int = 1  # micro-batches for one optimiser step
    precision: str = "auto"
    seed: int = 0
    variant: str = ""  # names data that a caller brings along in place of `data`
    rectified: bool = later(False)  # ReLUs in the regressor
    effort: float = later(1.0)  # optimiser steps over the scale's
    share: float = later(1.0)  # of each training set's people, the first ones
    fits: FitPlan | None = later(None)  # teach by fits where labels are missing
    only_2d: bool = later(False)  # of all labels keep none but the 2D keypoints
    base: str = later("")  # goes on from that named training's model, of the same scale and seed
    rate: float = later(1.0)  # learning rate over the scale's
    prune: PrunePlan | None = later(None)  # lighten the model before the first step
    adversary: AdversaryPlan | None = later(None)  # discriminators judge the bodies
    fresh: FreshPlan | None = later(None)  # make the training sets' people on the device
    seconds: float = later(0.0)  # of training; as many steps as take so long. 0: `steps`

    def __post_init__(self) -> None:
        if self.fits is not None and self.adversary is not None:
            raise ValueError("a run is taught by fits or judged by an adversary, not both")

    @property
    def steps(self) -> int:
        """Optimiser steps of this training; none without effort. By the clock: not known yet."""
        return max(1, round(self.effort * self.scale.steps)) if self.effort else 0

    @property
    def timed_seconds(self) -> float:
        """How long a training by the clock takes at this scale; 0 for all others."""
        return self.seconds * self.scale.timed


@dataclass(frozen=True)
class Pretraining:
    """All that decides the result of training an encoder on maps of the 2D keypoints."""

    name: str
    options: str
    scale: Scale
    data: tuple[str, ...] = ("studio", "wild")
    encoder: str = ""
    doublings: int = 2  # of the map's sides
    width: int = 64  # channels of the head that is thrown away
    batch_size: int | str = 0
    schedule: str = "warm_cosine"
    weight_decay: float = 1e-4
    clip_norm: float = 5.0
    accumulate: int = 1
    precision: str = "auto"
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps of this training."""
        return self.scale.steps


Training = Run | Pretraining
_LEAST_SHARE = 4  # pictures: batch normalisation needs some


def wanted_batch(run: Training) -> int:
    """Pictures for one optimiser step, before `accumulate`.

    "auto" stands for the scale's batch, which the training puts together from the largest
    micro-batches that fit into memory. Of a training by the clock a small scale takes a share.

    Raises:
        ValueError: the batch size is neither a number nor "auto".
    """
    if isinstance(run.batch_size, int) and run.batch_size >= 0:
        count = run.batch_size or run.scale.batch_size
        share = run.scale.timed if getattr(run, "seconds", 0) else 1.0
        return max(min(count, _LEAST_SHARE), round(share * count))
    if run.batch_size == "auto":
        return run.scale.batch_size
    raise ValueError(f"batch_size is a number, 0 (the scale's) or 'auto', not {run.batch_size!r}")


# Where an encoder may start: at random; at torchvision's ImageNet weights; at what
# `pretrain_keypoints` gives at the run's own scale; at the weights that come with the package.
START_WEIGHTS = ("none", "imagenet", "pretrain_keypoints", "shipped")
