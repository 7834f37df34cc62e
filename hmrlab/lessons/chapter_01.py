"""Checks of notebook 01, the body, and the close-up of its arm."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.lessons.checks import answer, exercise
from hmrlab.lessons.compare import compare
from hmrlab.rendering import render_bodies

Answer = str | None
LEFT_ARM = [
    SMPL_JOINTS.index(name)
    for name in (
        "pelvis", "spine1", "spine2", "spine3", "left_collar", "left_shoulder", "left_elbow",
        "left_wrist",
    )
]  # fmt: skip


def close_up(vertices: Tensor, body: Body, size: tuple[int, int]) -> np.ndarray:
    """Pictures (B, H, W, 3) of the left arm alone.

    Args:
        vertices: (B, V, 3) metres, the body's frame.
        body: whose vertices they are.
        size: height and width, pixels.
    """
    parts = [SMPL_JOINTS.index(f"left_{name}") for name in ("shoulder", "elbow", "wrist", "hand")]
    chosen = torch.isin(body.part_labels, torch.tensor(parts))
    triangles = body.faces[chosen[body.faces].all(1)]
    used = triangles.unique()
    return render_bodies(vertices[:, used], torch.searchsorted(used, triangles), size=size, yaw=15)


@exercise("Where is the wrist?")
def check_left_wrist(attempt) -> Answer:
    """The left wrist's place by the tree."""
    generator = torch.Generator().manual_seed(7)
    rotations = axis_angle_to_matrix(0.5 * torch.randn(24, 3, generator=generator))
    rest = torch.randn(24, 3, generator=generator)
    right = _walk(rotations, rest)
    return compare(
        answer(attempt, rotations, rest, LEFT_ARM),
        right,
        "the wrist",
        unit="m",
        mistakes={
            "It is where the wrist was at rest: the tree's turns are missing.": rest[LEFT_ARM[-1]],
            "Each bone is turned by its joint's own rotation only; it has to be turned by the "
            "product of all rotations above it.": _walk(rotations, rest, accumulate=False),
            "The rotations are multiplied in the wrong order: the parent's turn comes first, "
            "from the left.": _walk(rotations, rest, reverse=True),
            "A bone hangs below its parent: it is turned by the parent's rotations, not by those "
            "of the joint at its own far end.": _walk(rotations, rest, late=True),
            "The rotations are transposed.": _walk(rotations.mT, rest),
        },
    )


def _walk(
    rotations: Tensor,
    rest: Tensor,
    *,
    accumulate: bool = True,
    reverse: bool = False,
    late: bool = False,
) -> Tensor:
    """The walk to the wrist, and with a flag one of the mistakes that are made in it."""
    turned, place = rotations[LEFT_ARM[0]], rest[LEFT_ARM[0]]
    for parent, joint in itertools.pairwise(LEFT_ARM):
        before = turned
        if not accumulate:
            turned = rotations[joint]
        elif reverse:
            turned = rotations[joint] @ turned
        else:
            turned = turned @ rotations[joint]
        place = place + (turned if late else before) @ (rest[joint] - rest[parent])
    return place


@exercise("The joints of a tall person")
def check_joints_of_shape(attempt) -> Answer:
    """Joints regressed from the shaped mesh."""
    generator = torch.Generator().manual_seed(8)
    template = torch.randn(50, 3, generator=generator)
    shapedirs = torch.randn(50, 3, 10, generator=generator)
    regressor = torch.rand(24, 50, generator=generator)
    regressor = regressor / regressor.sum(1, keepdim=True)
    betas = torch.randn(10, generator=generator)
    shaped = template + shapedirs @ betas
    return compare(
        answer(attempt, template, shapedirs, regressor, betas),
        regressor @ shaped,
        "the joints",
        unit="m",
        mistakes={
            "These are the average person's joints: shape the mesh first.": regressor @ template,
            "These are only how the joints move: the template is missing.": (
                regressor @ (shapedirs @ betas)
            ),
        },
    )


@exercise("Possible or not?")
def check_beyond_limits(attempt) -> Answer:
    """Twists, taken the short way round, against the limits."""
    generator = torch.Generator().manual_seed(9)
    twist = 400 * torch.randn(30, 24, generator=generator)
    limits = torch.tensor(TWIST_LIMITS_DEG, dtype=torch.float32)
    shortest = (twist + 180) % 360 - 180
    wanted = shortest.abs() > limits
    given = torch.as_tensor(answer(attempt, twist, limits))
    return compare(
        given.float(),
        wanted.float(),
        "the flags",
        mistakes={
            "350 degrees are 10 degrees the other way: take the short way round first.": (
                (twist.abs() > limits).float()
            ),
            "A twist to the other side counts as much: take abs.": (shortest > limits).float(),
            "Angles from 0 to 360: 350 degrees would be far beyond. They should run from -180 to "
            "180.": ((twist % 360) > limits).float(),
            "True is for those beyond the limits; these are the others.": (~wanted).float(),
        },
    )
