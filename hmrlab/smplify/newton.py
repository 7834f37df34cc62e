"""The same objective by Levenberg-Marquardt: a dozen steps of second order for 200 of Adam's.

All terms are sums of squares, robust squares or exponentials, so their curvature is known from
first derivatives (Gauss-Newton), and the keypoint body gives those in closed form. Each body has a
damping of its own, which falls where a step helped and rises where it did not, and a step that does
not help is not taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_PARENTS
from hmrlab.bodies.params import SMPLParams
from hmrlab.bodies.points import Linearised
from hmrlab.geometry import SPIN_FOCAL, axis_angle_to_matrix, matrix_to_axis_angle
from hmrlab.geometry.constants import constant
from hmrlab.smplify.adam import Callback, finalize_fits
from hmrlab.smplify.objective import (
    HINGE_SIGNS,
    HINGES,
    ObjectiveWeights,
    angle_prior,
    body_objective,
    camera_objective,
    project,
    torso_of,
)
from hmrlab.smplify.prior import PosePrior
from hmrlab.smplify.problem import Fits, Points3D, Targets

N_POSE, N_BETAS = 72, 10
N_BODY = N_POSE + N_BETAS
SMALL_ANGLE = 1e-3  # radians, below which a series is more exact than the formula


@dataclass(frozen=True)
class NewtonSettings:
    """How many steps, how damped, and what counts."""

    camera_steps: int = 10  # first stage: camera and orientation to the torso
    steps: int = 20  # second stage: pose, shape and orientation
    damping: float = 1e-2  # at the beginning of each stage, in parts of the curvature
    tolerance: float = 1e-4  # the second stage ends when no body's objective falls by this share
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)


def fit_with_newton(
    body: Body,
    prior: PosePrior | None,
    targets: Targets,
    start: SMPLParams,
    settings: NewtonSettings = NewtonSettings(),
    *,
    points: Points3D | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Fits:
    """As `fit_with_adam`, stage by stage and term by term, in a fraction of its time.

    Raises:
        ValueError: there is a weight for the pose prior and no prior.
    """
    if prior is None and settings.weights.pose_prior:
        raise ValueError("the pose prior has a weight: give a prior, or set pose_prior=0")
    total = settings.camera_steps + settings.steps
    bar = tqdm(total=total, desc="fitting", unit="step", disable=not progress, mininterval=1)
    with bar, torch.no_grad():
        start = start.detach()
        stage = _CameraStage(body, targets, start, settings.weights)
        for number in range(settings.camera_steps):
            stage.step(settings.damping)
            bar.update()
            if callback is not None:
                callback(number + 1, stage.params, stage.value)
        second = _BodyStage(body, prior, targets, stage.params, settings.weights, points)
        for number in range(settings.steps):
            promising = second.step(settings.damping, settings.tolerance)
            bar.update()
            if callback is not None:
                callback(settings.camera_steps + number + 1, second.params, second.value)
            if settings.tolerance and not bool(promising.any()):
                break
        return finalize_fits(
            body, prior, targets, second.params, start, settings.weights, second.pose, points
        )


class _Stage:
    """What both stages share: damping for each body, and steps only where they help."""

    value: Tensor  # (B,) the objective so far
    _damping: Tensor | None = None  # (B,)
    _most = 1e8  # damping beyond which a body is as good as still
    _hopeless = 1e3  # damping beyond which shorter steps are no longer waited for

    def _attempt(self, hessian: Tensor, gradient: Tensor, damping: float) -> Tensor:
        """A damped step of every body, (B, N); none where the curvature cannot be inverted."""
        if self._damping is None:
            self._damping = torch.full_like(self.value, damping)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        damped = hessian + torch.diag_embed(self._damping[:, None] * diagonal + 1e-8)
        factor, failed = torch.linalg.cholesky_ex(damped)
        factor = torch.where((failed == 0)[:, None, None], factor, torch.eye(
            factor.shape[-1], dtype=factor.dtype, device=factor.device))  # fmt: skip
        # Not `cholesky_solve`, for which a host may wait, and which no CUDA graph can record then.
        halfway = torch.linalg.solve_triangular(factor, gradient[..., None], upper=False)
        step = -torch.linalg.solve_triangular(factor.mT, halfway, upper=True)[..., 0]
        return torch.where((failed == 0)[:, None] & step.isfinite(), step, 0)

    def _judge(self, value: Tensor, tolerance: float = 0.0) -> tuple[Tensor, Tensor]:
        """Which bodies take their step, and for which another is worth while: (B,) bool each.

        A step that did not help says nothing about the next one, which is shorter.
        """
        better = value < self.value  # False for NaN
        gain = torch.where(better, (self.value - value) / self.value.abs().clamp_min(1e-9), 0)
        self._damping = torch.where(better, self._damping * 0.25, self._damping * 5)
        self._damping = self._damping.clamp(1e-7, self._most)
        self.value = torch.where(better, value, self.value)
        return better, torch.where(better, gain > tolerance, self._damping < self._hopeless)


class _CameraStage(_Stage):
    """Six numbers for each body: a turn of the root about the camera's axes, and a translation."""

    def __init__(
        self, body: Body, targets: Targets, start: SMPLParams, weights: ObjectiveWeights
    ) -> None:
        self.targets, self.start, self.weights = targets, start, weights
        self.root, self.translation = start.rotations[:, 0], start.translation
        # A turn of the root turns the keypoints about it: they need not be posed again.
        self.pelvis = body.rest_joints(start.betas)[:, :1]
        facing = self.root.mT @ (body.keypoints(start.rotations, start.betas) - self.pelvis).mT
        self._unturned = facing  # (B, 3, 49)
        index, counts = torso_of(targets)
        self._index = index[..., None]
        self._counts = counts.to(facing.dtype)
        self.value = self._objective(self.root, self.translation)

    @property
    def params(self) -> SMPLParams:
        rotations = torch.cat([self.root[:, None], self.start.rotations[:, 1:]], 1)
        return SMPLParams(rotations, self.start.betas, translation=self.translation)

    def step(self, damping: float) -> None:
        lever = (self.root @ self._unturned).mT.gather(1, self._index.expand(-1, -1, 3))
        points = lever + self.pelvis
        places = self.targets.keypoints_2d.gather(1, self._index.expand(-1, -1, 2))
        error = (project(points, self.translation) - places) * self._counts[..., None]
        by_point = _projection_rows(points, self.translation) * self._counts[..., None, None]
        by_turn = torch.linalg.cross(lever[:, :, None].expand_as(by_point), by_point)
        jacobian = torch.cat([by_turn, by_point], -1).flatten(1, 2)  # (B, 8, 6)
        away = self.translation[:, 2] - self.start.translation[:, 2]
        gradient = 2 * (jacobian.mT @ error.flatten(1)[..., None])[..., 0]
        gradient[:, 5] += 2 * self.weights.depth**2 * away
        hessian = 2 * jacobian.mT @ jacobian
        hessian[:, 5, 5] += 2 * self.weights.depth**2
        step = self._attempt(hessian, gradient, damping)
        root = axis_angle_to_matrix(step[:, :3]) @ self.root
        translation = self.translation + step[:, 3:]
        better, _ = self._judge(self._objective(root, translation))
        self.root = torch.where(better[:, None, None], root, self.root)
        self.translation = torch.where(better[:, None], translation, self.translation)

    def _objective(self, root: Tensor, translation: Tensor) -> Tensor:
        keypoints = (root @ self._unturned).mT + self.pelvis
        start = self.start.translation
        return camera_objective(keypoints, translation, start, self.targets, self.weights)


