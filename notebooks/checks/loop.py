"""Looking at SPIN's loop: what the memory holds, and whether the circle turns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image
from torch import Tensor

from checks.fits import over
from checks.look import far_camera
from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.augment import to_pictures
from hmrlab.data.batch import Batch
from hmrlab.smplify import from_camera
from hmrlab.spin import AugmentTransform, FitsDict


def enlarged(batch: Batch, size: int) -> np.ndarray:
    """The batch's crops to look at, (B, size, size, 3) uint8."""
    pictures = to_pictures(batch.images).numpy()
    return np.stack(
        [np.asarray(Image.fromarray(one).resize((size, size), Image.BICUBIC)) for one in pictures]
    )


def recalled(memory: FitsDict, batch: Batch, body: Body, first: int = 0) -> SMPLParams:
    """The memory's bodies of a batch's people, as the batch shows them.

    Each stands where its keypoints fit the picture's best: the memory keeps no camera.

    Args:
        memory: of several sets, perhaps.
        batch: of one of them.
        body: for the keypoints.
        first: the memory's row of that set's first person.
    """
    pose, betas, _ = memory[first + batch.index]
    rotations = AugmentTransform(batch.is_flipped, batch.rot_angle).apply(pose)
    return seen_as(rotations, betas, batch, body)


def seen_as(rotations: Tensor, betas: Tensor, batch: Batch, body: Body) -> SMPLParams:
    """Bodies (B, 24, 3, 3), (B, 10) placed where their keypoints fit the batch's pictures best."""
    points = body.keypoints(rotations, betas)[:, ANNOTATED]
    return from_camera(rotations, betas, far_camera(points, batch.keypoints_2d[:, ANNOTATED]))


def remembered(
    memory: FitsDict, batch: Batch, body: Body, *, first: int = 0, size: int = 150
) -> np.ndarray:
    """What the memory holds of a batch's people, over the batch's pictures: (B, size, size, 3)."""
    return over(enlarged(batch, size), recalled(memory, batch, body, first), body)


def circle(before: Mapping[str, str], after: Mapping[str, str]) -> Figure:
    """The virtuous circle, with numbers from the beginning and the end of a training.

    Args:
        before: numbers in words for "network", "fit" and "memory".
        after: the same at the end.

    Raises:
        KeyError: one of the three is missing.
    """
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(0, 10), ylim=(0, 5))
    axis.axis("off")
    places = {"network": (1.9, 3.6), "fit": (8.1, 3.6), "memory": (5.0, 1.0)}
    titles = {
        "network": "the network guesses",
        "fit": "SMPLify fits from there",
        "memory": "the memory keeps the best",
    }
    for name, (x, y) in places.items():
        box = FancyBboxPatch(
            (x - 1.75, y - 0.75), 3.5, 1.5, boxstyle="round,pad=0.08", fc="#eef3f8", ec="#5b7c99"
        )
        axis.add_patch(box)
        axis.text(x, y + 0.4, titles[name], ha="center", va="center", weight="bold", size=9)
        axis.text(x, y - 0.25, f"{before[name]}\n→ {after[name]}", ha="center", va="center", size=9)
    for start, end, words, at in (
        ((3.8, 3.8), (6.2, 3.8), "starts", (5.0, 4.1)),
        ((8.1, 2.7), (6.9, 1.2), "if better", (8.25, 1.75)),
        ((3.1, 1.2), (1.9, 2.7), "teaches", (1.75, 1.75)),
    ):
        axis.add_patch(
            FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=16, color="#c25b2a", lw=2)
        )
        axis.text(*at, words, ha="center", va="center", size=9, color="#c25b2a")
    return figure
