"""Checks of notebook 06, the SMPL losses."""

from __future__ import annotations

import math

import torch

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("A loss over the labelled samples")
def check_labelled_mean(attempt) -> Answer:
    """Mean squared difference of the entries, over the samples that have labels; 0 if none has."""
    generator = torch.Generator().manual_seed(7)
    predicted = torch.randn(5, 24, 3, 3, generator=generator)
    labels = torch.randn(5, 24, 3, 3, generator=generator)
    known = torch.tensor([True, False, True, False, False])
    squared = (predicted - labels).square()
    wrong = difference(
        answer(attempt, predicted, labels, known),
        squared[known].mean(),
        "the loss",
        mistakes={
            "Samples without a label must not count, neither above nor below the line of the "
            "fraction.": squared.mean(),
            "It is divided by all samples; divide by the labelled ones. (SPIN's loss does not get "
            "smaller when fewer samples have labels.)": squared[known].sum() / squared.numel(),
            "It is the sum; take the mean.": squared[known].sum(),
        },
    )
    if wrong:
        return wrong
    none = torch.as_tensor(answer(attempt, predicted, labels, torch.zeros(5, dtype=torch.bool)))
    if torch.isnan(none).any():
        return "With no label in the batch it is NaN: the mean of nothing. It should be 0."
    return difference(none, 0.0, "the loss of a batch without labels")


@exercise("From the loss to degrees")
def check_degrees(attempt) -> Answer:
    """The angle that every joint is off by, from the mean squared difference of the entries."""
    for angle in (5.0, 40.0, 120.0):
        radians = math.radians(angle)
        loss = 8 * math.sin(radians / 2) ** 2 / 9
        wrong = difference(
            answer(attempt, loss),
            angle,
            f"the angle for a loss of {loss:.4f}",
            unit="degrees",
            mistakes={
                "That is in radians.": radians,
                "The loss is the mean over nine entries: their sum is nine times as large.": (
                    math.degrees(2 * math.asin(math.sqrt(loss / 8)))
                ),
                "That is half of the angle.": angle / 2,
            },
        )
        if wrong:
            return wrong
    return None


@exercise("The row of a label")
def check_row(attempt) -> Answer:
    """Labels of all sets lie one after the other; find those of a set's sample."""
    lengths = [5, 3, 4]
    starts = [0, 5, 8]
    for number, index in ((0, 0), (0, 4), (1, 2), (2, 1), (1, 7), (0, 12)):
        row = starts[number] + index % lengths[number]
        following = starts[number + 1] if number < 2 else 12
        wrong = difference(
            answer(attempt, number, index, lengths),
            row,
            f"the row of sample {index} of set {number} among sets of {lengths}",
            mistakes={
                "That belongs to the next set: the first set has number 0, and nothing lies before "
                "it. This is the diary's bug.": following + index % lengths[number],
                "The mix may ask for more samples than a set has: count round, index modulo its "
                "length.": starts[number] + index,
                "Only the sets before this one come before it.": sum(lengths[: number + 1])
                + index % lengths[number],
            },
        )
        if wrong:
            return wrong
    return None
