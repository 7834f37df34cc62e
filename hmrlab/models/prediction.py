"""What a network says about each picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prediction:
    """One body for each picture of a batch."""

    rotations: Tensor  # (B, 24, 3, 3) joint rotations, the root's in the camera's frame
    betas: Tensor  # (B, 10) shape coefficients, in standard deviations
    camera: Tensor  # (B, 3) weak-perspective scale (crop half-sides per metre), tx, ty (metres)

    def to(self, target: torch.device | torch.dtype | str) -> Prediction:
        """The same prediction on another device or in another precision."""
        return Prediction(self.rotations.to(target), self.betas.to(target), self.camera.to(target))

    def float(self) -> Prediction:
        """The same prediction in float32."""
        return self.to(torch.float32)

    def detach(self) -> Prediction:
        """The same numbers without their gradient history."""
        return Prediction(self.rotations.detach(), self.betas.detach(), self.camera.detach())
