"""Single weights set to zero: the layers keep their sizes, and what is kept is ordinary."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils import prune

from hmrlab.models.hmr import HMR


def prunable_layers(model: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """The layers whose weights can be masked: every convolution and every linear layer, named."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield name, module


def mask_weights(model: HMR, amount: float) -> HMR:
    """Hold the smallest weights at zero, the same threshold for all layers (global L1).

    Zhu and Gupta, "To prune, or not to prune", 2017, with `torch.nn.utils.prune`: each layer's
    `weight` becomes `weight_orig * weight_mask`, so that training goes on around the zeros.
    Biases and normalisation are not masked. Weights that are zero already are the first to be
    masked, so that `amount` counts from the unpruned network.

    Args:
        model: ordinary, without masks; is changed.
        amount: share of the weights that are zero afterwards. All zeros that are there stay,
            even if they are more.

    Raises:
        ValueError: channels were cut out of the model before, so that the share of its weights
            is not one of the unpruned network's.
    """
    if model.pruned:
        raise ValueError(
            "masks are counted from the unpruned network, and this one has lost whole channels; "
            "mask a network that has all of them"
        )
    layers = [layer for _, layer in prunable_layers(model)]
    count = sum(layer.weight.numel() for layer in layers)
    zeros = count - sum(int(torch.count_nonzero(layer.weight)) for layer in layers)
    prune.global_unstructured(
        [(layer, "weight") for layer in layers],
        pruning_method=prune.L1Unstructured,
        amount=max(round(amount * count), zeros),
    )
    return model


def remove_masks(model: HMR) -> HMR:
    """Make the zeros of the masks ordinary weights; nothing happens to a model without masks."""
    for _, layer in prunable_layers(model):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")
    return model


def share_of_zeros(model: nn.Module) -> float:
    """Share of exact zeros among the weights that can be masked, masked or not."""
    weights = [layer.weight for _, layer in prunable_layers(model)]
    nonzero = sum(int(torch.count_nonzero(weight)) for weight in weights)
    return 1 - nonzero / sum(weight.numel() for weight in weights)
