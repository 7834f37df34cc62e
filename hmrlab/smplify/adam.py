"""SMPLify as SPIN runs it: two stages of a hundred steps of Adam each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.bodies.params import SMPLParams
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.smplify.objective import (
    ObjectiveWeights,
    body_objective,
    camera_objective,
    reprojection_terms,
)
from hmrlab.smplify.prior import PosePrior
from hmrlab.smplify.problem import Fits, Points3D, Targets

Callback = Callable[[int, SMPLParams, Tensor], None]
"""Called after each step with its number, the bodies so far and the stage's objective (B,)."""


class KeypointBody(Protocol):
    """Whatever gives 49 keypoints for a pose; hmrlab's `Body` is one."""

    def keypoints(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """(B, 49, 3) metres of axis-angles (B, 72) or rotations (B, 24, 3, 3) and betas."""


@dataclass(frozen=True)
class AdamSettings:
    """SPIN's: `smplify/smplify.py` with its trainer's options."""

    steps: int = 100  # of each stage
    rate: float = 1e-2
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)


def fit_with_adam(
    body: KeypointBody,
    prior: PosePrior | None,
    targets: Targets,
    start: SMPLParams,
    settings: AdamSettings = AdamSettings(),
    *,
    points: Points3D | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Fits:
    """First camera and orientation to the torso, then pose, shape and orientation to everything.

    Args:
        body: gives keypoints.
        prior: of the pose.
        targets: what to meet; those that are not valid come back as they started.
        start: where to begin, from `cold_start` or from a network.
        settings: how long, how fast, and what counts.
        points: of the same people, to meet in space as well.
        callback: sees every step.
        progress: show a bar.
    """
    weights = settings.weights
    pose = start.pose.detach().flatten(1)
    root, limbs = pose[:, :3].clone(), pose[:, 3:].clone()
    betas, translation = start.betas.detach().clone(), start.translation.detach().clone()
    began = translation.clone()
    counted = targets.counted()

    def keypoints() -> Tensor:
        return body.keypoints(torch.cat([root, limbs], 1), betas)

    def first() -> Tensor:
        return camera_objective(keypoints(), translation, began, targets, weights)

    def second() -> Tensor:
        pose = torch.cat([root, limbs], 1)
        return body_objective(
            body.keypoints(pose, betas), pose, betas, translation, counted, prior, weights, points
        )

    bar = tqdm(
        total=2 * settings.steps, desc="SMPLify", unit="step", disable=not progress, mininterval=1
    )
    with bar, torch.enable_grad():
        count = 0
        for objective, moved in ((first, (root, translation)), (second, (limbs, betas, root))):
            for value in moved:
                value.requires_grad_()
            optimizer = torch.optim.Adam(moved, lr=settings.rate, betas=(0.9, 0.999))
            for _ in range(settings.steps):
                optimizer.zero_grad()
                each = objective()
                each[targets.valid].sum().backward()
                optimizer.step()
                count += 1
                bar.update()
                if callback is not None:
                    callback(count, _as_params(root, limbs, betas, translation), each.detach())
            for value in moved:
                value.requires_grad_(False)
    with torch.no_grad():
        reached = SMPLParams(
            axis_angle_to_matrix(torch.cat([root, limbs], 1).view(-1, 24, 3)),
            betas,
            translation=translation,
        )
        pose = torch.cat([root, limbs], 1)
        return finalize_fits(body, prior, targets, reached, start, weights, pose, points)


def _as_params(root: Tensor, limbs: Tensor, betas: Tensor, translation: Tensor) -> SMPLParams:
    pose = torch.cat([root, limbs], 1).detach().view(-1, 24, 3)
    return SMPLParams(
        axis_angle_to_matrix(pose), betas.detach().clone(), translation=translation.detach().clone()
    )


def finalize_fits(
    body: KeypointBody,
    prior: PosePrior | None,
    targets: Targets,
    reached: SMPLParams,
    start: SMPLParams,
    weights: ObjectiveWeights,
    pose: Tensor | None = None,
    points: Points3D | None = None,
) -> Fits:
    """Fits with their marks; where targets are not valid, or a number is not, the start.

    Args:
        body, prior, targets, weights, points: as in `fit_with_adam`.
        reached: the bodies to grade.
        start: what to give back for those that could not be fitted.
        pose: (B, 72) the axis-angles of `reached`, where they are at hand: the priors tell a
            rotation from itself with a whole turn more.
    """
    pose = reached.pose.flatten(1) if pose is None else pose
    sound = torch.cat([pose, reached.betas, reached.translation], 1).isfinite().all(1)
    valid = targets.valid & sound
    pose = torch.where(valid[:, None], pose, start.pose.flatten(1))
    betas = torch.where(valid[:, None], reached.betas, start.betas)
    translation = torch.where(valid[:, None], reached.translation, start.translation)
    keypoints, counted = body.keypoints(pose, betas), targets.counted()
    objective = body_objective(keypoints, pose, betas, translation, counted, prior, weights, points)
    reprojection = reprojection_terms(keypoints, translation, counted, ObjectiveWeights.sigma)
    valid = valid & objective.isfinite()
    infinite = torch.full_like(objective, torch.inf)
    return Fits(
        pose=pose.view(-1, 24, 3),
        betas=betas,
        translation=translation,
        objective=torch.where(valid, objective, infinite),
        reprojection=torch.where(valid, reprojection.mean(1), infinite),
        valid=valid,
    )
