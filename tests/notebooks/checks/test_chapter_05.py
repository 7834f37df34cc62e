import pytest
import torch

from checks import State
from checks.chapter_05 import check_depth, check_fold, check_loop


def right_loop(correction, features, start, n_iter):
    state = start.expand(len(features), -1)
    for _ in range(n_iter):
        state = state + correction(torch.cat([features, state], 1))
    return state


def right_fold(a, b, c, start, n_iter):
    once = torch.eye(len(b), dtype=b.dtype) + b
    matrix, shift = torch.zeros_like(a), start
    for _ in range(n_iter):
        matrix, shift = once @ matrix + a, once @ shift + c
    return matrix, shift


def without_identity(a, b, c, start, n_iter):
    matrix, shift = torch.zeros_like(a), start
    for _ in range(n_iter):
        matrix, shift = b @ matrix + a, b @ shift + c
    return matrix, shift


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_loop, right_loop),
        (check_fold, right_fold),
        (check_depth, lambda metres: 2 * 5000 / (224 * metres)),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (
            check_loop,
            lambda f, x, s, n: right_loop(f, x, s, n - 1) if n > 1 else s.expand(3, 6),
            "one correction too few",
        ),
        (check_loop, lambda f, x, s, n: right_loop(f, x, s, n + 1), "one correction too many"),
        (
            check_loop,
            lambda f, x, s, n: f(torch.cat([x, s.expand(3, 6)], 1)),
            "not the new state",
        ),
        (check_fold, without_identity, "I + B, not B"),
        (check_fold, lambda *all_: right_fold(*all_)[0], "Return two things"),
        (check_depth, lambda metres: 5000 / (224 * metres), "112 pixels"),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
