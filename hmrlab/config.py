"""What a training is: a flat, frozen `Config`, complete when it is made.

Nothing in it stands for something else that is filled in later: what it says is what is trained.
`hmrlab.presets` names configs; `hmrlab.overrides` changes fields by their names. Importing it needs
no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from hmrlab.paths import chosen_body

PRUNING = ("masks", "channels")
MARGIN = 1.5  # sides of stored synthetic pictures over the crops': room to turn them
THRESHOLD = 100.0  # the worst mean robust 2D error, pixels squared, that still supervises


@dataclass(frozen=True)
class AugmentationSettings:
    """How much pictures are changed. The defaults are SPIN's (its `options` and `base_dataset`)."""

    flip_probability: float = 0.5
    channel_noise: float = 0.4  # each colour channel times U[1 - n, 1 + n]
    scale_std: float = 0.25  # box side times N(1, d), clipped to [1 - d, 1 + d]
    rotation_std: float = 30.0  # degrees, clipped to twice that
    no_rotation_probability: float = 0.6


# In trainings of minutes a network sees few people, and learns more from them when they are
# changed less.
LIGHT = AugmentationSettings(scale_std=0.1, rotation_std=15.0)
SPINS = AugmentationSettings()


@dataclass(frozen=True)
class Scale:
    """Sizes that decide how long a training takes and how good it gets.

    A scale is nothing but numbers. No notebook and no function asks which scale it is.
    """

    name: str
    resolution: int  # side of the crop that the network sees, pixels
    encoder: str  # name for `hmrlab.models.create_encoder`
    studio_train: int  # synthetic people, plain pictures with all labels
    wild_train: int  # hard pictures with 2D keypoints only
    studio_test: int
    wild_test: int
    steps: int  # optimiser steps of one training
    batch_size: int
    learning_rate: float  # peak of the schedule
    gallery: int  # people in a notebook's gallery
    seeds: int  # trainings of each kind, where a notebook compares kinds
    augmentation: AugmentationSettings
    timed: float = 1.0  # of the seconds, and of the batch, of a training by the clock
    body: str = "free"  # of the synthetic people and the losses: see `load_body`

    @property
    def stored_size(self) -> int:
        """Side of a stored synthetic picture, pixels: 1.5 crops, so that crops can rotate."""
        return stored_size(self.resolution)

    @property
    def crop_factor(self) -> float:
        """Crops are what the data's boxes are."""
        return 1.0


SCALES: dict[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale("smoke", 64, "small", 128, 128, 32, 32, 6, 16, 2e-3, 5, 1, LIGHT, 1 / 400),
        Scale("quick", 64, "small", 10_000, 10_000, 500, 500, 400, 64, 2e-3, 5, 1, LIGHT),
        Scale("laptop", 64, "small", 40_000, 40_000, 1_000, 1_000, 4_000, 64, 2e-3, 6, 3, LIGHT),
        Scale(
            "gpu", 224, "resnet50", 100_000, 100_000, 2_000, 2_000, 60_000, 64, 2e-4, 10, 3, SPINS
        ),
    )
}


def get_scale(name: str) -> Scale:
    """The scale of that name, with the body that the user chose.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in SCALES:
        raise ValueError(f"unknown scale {name!r}; choose one of {', '.join(SCALES)}")
    return replace(SCALES[name], body=chosen_body())


@dataclass(frozen=True)
class LossWeights:
    """How much each term counts; the defaults are SPIN's. A term of weight 0 is not computed."""

    keypoints: float = 5.0
    keypoints_3d: float = 5.0
    pose: float = 1.0
    betas: float = 0.001
    vertices: float = 0.0
    camera: float = 1.0
    overall: float = 60.0  # multiplies the sum of all terms
    openpose: float = 0.0  # inside the 2D term: the 25 OpenPose joints
    annotated: float = 1.0  # inside the 2D term: the 24 annotated joints


@dataclass(frozen=True)
class ObjectiveWeights:
    """How much each term counts; the defaults are SPIN's. Weights are squared where they are used.

    0 switches a term off, and an infinite `sigma` the robustness.
    """

    sigma: float = 100.0  # pixels: an error of this size counts half of its square
    pose_prior: float = 4.78
    angle: float = 15.2
    shape: float = 5.0
    depth: float = 100.0  # first stage only, per metre away from the start


