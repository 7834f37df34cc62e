"""SMPLify's objective as SPIN minimises it, term by term.

Source: Bogo et al., "Keep it SMPL", ECCV 2016, equations 1 to 8; SPIN's `smplify/losses.py`. Every
function gives one number for each body, so that bodies in a batch do not see each other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hmrlab.bodies.joints import KEYPOINT_NAMES, SMPL_JOINTS
from hmrlab.config import ObjectiveWeights
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, perspective_projection
from hmrlab.geometry.constants import constant
from hmrlab.smplify.prior import PosePrior
from hmrlab.smplify.problem import Points3D, Targets

_TORSO = ("right_hip", "left_hip", "right_shoulder", "left_shoulder")
OPENPOSE_TORSO = [KEYPOINT_NAMES.index(f"openpose_{name}") for name in _TORSO]
ANNOTATED_TORSO = [KEYPOINT_NAMES.index(name) for name in _TORSO]

HINGES = tuple(
    3 * SMPL_JOINTS.index(joint) + axis
    for joint, axis in (("left_elbow", 1), ("right_elbow", 1), ("left_knee", 0), ("right_knee", 0))
)
"""Places in the 72 axis-angle numbers that bend the elbows and the knees."""
HINGE_SIGNS = (1.0, -1.0, -1.0, -1.0)  # positive: bent the way that nobody can


def geman_mcclure(error: Tensor, sigma: float) -> Tensor:
    """A squared error that levels off at sigma^2: sigma^2 e^2 / (sigma^2 + e^2)."""
    squared = error.square()
    return squared if math.isinf(sigma) else sigma**2 * squared / (sigma**2 + squared)


def project(points: Tensor, translation: Tensor) -> Tensor:
    """(B, K, 3) metres -> (B, K, 2) pixels of SPIN's 224-pixel crop, seen by its far camera."""
    middle = points.new_full((2,), SPIN_IMAGE_SIZE / 2)
    return perspective_projection(points, translation, SPIN_FOCAL, middle)


def reprojection_terms(
    keypoints: Tensor, translation: Tensor, targets: Targets, sigma: float
) -> Tensor:
    """Confidence squared times the robust 2D error of each keypoint, (B, 49), pixels squared.

    SPIN's mark of a fit is the mean of these, and it is this that decides which fit is kept.
    """
    error = geman_mcclure(project(keypoints, translation) - targets.keypoints_2d, sigma).sum(-1)
    return targets.confidence.square() * error


def angle_prior(pose: Tensor) -> Tensor:
    """(B, 72) axis-angles -> (B, 4): e^(2 angle) of elbows and knees, huge where bent backwards.

    Bogo et al., equation 4.
    """
    hinges = constant(HINGES, torch.long, pose.device)
    signs = constant(HINGE_SIGNS, pose.dtype, pose.device)
    return torch.exp(pose[:, hinges] * signs).square()


def body_objective(
    keypoints: Tensor,
    pose: Tensor,
    betas: Tensor,
    translation: Tensor,
    targets: Targets,
    prior: PosePrior | None,
    weights: ObjectiveWeights,
    points: Points3D | None = None,
) -> Tensor:
    """What the second stage brings down: (B,).

    Args:
        keypoints: (B, 49, 3) of the posed bodies, metres.
        pose: (B, 72) axis-angles, radians.
        betas: (B, 10).
        translation: (B, 3) metres.
        targets: what to meet; the caller has left out what does not count (`IGNORED`).
        prior: of the pose; None or weight 0 leaves it out.
        weights: of the terms.
        points: to meet in space as well, which neither SMPLify nor SPIN has.
    """
    total = reprojection_terms(keypoints, translation, targets, weights.sigma).sum(1)
    if prior is not None and weights.pose_prior:
        total = total + weights.pose_prior**2 * prior(pose[:, 3:])
    if weights.angle:
        total = total + weights.angle**2 * angle_prior(pose).sum(1)
    if weights.shape:
        total = total + weights.shape**2 * betas.square().sum(1)
    if points is not None:
        squared = points.away(keypoints).square().sum(1)
        total = total + points.weight**2 * (points.confidence * squared).sum(1)
    return total


def torso_of(targets: Targets) -> tuple[Tensor, Tensor]:
    """Which four keypoints the first stage looks at, hips and shoulders.

    The OpenPose ones where all four are seen, else the annotated ones. SPIN counts the latter
    whether they are seen or not; here those that are not are left out.

    Returns:
        indices (B, 4) among the 49, and which of them count (B, 4) bool.
    """
    device = targets.confidence.device
    openpose = constant(tuple(OPENPOSE_TORSO), torch.long, device)
    annotated = constant(tuple(ANNOTATED_TORSO), torch.long, device)
    detected = (targets.confidence[:, openpose] > 0).all(1)
    index = torch.where(detected[:, None], openpose, annotated)
    return index, targets.confidence.gather(1, index) > 0


def camera_objective(
    keypoints: Tensor,
    translation: Tensor,
    start: Tensor,
    targets: Targets,
    weights: ObjectiveWeights,
) -> Tensor:
    """What the first stage brings down: (B,). The torso's squared error and the way in depth.

    Args:
        keypoints: (B, 49, 3) metres.
        translation: (B, 3) metres.
        start: (B, 3) the translation that the stage began with; the depth is held near it.
        targets: what to meet.
        weights: of which `depth` is used.
    """
    index, counts = torso_of(targets)
    wanted = index[..., None].expand(-1, -1, 2)
    error = project(keypoints, translation).gather(1, wanted) - targets.keypoints_2d.gather(
        1, wanted
    )
    squared = (error.square().sum(-1) * counts).sum(1)
    return squared + weights.depth**2 * (translation[:, 2] - start[:, 2]).square()
