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

    Args:
        width: numbers that a joint's rotation is turned into; the layers are shared by all joints.
        hidden: width of the two layers that see all joints together.
    """

    def __init__(self, width: int = 32, hidden: int = 1024) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(9, width), nn.ReLU(),
                                      nn.Linear(width, width), nn.ReLU())  # fmt: skip
        self.joints = nn.ModuleList(nn.Linear(width, 1) for _ in range(JOINTS))
        self.together = nn.Sequential(
            nn.Linear(JOINTS * width, hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, 1),
        )  # fmt: skip
        self.shape = nn.Sequential(
            nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1)
        )

    def forward(
        self, rotations: Float[Tensor, "b 23 3 3"], betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b 25"]:
        """Judge bodies.

        Args:
            rotations: (B, 23, 3, 3) of all joints but the root, each relative to its parent.
            betas: (B, 10) shape coefficients.

        Returns:
            (B, 25): a score for each of the 23 joints, one for the whole pose, one for the shape.

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
