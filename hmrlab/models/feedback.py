"""A loop that is one: each correction sees what the ones before it have left to do."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.geometry import project_normalised
from hmrlab.models.blazepose.points import FEATURES, IN_OPENPOSE, UNEXPLAINED, unexplained
from hmrlab.models.hmr import Regressor, as_params


class FeedbackRegressor(Regressor):
    """A regressor that sees what its corrections have left to do.

    HMR's loop is told its own numbers, not what they look like: its second correction knows no more
    than the first. Here the body so far is posed and projected, and the next correction sees how
    far each of its points is from the one that the eyes saw, in the crop and in metres. In this it
    is like an optimiser whose step was learnt (Song et al., "Human Body Model Fitting by Learned
    Gradient Descent", ECCV 2020).

    Args:
        feature_size: of the points' features, see `EyePoints`.
        mean_rotations, dropout, relu: see `Regressor`.
        body: whose points are compared.

    Raises:
        ValueError: the features are no points.
    """

    def __init__(
        self,
        feature_size: int,
        mean_rotations: Float[Tensor, "24 3 3"] | None = None,
        dropout: float = 0.5,
        relu: bool = False,
        *,
        body: Body,
    ) -> None:
        if feature_size != FEATURES:
            raise ValueError(
                f"feedback compares points, {FEATURES} numbers, and the encoder gives "
                f"{feature_size}; take 'blazepose_full:points'"
            )
        super().__init__(feature_size + UNEXPLAINED, mean_rotations, dropout, relu)
        self.points = copy.deepcopy(body.keypoint_points)
        self.points._non_persistent_buffers_set.clear()  # a checkpoint brings its body's points

    def state(
        self,
        features: Float[Tensor, "b f"],
        pose: Float[Tensor, "b 144"],
        shape: Float[Tensor, "b 10"],
        camera: Float[Tensor, "b 3"],
    ) -> Float[Tensor, "b s"]:
        """As `Regressor.state`, with what the body so far leaves unexplained."""
        body = as_params(pose, shape, camera)
        points = self.points(body.rotations, shape)[:, IN_OPENPOSE]
        left = unexplained(features, project_normalised(points, camera), points)
        return torch.cat((features, left, pose, shape, camera), dim=1)
