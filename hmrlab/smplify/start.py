"""Where a fit begins: with nothing but the keypoints, with points in space, with a network."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.params import SMPLParams
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, axis_angle_to_matrix, procrustes_fit
from hmrlab.geometry import weak_perspective_to_translation as _to_translation
from hmrlab.smplify.objective import OPENPOSE_TORSO
from hmrlab.smplify.prior import PosePrior
from hmrlab.smplify.problem import Points3D, Targets

N_BETAS = 10


def cold_start(body: Body, prior: PosePrior, targets: Targets, heading: float = 0.0) -> SMPLParams:
    """The prior's mean pose and the mean shape, placed where the keypoints are.

    Args:
        body: whose keypoints are placed.
        prior: whose mean is taken.
        targets: of B people.
        heading: which way the bodies face, degrees: 0 the camera, 180 away from it.
    """
    rotations, betas = _mean(prior, targets)
    upright = betas.new_tensor([math.pi, 0.0, 0.0])  # the camera's y points down
    turn = betas.new_tensor([0.0, math.radians(heading), 0.0])
    rotations[:, 0] = axis_angle_to_matrix(upright) @ axis_angle_to_matrix(turn)
    keypoints = body.keypoints(rotations, betas)
    return SMPLParams(rotations, betas, translation=place(keypoints, targets))


def start_from_points(
    body: Body, prior: PosePrior, targets: Targets, points: Points3D
) -> SMPLParams:
    """The prior's mean pose, turned as the torso's points in space are, and placed by all of them.

    How far the points are spread in space and in pixels says how far away somebody is, in whatever
    pose. Their size is taken for the body's.

    Args:
        body: of which hips and shoulders are laid on the points'.
        prior: whose mean is taken.
        targets: of B people.
        points: of the same.
    """
    rotations, betas = _mean(prior, targets)
    torso = body.keypoints(rotations, betas)[:, OPENPOSE_TORSO]
    wanted = points.points[:, OPENPOSE_TORSO]
    rotations[:, 0] = procrustes_fit(torso, wanted).rotation
    known = replace(targets, confidence=targets.confidence * (points.confidence > 0))
    torso = body.keypoints(rotations, betas)[:, OPENPOSE_TORSO]
    translation = place(points.points, known) + (wanted - torso).mean(1)
    return SMPLParams(rotations, betas, translation=translation)


def _mean(prior: PosePrior, targets: Targets) -> tuple[Tensor, Tensor]:
    """Rotations (B, 24, 3, 3), the root's none, and betas (B, 10) of the mean body."""
    like = targets.keypoints_2d
    pose = like.new_zeros(24, 3)
    pose[1:] = prior.mean_pose().view(23, 3).to(like.dtype)
    rotations = axis_angle_to_matrix(pose).expand(len(targets), 24, 3, 3).clone()
    return rotations, like.new_zeros(len(targets), N_BETAS)


def from_camera(rotations: Tensor, betas: Tensor, camera: Tensor) -> SMPLParams:
    """A network's answer as a start: rotations, betas and its weak-perspective camera (B, 3)."""
    return SMPLParams(rotations, betas, translation=_to_translation(camera)).detach()


def place(keypoints: Tensor, targets: Targets) -> Tensor:
    """The translation (B, 3), metres, at which bodies have the size and place of their keypoints.

    The depth follows from how far the keypoints are spread about their middle, in pixels and in
    metres. Least squares as in `estimate_translation` would be better for the right pose, but for
    another, say with its back to us, it may put the body behind the camera.

    Args:
        keypoints: (B, 49, 3) metres, without translation.
        targets: of the same bodies; where they are not valid the body stands in the middle.
    """
    weight = targets.confidence / targets.confidence.sum(1, keepdim=True).clamp_min(1e-9)
    weight = torch.where(targets.valid[:, None], weight, 1 / weight.shape[1])[..., None]
    flat = targets.keypoints_2d - SPIN_IMAGE_SIZE / 2
    seen_middle = (weight * flat).sum(1)
    middle = (weight * keypoints).sum(1)
    seen = (weight * (flat - seen_middle[:, None]).square()).sum((1, 2)).sqrt()
    spread = (weight * (keypoints - middle[:, None])[..., :2].square()).sum((1, 2)).sqrt()
    seen = torch.where(targets.valid, seen, SPIN_IMAGE_SIZE / 4)
    depth = SPIN_FOCAL * spread / seen.clamp_min(1.0)
    seen_middle = torch.where(targets.valid[:, None], seen_middle, 0)
    across = seen_middle * depth[:, None] / SPIN_FOCAL - middle[:, :2]
    return torch.cat([across, depth[:, None] - middle[:, 2:]], 1)
