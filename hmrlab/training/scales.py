"""The four scales of the series: one code, four sets of sizes.

A scale is nothing but numbers. No notebook and no function asks which scale it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from hmrlab.data.augment import AugmentationSettings
from hmrlab.ledger import later

# In trainings of minutes a network sees few people, and learns more from them when they are
# changed less.
LIGHT = AugmentationSettings(scale_deviation=0.1, rotation_deviation=15.0)
SPINS = AugmentationSettings()


@dataclass(frozen=True)
class Scale:
    """Sizes that decide how long a training takes and how good it gets."""

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
    timed: float = later(1.0)  # of the seconds, and of the batch, of a training by the clock

    @property
    def stored_size(self) -> int:
        """Side of a stored synthetic picture, pixels: 1.5 crops, so that crops can rotate."""
        return self.resolution * 3 // 2


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
    """The scale of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in SCALES:
        raise ValueError(f"unknown scale {name!r}; choose one of {', '.join(SCALES)}")
    return SCALES[name]
