"""Checks of notebook 09, SPIN's loop."""

from __future__ import annotations

import torch
from torch import Tensor

from checks.differences import difference
from checks.exercises import answer, exercise
from hmrlab.bodies.joints import POSE_FLIP
from hmrlab.geometry import axis_angle_to_matrix, flip_rotations, rotate_in_image_plane
from hmrlab.spin import AugmentTransform

Answer = str | None


@exercise("Which fit is kept")
def check_better(attempt) -> Answer:
    """(B,) old error, (B,) new error, (B,) new fit valid -> (B,) bool: replace it."""
    nan, inf = torch.nan, torch.inf
    old = torch.tensor([50.0, 10.0, inf, 20.0, 30.0, inf])
    new = torch.tensor([40.0, 10.0, 99.0, nan, 5.0, nan])
    valid = torch.tensor([True, True, True, True, False, True])
    right = torch.tensor([True, False, True, False, False, False])
    return _compare_choices(
        answer(attempt, old, new, valid),
        right,
        "the choice",
        {
            "A fit that is as bad as the old one does not replace it: lower, not as low.": (
                (new <= old) & valid
            ),
            "A new fit that is not valid must not be kept, however low its error says it is.": (
                new < old
            ),
            "NaN: ask whether the new one is lower, not whether the old one is not. Every "
            "comparison with NaN is False, and `~(old <= new)` makes that True.": (
                ~(old <= new) & valid
            ),
        },
    )


@exercise("What teaches, and how")
def check_supervision(attempt) -> Answer:
    """(B, 10) betas, (B,) error, (B, 10) true betas, (B,) labelled -> betas, teaches (B,) bool."""
    generator = torch.Generator().manual_seed(4)
    betas = torch.randn(6, 10, generator=generator).clamp(-2.5, 2.5)
    betas[1, 7] = 3.2
    betas[2, 0] = -4.0
    error = torch.tensor([20.0, 30.0, 250.0, 120.0, 100.0, 500.0])
    true = torch.randn(6, 10, generator=generator).clamp(-2.5, 2.5)
    labelled = torch.tensor([False, False, False, False, False, True])
    given = answer(attempt, betas, error, true, labelled)
    if not isinstance(given, tuple) or len(given) != 2:
        return "Return two tensors: the betas to teach, and which of the samples teach."
    tame = torch.where((betas.abs() > 3).any(1, keepdim=True), 0, betas)
    right = torch.where(labelled[:, None], true, tame)
    wrong = difference(
        given[0],
        right,
        "betas",
        mistakes={
            "Labels override fits: where `labelled`, the true betas teach.": tame,
            "One beta beyond 3 discredits the shape: all ten become 0.": torch.where(
                labelled[:, None], true, torch.where(betas.abs() > 3, 0, betas)
            ),
            "Both signs count: take the absolute value.": torch.where(
                labelled[:, None], true, torch.where((betas > 3).any(1, keepdim=True), 0, betas)
            ),
            "A beta beyond 3 makes the shape the mean one; it is not clipped.": torch.where(
                labelled[:, None], true, betas.clamp(-3, 3)
            ),
        },
    )
    return wrong or _compare_choices(
        given[1],
        (error < 100) | labelled,
        "who teaches",
        {
            "A labelled sample always teaches, whatever its fit's error.": error < 100,
            "Below 100, not 100 itself.": (error <= 100) | labelled,
        },
    )


@exercise("Back to the plain picture")
def check_undone(attempt) -> Answer:
    """Root rotations (B, 3, 3) as augmented (turned, then mirrored) -> as in the plain picture."""
    generator = torch.Generator().manual_seed(5)
    pose = torch.randn(4, 72, generator=generator)
    plain = axis_angle_to_matrix(pose.view(4, 24, 3))
    flipped = torch.tensor([False, True, False, True])
    turned = torch.tensor([0.0, 0.0, 25.0, -40.0])
    seen = AugmentTransform(flipped, turned).apply(pose)[:, 0]
    return difference(
        answer(attempt, seen, flipped, turned),
        plain[:, 0],
        "the root",
        mistakes={
            "The picture was turned first and mirrored second; undo the mirror first.": _mirrored(
                _turned(seen, -turned), flipped
            ),
            "Turn it back: by minus the angle.": _turned(_mirrored(seen, flipped), turned),
            "The mirror is not undone.": _turned(seen, -turned),
            "The turn is not undone.": _mirrored(seen, flipped),
        },
    )


def _compare_choices(got: object, right: Tensor, what: str, mistakes: dict[str, Tensor]) -> Answer:
    """As `difference` for truth values, with the mistakes looked for first."""
    given = torch.as_tensor(got)
    if given.dtype == torch.bool and given.shape == right.shape and not torch.equal(given, right):
        for hint, wrong in mistakes.items():
            if torch.equal(given, wrong):
                return hint
    return difference(given, right, what)


def _turned(root: Tensor, degrees: Tensor) -> Tensor:
    return rotate_in_image_plane(root, degrees)


def _mirrored(root: Tensor, flipped: Tensor) -> Tensor:
    body = root[:, None].expand(-1, len(POSE_FLIP), 3, 3)
    return torch.where(flipped[:, None, None], flip_rotations(body, POSE_FLIP)[:, 0], root)
