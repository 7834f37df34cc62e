"""Whole channels cut out, with all that produced and read them: a smaller ordinary network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hmrlab.models.counting import count_macs, count_macs_by_module
from hmrlab.models.encoders import create_encoder
from hmrlab.models.hmr import HMR
from hmrlab.models.pruning.tracing import divided_input, trace
from hmrlab.models.small import NARROWEST

MULTIPLE = NARROWEST  # widths stay multiples of it, which vector instructions like, too
STEPS = 16  # a group's channels go in about as many blocks
SHARE = 0.2  # of the groups that lose a block before all importances are measured anew
SLACK = 0.05  # by how much of the unpruned cost a cut should go too far at most


def cut_channels(model: HMR, amount: float, resolution: int) -> HMR:
    """Cut out the least important channels until enough multiply-accumulates are gone.

    Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023 (`torch-pruning`): channels
    that stand and fall together, over shortcuts, concatenations and depthwise convolutions, are a
    group. A channel's importance is the L2 norm of all its weights in the group (eq. 4 there), as
    a share of the group's. Blocks of at least 16 channels go, the least important of all groups
    first, until the whole network is at or below the wanted cost. Pose, shape and camera are never
    cut, neither the regressor's outputs nor those of its inputs that carry them.

    The shares are weighed by the root of what a block costs. Without, a trained network's cheap
    regressor is starved for next to nothing; by the whole cost, its first stages are.

    Args:
        model: ordinary, without masks; is changed.
        amount: share of the unpruned network's multiply-accumulates that is gone afterwards.
        resolution: side of the pictures at which they are counted, pixels.

    Raises:
        ValueError: the encoder has parts that no channels can be cut out of; or so few channels
            are left that the share cannot be reached, and then the model is as light as it gets.
    """
    unpruned = count_macs(_unpruned(model), resolution)
    wanted = (1 - amount) * unpruned
    if count_macs(model, resolution) <= wanted:
        return model
    was_training = model.training
    model.eval()
    try:
        with divided_input(model):
            graph = trace(model, resolution)
            model.pruned = True
            try:
                _cut_until(model, graph, resolution, wanted, SLACK * unpruned)
            finally:
                model.encoder.measure()
    finally:
        model.train(was_training)
    return model


def _cut_until(model: HMR, graph: Any, resolution: int, wanted: float, slack: float) -> None:
    while (cost := count_macs(model, resolution)) > wanted:
        blocks = list(_blocks(model, graph, resolution))
        if not blocks:
            raise ValueError(
                f"no more channels of {model.encoder.name!r} can go (none below {MULTIPLE}), and "
                f"{cost:,} multiply-accumulates are left of at most {wanted:,.0f}; prune it less"
            )
        for block in _next(blocks, cost - wanted + slack):
            graph.get_pruning_group(block.layer, block.how, block.channels).prune()
            if count_macs(model, resolution) <= wanted:
                break


@dataclass(frozen=True)
class _Block:
    """A group's least important channels."""

    share: float  # of the group's importance
    layer: nn.Module  # any that produces them
    how: Callable  # torch-pruning's function that cuts the layer
    channels: list[int]
    saving: float  # multiply-accumulates that go with them, about


def _unpruned(model: HMR) -> HMR:
    """A network of the model's cost before any pruning."""
    if not model.pruned:
        return model
    with torch.random.fork_rng(devices=[]):
        return HMR(create_encoder(model.encoder.name))


def _next(blocks: list[_Block], most: float) -> list[_Block]:
    """The least important blocks, as many as can go before importances are measured anew.

    Together they save no more than `most`, unless each alone does; then it is the smallest.
    """
    chosen: list[_Block] = []
    for block in sorted(blocks, key=lambda block: block.share / math.sqrt(block.saving)):
        if block.saving <= most:
            chosen.append(block)
            most -= block.saving
        if len(chosen) >= SHARE * len(blocks):
            break
    return chosen or [min(blocks, key=lambda block: block.saving)]


def _blocks(model: HMR, graph: Any, resolution: int) -> Iterator[_Block]:
    """Of each group that can lose channels, the block that is to go first."""
    from torch_pruning.pruner.importance import GroupMagnitudeImportance

    measure = GroupMagnitudeImportance(p=2, group_reduction="mean", normalizer="mean")
    names = {module: name for name, module in model.named_modules()}
    costs = count_macs_by_module(model, resolution)
    body = model.regressor
    kept = [body.decpose, body.decshape, body.deccam]
    for group in graph.get_all_groups(ignored_layers=kept):
        first = group[0].dep
        width = graph.get_out_channels(first.target.module)
        narrower = _narrower(width)
        if narrower < MULTIPLE:
            continue
        # Normalised to the mean 1, which a group of zeros has not.
        importance = measure(group).nan_to_num()
        channels = importance.argsort(stable=True)[: width - narrower]
        layers = {dep.target.module for dep, _ in group}
        reached = sum(costs.get(names.get(layer, "no layer"), 0) for layer in layers)
        yield _Block(
            float(importance[channels].sum()) / width,
            first.target.module,
            first.handler,
            channels.sort().values.tolist(),
            reached * (width - narrower) / width,
        )


def _narrower(width: int) -> int:
    """The next smaller width: a multiple of 16, and about a sixteenth of the channels away."""
    block = max(MULTIPLE, width // STEPS // MULTIPLE * MULTIPLE)
    return (width - block + MULTIPLE - 1) // MULTIPLE * MULTIPLE
