import numpy as np
import pytest

from checks import State
from checks.chapter_10 import (
    block_counts,
    check_first_wrong,
    check_front,
    check_separable,
)
from checks.densenet import Recipe


def right_separable(given, out, kernel):
    return kernel**2 * given + given * out + 2 * (given + out)


def right_front(cost, error):
    return np.array(
        [
            not any(
                c <= cost[i] and e <= error[i] and (c < cost[i] or e < error[i])
                for c, e in zip(cost, error, strict=True)
            )
            for i in range(len(cost))
        ]
    )


def right_block(counts):
    width = 64
    for number, (count, layers) in enumerate(zip(counts, (6, 12, 24, 16), strict=True)):
        seen = [width + 32 * k for k in range(layers)]
        if count != sum(2 * c + 128 * c + 2 * 128 + 9 * 128 * 32 for c in seen):
            return number
        width = (width + 32 * layers) // 2
    return -1


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_separable, right_separable),
        (check_front, right_front),
        (check_first_wrong, right_block),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_separable, lambda c, o, k: k**2 * c * o + 2 * (c + o), "sees one channel"),
        (check_separable, lambda c, o, k: k**2 * c + c * o, "BNs are missing"),
        (check_separable, lambda c, o, k: k**2 * c + c * o + c + o, "a scale and a shift"),
        (check_separable, lambda c, o, k: k**2 * c + c * o + 4 * (c + o), "running mean"),
        (check_separable, lambda c, o, k: k**2 * c + c * o + 3 * (c + o), "have no bias"),
        (check_separable, lambda c, o, k: k * c + c * o + 2 * (c + o), "not kernel"),
        (check_front, lambda c, e: ~right_front(c, e), "other way round"),
        (
            check_front,
            lambda c, e: np.array([not ((c < a) & (e < b)).any() for a, b in zip(c, e)]),  # noqa: B905
            "no worse in the other",
        ),
        (check_front, lambda c, e: np.flatnonzero(right_front(c, e)), "True or False"),
        (check_front, lambda c, e: c < 3, "cloud 1"),
        (check_first_wrong, lambda counts: right_block(counts) + 1, "all blocks are right"),
        (
            check_first_wrong,
            lambda counts: right_block(counts) + (right_block(counts) >= 0),
            "numbered from 0",
        ),
        (check_first_wrong, lambda counts: 0, "all blocks are right"),
        (
            check_first_wrong,
            lambda counts: -1 if right_block(counts) < 0 else 0,
            "is the first wrong one",
        ),
        (
            check_first_wrong,
            lambda counts: 3 if right_block(counts) >= 0 else -1,
            "wrong already",
        ),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


def test_a_block_is_counted_without_its_transition():
    """DenseNet-121's first, from the paper's widths: 64, 96, ... 224 channels in, 128, 32 out."""
    first = sum(2 * c + 128 * c + 256 + 9 * 128 * 32 for c in range(64, 256, 32))
    assert block_counts(Recipe())[0] == first
