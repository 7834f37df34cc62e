"""Checks of notebook 12, the adversarial prior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("What the network pays")
def check_encoder_loss(attempt) -> Answer:
    """(B, 25) scores of the network's bodies -> the sum over the judges of mean (D - 1)^2."""
    scores = torch.randn(6, 25, generator=torch.Generator().manual_seed(4))
    squared = (scores - 1).square()
    return difference(
        answer(attempt, scores),
        squared.mean(0).sum(),
        "the loss",
        mistakes={
            "The network wants its bodies to be taken for real ones: the target is 1, not 0.": (
                scores.square().mean(0).sum()
            ),
            "Each judge counts in full: mean over the bodies, sum over the judges.": squared.mean(),
            "That is the sum over everybody. A larger batch must not cost more: take the mean "
            "over the bodies.": squared.sum(),
            "Square the differences of each body before the mean is taken.": (
                (scores - 1).mean(0).square().sum()
            ),
        },
    )


@exercise("Whose gradient is it")
def check_discriminator_loss(attempt) -> Answer:
    """(judge, real, fake) -> mean (D(real) - 1)^2 + mean D(fake)^2, to teach the judge alone."""
    judge, real, fake = _a_judge()
    scores, false_scores = judge(real), judge(fake)
    to_real, to_fake = (scores - 1).square().mean(), false_scores.square().mean()
    swapped = scores.square().mean() + (false_scores - 1).square().mean()
    wrong = difference(
        answer(attempt, judge, real, fake),
        to_real + to_fake,
        "the loss",
        mistakes={
            "The other way round: real bodies should score 1, the network's 0.": swapped,
            "Both count: add what it pays for the network's bodies.": to_real,
            "Both count: add what it pays for the real bodies.": to_fake,
            "The network's bodies should score 0 here. The target 1 is what the network wants.": (
                to_real + (false_scores - 1).square().mean()
            ),
        },
    )
    if wrong:
        return wrong
    fake.requires_grad_()
    loss = attempt(judge, real, fake)
    if not isinstance(loss, Tensor) or not loss.requires_grad:
        return (
            "Its value is right, but the judge learns nothing from it: detach the fake bodies, not "
            "the scores."
        )
    loss.backward()
    if fake.grad is not None:
        return (
            "Its value is right, and it also teaches the network: its gradient reaches the fake "
            "bodies and would make them *easier* to tell. Detach them before they are judged."
        )
    return None


@exercise("Who is winning")
def check_told_apart(attempt) -> Answer:
    """(B, 25) real, (C, 25) fake scores -> (25,) share of each judge's right verdicts."""
    generator = torch.Generator().manual_seed(6)
    real = 0.8 + 0.4 * torch.randn(40, 25, generator=generator)
    fake = 0.3 + 0.4 * torch.randn(20, 25, generator=generator)
    right_real, right_fake = (real > 0.5).float(), (fake <= 0.5).float()
    together = torch.cat([right_real, right_fake])
    return difference(
        answer(attempt, real, fake),
        (right_real.mean(0) + right_fake.mean(0)) / 2,
        "the share",
        mistakes={
            "There are twice as many real bodies as fake ones, and they count twice. Take the "
            "mean of both shares.": together.mean(0),
            "That is one number for all judges; keep them apart.": together.mean(),
            "That is the share of errors.": 1 - (right_real.mean(0) + right_fake.mean(0)) / 2,
            "Only the real ones are counted.": right_real.mean(0),
            "Only the fake ones are counted.": right_fake.mean(0),
        },
    )


def _a_judge() -> tuple[nn.Module, Tensor, Tensor]:
    """A small judge of bodies of six numbers, 8 real ones and 5 fake."""
    generator = torch.Generator().manual_seed(5)
    judge = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        for weight in judge.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    real, fake = (torch.randn(n, 6, generator=generator) for n in (8, 5))
    return judge, real, fake
