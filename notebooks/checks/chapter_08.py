"""Checks of notebook 08, SMPLify."""

from __future__ import annotations

import math

import torch

from checks.differences import difference
from checks.exercises import answer, exercise
from hmrlab.geometry import SPIN_FOCAL

Answer = str | None


@exercise("How much a robust error counts")
def check_weight(attempt) -> Answer:
    """What a plain square must be weighed with to pull as hard as Geman-McClure's."""
    error = torch.tensor([0.0, 3.0, -20.0, 100.0, -250.0])
    for sigma in (100.0, 20.0):
        share = sigma**2 / (sigma**2 + error.square())
        wrong = difference(
            answer(attempt, error, sigma),
            share.square(),
            f"the weight for sigma = {sigma:.0f}",
            mistakes={
                "That is the error's value over its square. How hard it pulls is its slope: "
                "differentiate first.": share,
                "That is the slope itself. Divide it by a plain square's slope, 2 e.": 2
                * error
                * share.square(),
                "Divide by a plain square's slope, 2 e, not by e.": 2 * share.square(),
            },
        )
        if wrong:
            return wrong
    plain = torch.as_tensor(answer(attempt, error, math.inf))
    if torch.isnan(plain).any():
        return (
            "With sigma = inf it is NaN, infinity over infinity. An error that never levels off "
            "has the weight 1; divide above and below by sigma squared."
        )
    return difference(plain, torch.ones(5), "the weight for sigma = inf")


@exercise("How a keypoint moves when a joint turns")
def check_turn(attempt) -> Answer:
    """Derivative of a projected point by a small turn about an axis through a joint."""
    generator = torch.Generator().manual_seed(8)
    for _ in range(3):
        point, joint, axis = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        axis = axis / axis.norm()
        translation = torch.tensor([0.8, -0.6, 9.0], dtype=torch.float64)
        x, y, z = point + translation
        rows = torch.stack(
            [torch.stack([1 / z, 0 * z, -x / z**2]), torch.stack([0 * z, 1 / z, -y / z**2])]
        )
        rows = SPIN_FOCAL * rows
        lever = point - joint
        wrong = difference(
            answer(attempt, point, joint, axis, translation),
            rows @ torch.linalg.cross(axis, lever),
            "the derivative",
            unit="px / radian",
            mistakes={
                "The lever runs from the joint to the point: point - joint.": rows
                @ torch.linalg.cross(axis, point),
                "The axis comes first: w x lever, not lever x w.": rows
                @ torch.linalg.cross(lever, axis),
                "The point moves along the camera's axis as well, and what comes nearer grows: "
                "differentiate 1 / z, too.": rows[:, :2] @ torch.linalg.cross(axis, lever)[:2],
                "That is in units of the focal length: 5,000 pixels.": rows
                @ torch.linalg.cross(axis, lever)
                / SPIN_FOCAL,
            },
        )
        if wrong:
            return wrong
    return None


@exercise("When a step is taken")
def check_judge(attempt) -> Answer:
    """Which bodies take their step, and how damped the next one is."""
    value = torch.tensor([10.0, 10.0, 10.0, 10.0])
    proposed = torch.tensor([4.0, 30.0, 10.0, math.nan])
    damping = torch.tensor([0.1, 0.1, 0.4, 0.1])
    given = answer(attempt, value, proposed, damping)
    if not isinstance(given, tuple) or len(given) != 2:
        return "Two things are asked for: which steps are taken (B,), and the dampings (B,)."
    taken = torch.tensor([True, False, False, False])
    steps = torch.as_tensor(given[0])
    if steps.dtype != torch.bool:
        return f"Which steps are taken should be True or False for each body, this is {steps.dtype}"
    if steps.shape == (4,) and bool(steps[3]):
        return (
            "A step to NaN is taken. `not (new >= old)` is true for NaN, `new < old` is false: ask "
            "for what is better."
        )
    if steps.shape == (4,) and bool(steps[2]):
        return "A step that changes nothing is taken; only what is lower is better."
    right = torch.where(taken, damping * 0.25, damping * 5)
    return difference(steps, taken, "which steps are taken") or difference(
        given[1],
        right,
        "the damping",
        mistakes={
            "It grows where the step helped. Trust grows with success, so the damping falls.": (
                torch.where(taken, damping * 5, damping * 0.25)
            ),
            "Each body has a damping of its own.": damping * 0.25,
            "Where a step failed, the damping must grow, or the next try is the same step.": (
                torch.where(taken, damping * 0.25, damping)
            ),
        },
    )
