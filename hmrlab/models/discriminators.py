"""HMR's discriminators: small networks that tell believable bodies from others.

Source: Kanazawa et al., "End-to-end Recovery of Human Shape and Pose", CVPR 2018, section 3.3, and
its `Discriminator_separable_rotations`. A body is judged in parts, so that each judge has little to
learn and none can win by a detail that has nothing to do with the joint in question: one for each
joint's rotation, one for all rotations together, one for the shape.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

JOINTS = 23  # all but the root: any heading is believable
SCORES = JOINTS + 2


class Discriminators(nn.Module):
    """25 scores of a body; trained, they are near 1 for bodies like the real ones, else near 0.

    A joint's rotation is turned into 32 numbers, by layers that all joints share.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.joints = nn.ModuleList(nn.Linear(32, 1) for _ in range(JOINTS))
        self.together = nn.Sequential(
            nn.Linear(JOINTS * 32, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(),
            nn.Linear(1024, 1),
        )  # fmt: skip
        self.shape = nn.Sequential(
            nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1)
        )

    def forward(
        self, rotations: Float[Tensor, "b 23 3 3"], betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b 25"]:
        """Scores (B, 25): of each of the 23 joints, of the whole pose, of the shape.

        Args:
            rotations: (B, 23, 3, 3) of all joints but the root, each relative to its parent.
            betas: (B, 10) shape coefficients.

        Raises:
            ValueError: a shape does not fit; most often the root has not been left out.
        """
        if rotations.shape[1:] != (JOINTS, 3, 3) or betas.shape[1:] != (10,):
            raise ValueError(
                f"expected rotations (B, {JOINTS}, 3, 3), the root left out, and betas (B, 10), "
                f"got {tuple(rotations.shape)} and {tuple(betas.shape)}"
            )
        features = self.features(rotations.flatten(2))
        each = [head(features[:, joint]) for joint, head in enumerate(self.joints)]
        return torch.cat([*each, self.together(features.flatten(1)), self.shape(betas)], dim=1)