class _BodyStage(_Stage):
    """82 numbers for each body: a turn of the root, the axis-angles of 23 joints, and 10 betas.

    With points in space, which say how large a body is, its translation is 3 more: of somebody who
    is cut off the first stage hardly sees the torso.
    """

    def __init__(
        self,
        body: Body,
        prior: PosePrior | None,
        targets: Targets,
        start: SMPLParams,
        weights: ObjectiveWeights,
        points: Points3D | None = None,
    ) -> None:
        self.body, self.targets, self.weights = body, targets.counted(), weights
        self.points = points
        self.prior = prior if weights.pose_prior else None
        self.root, self.betas = start.rotations[:, 0], start.betas
        self.limbs = matrix_to_axis_angle(start.rotations[:, 1:]).flatten(1)
        self.translation = start.translation
        self._squared_confidence = self.targets.confidence.square()
        self._parents = constant(SMPL_PARENTS[1:], torch.long, self.betas.device)
        self.rotations = _rotations(self.root, self.limbs)
        self.value = self._objective(self.rotations, self.limbs, self.betas, self.translation)

    @property
    def pose(self) -> Tensor:
        """(B, 72) axis-angles."""
        return torch.cat([matrix_to_axis_angle(self.root), self.limbs], 1)

    @property
    def params(self) -> SMPLParams:
        return SMPLParams(self.rotations, self.betas, translation=self.translation)

    def step(self, damping: float, tolerance: float) -> Tensor:
        """One step; (B,) bool, for which bodies another may bring more than the tolerance."""
        hessian, gradient = self._keypoint_terms()
        self._add_priors(hessian, gradient)
        step = self._attempt(hessian, gradient, damping)
        root = axis_angle_to_matrix(step[:, :3]) @ self.root
        limbs = self.limbs + step[:, 3:N_POSE]
        betas = self.betas + step[:, N_POSE:N_BODY]
        translation = (
            self.translation if self.points is None else self.translation + step[:, N_BODY:]
        )
        rotations = _rotations(root, limbs)
        value = self._objective(rotations, limbs, betas, translation)
        better, promising = self._judge(value, tolerance)
        self.root = torch.where(better[:, None, None], root, self.root)
        self.rotations = torch.where(better[:, None, None, None], rotations, self.rotations)
        self.limbs = torch.where(better[:, None], limbs, self.limbs)
        self.betas = torch.where(better[:, None], betas, self.betas)
        self.translation = torch.where(better[:, None], translation, self.translation)
        return promising

    def _keypoint_terms(self) -> tuple[Tensor, Tensor]:
        """Curvature (B, N, N) and gradient (B, N) of the keypoints' terms by N numbers a body."""
        model = self.body.keypoint_points.linearise(self.rotations, self.betas)
        rows = _projection_rows(model.points, self.translation).transpose(1, 2)  # (B, 2, 49, 3)
        jacobian = self._by_number(model, rows)
        if self.points is not None:
            jacobian = torch.cat([jacobian, rows.permute(0, 3, 1, 2).flatten(2)], 1)
        error = (project(model.points, self.translation) - self.targets.keypoints_2d).mT.flatten(1)
        weight = self._squared_confidence.repeat(1, 2) * _curvature(error, self.weights.sigma)
        weighted = jacobian * weight[:, None]
        hessian, gradient = 2 * weighted @ jacobian.mT, 2 * (weighted @ error[..., None])[..., 0]
        if self.points is not None:
            self._add_points(model, hessian, gradient)
        return hessian, gradient

    def _add_points(self, model: Linearised, hessian: Tensor, gradient: Tensor) -> None:
        """The same of the points in space: their error is linear in the keypoints."""
        axes = torch.eye(3, dtype=gradient.dtype, device=gradient.device)[:, None]
        axes = axes.expand(len(gradient), 3, model.points.shape[1], 3)
        jacobian = self._by_number(model, axes).unflatten(2, (3, -1))  # (B, 82, 3, 49)
        jacobian = self.points.centred(jacobian).flatten(2)
        error = self.points.away(model.points).flatten(1)
        weighted = jacobian * (self.points.weight**2 * self.points.confidence.repeat(1, 3))[:, None]
        hessian[:, :N_BODY, :N_BODY] += 2 * weighted @ jacobian.mT
        gradient[:, :N_BODY] += 2 * (weighted @ error[..., None])[..., 0]

    def _by_number(self, model: Linearised, rows: Tensor) -> Tensor:
        """(B, 82, R * 49) from derivatives by the points, (B, R, 49, 3), to those by 82 numbers."""
        rows = rows.permute(3, 0, 1, 2)  # (3, B, R, 49)
        x, y, z = model.moment_arms[:, :, :, None].unbind(2)  # (B, 24, 1, 49) each
        a, b, c = (row[:, None] for row in rows)  # (B, 1, R, 49) each
        by_turn = torch.stack([y * c - z * b, z * a - x * c, x * b - y * a], 2)  # arm x row
        by_pose = self._turns(model.global_rot).mT @ by_turn.flatten(3)  # (B, 24, 3, R * 49)
        by_betas = torch.einsum("cbrk,bkcs->bsrk", rows, model.by_betas)
        return torch.cat([by_pose.flatten(1, 2), by_betas.flatten(2)], 1)

    def _turns(self, global_rot: Tensor) -> Tensor:
        """(B, 24, 3, 3) from a change of each joint's numbers to a turn about the camera's axes."""
        limbs = global_rot[:, self._parents] @ left_jacobian(self.limbs.view(-1, 23, 3))
        root = torch.eye(3, dtype=limbs.dtype, device=limbs.device).expand(len(limbs), 1, 3, 3)
        return torch.cat([root, limbs], 1)

    def _add_priors(self, hessian: Tensor, gradient: Tensor) -> None:
        weights = self.weights
        if self.prior is not None:
            mean, precision = self.prior.nearest(self.limbs)
            away = (precision @ (self.limbs - mean)[..., None])[..., 0]
            hessian[:, 3:N_POSE, 3:N_POSE] += weights.pose_prior**2 * precision
            gradient[:, 3:N_POSE] += weights.pose_prior**2 * away
        if weights.angle:
            bent = weights.angle**2 * angle_prior(_pose_of(self.limbs))
            hinges = constant(HINGES, torch.long, bent.device)
            signs = constant(HINGE_SIGNS, bent.dtype, bent.device)
            gradient[:, hinges] += 2 * bent * signs
            hessian[:, hinges, hinges] += 4 * bent
        if weights.shape:
            shape = slice(N_POSE, N_BODY)
            gradient[:, shape] += 2 * weights.shape**2 * self.betas
            hessian[:, shape, shape].diagonal(dim1=1, dim2=2).add_(2 * weights.shape**2)

    def _objective(
        self, rotations: Tensor, limbs: Tensor, betas: Tensor, translation: Tensor
    ) -> Tensor:
        keypoints, pose = self.body.keypoints(rotations, betas), _pose_of(limbs)
        return body_objective(
            keypoints, pose, betas, translation, self.targets, self.prior, self.weights,
            self.points,
        )  # fmt: skip


