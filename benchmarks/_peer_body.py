"""SPIN's way to the keypoints of a body: the peer of `keypoint_body` and of `fitting`."""

from __future__ import annotations

import torch
from smplx.lbs import vertices2joints
from torch import Tensor, nn

from hmrlab.bodies import BodyArrays
from hmrlab.bodies.joints import KEYPOINT_ROWS
from hmrlab.bodies.smplx_adapter import smplx_model


class SmplxKeypoints(nn.Module):
    """The 49 keypoints as SPIN computes them: all of smplx's mesh, then rows of 54 joints."""

    extra_regressor: Tensor  # (9, V)

    def __init__(self, arrays: BodyArrays) -> None:
        super().__init__()
        self.model = smplx_model(arrays)
        extra = torch.as_tensor(arrays.extra_regressor, dtype=torch.float32)
        self.register_buffer("extra_regressor", extra, persistent=False)

    def keypoints(self, pose: Tensor, betas: Tensor) -> Tensor:
        """(B, 49, 3) metres of axis-angles (B, 72), radians, and betas (B, 10)."""
        out = self.model(betas=betas, body_pose=pose[:, 3:], global_orient=pose[:, :3])
        extra = vertices2joints(self.extra_regressor, out.vertices)
        return torch.cat([out.joints, extra], 1)[:, list(KEYPOINT_ROWS)]
