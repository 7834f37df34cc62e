import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from checks import State
from checks.chapter_11 import (
    check_cut_channel,
    check_global_masks,
    check_left_over,
    keep_largest,
)


def right_cut(first, scale, second, channel):
    stay = [k for k in range(len(scale)) if k != channel]
    return first[stay], scale[stay], second[:, stay]


def chain(channels):
    return sum(a * b for a, b in itertools.pairwise(channels))


def right_share(channels, share):
    return chain([3, *(round(share * c) for c in channels[1:])]) / chain(channels)


@given(st.integers(0, 40), st.integers(0, 100))
def test_the_share_that_is_dropped_is_exact_and_the_smallest(seed, percent):
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(7, 5, generator=generator), torch.randn(11, generator=generator)]
    masks = keep_largest(weights, percent / 100)
    kept = torch.cat([w[m].abs() for w, m in zip(weights, masks, strict=True)])
    gone = torch.cat([w[~m].abs() for w, m in zip(weights, masks, strict=True)])
    assert len(gone) == round(percent / 100 * 46)
    if len(kept) and len(gone):
        assert gone.max() < kept.min()


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_global_masks, keep_largest),
        (check_cut_channel, right_cut),
        (check_left_over, right_share),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_global_masks, lambda w, s: [~m for m in keep_largest(w, s)], "wrong way round"),
        (check_global_masks, lambda w, s: [keep_largest([v], s)[0] for v in w], "same share"),
        (
            check_global_masks,
            lambda w, s: [v > torch.cat([x.flatten() for x in w]).median() for v in w],
            "-3 matters",
        ),
        (check_global_masks, lambda w, s: [m.float() for m in keep_largest(w, s)], "True and"),
        (check_global_masks, lambda w, s: keep_largest(w, s)[:2], "A list of 3 masks"),
        (check_global_masks, lambda w, s: keep_largest(w, s / 2), "differ"),
        (check_cut_channel, lambda a, s, b, k: (*right_cut(a, s, b, k)[:2], b), "no more"),
        (
            check_cut_channel,
            lambda a, s, b, k: (*right_cut(a, s, b, k)[:2], b[[0, 1, 3, 4]]),
            "own filters",
        ),
        (
            check_cut_channel,
            lambda a, s, b, k: (right_cut(a, s, b, k)[0], s, right_cut(a, s, b, k)[2]),
            "has to go, too",
        ),
        (check_cut_channel, lambda a, s, b, k: (a[:, :2], s, b), "a row of the first axis"),
        (check_cut_channel, lambda a, s, b, k: right_cut(a, s, b, k - 1), "differ"),
        (check_cut_channel, lambda a, s, b, k: a, "Three tensors"),
        (check_left_over, lambda c, s: s, "square"),
        (check_left_over, lambda c, s: s**2, "three colours"),
        (check_left_over, lambda c, s: 1 - right_share(c, s), "what is saved"),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