def left_jacobian(axis_angle: Tensor) -> Tensor:
    """How a rotation turns when its axis-angle changes: (..., 3) radians -> (..., 3, 3).

    exp(a + d) is near exp(J d) exp(a): I + (1 - cos t) / t^2 [a]x + (t - sin t) / t^3 [a]x^2, where
    t is the length of a (Sola et al., "A micro Lie theory", 2018, equation 145).
    """
    squared = axis_angle.square().sum(-1)[..., None, None]
    small = squared < SMALL_ANGLE**2
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    second = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    identity = torch.eye(3, dtype=skew.dtype, device=skew.device)
    return identity + first * skew + second * skew @ skew


def _rotations(root: Tensor, limbs: Tensor) -> Tensor:
    return torch.cat([root[:, None], axis_angle_to_matrix(limbs.view(-1, 23, 3))], 1)


def _pose_of(limbs: Tensor) -> Tensor:
    """(B, 72) axis-angles, radians, for the priors, none of which looks at the root's three."""
    return torch.cat([limbs.new_zeros(len(limbs), 3), limbs], 1)


def _projection_rows(points: Tensor, translation: Tensor) -> Tensor:
    """(B, K, 2, 3) the derivative of x and y in pixels by the point, metres."""
    x, y, z = (points + translation[:, None]).unbind(-1)
    scale = SPIN_FOCAL / z
    zero = torch.zeros_like(z)
    rows = [scale, zero, -scale * x / z, zero, scale, -scale * y / z]
    return torch.stack(rows, -1).unflatten(-1, (2, 3))


def _curvature(error: Tensor, sigma: float) -> Tensor:
    """What a robust square weighs its error with: its derivative over twice the error."""
    if math.isinf(sigma):
        return torch.ones_like(error)
    return (sigma**2 / (sigma**2 + error.square())).square()
