"""Calibrated cameras: where each stands, and what its lens does (OpenCV's conventions)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_UNDISTORTING_STEPS = 20


@dataclass(frozen=True)
class CalibratedCameras:
    """C cameras; the frame of each is x right, y down, z forward."""

    intrinsics: Float[Tensor, "c 3 3"]  # focal lengths and principal point, pixels
    distortion: Float[Tensor, "c 4"]  # k1, k2 along the radius, p1, p2 across it
    rotation: Float[Tensor, "c 3 3"]  # from the world to the camera
    translation: Float[Tensor, "c 3"]  # metres

    def __len__(self) -> int:
        return len(self.intrinsics)

    def in_frames(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch c 3"]:
        """Points of the world in each camera's frame, metres."""
        return torch.einsum("cij,...j->...ci", self.rotation, points) + self.translation

    def project(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch c 2"]:
        """Where each camera sees points of the world, pixels; NaN for what is behind it."""
        local = self.in_frames(points)
        ahead = torch.where(local[..., 2:] > 0, local[..., 2:], torch.nan)
        seen = distort(local[..., :2] / ahead, self.distortion)
        return torch.einsum("cij,...cj->...ci", self.intrinsics[:, :2, :2], seen) + self._middle

    def rays(self, pixels: Float[Tensor, "*batch c 2"]) -> Float[Tensor, "*batch c 2"]:
        """What each camera sees at some pixels: x / z and y / z in its frame, undistorted."""
        inverse = torch.linalg.inv(self.intrinsics[:, :2, :2])
        return undistort(
            torch.einsum("cij,...cj->...ci", inverse, pixels - self._middle), self.distortion
        )

    @property
    def _middle(self) -> Tensor:
        return self.intrinsics[:, :2, 2]


def distort(
    points: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch 2"]:
    """Brown and Conrady's lens, as OpenCV writes it (`cv::projectPoints`), on x / z and y / z."""
    k1, k2, p1, p2 = distortion.unbind(-1)
    x, y = points.unbind(-1)
    squared = x * x + y * y
    radial = 1 + squared * (k1 + squared * k2)
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (squared + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (squared + 2 * y * y),
        ],
        -1,
    )


def undistort(
    points: Float[Tensor, "*batch 2"], distortion: Float[Tensor, "*#batch 4"]
) -> Float[Tensor, "*batch 2"]:
    """The inverse of `distort`, by steps towards a fixed point (as `cv::undistortPoints`)."""
    found = points
    for _ in range(_UNDISTORTING_STEPS):
        found = found - (distort(found, distortion) - points)
    return found
