"""What BlazePose says of a person in a few numbers: points in the crop and in metres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.models.blazepose.landmarks import LANDMARK_NAMES, SIDE
from hmrlab.tensors import TensorRecord

# OpenPose's keypoints that BlazePose calls otherwise, and those that are in the middle of two.
_OTHER_NAMES = {
    "left_big_toe": ("left_foot_index",),
    "right_big_toe": ("right_foot_index",),
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
}
PAIRS = {  # by OpenPose's name: the landmarks, twice the same or two, whose middle it is
    name: (LANDMARK_NAMES.index(names[0]), LANDMARK_NAMES.index(names[-1]))
    for name in OPENPOSE_NAMES
    if (names := _OTHER_NAMES.get(name, (name,)))[0] in LANDMARK_NAMES
}
EYE_POINTS = tuple(PAIRS)
"""Names of the 23 of OpenPose's keypoints that BlazePose has: all but the small toes."""
IN_OPENPOSE = tuple(OPENPOSE_NAMES.index(name) for name in EYE_POINTS)
FEATURES, UNEXPLAINED = 6 * len(EYE_POINTS), 5 * len(EYE_POINTS)
_MID_HIP = EYE_POINTS.index("mid_hip")
_FIRST, _SECOND = ([pair[end] for pair in PAIRS.values()] for end in (0, -1))
_PLACES, _METRES = 2.0, 3.0  # what they are multiplied by as features, to be of the order of 1


@dataclass(frozen=True)
class EyePoints(TensorRecord):
    """The points of B people, in the order of `EYE_POINTS`."""

    places: Float[Tensor, "b 23 2"]  # in the crop, x and y in [-1, 1]
    confidence: Float[Tensor, "b 23"]  # 0 to 1
    world: Float[Tensor, "b 23 3"]  # metres from the middle of the hips; x right, y down, z away

    @classmethod
    def of(
        cls,
        places: Float[Tensor, "b _ 2"],
        confidence: Float[Tensor, "b _"],
        world: Float[Tensor, "b _ 3"],
    ) -> EyePoints:
        """Of BlazePose's landmarks (33 or more). Of a middle the confidence is the lesser one."""
        return cls(
            (places[:, _FIRST] + places[:, _SECOND]) / 2,
            torch.minimum(confidence[:, _FIRST], confidence[:, _SECOND]),
            _metres(world),
        )

    @classmethod
    def of_crops(
        cls, landmarks: Float[Tensor, "b 39 5"], world: Float[Tensor, "b 39 3"]
    ) -> EyePoints:
        """Of what the landmark network says of crops, see `PoseOutput`."""
        return cls.of(landmarks[..., :2] * (2 / SIDE) - 1, landmarks[..., 3].sigmoid(), world)

    @classmethod
    def of_openpose(
        cls,
        places: Float[Tensor, "b 25 2"],
        confidence: Float[Tensor, "b 25"],
        world: Float[Tensor, "b 33 3"],
    ) -> EyePoints:
        """Of OpenPose's keypoints, by whichever network, and BlazePose's landmarks in metres."""
        order = list(IN_OPENPOSE)
        return cls(places[:, order], confidence[:, order], _metres(world))

    def features(self) -> Float[Tensor, "b 138"]:
        """For a regressor: places, the less the surer they are not; confidences; metres."""
        places = _PLACES * self.confidence[..., None] * self.places
        parts = (places, self.confidence, _METRES * self.world)
        return torch.cat([part.flatten(1) for part in parts], 1)


def _metres(world: Float[Tensor, "b _ 3"]) -> Float[Tensor, "b 23 3"]:
    """The points in space, from the middle of the hips, of BlazePose's landmarks."""
    points = (world[:, _FIRST] + world[:, _SECOND]) / 2
    return points - points[:, _MID_HIP, None]


def unexplained(
    features: Float[Tensor, "b 138"],
    places: Float[Tensor, "b 23 2"],
    points: Float[Tensor, "b 23 3"],
) -> Float[Tensor, "b 115"]:
    """How far a body's points are from what the eyes saw, as features: in the crop, and in metres.

    Args:
        features: of `EyePoints.features`.
        places: of the body's points in the crop, x and y in [-1, 1].
        points: the same, metres, axes as the crop's.
    """
    count = len(EYE_POINTS)
    seen, confidence, world = features.split([2 * count, count, 3 * count], 1)
    beside = seen / _PLACES - (confidence[..., None] * places).flatten(1)
    away = world / _METRES - (points - points[:, _MID_HIP, None]).flatten(1)
    return (_RESIDUALS * torch.cat([beside, away], 1)).clamp(-_RESIDUALS, _RESIDUALS)


_RESIDUALS = 5.0  # as features: a metre, or half of the crop, is more than ever happens
