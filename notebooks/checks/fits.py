"""Looking at fits and scoring them: over their pictures, from the side."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from checks.tables import headings
from hmrlab.bodies import Body, SMPLParams
from hmrlab.evaluation.metrics import wrapped_difference
from hmrlab.evaluation.scores import (
    ELBOWS,
    MILLIMETRES,
    TwistFrame,
    centred_joints,
    joint_errors,
    rotation_errors,
)
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE
from hmrlab.rendering import overlay, side_view
from hmrlab.smplify import Fits, Targets
from hmrlab.smplify.objective import HINGE_SIGNS, HINGES, project

BACKWARDS = 0.1  # radians a knee or an elbow may be bent the wrong way before it counts
FIT_ERRORS = {
    "pixels": "keypoints off, pixels of 224",
    **headings(
        "mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "elbow_twist_error_deg",
        "beyond_limits_percent",
    ),
    "backwards": "elbows and knees bent backwards, %",
    **headings("mean_abs_beta"),
}  # fmt: skip


def far_cameras(bodies: Fits | SMPLParams) -> Tensor:
    """The weak-perspective cameras (B, 3) that stand where the bodies' translations say."""
    x, y, depth = bodies.translation.unbind(-1)
    return torch.stack([2 * SPIN_FOCAL / (SPIN_IMAGE_SIZE * depth), x, y], -1)


def over(pictures: np.ndarray, bodies: Fits | SMPLParams, body: Body) -> np.ndarray:
    """Bodies over the pictures (B, R, R, 3) of their crops."""
    mesh = body.vertices(bodies.rotations, bodies.betas)
    return overlay(pictures, mesh, body.faces, far_cameras(bodies))


def aside(bodies: Fits | SMPLParams, body: Body, size: int = 192) -> np.ndarray:
    """The same bodies from their side, (B, size, size, 3)."""
    mesh = body.vertices(bodies.rotations, bodies.betas)
    return side_view(mesh, body.faces, far_cameras(bodies), size=size)


def fit_errors(
    bodies: Fits | SMPLParams, truth: SMPLParams, targets: Targets, body: Body
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
    joints, true = (centred_joints(body.h36m(b.rotations, b.betas)) for b in (bodies, truth))
    errors = joint_errors(joints, true)
    rotations = rotation_errors(bodies.rotations, truth.rotations, TwistFrame.of(body))
    twists = (twist[:, ELBOWS] for twist in (rotations.twist_deg, rotations.true_twist_deg))
    hinges = bodies.pose.flatten(1)[:, list(HINGES)] * bodies.betas.new_tensor(HINGE_SIGNS)
    away = MILLIMETRES * (joints.points - true.points).abs().mean(1)
    return {
        "pixels": pixel_errors(bodies, targets, body),
        "mpjpe_mm": errors.mpjpe_mm,
        "pa_mpjpe_mm": errors.pa_mpjpe_mm,
        "rotation_error_deg": rotations.rotation_error_deg.mean(1),
        "elbow_twist_error_deg": wrapped_difference(*twists).mean(1),
        "beyond_limits_percent": 100 * rotations.beyond_limits[:, 1:].float().mean(1),
        "backwards": 100 * (hinges > BACKWARDS).float().mean(1),
        "mean_abs_beta": bodies.betas.abs().mean(1),
        "across_mm": away[:, :2].mean(1),
        "depth_mm": away[:, 2],
    }


def pixel_errors(bodies: Fits | SMPLParams, targets: Targets, body: Body) -> Tensor:
    """Mean distance of the keypoints that count from where they should be, (B,) pixels of 224."""
    points = body.keypoints(bodies.rotations, bodies.betas)
    distance = (project(points, bodies.translation) - targets.keypoints_2d).norm(dim=-1)
    counts = targets.counted().confidence > 0
    return (distance * counts).sum(1) / counts.sum(1).clamp_min(1)


def means(errors: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean over the people of each error, for `score_table`."""
    return {name: float(values.mean()) for name, values in errors.items()}


class Recorder:
    """Watches a fit: its bodies after each step, and the seconds that the steps took."""

    def __init__(self) -> None:
        self.guesses: list[SMPLParams] = []
        self.seconds: list[float] = []
        self._since = time.perf_counter()

    def __call__(self, _number: int, guess: SMPLParams, _objective: Tensor) -> None:
        spent = time.perf_counter() - self._since
        self.seconds.append((self.seconds[-1] if self.seconds else 0.0) + spent)
        self.guesses.append(guess)
        self._since = time.perf_counter()  # what watching costs is not the fit's
