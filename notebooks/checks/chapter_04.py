"""Checks of notebook 04, keypoints only."""

from __future__ import annotations

import torch

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("A loss that survives missing labels")
def check_masked_loss(attempt) -> Answer:
    """Mean over all entries of confidence times squared difference, NaN labels and all."""
    generator = torch.Generator().manual_seed(4)
    predicted = torch.randn(6, 24, 2, generator=generator)
    labels = torch.rand(6, 24, 3, generator=generator)
    labels[1, 3:7] = torch.tensor([float("nan"), float("nan"), 0.0])
    labels[4, :, :2] = float("nan")
    labels[4, :, 2] = 0.0
    known = torch.nan_to_num(labels)
    squared = known[..., 2:] * (predicted - known[..., :2]) ** 2
    unweighted = (known[..., 2:] > 0) * (predicted - known[..., :2]) ** 2
    given = answer(attempt, predicted, labels)
    wrong = difference(
        given,
        squared.mean(),
        "the loss",
        mistakes={
            "It is the mean over the labelled entries only; SPIN divides by all of them.": (
                squared.sum() / (2 * (known[..., 2] > 0).sum())
            ),
            "Confidence is a weight here, not only a switch: multiply by it.": unweighted.mean(),
            "It is the sum; take the mean.": squared.sum(),
        },
    )
    if wrong:
        nan = torch.isnan(torch.as_tensor(given)).any()
        return (
            "It is NaN: 0 times NaN is NaN, so a confidence of 0 does not switch a label off. "
            "Put something finite in its place first."
            if nan
            else wrong
        )
    return _gradient_hint(attempt, predicted, labels)


def _gradient_hint(attempt, predicted: torch.Tensor, labels: torch.Tensor) -> Answer:
    """A loss can be right while its gradient is NaN: 0 * inf in the backward pass."""
    points = predicted.clone().requires_grad_(True)
    loss = attempt(points, labels.clone())
    if not isinstance(loss, torch.Tensor) or loss.grad_fn is None:
        return "Its value is right, but no gradient reaches the prediction: keep to torch."
    loss.backward()
    if not torch.isfinite(points.grad).all():
        return (
            "Its value is right, its gradient is not finite: NaN still takes part before it is "
            "masked. Replace the labels, not the result."
        )
    return None


@exercise("What a blind guess scores")
def check_blind_guess(attempt) -> Answer:
    """MPJPE in millimetres of answering the mean body, given joints in metres."""
    generator = torch.Generator().manual_seed(5)
    joints = 0.4 * torch.randn(50, 14, 3, generator=generator)
    error = (joints - joints.mean(0)).norm(dim=-1)
    return difference(
        answer(attempt, joints),
        1000 * error.mean(),
        "the MPJPE",
        unit="mm",
        tolerance=1e-3,
        mistakes={
            "It is the root of the mean square. MPJPE is the mean of the distances.": (
                1000 * error.square().mean().sqrt()
            ),
            "It is the mean over x, y and z of the differences; take the distance of each joint.": (
                1000 * (joints - joints.mean(0)).abs().mean()
            ),
            "It is in metres; MPJPE is quoted in millimetres.": error.mean(),
            "The mean body is a mean over people for each joint, not over people and joints.": (
                1000 * (joints - joints.mean((0, 1))).norm(dim=-1).mean()
            ),
        },
    )


@exercise("Counting blind directions")
def check_blind_directions(attempt) -> Answer:
    """How many directions of change move the measurements by less than a threshold."""
    generator = torch.Generator().manual_seed(6)
    left = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(20, 20, generator=generator, dtype=torch.float64))[0]
    strengths = torch.tensor([9.0, 7, 5, 4, 3, 2, 1, 0.5, 0.2, 0.01, 0.004, 0.0])
    jacobian = (left * strengths) @ right[:, :12].T
    return difference(
        answer(attempt, jacobian, 0.1),
        11,
        "the number of blind directions",
        mistakes={
            "The Jacobian is wider than high: directions beyond its 12 rows move nothing at all, "
            "and svd does not list them.": 3,
            "That is how many directions can be seen; count the others.": 9,
            "Those are the columns; count the directions that move the measurements too little.": (
                20
            ),
        },
    )
