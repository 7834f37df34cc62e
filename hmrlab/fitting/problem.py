"""What a fit is given, where it starts, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from hmrlab.bodies.joints import KEYPOINT_NAMES
from hmrlab.geometry import (
    SPIN_IMAGE_SIZE,
    axis_angle_to_matrix,
    matrix_to_axis_angle,
    normalised_to_pixels,
)
from hmrlab.geometry.constants import constant

LEAST_KEYPOINTS = 4  # with fewer there is no telling how a body stands
FARTHEST_PIXEL = 1e5
IGNORED = tuple(
    KEYPOINT_NAMES.index(name)
    for name in (
        "openpose_neck", "openpose_right_hip", "openpose_left_hip", "right_hip", "left_hip",
    )
)  # fmt: skip
"""Keypoints that SPIN's second stage leaves out: annotators and SMPL mean other places by them."""
_COUNTS = tuple(k not in IGNORED for k in range(len(KEYPOINT_NAMES)))


@dataclass(frozen=True)
class Targets:
    """Keypoints to fit B bodies to, in pixels of SPIN's 224-pixel crop."""

    places: Tensor  # (B, 49, 2) pixels
    confidence: Tensor  # (B, 49), 0 where a keypoint is not known
    valid: Tensor  # (B,) bool, whether there is enough to fit

    @classmethod
    def of(cls, keypoints: Tensor) -> Targets:
        """Checked keypoints: what cannot be fitted is marked and emptied, not refused.

        Args:
            keypoints: (B, 49, 3) x and y in pixels of a 224-pixel crop, confidence from 0 to 1.

        Raises:
            ValueError: the shape is another.
        """
        if keypoints.ndim != 3 or keypoints.shape[1:] != (len(KEYPOINT_NAMES), 3):
            raise ValueError(
                f"keypoints: expected (B, {len(KEYPOINT_NAMES)}, 3), 25 OpenPose and 24 annotated "
                f"ones with x, y, confidence; got {tuple(keypoints.shape)}"
            )
        places, confidence = keypoints[..., :2], keypoints[..., 2]
        known = confidence > 0  # False for NaN
        sane = places.isfinite().all(-1) & (places.abs() < FARTHEST_PIXEL).all(-1)
        broken = (known & ~sane) | ~confidence.isfinite()
        far = torch.where((known & sane)[..., None], places, -torch.inf).amax(1)
        near = torch.where((known & sane)[..., None], places, torch.inf).amin(1)
        counted = known & constant(_COUNTS, torch.bool, known.device)
        valid = ~broken.any(1) & (counted.sum(1) >= LEAST_KEYPOINTS) & ((far - near) > 1).all(1)
        kept = known & valid[:, None]
        return cls(torch.where(kept[..., None], places, 0), torch.where(kept, confidence, 0), valid)

    @classmethod
    def from_normalised(cls, keypoints: Tensor) -> Targets:
        """The same from a batch's keypoints: x, y in [-1, 1] over the crop."""
        pixels = normalised_to_pixels(keypoints[..., :2], SPIN_IMAGE_SIZE)
        return cls.of(torch.cat([pixels, keypoints[..., 2:]], -1))

    def __len__(self) -> int:
        return len(self.places)

    def counted(self) -> Targets:
        """A copy in which the neck's and the hips' keypoints count nothing (see `IGNORED`).

        A copy: SPIN empties them in place, and its first stage then misses the hips that it needs.
        """
        counts = constant(_COUNTS, torch.bool, self.confidence.device)
        return replace(self, confidence=torch.where(counts, self.confidence, 0))

    def rows(self, index: Tensor) -> Targets:
        """Some of the targets, by position or by mask."""
        return Targets(self.places[index], self.confidence[index], self.valid[index])


@dataclass(frozen=True)
class Guess:
    """B bodies in front of SPIN's far camera (f = 5000 pixels at 224)."""

    rotations: Tensor  # (B, 24, 3, 3), the root in the camera's frame
    betas: Tensor  # (B, 10)
    translation: Tensor  # (B, 3) metres, of the body in the camera's frame

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def pose(self) -> Tensor:
        """(B, 24, 3) axis-angles, radians."""
        return matrix_to_axis_angle(self.rotations)

    def rows(self, index: Tensor) -> Guess:
        """Some of the bodies, by position or by mask."""
        return Guess(self.rotations[index], self.betas[index], self.translation[index])

    def detach(self) -> Guess:
        """The same numbers without their gradient history."""
        return Guess(self.rotations.detach(), self.betas.detach(), self.translation.detach())


@dataclass(frozen=True)
class Fits:
    """B fitted bodies."""

    pose: Tensor  # (B, 24, 3) axis-angles, radians, the root in the camera's frame
    betas: Tensor  # (B, 10)
    translation: Tensor  # (B, 3) metres
    objective: Tensor  # (B,) what was minimised, at its end
    reprojection: Tensor  # (B,) SPIN's mark of a fit: the robust 2D error, mean of 49 keypoints
    valid: Tensor  # (B,) bool; the others are as they started

    def __len__(self) -> int:
        return len(self.betas)

    @property
    def rotations(self) -> Tensor:
        """(B, 24, 3, 3)."""
        return axis_angle_to_matrix(self.pose)

    def guess(self) -> Guess:
        """The bodies as a start for another fit."""
        return Guess(self.rotations, self.betas, self.translation)

    def rows(self, index: Tensor) -> Fits:
        """Some of the fits, by position or by mask."""
        return Fits(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def better_of(self, other: Fits) -> Fits:
        """Each body from whichever of the two reached the lower objective."""
        chosen = {}
        take = other.objective < self.objective
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            chosen[field.name] = torch.where(take.view(-1, *[1] * (mine.ndim - 1)), theirs, mine)
        return replace(self, **chosen)


def joined(parts: list[Fits]) -> Fits:
    """Several batches of fits as one."""
    return Fits(
        **{f.name: torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Fits)}
    )
