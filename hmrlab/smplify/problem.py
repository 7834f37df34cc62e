"""What a fit is given, where it starts, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from hmrlab.bodies.joints import KEYPOINT_NAMES
from hmrlab.bodies.params import SMPLParams
from hmrlab.geometry import (
    SPIN_IMAGE_SIZE,
    axis_angle_to_matrix,
    normalised_to_pixels,
)
from hmrlab.geometry.constants import constant
from hmrlab.tensors import TensorRecord

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
class Targets(TensorRecord):
    """Keypoints to fit B bodies to, in pixels of SPIN's 224-pixel crop."""

    keypoints_2d: Tensor  # (B, 49, 2) pixels
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

    def counted(self) -> Targets:
        """A copy in which the neck's and the hips' keypoints count nothing (see `IGNORED`).

        A copy: SPIN empties them in place, and its first stage then misses the hips that it needs.
        """
        counts = constant(_COUNTS, torch.bool, self.confidence.device)
        return replace(self, confidence=torch.where(counts, self.confidence, 0))


@dataclass(frozen=True)
class Points3D(TensorRecord):
    """Where B people's keypoints are in space, as a network says that was taught so.

    A fit to them too knows what the picture does not tell, how far limbs reach towards us. Only
    their places among one another count, whatever point they are given about.
    """

    points: Tensor  # (B, 49, 3) metres, along the camera's axes
    confidence: Tensor  # (B, 49), 0 where a point is not known
    weight: float = 50.0  # pixels of the 224-pixel crop that a metre off counts as

    def centred(self, values: Tensor) -> Tensor:
        """Values of the points (B, ..., 49) less their mean by confidence."""
        share = self.confidence / self.confidence.sum(1, keepdim=True).clamp_min(1e-9)
        share = share.view(len(share), *[1] * (values.ndim - 2), -1)
        return values - (values * share).sum(-1, keepdim=True)

    def away(self, keypoints: Tensor) -> Tensor:
        """(B, 3, 49) metres by which keypoints (B, 49, 3) are off, the two laid together."""
        return self.centred((keypoints - self.points).mT)


@dataclass(frozen=True)
class Fits(TensorRecord):
    """B fitted bodies."""

    pose: Tensor  # (B, 24, 3) axis-angles, radians, the root in the camera's frame
    betas: Tensor  # (B, 10)
    translation: Tensor  # (B, 3) metres
    objective: Tensor  # (B,) what was minimised, at its end
    reprojection: Tensor  # (B,) SPIN's mark of a fit: the robust 2D error, mean of 49 keypoints
    valid: Tensor  # (B,) bool; the others are as they started

    @property
    def rotations(self) -> Tensor:
        """(B, 24, 3, 3)."""
        return axis_angle_to_matrix(self.pose)

    @property
    def params(self) -> SMPLParams:
        """The bodies, a start for another fit."""
        return SMPLParams(self.rotations, self.betas, translation=self.translation)

    def better_of(self, other: Fits) -> Fits:
        """Each body from whichever of the two reached the lower objective."""
        chosen = {}
        take = other.objective < self.objective
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            chosen[field.name] = torch.where(take.view(-1, *[1] * (mine.ndim - 1)), theirs, mine)
        return replace(self, **chosen)
