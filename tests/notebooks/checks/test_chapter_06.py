import math

import pytest

from checks import State
from checks.chapter_06 import check_degrees, check_labelled_mean, check_row


def right_loss(predicted, labels, known):
    squared = (predicted - labels).square().flatten(1).mean(1)
    return (squared * known).sum() / known.sum().clamp(min=1)


def right_degrees(loss):
    return math.degrees(2 * math.asin(math.sqrt(9 * loss / 8)))


def right_row(number, index, lengths):
    return sum(lengths[:number]) + index % lengths[number]


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_labelled_mean, right_loss),
        (check_degrees, right_degrees),
        (check_row, right_row),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_labelled_mean, lambda p, t, k: (p - t).square().mean(), "must not count"),
        (
            check_labelled_mean,
            lambda p, t, k: (k[:, None, None, None] * (p - t).square()).mean(),
            "divided by all samples",
        ),
        (check_labelled_mean, lambda p, t, k: (p - t)[k].square().mean(), "the mean of nothing"),
        (check_degrees, lambda x: math.radians(right_degrees(x)), "radians"),
        (check_degrees, lambda x: right_degrees(x / 9), "nine times as large"),
        (check_row, lambda n, i, s: right_row(n + 1 if n < 2 else n, i, s), "next set"),
        (check_row, lambda n, i, s: sum(s[:n]) + i, "modulo"),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
