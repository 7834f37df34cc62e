"""A square about each person, and keypoints in SPIN's crop of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies.joints import KEYPOINT_NAMES, OPENPOSE
from hmrlab.fitting import Targets
from hmrlab.geometry import SPIN_IMAGE_SIZE, apply_affine, crop_matrix
from hmrlab.geometry.crops import REFERENCE_SIDE

BOX_FACTOR = 1.2  # SPIN's, for all sets but Human3.6M
CONFIDENT = 0.2  # least confidence of a keypoint that a box must hold; SPIN's demo


@dataclass(frozen=True)
class Boxes:
    """Squares in a photo; SPIN's `scale` is a side / 200."""

    center: Tensor  # (N, 2) pixels
    side: Tensor  # (N,) pixels

    @classmethod
    def around(cls, keypoints: np.ndarray) -> Boxes:
        """The square about the middle of each person's confident keypoints, 1.2 times as large.

        Args:
            keypoints: (N, 25, 3) pixels of the photo, confidence.

        Raises:
            ValueError: the confident keypoints of a person are in one place, or there are none.
        """
        points = torch.as_tensor(keypoints, dtype=torch.float32)
        seen = (points[..., 2] >= CONFIDENT)[..., None]
        high = torch.where(seen, points[..., :2], -torch.inf).amax(1)
        low = torch.where(seen, points[..., :2], torch.inf).amin(1)
        side = BOX_FACTOR * (high - low).amax(1)
        if not bool((side > 0).all()):
            bad = torch.nonzero(~(side > 0)).flatten().tolist()
            raise ValueError(
                f"the keypoints of person {bad} span no box: it takes two of confidence "
                f"{CONFIDENT} or more in different places"
            )
        return cls((low + high) / 2, side)

    def __len__(self) -> int:
        return len(self.side)

    def to_crop(self) -> Tensor:
        """(N, 3, 3) from pixels of the photo to pixels of SPIN's 224-pixel crop."""
        return crop_matrix(self.center, self.side / REFERENCE_SIDE, SPIN_IMAGE_SIZE)

    def rows(self, index: Tensor) -> Boxes:
        """Some of the boxes, by position or by mask."""
        return Boxes(self.center[index], self.side[index])


def targets_in(boxes: Boxes, keypoints: np.ndarray) -> Targets:
    """What to fit: OpenPose's keypoints in each person's crop; no annotated ones are known.

    Args:
        boxes: of the N people.
        keypoints: (N, 25, 3) pixels of the photo, confidence.
    """
    points = torch.as_tensor(keypoints, dtype=torch.float32)
    everything = points.new_zeros(len(points), len(KEYPOINT_NAMES), 3)
    everything[:, OPENPOSE, :2] = apply_affine(boxes.to_crop(), points[..., :2])
    everything[:, OPENPOSE, 2] = points[..., 2]
    return Targets.of(everything)