@dataclass(frozen=True)
class FitConfig:
    """Which fits supervise where labels are missing."""

    loop: bool = True  # fit from the network's output in every step; else the first fits stay
    headings: tuple[float, ...] = (0.0,)  # cold starts of the first fits, degrees; none: no fits
    cold_steps: int = 20  # of each first fit
    camera_steps: int = 3  # of each fit in the loop
    steps: int = 4
    threshold: float = THRESHOLD  # worst 2D error that still supervises, pixels squared; 0: any
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)
    first_by: str = "newton"  # or "adam": SPIN's own 100 + 100 steps

    def __post_init__(self) -> None:
        if self.first_by not in ("newton", "adam"):
            raise ValueError(f"first fits are made by newton or adam, not by {self.first_by!r}")


@dataclass(frozen=True)
class PruneConfig:
    """What is taken away, always counted from the network as it was before any pruning.

    So a plan of 0.5 for a network of which 0.3 is gone already takes another 0.2.
    """

    kind: str = "masks"  # "masks": single weights become 0; "channels": whole channels are cut out
    amount: float = (
        0.5  # share that is gone: of the weights (masks), of the multiply-adds (channels)
    )

    def __post_init__(self) -> None:
        if self.kind not in PRUNING:
            raise ValueError(f"pruning is by {' or '.join(PRUNING)}, not by {self.kind!r}")
        if not 0 <= self.amount < 1:
            raise ValueError(f"the share to prune must be from 0 to below 1, got {self.amount}")


@dataclass(frozen=True)
class FreshConfig:
    """People made on the training's device as they are needed, in place of stored ones."""

    count: int = 2**24  # of each set; so many that nobody comes twice
    labelled: bool = True  # wild people, too, have 3D and SMPL labels; stored ones have not
    compiled: bool = False  # the rasteriser: see `FreshPeople`


@dataclass(frozen=True)
class SimulatedEyes:
    """How BlazePose errs where it is simulated, see `hmrlab.training.sightings`.

    All are standard deviations, but for the shares and factors.
    """

    place: float = 0.02  # of points in the crop, half-sides
    hidden: float = 0.12  # share of points that are hidden
    hidden_factor: float = 3.5  # how much worse these are
    across: float = 0.03  # of points in space, across the view, metres
    depth: float = 0.06  # and along it
    size: float = 0.92  # of its people over ours, in the mean
    size_std: float = 0.1
    turn: float = 10.0  # of the whole person, degrees
    cut: float = 0.25  # share of people of whom the lower part is not in the picture
    shift: float = 0.05  # of the box's middle, sides
    tilt: float = 20.0  # of the camera, degrees


@dataclass(frozen=True)
class AdversaryConfig:
    """How discriminators are set against a network."""

    weight: float = 1.0  # of the adversarial term in the total, beside SPIN's 60 for all others
    rate: float = 1e-3  # the discriminators' learning rate, the same all along
    weight_decay: float = 1e-4
    guard: float = 0.3  # their loss (mean of all 25) below which they wait; 0: they never do
    batch: int = 64  # real bodies for each of their steps
    bodies: int = 50_000  # real bodies in all
    seed: int = 2018  # of those bodies


# Where an encoder may start: at random; at torchvision's ImageNet weights; at what
# `pretrain_keypoints` gives at the same scale; at the weights that come with the package.
EncoderWeights = Literal["none", "imagenet", "pretrain_keypoints", "shipped"]
_WORDS = {"words": True}  # a field that changes no number, so no key either
_LATER = {"later": True}  # came when runs had been recorded: at its default it changes no key


