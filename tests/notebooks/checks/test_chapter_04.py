import pytest
import torch

from checks import State
from checks.chapter_04 import check_blind_directions, check_blind_guess, check_masked_loss


def right_loss(predicted, labels):
    confidence = labels[..., 2:]
    places = torch.where(confidence > 0, labels[..., :2], 0.0)
    return (confidence * (predicted - places) ** 2).mean()


def right_guess(joints):
    return 1000 * (joints - joints.mean(0)).norm(dim=-1).mean()


def right_count(jacobian, least):
    return jacobian.shape[1] - int((torch.linalg.svdvals(jacobian) >= least).sum())


def naive_loss(predicted, labels):
    return (labels[..., 2:] * (predicted - labels[..., :2]) ** 2).mean()


def masked_too_late(predicted, labels):
    """The value is right, but the gradient goes through NaN."""
    squared = labels[..., 2:] * (predicted - labels[..., :2]) ** 2
    return torch.where(labels[..., 2:] > 0, squared, 0.0).mean()


def of_labelled_only(predicted, labels):
    return right_loss(predicted, labels) * labels[..., 2].numel() / (labels[..., 2] > 0).sum()


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_masked_loss, right_loss),
        (check_blind_guess, right_guess),
        (check_blind_directions, right_count),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (naive_loss, "0 times NaN is NaN"),
        (masked_too_late, "gradient is not finite"),
        (of_labelled_only, "SPIN divides by all"),
        (lambda p, k: float(right_loss(p, k)), "keep to torch"),
    ],
)
def test_mistakes_in_the_loss_are_named(attempt, hint):
    verdict = check_masked_loss.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda j: right_guess(j) / 1000, "quoted in millimetres"),
        (lambda j: 1000 * (j - j.mean(0)).norm(dim=-1).square().mean().sqrt(), "mean square"),
        (lambda j: 1000 * (j - j.mean((0, 1))).norm(dim=-1).mean(), "not over people and joints"),
    ],
)
def test_mistakes_in_the_guess_are_named(attempt, hint):
    assert hint in check_blind_guess.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda j, t: int((torch.linalg.svdvals(j) < t).sum()), "wider than high"),
        (lambda j, t: int((torch.linalg.svdvals(j) >= t).sum()), "count the others"),
    ],
)
def test_mistakes_in_counting_are_named(attempt, hint):
    assert hint in check_blind_directions.judge(attempt).hint
