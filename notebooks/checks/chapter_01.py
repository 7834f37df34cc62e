"""Checks of notebook 01, the body, and a tape measure for its arm."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from checks.differences import difference
from checks.exercises import answer, exercise
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.geometry import axis_angle_to_matrix, swing_twist

Answer = str | None
LEFT_ARM = [
    SMPL_JOINTS.index(name)
    for name in (
        "pelvis", "spine1", "spine2", "spine3", "left_collar", "left_shoulder", "left_elbow",
        "left_wrist",
    )
]  # fmt: skip


def girths(
    vertices: Tensor, faces: Tensor, origin: Tensor, axis: Tensor, places: np.ndarray
) -> np.ndarray:
    """What a taut tape measures around a limb: the outline of its slices.

    Args:
        vertices: (B, V, 3) metres.
        faces: (F, 3) of the limb alone.
        origin: (3,) metres, where places are counted from.
        axis: (3,) unit vector along the limb, at right angles to the slices.
        places: (P,) metres along the axis.

    Returns:
        (B, P) metres.

    Raises:
        ValueError: the limb does not reach one of the places.
    """
    triangles = faces.numpy()
    edges = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    across = np.linalg.svd(axis.numpy()[None])[2][1:]  # (2, 3), the plane of a slice
    measured = np.empty((len(vertices), len(places)))
    for body, points in enumerate((vertices - origin).numpy()):
        along, flat = points @ axis.numpy(), points @ across.T
        for k, place in enumerate(places):
            height = along - place
            start, end = edges[(height[edges[:, 0]] < 0) & (height[edges[:, 1]] >= 0)].T
            share = (height[start] / (height[start] - height[end]))[:, None]
            outline = flat[start] + share * (flat[end] - flat[start])
            try:
                measured[body, k] = ConvexHull(outline).area  # in a plane: the perimeter
            except (ValueError, QhullError) as error:
                raise ValueError(f"nothing to measure at {place:.3f} m along the limb") from error
    return measured


@exercise("Where is the wrist?")
def check_left_wrist(attempt) -> Answer:
    """The left wrist's place by the tree."""
    generator = torch.Generator().manual_seed(7)
    rotations = axis_angle_to_matrix(0.5 * torch.randn(24, 3, generator=generator))
    rest = torch.randn(24, 3, generator=generator)
    right = _walk(rotations, rest)
    return difference(
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


@exercise("The joints of a crowd")
def check_joints_of_crowd(attempt) -> Answer:
    """Joints regressed from many shaped meshes."""
    generator = torch.Generator().manual_seed(8)
    template = torch.randn(50, 3, generator=generator)
    shapedirs = torch.randn(50, 3, 10, generator=generator)
    regressor = torch.rand(24, 50, generator=generator)
    regressor = regressor / regressor.sum(1, keepdim=True)
    betas = torch.randn(5, 10, generator=generator)
    moved = torch.einsum("vcs,bs->bvc", shapedirs, betas)
    right = regressor @ (template + moved)
    return difference(
        answer(attempt, template, shapedirs, regressor, betas),
        right,
        "the joints",
        unit="m",
        mistakes={
            "These are the average person's joints: shape the mesh first.": (
                (regressor @ template).expand_as(right)
            ),
            "These are only how the joints move: the template is missing.": regressor @ moved,
            "All have the first person's shape.": right[:1].expand_as(right),
        },
    )


@exercise("Possible or not?")
def check_beyond_limits(attempt) -> Answer:
    """Twists out of axis-angles of any length, against the limits."""
    generator = torch.Generator().manual_seed(9)
    pose = 2 * torch.randn(60, 24, 3, generator=generator, dtype=torch.float64)
    axes = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    axes = axes / axes.norm(dim=-1, keepdim=True)
    limits = torch.tensor(TWIST_LIMITS_DEG)
    rotations = axis_angle_to_matrix(pose)
    twist = swing_twist(rotations, axes)[1]
    degrees = twist.rad2deg()
    whole = (rotations.diagonal(dim1=-2, dim2=-1).sum(-1).sub(1) / 2).clamp(-1, 1).acos().rad2deg()
    wanted = degrees.abs() > limits
    return difference(
        torch.as_tensor(answer(attempt, pose, axes, limits)).float(),
        wanted.float(),
        "the flags",
        mistakes={
            "swing_twist answers in radians, the limits are in degrees: nothing is ever beyond.": (
                (twist.abs() > limits).float()
            ),
            "A twist to the other side counts as much: take abs.": (degrees > limits).float(),
            "That is the angle of the whole rotation. A bent elbow is not a twisted one: take the "
            "twist alone.": (whole > limits).float(),
            "The length of an axis-angle counts whole turns, and bending too. Make it a rotation "
            "first.": (pose.norm(dim=-1).rad2deg() > limits).float(),
            "An axis-angle's share along the bone is not the twist, and it counts whole turns. "
            "Make it a rotation first, and use swing_twist.": (
                ((pose * axes).sum(-1).rad2deg().abs() > limits).float()
            ),
            "True is for those beyond the limits; these are the others.": (~wanted).float(),
        },
    )
