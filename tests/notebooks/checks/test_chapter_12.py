import pytest
import torch

from checks import State
from checks.chapter_12 import (
    check_discriminator_loss,
    check_encoder_loss,
    check_told_apart,
)


def right_price(scores):
    return (scores - 1).square().mean(0).sum()


def right_lesson(judge, real, fake):
    return (judge(real) - 1).square().mean() + judge(fake.detach()).square().mean()


def right_share(real, fake):
    return ((real > 0.5).float().mean(0) + (fake <= 0.5).float().mean(0)) / 2


RIGHT = [
    (check_encoder_loss, right_price),
    (check_discriminator_loss, right_lesson),
    (check_told_apart, right_share),
]


@pytest.mark.parametrize(("check", "attempt"), RIGHT)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


def lesson_without_gradient(judge, real, fake):
    with torch.no_grad():
        return right_lesson(judge, real, fake)


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_encoder_loss, lambda s: s.square().mean(0).sum(), "the target is 1, not 0"),
        (check_encoder_loss, lambda s: (s - 1).square().mean(), "sum over the judges"),
        (check_encoder_loss, lambda s: (s - 1).square().sum(), "larger batch"),
        (check_encoder_loss, lambda s: (s - 1).mean(0).square().sum(), "before the mean"),
        (
            check_discriminator_loss,
            lambda j, r, f: (j(r) - 1).square().mean() + j(f).square().mean(),
            "it also teaches the network",
        ),
        (
            check_discriminator_loss,
            lambda j, r, f: j(r).square().mean() + (j(f.detach()) - 1).square().mean(),
            "The other way round",
        ),
        (check_discriminator_loss, lambda j, r, f: (j(r) - 1).square().mean(), "Both count"),
        (check_discriminator_loss, lambda j, r, f: j(f.detach()).square().mean(), "Both count"),
        (
            check_discriminator_loss,
            lambda j, r, f: (j(r) - 1).square().mean() + (j(f) - 1).square().mean(),
            "what the network wants",
        ),
        (check_discriminator_loss, lesson_without_gradient, "learns nothing"),
        (
            check_told_apart,
            lambda r, f: torch.cat([r > 0.5, f <= 0.5]).float().mean(0),
            "mean of both shares",
        ),
        (check_told_apart, lambda r, f: 1 - right_share(r, f), "share of errors"),
        (check_told_apart, lambda r, f: (r > 0.5).float().mean(0), "Only the real"),
        (check_told_apart, lambda r, f: (f <= 0.5).float().mean(0), "Only the fake"),
        (check_told_apart, lambda r, f: right_share(r, f).mean(), "shape"),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
