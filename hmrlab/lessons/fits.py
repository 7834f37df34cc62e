"""Looking at fits and scoring them: over their pictures, from the side."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import H36M_TO_J14, SMPL_JOINTS
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.evaluation import metrics
from hmrlab.fitting import Fits, Guess, Targets
from hmrlab.fitting.objective import HINGE_SIGNS, HINGES, project
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, bone_axes
from hmrlab.rendering import overlay, side_view

BACKWARDS = 0.1  # radians a knee or an elbow may be bent the wrong way before it counts
ELBOWS = [SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")]
FIT_ERRORS = {
    "pixels": "keypoints off, pixels of 224",
    "mpjpe_mm": "MPJPE, mm",
    "pa_mpjpe_mm": "PA-MPJPE, mm",
    "rotation_deg": "rotation error, degrees",
    "elbow_twist_deg": "twist error at the elbows, degrees",
    "beyond_limits": "joints twisted beyond what a person can, share",
    "backwards": "elbows and knees bent backwards, share",
    "abs_beta": "mean of abs(beta)",
}


def far_cameras(bodies: Fits | Guess) -> Tensor:
    """The weak-perspective cameras (B, 3) that stand where the bodies' translations say."""
    x, y, depth = bodies.translation.unbind(-1)
    return torch.stack([2 * SPIN_FOCAL / (SPIN_IMAGE_SIZE * depth), x, y], -1)


def over(pictures: np.ndarray, bodies: Fits | Guess, body: Body) -> np.ndarray:
    """Bodies over the pictures (B, R, R, 3) of their crops."""
    mesh = body.vertices(bodies.rotations, bodies.betas)
    return overlay(pictures, mesh, body.faces, far_cameras(bodies))


def aside(bodies: Fits | Guess, body: Body, size: int = 192) -> np.ndarray:
    """The same bodies from their side, (B, size, size, 3)."""
    mesh = body.vertices(bodies.rotations, bodies.betas)
    return side_view(mesh, body.faces, far_cameras(bodies), size=size)


def fit_errors(
    bodies: Fits | Guess, truth: Guess, targets: Targets, body: Body
) -> dict[str, Tensor]:
    """Errors of each body against its keypoints and against the truth, (B,) each.

    Args:
        bodies: fitted ones.
        truth: of the same people.
        targets: the keypoints to measure `pixels` against; those that count nothing are left out.
        body: for their points.

    Returns:
        What `FIT_ERRORS` names, and `across_mm` and `depth_mm`, the joints' mean errors along the
        picture's axes and along the camera's.
    """
    rotations, betas = bodies.rotations, bodies.betas
    joints, true = (_centred(body, b.rotations, b.betas) for b in (bodies, truth))
    axes = bone_axes(body.rest_joints(torch.zeros_like(betas[:1]))[0], body.parents)
    limits = torch.tensor(TWIST_LIMITS_DEG, dtype=axes.dtype)
    hinges = bodies.pose.flatten(1)[:, list(HINGES)] * betas.new_tensor(HINGE_SIGNS)
    away = 1000 * (joints - true).abs().mean(1)
    return {
        "pixels": pixel_errors(bodies, targets, body),
        "mpjpe_mm": 1000 * metrics.mpjpe(joints, true),
        "pa_mpjpe_mm": 1000 * metrics.pa_mpjpe(joints, true),
        "rotation_deg": metrics.rotation_error(rotations, truth.rotations).mean(1),
        "elbow_twist_deg": metrics.twist_error(rotations, truth.rotations, axes)[:, ELBOWS].mean(1),
        "beyond_limits": metrics.share_beyond_twist_limits(rotations, axes, limits),
        "backwards": (hinges > BACKWARDS).to(betas.dtype).mean(1),
        "abs_beta": betas.abs().mean(1),
        "across_mm": away[:, :2].mean(1),
        "depth_mm": away[:, 2],
    }


def pixel_errors(bodies: Fits | Guess, targets: Targets, body: Body) -> Tensor:
    """Mean distance of the keypoints that count from where they should be, (B,) pixels of 224."""
    points = body.keypoints(bodies.rotations, bodies.betas)
    distance = (project(points, bodies.translation) - targets.places).norm(dim=-1)
    counts = targets.counted().confidence > 0
    return (distance * counts).sum(1) / counts.sum(1).clamp_min(1)


def means(errors: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean over the people of each error, for `score_table`."""
    return {name: float(values.mean()) for name, values in errors.items()}


class Recorder:
    """Watches a fit: its bodies after each step, and the seconds that the steps took."""

    def __init__(self) -> None:
        self.guesses: list[Guess] = []
        self.seconds: list[float] = []
        self._since = time.perf_counter()

    def __call__(self, _number: int, guess: Guess, _objective: Tensor) -> None:
        spent = time.perf_counter() - self._since
        self.seconds.append((self.seconds[-1] if self.seconds else 0.0) + spent)
        self.guesses.append(guess)
        self._since = time.perf_counter()  # what watching costs is not the fit's


def _centred(body: Body, rotations: Tensor, betas: Tensor) -> Tensor:
    """The 14 joints that are scored, (B, 14, 3) metres from the pelvis."""
    points = body.h36m(rotations, betas)
    return points[:, list(H36M_TO_J14)] - points[:, :1]
