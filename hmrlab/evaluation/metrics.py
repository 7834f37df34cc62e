"""Errors of predicted bodies, for each sample of a batch.

Points are in metres, rotations are matrices, angles in degrees. No function loops over samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hmrlab.geometry import procrustes_align, rotation_angle_between, swing_twist

PCK_SHARE = 0.1  # of the longer side of a person's box
CROP_OVER_BOX = 1.2


def joint_errors(predicted: Tensor, true: Tensor) -> Tensor:
    """Distance of each point from its truth: (B, J, 3) twice, metres -> (B, J), metres."""
    if predicted.shape != true.shape:
        raise ValueError(
            "predicted and true points must have one shape, got "
            f"{tuple(predicted.shape)} and {tuple(true.shape)}"
        )
    return torch.linalg.vector_norm(predicted - true, dim=-1)


def mpjpe(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean per joint position error, of points centred alike: (B, J, 3) twice -> (B,), metres."""
    return joint_errors(predicted, true).mean(-1)


def pa_mpjpe(predicted: Tensor, true: Tensor) -> Tensor:
    """Reconstruction error: `mpjpe` after the best scale, rotation and translation, metres.

    Each sample is aligned by itself (Zhou et al., "Sparseness Meets Deepness", CVPR 2016).
    """
    return mpjpe(procrustes_align(predicted, true), true)


def pve(predicted: Tensor, true: Tensor) -> Tensor:
    """Per vertex error, of vertices centred alike: (B, V, 3) twice -> (B,), metres."""
    return joint_errors(predicted, true).mean(-1)


def rotation_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Geodesic distance of each joint's rotation: (B, J, 3, 3) twice -> (B, J), degrees to 180."""
    return torch.rad2deg(rotation_angle_between(predicted, true))


def twist_angle(rotations: Tensor, axes: Tensor) -> Tensor:
    """Each joint's turn about its own bone: (B, J, 3, 3), (J, 3) -> (B, J) degrees, -180 to 180.

    See `hmrlab.geometry.swing_twist`; the axes at rest are `hmrlab.geometry.bone_axes`'.
    """
    return torch.rad2deg(swing_twist(rotations, axes)[1])


def wrapped_difference(a: Tensor, b: Tensor) -> Tensor:
    """Size of the difference of two angles in degrees, the short way round: 0 to 180."""
    return (torch.remainder(a - b + 180, 360) - 180).abs()


def beyond_twist_limits(rotations: Tensor, axes: Tensor, limits: Tensor) -> Tensor:
    """Which joints (B, J) turn further than (J,) degrees either way (`hmrlab.bodies.limits`)."""
    return twist_angle(rotations, axes).abs() > limits


def pck_2d(predicted: Tensor, labelled: Tensor, share: float = PCK_SHARE) -> Tensor:
    """Percentage of correct keypoints: nearer than a share of the longer side of the person's box.

    Shapes as of `keypoint_error`. Source: Yang and Ramanan, PAMI 2013; SPIN's crop, whose side is 2
    here, is 1.2 times as large as the box.
    """
    known = labelled[..., 2] > 0
    distance = torch.linalg.vector_norm(predicted - labelled[..., :2], dim=-1)
    near = known & (distance < share * 2 / CROP_OVER_BOX)
    return 100 * near.sum(-1) / known.sum(-1)


def keypoint_error(predicted: Tensor, labelled: Tensor) -> Tensor:
    """Mean 2D distance of the keypoints that are labelled, in percent of the crop's side.

    (B, K, 2) and (B, K, 3) with confidence, normalised so that the crop's side is 2 -> (B,); NaN
    for a sample without any labelled keypoint.
    """
    known = labelled[..., 2] > 0
    distance = torch.linalg.vector_norm(predicted - labelled[..., :2], dim=-1)
    return 50 * torch.where(known, distance, 0).sum(-1) / known.sum(-1)
