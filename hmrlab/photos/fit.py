"""SMPLify of everybody in a photo."""

from __future__ import annotations

import numpy as np
import torch

from hmrlab.bodies import Body
from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.photos.boxes import CONFIDENT, Boxes, targets_in, why_no_box
from hmrlab.photos.result import PhotoFits
from hmrlab.smplify import NewtonSettings, PosePrior, fit_cold
from hmrlab.smplify.problem import IGNORED, LEAST_KEYPOINTS

_COUNTED = [k for k in range(len(OPENPOSE_NAMES)) if k not in IGNORED]


class NobodyFittedError(ValueError):
    """Not one of the people in a photo can be fitted; the message says why, person by person."""


def fit_photo(
    image: np.ndarray,
    keypoints: np.ndarray,
    body: Body,
    prior: PosePrior,
    *,
    settings: NewtonSettings | None = None,
    progress: bool = False,
) -> PhotoFits:
    """Fit a body to each person's keypoints, from cold starts on four sides (see `fit_cold`).

    The picture's colours are not looked at: it gives its size, and something to draw over.

    Args:
        image: (H, W, 3) uint8.
        keypoints: (N, 25, 3) OpenPose's x, y in pixels of the image, and confidence.
        body: to fit.
        prior: of its pose.
        settings: of the fits.
        progress: show a bar over the people.

    Returns:
        The people who could be fitted; the others with the reason in `left_out`.

    Raises:
        NobodyFittedError: there are none.
        ValueError: a shape is another, or a keypoint is not finite.
    """
    _check(image, keypoints)
    reasons = [why_not(person, image.shape[:2]) for person in keypoints]
    left_out = {k: reason for k, reason in enumerate(reasons) if reason}
    _someone_left(len(keypoints), left_out)
    numbers = np.array([k for k, reason in enumerate(reasons) if not reason])
    boxes = Boxes.around(keypoints[numbers])
    targets = targets_in(boxes, keypoints[numbers])
    fits = fit_cold(body, prior, targets, settings=settings, progress=progress)

    left_out |= {int(k): "its fit found no end" for k in numbers[~fits.valid.numpy()]}
    _someone_left(len(keypoints), left_out)
    kept = torch.nonzero(fits.valid).flatten()
    numbers = numbers[kept.numpy()]
    return PhotoFits(
        image=image,
        keypoints=keypoints[numbers],
        boxes=boxes.rows(kept),
        fits=fits[kept],
        body=body,
        numbers=tuple(numbers.tolist()),
        left_out=left_out,
    )


def why_not(keypoints: np.ndarray, size: tuple[int, int]) -> str | None:
    """Why a person cannot be fitted, or None.

    Args:
        keypoints: (25, 3) pixels, confidence.
        size: height and width of the photo, pixels.
    """
    confident = keypoints[:, 2] >= CONFIDENT
    usable = int(confident[_COUNTED].sum())
    if usable < LEAST_KEYPOINTS:
        return (
            f"{usable} keypoints besides neck and hips have a confidence of {CONFIDENT} or more, "
            f"and a fit takes {LEAST_KEYPOINTS}"
        )
    return why_no_box(keypoints, size)


def _someone_left(people: int, left_out: dict[int, str]) -> None:
    if len(left_out) == people:
        listed = "; ".join(f"person {k}: {reason}" for k, reason in sorted(left_out.items()))
        raise NobodyFittedError(f"nobody can be fitted ({listed or 'there is nobody'})")


def _check(image: np.ndarray, keypoints: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"image: expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    if keypoints.ndim != 3 or keypoints.shape[1:] != (len(OPENPOSE_NAMES), 3):
        raise ValueError(f"keypoints: expected (N, 25, 3), got {keypoints.shape}")
    if not np.isfinite(keypoints).all():
        raise ValueError("keypoints: a number is NaN or infinite; 0, 0, 0 is a keypoint not found")
