"""Checks of notebook 07, pretrained encoders."""

from __future__ import annotations

import numpy as np
import torch

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("Where a map says the keypoint is")
def check_mean_place(attempt) -> Answer:
    """The mean cell under the softmax of a map: logits (h, w) -> x, y in cells."""
    logits = torch.randn(6, 9, generator=torch.Generator().manual_seed(8))
    weights = logits.flatten().softmax(0).view(6, 9)
    x = (weights.sum(0) * torch.arange(9.0)).sum()
    y = (weights.sum(1) * torch.arange(6.0)).sum()
    best = logits.flatten().argmax()
    return difference(
        answer(attempt, logits),
        torch.stack([x, y]),
        "the place",
        unit="cells",
        mistakes={
            "x runs along the columns, y along the rows; they are exchanged.": torch.stack([y, x]),
            "That is the highest cell. It is always a whole number, and no gradient goes through "
            "it; take the mean.": torch.stack([best % 9, best // 9]).float(),
            "The logits are no weights yet: softmax over the whole map first.": torch.stack(
                [
                    (logits.sum(0) * torch.arange(9.0)).sum(),
                    (logits.sum(1) * torch.arange(6.0)).sum(),
                ]
            ),
        },
    )


@exercise("How far a change stands out of the noise")
def check_gap_in_spreads(attempt) -> Answer:
    """Difference of two means over its standard error, from a few seeds of each."""
    generator = np.random.default_rng(9)
    for first, second in ((3, 3), (3, 5)):
        a = 160 + 4 * generator.standard_normal(first)
        b = 150 + 2 * generator.standard_normal(second)
        variance = a.var(ddof=1) / first + b.var(ddof=1) / second
        biased = a.var() / first + b.var() / second
        gap = a.mean() - b.mean()
        wrong = difference(
            answer(attempt, a, b),
            gap / np.sqrt(variance),
            f"the ratio for {first} and {second} seeds",
            mistakes={
                "A few values' variance about their own mean is too small: divide by n - 1.": (
                    gap / np.sqrt(biased)
                ),
                "That is the spread of single runs; the mean of n runs spreads less, by the root "
                "of n.": gap / np.sqrt(a.var(ddof=1) + b.var(ddof=1)),
                "Take the root of the variance.": gap / variance,
                "The sign: first minus second.": -gap / np.sqrt(variance),
            },
        )
        if wrong:
            return wrong
    return None


@exercise("How many pictures it takes")
def check_pictures_to_reach(attempt) -> Answer:
    """Where a falling curve first crosses a threshold, by straight lines; nan if it never does."""
    pictures = np.array([100.0, 200.0, 400.0, 800.0])
    errors = np.array([300.0, 240.0, 200.0, 210.0])
    wrong = difference(
        answer(attempt, pictures, errors, 220.0),
        300.0,
        "the pictures until 220 mm",
        mistakes={
            "That is the first point below the threshold; go back along the line to where it was "
            "crossed.": 400.0,
            "That is the last point above the threshold.": 200.0,
        },
    )
    if wrong:
        return wrong
    never = np.asarray(answer(attempt, pictures, errors, 100.0), dtype=float)
    if not np.isnan(never).all():
        return f"100 mm is never reached; return nan, not {never}."
    return difference(answer(attempt, pictures, errors, 320.0), 100.0, "where it starts below")
