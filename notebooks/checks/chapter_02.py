"""Checks of notebook 02, camera and keypoints."""

from __future__ import annotations

import torch

from checks.differences import difference
from checks.exercises import answer, exercise
from hmrlab.bodies.joints import ANNOTATED_FLIP, ANNOTATED_NAMES
from hmrlab.geometry import project_normalised

Answer = str | None


@exercise("SPIN's camera")
def check_far_projection(attempt) -> Answer:
    """Perspective projection by a camera of f = 5000 for 224 pixels."""
    generator = torch.Generator().manual_seed(10)
    points = torch.randn(4, 12, 3, generator=generator)
    camera = torch.tensor([[0.8, 0.2, -0.1], [1.2, 0.0, 0.3], [0.5, -0.4, 0.0], [0.9, 0.1, 0.1]])
    right = project_normalised(points, camera)
    s, shift = camera[:, None, :1], camera[:, None, 1:]
    depth = 2 * 5000 / (224 * s)
    return difference(
        answer(attempt, points, camera),
        right,
        "the projection",
        tolerance=1e-4,
        mistakes={
            "That is the parallel approximation s (X + t): the division by depth is missing.": (
                s * (points[..., :2] + shift)
            ),
            "It is in pixels about the middle of 224; divide by 112.": 112 * right,
            "The shift belongs to the point in metres, before the division by depth.": (
                5000 / 112 * points[..., :2] / (points[..., 2:] + depth) + shift
            ),
            "The point's own z is missing in the depth.": (
                5000 / 112 * (points[..., :2] + shift) / depth
            ),
            "The depth is 2 f / (224 s): the 2 is missing.": (
                5000 / 112 * (points[..., :2] + shift) / (points[..., 2:] + depth / 2)
            ),
        },
    )


@exercise("Into the crop")
def check_into_crop(attempt) -> Answer:
    """Pixels of the photograph to [-1, 1] of the box."""
    generator = torch.Generator().manual_seed(11)
    keypoints = 400 * torch.rand(20, 2, generator=generator)
    center, scale = torch.tensor([210.5, 180.25]), torch.tensor(1.3)
    right = (keypoints - center) / (100 * scale)
    return difference(
        answer(attempt, keypoints, center, scale),
        right,
        "the keypoints",
        mistakes={
            "A box of side 200 scale reaches 100 scale to each side of its middle: these are half "
            "as large as they should be.": right / 2,
            "The middle of the box should be at 0, not at 1.": right + 1,
            "The middle of the box should be at 0, not at 0.5, and its edges at -1 and 1.": (
                right / 2 + 0.5
            ),
            "scale is the side divided by 200 pixels, not the side itself.": (
                (keypoints - center) / (scale / 2)
            ),
            "They are truncated to whole pixels before the division.": (
                (torch.floor(keypoints) - center) / (100 * scale)
            ),
        },
    )


@exercise("The mirror's permutation")
def check_mirror_order(attempt) -> Answer:
    """For each name the index of its mirror image."""
    for names in (["nose", "left_eye", "right_eye"], list(ANNOTATED_NAMES)):
        given = [int(k) for k in answer(attempt, names)]
        if len(given) != len(names):
            return f"{len(given)} indices for {len(names)} names."
        if given == list(range(len(names))):
            return "Nothing is exchanged: that is the mistake of this chapter."
        if given == list(range(len(names)))[::-1]:
            return "That is the list backwards; each left has to meet its own right."
        wanted = _mirrored(names)
        for k, (index, right) in enumerate(zip(given, wanted, strict=True)):
            if index != right:
                return (
                    f"{names[k]} should change places with {names[right]} ({right}), "
                    f"not with {names[index] if 0 <= index < len(names) else 'nobody'} ({index})."
                )
    return None


def _mirrored(names: list[str]) -> list[int]:
    if names == list(ANNOTATED_NAMES):
        return list(ANNOTATED_FLIP)
    return [0, 2, 1]
