"""Checks of notebook 13, evaluation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from checks.differences import difference
from checks.exercises import answer, exercise
from hmrlab.geometry import axis_angle_to_matrix

Answer = str | None
THRESHOLDS = np.arange(0.0, 151.0, 5.0)  # mm, MPI-INF-3DHP's


@exercise("Aligned, but never mirrored")
def check_pa_mpjpe(attempt) -> Answer:
    """(J, 3) predicted and true, metres -> MPJPE after the best similarity, millimetres."""
    for predicted, true in (_turned_and_off(), _seen_in_a_mirror()):
        wrong = difference(
            answer(attempt, predicted, true),
            _aligned_error(predicted, true),
            "PA-MPJPE",
            unit="mm",
            tolerance=1e-3,
            mistakes={
                "The body was mirrored to fit. Where the determinant of the rotation is negative, "
                "its last direction must change its sign (and the scale must know).": (
                    _aligned_error(predicted, true, mirror=True)
                ),
                "The rotation is mended, the scale is not: the last singular value counts "
                "negatively where the rotation's last direction was turned.": (
                    _aligned_error(predicted, true, scale="unsigned")
                ),
                "The scale is missing: a similarity has one, and so has this metric.": (
                    _aligned_error(predicted, true, scale="none")
                ),
                "The scale that makes both sizes equal is not the one of least error. It comes "
                "from the singular values.": _aligned_error(predicted, true, scale="sizes"),
                "The rotation goes the wrong way: transpose it.": (
                    _aligned_error(predicted, true, backwards=True)
                ),
                "That is the error of centred joints, not yet turned and scaled.": (
                    1000 * _centred(predicted).sub(_centred(true)).norm(dim=-1).mean()
                ),
                "It is the root of the mean square; MPJPE is the mean of the distances.": (
                    1000 * _aligned(predicted, true).sub(true).square().sum(-1).mean().sqrt()
                ),
            },
        )
        if wrong:
            return wrong
    return None


@exercise("The area under the curve")
def check_auc(attempt) -> Answer:
    """(N, 14) errors, mm -> AUC in percent: the mean of PCK at 0, 5, ..., 150 mm."""
    errors = np.random.default_rng(7).gamma(2.0, 45.0, (40, 14)).round()
    errors[::5, 3] = 0.0
    below = (errors.ravel() < THRESHOLDS[:, None]).mean(1)
    up_to = (errors.ravel() <= THRESHOLDS[:, None]).mean(1)
    whole = (errors[None] < THRESHOLDS[:, None, None]).all(2).mean(1)
    return difference(
        answer(attempt, errors),
        100 * below.mean(),
        "the AUC",
        unit="%",
        mistakes={
            "A share between 0 and 1; percent are asked for.": below.mean(),
            "That is PCK at 150 mm, the curve's last point; take the mean of all 31.": (
                100 * below[-1]
            ),
            "The threshold 0 belongs to the 31, although next to nothing lies below it.": (
                100 * below[1:].mean()
            ),
            "The last threshold is 150 mm, not 145.": 100 * below[:-1].mean(),
            "Correct is who is nearer than the threshold: < and not <=. An error of exactly 0 is "
            "not below a threshold of 0.": 100 * up_to.mean(),
            "PCK counts joints, not people who have every joint right.": 100 * whole.mean(),
            "PCK is asked of each joint, not of each person's mean error.": (
                100 * (errors.mean(1) < THRESHOLDS[:, None]).mean()
            ),
        },
    )


@exercise("Draw videos, not frames")
def check_resample(attempt) -> Answer:
    """(N,) video of each frame, generator -> rows of one bootstrap sample of whole videos."""
    rng = np.random.default_rng(5)
    video = np.repeat([31, 12, 77, 40, 55, 63], [9, 4, 12, 7, 3, 10])[rng.permutation(45)]
    given = np.asarray(answer(attempt, video, np.random.default_rng(1)))
    if given.dtype == bool or given.dtype.kind not in "iu" or given.ndim != 1:
        return (
            f"The answer should be a list of rows, whole numbers; this has the shape {given.shape} "
            f"of {given.dtype}."
        )
    if len(given) == 0 or given.min() < 0 or given.max() >= len(video):
        return f"Rows go from 0 to {len(video) - 1}; the numbers of the videos are no rows."
    copies = np.bincount(given, minlength=len(video))
    times = {}
    for name in np.unique(video):
        counts = np.unique(copies[video == name])
        if len(counts) > 1:
            return (
                f"Of video {name} some frames were drawn {counts[0]} times and others "
                f"{counts[-1]} times. A video is drawn whole, or not at all."
            )
        times[int(name)] = int(counts[0])
    return _right_draws(attempt, video, given, times)


def _right_draws(attempt, video: np.ndarray, given: np.ndarray, times: dict[int, int]) -> Answer:
    """What is wrong with how often each video was drawn."""
    if sum(times.values()) != len(times):
        if all(count <= 1 for count in times.values()):
            return (
                "A video that is drawn twice must be there twice: with replacement, the same rows "
                "come again."
            )
        return (
            f"There are {len(times)} videos, and {sum(times.values())} were drawn. Draw as many "
            "as there are."
        )
    if all(count == 1 for count in times.values()):
        return "Every video was drawn once: draw with replacement, or nothing ever changes."
    again = np.asarray(answer(attempt, video, np.random.default_rng(1)))
    other = np.asarray(answer(attempt, video, np.random.default_rng(2)))
    if not np.array_equal(given, again):
        return "The same generator gives other rows: draw with `rng` and nothing else."
    if np.array_equal(given, other):
        return "Another generator gives the same rows: draw with `rng`."
    return None


def _turned_and_off() -> tuple[Tensor, Tensor]:
    """A body of 14 joints, and the same turned, smaller, elsewhere, with errors."""
    generator = torch.Generator().manual_seed(8)
    true = torch.randn(14, 3, generator=generator) * torch.tensor([0.3, 0.5, 0.2])
    turn = axis_angle_to_matrix(torch.tensor([0.3, 1.9, -0.4]))
    noise = 0.08 * torch.randn(14, 3, generator=generator)
    return 0.8 * (true + noise) @ turn.T + torch.tensor([0.4, -1.0, 3.0]), true


def _seen_in_a_mirror() -> tuple[Tensor, Tensor]:
    """The same two, the prediction reversed in depth: only a mirror brings them together."""
    predicted, true = _turned_and_off()
    return predicted * torch.tensor([1.0, 1.0, -1.0]), true


def _centred(points: Tensor) -> Tensor:
    return points - points.mean(0)


def _aligned(
    predicted: Tensor,
    true: Tensor,
    *,
    mirror: bool = False,
    scale: str = "least",
    backwards: bool = False,
) -> Tensor:
    """Umeyama's transform, or with one of the usual mistakes in it."""
    x, y = _centred(predicted).double(), _centred(true).double()
    u, singular, vt = torch.linalg.svd(y.T @ x)
    signs = torch.ones(3, dtype=torch.float64)
    if not mirror:
        signs[2] = torch.linalg.det(u @ vt).sign()
    rotation = (u * signs) @ vt
    if backwards:
        rotation = rotation.T
    sizes = {
        "least": (singular * signs).sum() / x.square().sum(),
        "unsigned": singular.sum() / x.square().sum(),
        "none": 1.0,
        "sizes": y.norm() / x.norm(),
    }
    return sizes[scale] * x @ rotation.T + true.double().mean(0)


def _aligned_error(predicted: Tensor, true: Tensor, **mistake) -> Tensor:
    return 1000 * _aligned(predicted, true, **mistake).sub(true).norm(dim=-1).mean()
