"""What a training step gets: people cropped, with whatever is known about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B people, each in the middle of a square crop of R pixels; camera frame x right, y down."""

    images: Tensor  # (B, 3, R, R) float, ImageNet's mean taken off and divided by its deviation
    keypoints_2d: Tensor  # (B, 49, 3) x, y in [-1, 1] over the crop, confidence
    keypoints_3d: Tensor  # (B, 24, 4) annotated joints, metres, camera frame, confidence
    rotations: Tensor  # (B, 24, 3, 3) SMPL pose, the root in the camera frame
    betas: Tensor  # (B, 10)
    has_smpl: Tensor  # (B,) bool, rotations and betas are known
    has_pose_3d: Tensor  # (B,) bool, keypoints_3d is known
    index: Tensor  # (B,) long, row of the record file
    source: Tensor  # (B,) long, number of the sample's data set among the loader's `names`
    flipped: Tensor  # (B,) bool, whether the crop is mirrored
    turned: Tensor  # (B,) degrees by which the crop is turned, before it is mirrored

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def joined(cls, parts: Sequence[Batch]) -> Batch:
        """Several batches as one."""
        if len(parts) == 1:
            return parts[0]
        names = [f.name for f in fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def rows(self, index: Tensor | slice | Sequence[int]) -> Batch:
        """Some of these people, in the order of the index."""
        return Batch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on a device."""
        return Batch(
            **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        )
