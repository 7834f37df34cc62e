"""Checks of notebook 10, backbones."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from checks.densenet import Recipe, build
from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None

# As MobileNetV2's blocks are: every convolution without bias and followed by a BN.
_SEPARABLE = ((32, 48, 3), (96, 24, 5), (16, 16, 3))


def separable(given: int, out: int, kernel: int) -> nn.Module:
    """A depthwise-separable block: each channel filtered by itself, then all of them mixed."""
    return nn.Sequential(
        nn.Conv2d(given, given, kernel, padding=kernel // 2, groups=given, bias=False),
        nn.BatchNorm2d(given),
        nn.ReLU(),
        nn.Conv2d(given, out, 1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(),
    )


@exercise("Count a depthwise-separable block")
def check_separable(attempt) -> Answer:
    """Parameters of `separable(given, out, kernel)`."""
    for given, out, kernel in _SEPARABLE:
        with torch.device("meta"):
            block = separable(given, out, kernel)
        right = sum(parameter.numel() for parameter in block.parameters())
        norms = 2 * (given + out)
        wrong = difference(
            answer(attempt, given, out, kernel),
            right,
            f"the count for {given} channels in, {out} out, {kernel} x {kernel}",
            mistakes={
                "That is an ordinary convolution: depthwise, a filter sees one channel, not "
                "all.": kernel**2 * given * out + norms,
                "The two BNs are missing: two parameters a channel.": right - norms,
                "A BN learns a scale and a shift: two parameters a channel.": right - norms // 2,
                "A BN's running mean and variance are no parameters: nothing learns them.": right
                + norms,
                "The convolutions here have no bias.": right + given + out,
                "A filter is kernel x kernel, not kernel.": kernel * given + given * out + norms,
            },
        )
        if wrong:
            return wrong
    return None


@exercise("Find the Pareto front")
def check_front(attempt) -> Answer:
    """Which of N models is on the front of cost and error: (N,), (N,) -> (N,) bool."""
    for number, (cost, error) in enumerate(_clouds(), start=1):
        less = (cost[None] <= cost[:, None]) & (error[None] <= error[:, None])
        better = less & ((cost[None] < cost[:, None]) | (error[None] < error[:, None]))
        strict = (cost[None] < cost[:, None]) & (error[None] < error[:, None])
        right = ~better.any(1)
        given = np.asarray(answer(attempt, cost, error))
        if given.dtype != bool:
            return f"The answer should be {len(cost)} times True or False, this is {given.dtype}."
        wrong = difference(given, right, f"cloud {number}: whether a model is on the front")
        if wrong is None:
            continue
        if np.array_equal(given, ~right):
            return "The other way round: True for those on the front."
        if np.array_equal(given, ~strict.any(1)):
            return (
                "As costly and worse, or as good and dearer, is off the front too: better in one "
                "of the two and no worse in the other is enough to beat a model."
            )
        return wrong
    return None


def _clouds() -> list[tuple[np.ndarray, np.ndarray]]:
    generator = np.random.default_rng(10)
    cost = generator.permutation(12) + 1.0
    error = 200 / cost + 10 * generator.standard_normal(12)
    ties = np.array([1.0, 1.0, 2.0, 3.0]), np.array([50.0, 40.0, 40.0, 30.0])
    return [(cost, error), ties]


def block_counts(recipe: Recipe) -> list[int]:
    """Parameters of each dense block of a built network, its transition not included."""
    with torch.device("meta"):
        network = build(recipe).backbone
    return [sum(value.numel() for value in stage[0].parameters()) for stage in network.stages]


@exercise("Which block is wrong?")
def check_first_wrong(attempt) -> Answer:
    """The number of the first block of a "DenseNet-121" whose count is not right, or None.

    The attempt is given the four blocks' counts; None stands for "all are right", so an attempt
    answers -1 then.
    """
    networks = {
        "the right one": (Recipe(), -1),
        "one whose last block has 6 layers": (Recipe(blocks=(6, 12, 24, 6)), 3),
        "one that does not join what its layers say": (Recipe(sees="last"), 0),
        "one without compression": (Recipe(compression=1.0), 1),
        "one with a layer too many in its third block": (Recipe(blocks=(6, 12, 25, 16)), 2),
    }
    for words, (recipe, right) in networks.items():
        given = answer(attempt, block_counts(recipe))
        if int(given) == right:
            continue
        if right == -1:
            return f"Of {words} all blocks are right: -1, not {int(given)}."
        if int(given) == right + 1:
            return "Blocks are numbered from 0 here."
        if int(given) > right:
            return (
                f"Of {words} block {right} is wrong already, not only block {int(given)}. Count "
                "from the first block on."
            )
        return f"Of {words} block {right} is the first wrong one, not {int(given)}."
    return None
