import numpy as np
import pytest
import torch

from checks import State
from checks.chapter_07 import (
    check_gap_in_spreads,
    check_mean_place,
    check_pictures_to_reach,
)


def right_place(logits):
    weights = logits.flatten().softmax(0).view_as(logits)
    height, width = logits.shape
    x = (weights.sum(0) * torch.arange(width)).sum()
    return torch.stack([x, (weights.sum(1) * torch.arange(height)).sum()])


def right_gap(a, b):
    error = a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)
    return (a.mean() - b.mean()) / np.sqrt(error)


def right_count(pictures, errors, threshold):
    below = np.flatnonzero(errors <= threshold)
    if len(below) == 0:
        return np.nan
    k = below[0]
    if k == 0:
        return pictures[0]
    part = (errors[k - 1] - threshold) / (errors[k - 1] - errors[k])
    return pictures[k - 1] + part * (pictures[k] - pictures[k - 1])


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_mean_place, right_place),
        (check_gap_in_spreads, right_gap),
        (check_pictures_to_reach, right_count),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_mean_place, lambda m: right_place(m).flip(0), "exchanged"),
        (
            check_mean_place,
            lambda m: torch.tensor([m.argmax() % 9, m.argmax() // 9]).float(),
            "no gradient",
        ),
        (
            check_gap_in_spreads,
            lambda a, b: (a.mean() - b.mean()) / np.sqrt(a.var() / len(a) + b.var() / len(b)),
            "n - 1",
        ),
        (
            check_gap_in_spreads,
            lambda a, b: (a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) + b.var(ddof=1)),
            "by the root",
        ),
        (check_pictures_to_reach, lambda p, e, t: p[np.flatnonzero(e <= t)[0]], "go back"),
        (
            check_pictures_to_reach,
            lambda p, e, t: right_count(p, e, t) if e.min() <= t else p[-1],
            "never reached",
        ),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
