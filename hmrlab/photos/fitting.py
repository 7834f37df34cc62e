"""Bodies for the people of a photo by fitting them to what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.photos.bodies import PhotoBodies
from hmrlab.photos.boxes import CONFIDENT, Boxes, targets_in, why_no_box
from hmrlab.photos.finding import FoundPeople, NobodyError, by_person
from hmrlab.smplify import NewtonSettings, PosePrior, fit_cold, start_from_points
from hmrlab.smplify.problem import IGNORED, LEAST_KEYPOINTS

_COUNTED = [k for k in range(len(OPENPOSE_NAMES)) if k not in IGNORED]


def fit_photo(
    image: np.ndarray,
    keypoints: np.ndarray,
    body: Body,
    prior: PosePrior,
    *,
    settings: NewtonSettings | None = None,
    progress: bool = False,
) -> PhotoBodies:
    """Fit a body to each person's keypoints, from cold starts on four sides (see `fit_cold`).

    Args:
        image: (H, W, 3) uint8; it gives its size, and something to draw over.
        keypoints: (N, 25, 3) OpenPose's x, y in pixels of the image, and confidence.

    Returns:
        The people who could be fitted; the others with the reason in `left_out`.

    Raises:
        NobodyError: there are none; the message says why, person by person.
        ValueError: a shape is another, or a keypoint is not finite.
    """
    _check(image, keypoints)
    nowhere = Boxes(torch.zeros(len(keypoints), 2), torch.zeros(len(keypoints)))
    everybody = FoundPeople(nowhere, tuple(range(len(keypoints))), keypoints=keypoints)
    return fit_people(image, everybody, body, prior, settings=settings, progress=progress)


def fit_people(
    image: np.ndarray,
    found: FoundPeople,
    body: Body,
    prior: PosePrior,
    *,
    guess: Callable[[FoundPeople], SMPLParams] | None = None,
    settings: NewtonSettings | None = None,
    progress: bool = False,
) -> PhotoBodies:
    """Fit a body to each person who was found: to their keypoints, and to their points in space.

    Args:
        image: as for `fit_photo`.
        found: with keypoints, about which the boxes of the fits are made.
        guess: gives people's bodies before the cameras of their boxes, from which a fit begins as
            well as from cold starts and from the points in space; the best end is kept.

    Raises:
        NobodyError: nobody can be fitted, or nobody's keypoints are known.
    """
    if found.keypoints is None:
        raise NobodyError("no keypoints are known that a body could be fitted to")
    reasons = [_why_no_fit(person, image.shape[:2]) for person in found.keypoints]
    left_out = found.left_out | {
        number: reason for number, reason in zip(found.numbers, reasons, strict=True) if reason
    }
    some = _kept(found, torch.tensor([not reason for reason in reasons]), left_out)
    boxes = Boxes.around(some.keypoints)
    targets = targets_in(boxes, some.keypoints)
    begun = [] if guess is None else [guess(replace(some, boxes=boxes))]
    if some.points is not None:
        begun.append(start_from_points(body, prior, targets, some.points))
    fits = fit_cold(
        body, prior, targets, starts=begun, points=some.points, settings=settings, progress=progress
    )
    lost = [number for number, valid in zip(some.numbers, fits.valid, strict=True) if not valid]
    left_out |= dict.fromkeys(lost, "its fit found no end")
    marks = {"reprojection": fits.reprojection, "objective": fits.objective}
    some = replace(some, boxes=boxes, extra=marks | some.extra)
    kept = _kept(some, fits.valid, left_out)
    return PhotoBodies(image=image, body=body, posed=fits[fits.valid], **vars(kept))


def _kept(found: FoundPeople, which: Tensor, left_out: dict[int, str]) -> FoundPeople:
    """The people of a mask (N,), and why the others are not among them."""
    if not which.any():
        raise NobodyError(f"nobody can be fitted ({by_person(left_out) or 'there is nobody'})")
    return replace(found.rows(torch.nonzero(which).flatten()), left_out=left_out)


def _why_no_fit(keypoints: np.ndarray, size: tuple[int, int]) -> str | None:
    """Why a person's keypoints (25, 3) in a photo of this size cannot be fitted, or None."""
    usable = int((keypoints[:, 2] >= CONFIDENT)[_COUNTED].sum())
    if usable < LEAST_KEYPOINTS:
        return (
            f"{usable} keypoints besides neck and hips have a confidence of {CONFIDENT} or more, "
            f"and a fit takes {LEAST_KEYPOINTS}"
        )
    return why_no_box(keypoints, size)


def _check(image: np.ndarray, keypoints: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(OPENPOSE_NAMES), 3):
        raise ValueError(f"keypoints: expected (N, 25, 3), got {keypoints.shape}")
    if not np.isfinite(keypoints).all():
        raise ValueError("keypoints: a number is NaN or infinite; 0, 0, 0 is a keypoint not found")
