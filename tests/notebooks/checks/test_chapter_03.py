import numpy as np
import pytest

from checks import State
from checks.chapter_03 import check_locate, check_split, check_twins


def by_person(person, share, rng):
    people = np.unique(person)
    return np.isin(person, rng.choice(people, round(share * len(people)), replace=False))


def by_frame(person, share, rng):
    return rng.random(len(person)) < share


def not_by_chance(person, share, rng):
    people = np.unique(person)
    return np.isin(person, people[: round(share * len(people))])


def by_another_chance(person, share, rng):
    return by_person(person, share, np.random.default_rng())


def right_twins(train, test, tolerance):
    return (np.abs(test[:, None] - train[None]).max(2) < tolerance).any(1)


def right_place(i, lengths):
    starts = np.cumsum([0, *lengths])
    which = int(np.searchsorted(starts, i, side="right")) - 1
    return which, i - int(starts[which])


@pytest.mark.parametrize(
    ("check", "attempt"),
    [(check_split, by_person), (check_twins, right_twins), (check_locate, right_place)],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (by_frame, "people are on both sides"),
        (lambda p, s, r: ~by_person(p, s, r), "Is True for testing?"),
        (not_by_chance, "draw them with `rng`"),
        (by_another_chance, "draw with `rng` and nothing else"),
        (lambda p, s, r: np.flatnonzero(by_person(p, s, r)), "of bool"),
    ],
)
def test_mistakes_in_splitting_are_named(attempt, hint):
    verdict = check_split.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda a, b, t: (np.abs(b[:, None] - a).mean(2) < t).any(1), "single angle is no twin"),
        (lambda a, b, t: ((b[:, None] - a).max(2) < t).any(1), "Take abs"),
        (lambda a, b, t: (np.abs(b[:, None] - a) < t).any((1, 2)), "all 72"),
        (lambda a, b, t: right_twins(b, a, t), "shape"),
    ],
)
def test_mistakes_with_twins_are_named(attempt, hint):
    assert hint in check_twins.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda i, n: (right_place(i, n)[0], right_place(i, n)[1] + 1), "starts at 0"),
        (lambda i, n: (right_place(i, n)[0], i), "start of its own set"),
        (lambda i, n: right_place(max(i - 1, 0), n), "the sample before"),
    ],
)
def test_the_diarys_bug_is_named(attempt, hint):
    assert hint in check_locate.judge(attempt).hint