@dataclass(frozen=True)
class Config:
    """All that decides the result of a training."""

    name: str = field(metadata=_WORDS)
    description: str = field(metadata=_WORDS)  # one line, as in the diary's table
    scale: Scale = field(metadata=_WORDS)  # whose sizes these are, but for what was changed
    seed: int

    data: tuple[str, ...]  # studio, wild, prepared real sets; several are mixed by SPIN's shares
    resolution: int  # side of the crop that the network sees, pixels
    studio_train: int  # people of the synthetic sets
    wild_train: int
    studio_test: int
    wild_test: int
    augmentation: AugmentationSettings
    body: str  # of the synthetic people, the losses and the metrics: see `load_body`

    encoder: str
    steps: int  # optimiser steps; not used where `seconds` says how long
    batch_size: int
    eval_batch_size: int
    lr: float  # peak of the schedule

    # sides of stored synthetic pictures over the crops': at 1 a person has two thirds of a crop's
    # pixels, and a picture less than half of the bytes
    margin: float = field(default=MARGIN, metadata=_LATER)
    crop_factor: float = field(default=1.0, metadata=_LATER)  # sides of crops over the data's boxes
    task: Literal["bodies", "keypoint_maps"] = "bodies"
    data_fraction: float = 1.0  # of each training set's people, the first ones
    only_2d: bool = False  # of all labels keep none but the 2D keypoints
    fresh: FreshConfig | None = None  # make the training sets' people on the device
    variant: str = ""  # names data that a caller brings along in place of `data`

    encoder_weights: EncoderWeights = "none"
    frozen: bool = field(default=False, metadata=_LATER)  # the encoder stays as it is
    # augmented ones of each picture, at which a frozen encoder looks once; 0: anew in each step
    views: int = field(default=0, metadata=_LATER)
    # the training's people are not drawn: what the eyes would say of them is simulated
    simulated: SimulatedEyes | None = field(default=None, metadata=_LATER)
    init_from: str = ""  # goes on from that preset's model, of the same scale and seed
    prune: PruneConfig | None = None  # lighten the model before the first step
    n_iter: int = 3
    relu: bool = False  # after the regressor's hidden layers, as HMR had it and SPIN has not
    dropout: float = 0.0
    # the regressor sees how far its body's points are from those of the eyes: `FeedbackRegressor`
    feedback: bool = field(default=False, metadata=_LATER)
    mean_pose: bool = True  # begin at the sampler's mean pose, else at a T-pose
    num_deconv: int = 2  # of keypoint maps: doublings of the map's sides
    deconv_channels: int = 64  # of the head that is thrown away

    losses: LossWeights = field(default_factory=LossWeights)
    fits: FitConfig | None = None  # SPIN: fits supervise where labels are missing
    adversary: AdversaryConfig | None = None  # HMR: discriminators judge the bodies

    seconds: float = 0.0  # of training, and as many steps as that takes; 0: `steps`
    find_micro_batch: bool = False  # put each batch together from the largest parts that fit
    accumulate: int = 1  # micro-batches for one optimiser step
    head_lr_factor: float = 0.25  # learning rate of the regressor over the encoder's
    lr_schedule: Literal["warm_cosine", "constant"] = "warm_cosine"
    weight_decay: float = 1e-4
    clip_norm: float = 5.0  # largest norm of all gradients together; 0 leaves them
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 on devices that multiply in it

    def __post_init__(self) -> None:
        if self.fits is not None and self.adversary is not None:
            raise ValueError("a run is supervised by fits or judged by an adversary, not both")
        if self.views and (not self.frozen or self.fresh or self.task != "bodies"):
            raise ValueError(
                "`views` needs a frozen encoder, stored people and the task of bodies: only then "
                "can the encoder look once"
            )
        if self.simulated and (not self.views or self.only_2d or self.data_fraction < 1):
            raise ValueError(
                "simulated eyes need `views`, and come without `data_fraction` and `only_2d`"
            )
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("margin", "crop_factor"):
            if not 0.5 <= getattr(self, name) <= 3:
                raise ValueError(f"{name} must be from 0.5 to 3, got {getattr(self, name)}")
        if self.fresh and self.crop_factor != 1:
            raise ValueError("fresh people are drawn in their crops: they take no `crop_factor`")
        if not 0 < self.data_fraction <= 1:
            raise ValueError(
                f"data_fraction must be above 0 and at most 1, got {self.data_fraction}"
            )

    @property
    def stored_size(self) -> int:
        """Side of a stored synthetic picture, pixels."""
        return stored_size(self.resolution, self.margin)

    @property
    def decisive(self) -> dict[str, Any]:
        """The fields that decide numbers, by name: all but the words."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if not each.metadata.get("words")
        }


_LEAST = {
    "seed": 0, "resolution": 32, "studio_train": 1, "wild_train": 1, "studio_test": 1,
    "wild_test": 1, "steps": 0, "batch_size": 1, "eval_batch_size": 1, "lr": 0.0, "n_iter": 1,
    "dropout": 0.0, "num_deconv": 0, "deconv_channels": 1, "seconds": 0.0, "accumulate": 1,
    "views": 0, "head_lr_factor": 0.0, "weight_decay": 0.0, "clip_norm": 0.0,
}  # fmt: skip


def stored_size(resolution: int, margin: float = MARGIN) -> int:
    """Side of a stored synthetic picture for crops of a side, pixels."""
    return int(resolution * margin)
