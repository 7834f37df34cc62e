"""Checks of notebook 11, pruning."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from checks.differences import difference
from checks.exercises import answer, exercise

Answer = str | None


@exercise("One threshold for all layers")
def check_global_masks(attempt) -> Answer:
    """Layers' weights and a share -> bool masks, True where a weight stays."""
    generator = torch.Generator().manual_seed(11)
    weights = [
        torch.randn(shape, generator=generator) * size
        for shape, size in (((4, 6), 1.0), ((8, 5), 0.2), ((10,), 2.0))
    ]
    share = 0.5
    wanted = keep_largest(weights, share)
    got = answer(attempt, weights, share)
    if not isinstance(got, Sequence) or len(got) != len(weights):
        return f"A list of {len(weights)} masks is asked for, one for each layer."
    layer_by_layer = [keep_largest([w], share)[0] for w in weights]
    signed = [w > torch.cat([v.flatten() for v in weights]).median() for w in weights]
    hints = {
        "The masks are the wrong way round: True is for what stays.": [~mask for mask in wanted],
        "Every layer loses the same share here. One threshold for all of them is asked for, so "
        "that a layer of small weights loses more.": layer_by_layer,
        "That goes by the value; a weight of -3 matters as much as one of 3.": signed,
    }
    given = [torch.as_tensor(mask) for mask in got]
    for hint, wrong in hints.items():
        if all(torch.equal(a, b) for a, b in zip(given, wrong, strict=True)):
            return hint
    for number, (mask, right) in enumerate(zip(given, wanted, strict=True)):
        if mask.dtype != torch.bool:
            return f"The mask of layer {number} should be True and False, it is {mask.dtype}."
        wrong_mask = difference(mask, right, f"the mask of layer {number}")
        if wrong_mask:
            return wrong_mask
    return None


def keep_largest(weights: Sequence[Tensor], share: float) -> list[Tensor]:
    """Masks that drop the given share of all weights together, the smallest magnitudes first."""
    sizes = torch.cat([w.abs().flatten() for w in weights])
    dropped = round(share * len(sizes))
    if not dropped:
        return [torch.ones_like(w, dtype=torch.bool) for w in weights]
    threshold = sizes.kthvalue(dropped).values
    return [w.abs() > threshold for w in weights]


@exercise("Cut a channel out")
def check_cut_channel(attempt) -> Answer:
    """Convolution, batch-norm scale, next convolution, channel -> the three without it."""
    generator = torch.Generator().manual_seed(12)
    first = torch.randn(5, 3, 3, 3, generator=generator)
    scale = torch.randn(5, generator=generator)
    second = torch.randn(5, 5, 3, 3, generator=generator)
    channel = 2
    stay = [k for k in range(5) if k != channel]
    got = answer(attempt, first, scale, second, channel)
    if not isinstance(got, Sequence) or len(got) != 3:
        return "Three tensors are asked for: first convolution, scale, second convolution."
    names = ("the first convolution", "the scale", "the second convolution")
    wanted = (first[stay], scale[stay], second[:, stay])
    hints = (
        {"A filter is a row of the first axis; you cut the inputs.": first[:, :2]},
        {"The scale of the channel that is gone has to go, too.": scale},
        {
            "Of the second convolution go the weights that looked at the channel: its second "
            "axis. You cut one of its own filters.": second[stay],
            "The second convolution still looks at a channel that is no more.": second,
        },
    )
    for value, right, name, mistakes in zip(got, wanted, names, hints, strict=True):
        given = torch.as_tensor(value)
        for hint, wrong in mistakes.items():  # before the shape, which says less
            if given.shape == wrong.shape and torch.equal(given, wrong):
                return hint
        off = difference(given, right, name)
        if off:
            return off
    return None


@exercise("What is left to compute")
def check_left_over(attempt) -> Answer:
    """Channels of a chain of layers, from the picture's 3 on, and the share that stays."""
    for channels, share in (([3, 32, 64, 128], 0.5), ([3, 64, 64], 0.25)):
        kept = [channels[0], *(round(share * c) for c in channels[1:])]
        before = _chain(channels)
        wrong = difference(
            answer(attempt, channels, share),
            _chain(kept) / before,
            f"the share for channels {channels} and {share} of them kept",
            mistakes={
                "Inputs AND outputs of a layer shrink: its cost falls with the square.": share,
                "The picture keeps its three colours, so the first layer shrinks on one side "
                "only.": share**2,
                "That is what is saved; what is left is asked for.": 1 - _chain(kept) / before,
            },
        )
        if wrong:
            return wrong
    return None


def _chain(channels: Sequence[int]) -> int:
    """Multiply-adds of a chain of layers, up to a factor that all of them share."""
    return sum(a * b for a, b in itertools.pairwise(channels))
