"""Checks of notebook 03, people."""

from __future__ import annotations

import numpy as np

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("Split by person")
def check_split(attempt) -> Answer:
    """No person on both sides, about the wished share of the people, by the given chance."""
    person = np.random.default_rng(0).integers(100, 140, 300)  # ids need not start at 0
    people = np.unique(person)
    given = np.asarray(answer(attempt, person, 0.25, np.random.default_rng(1)))
    if given.dtype != bool or given.shape != person.shape:
        return (
            f"The answer should be {person.shape} of bool, one for each frame; this is "
            f"{given.shape} of {given.dtype}."
        )
    both = np.intersect1d(person[given], person[~given])
    if len(both):
        return (
            f"{len(both)} people are on both sides, number {both[0]} for one. Choose people, not "
            "frames."
        )
    share = len(np.unique(person[given])) / len(people)
    if abs(share - 0.25) > 0.1:
        hint = " Is True for testing?" if abs(share - 0.75) < 0.1 else ""
        return f"{100 * share:.0f} % of the people are tested, 25 % are asked for.{hint}"
    other = np.asarray(answer(attempt, person, 0.25, np.random.default_rng(2)))
    if np.array_equal(given, other):
        return "Another generator gives the same people: draw them with `rng`."
    again = np.asarray(answer(attempt, person, 0.25, np.random.default_rng(1)))
    if not np.array_equal(given, again):
        return "The same generator gives other people: draw with `rng` and nothing else."
    return None


@exercise("Find the twins")
def check_twins(attempt) -> Answer:
    """Test poses with a training pose within the tolerance in every angle."""
    rng = np.random.default_rng(3)
    train, test = rng.normal(size=(40, 72)), rng.normal(size=(30, 72))
    test[4], test[17] = train[22] + 0.02, train[3] - 0.03
    test[9] = train[11]
    test[9, 50] += 0.5  # alike but for one angle
    test[12] = train[30] - 2.0  # far below in every angle
    wanted = np.zeros(30, bool)
    wanted[[4, 17]] = True
    apart = np.abs(test[:, None] - train[None])
    given = np.asarray(answer(attempt, train, test, 0.05))
    return difference(
        given.astype(float),
        wanted.astype(float),
        "the flags",
        mistakes={
            "A pose that differs in a single angle is no twin: every angle must be close.": (
                (apart.mean(2) < 0.05).any(1)
            ),
            "One close angle is not enough: all 72 of one training pose must be close.": (
                (apart < 0.05).any((1, 2))
            ),
            "Signed differences: a pose far below also counts as close. Take abs first.": (
                ((test[:, None] - train[None]).max(2) < 0.05).any(1)
            ),
            "These are the flags of the training poses; the test poses are asked for.": ~wanted,
        },
    )


@exercise("The diary's bug")
def check_locate(attempt) -> Answer:
    """Where sample i of several sets, numbered through, lies."""
    lengths = (5, 1, 8)
    right = [(which, row) for which, n in enumerate(lengths) for row in range(n)]
    for i, wanted in enumerate(right):
        given = tuple(int(v) for v in answer(attempt, i, lengths))
        if given == wanted:
            continue
        hint = ""
        if given == (wanted[0], wanted[1] + 1) or given == (wanted[0] + 1, wanted[1]):
            hint = " Counting starts at 0."
        elif given == (wanted[0], i):
            hint = " The row counts from the start of its own set."
        elif i + 1 < len(right) and given == right[i + 1]:
            hint = " That is the next sample: off by one."
        elif i and given == right[i - 1]:
            hint = " That is the sample before: off by one."
        return f"Sample {i} of sets with {lengths} samples is at {wanted}, not {given}.{hint}"
    return None
