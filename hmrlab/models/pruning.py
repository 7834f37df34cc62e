"""Lighter networks: single weights masked, or whole channels cut out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as masks
from tqdm.auto import tqdm

from hmrlab.config import PruneConfig
from hmrlab.models.checkpoints import RESIZABLE
from hmrlab.models.cost import count_macs, count_macs_by_module
from hmrlab.models.encoders import create_encoder
from hmrlab.models.hmr import HMR
from hmrlab.models.small import NARROWEST

MULTIPLE = NARROWEST  # widths stay multiples of it, which vector instructions like, too
STEPS = 16  # a group's channels go in about as many blocks
SHARE = 0.2  # of the groups that lose a block before all importances are measured anew
SLACK = 0.05  # by how much of the unpruned cost a cut should go too far at most


def prune(model: HMR, plan: PruneConfig, resolution: int) -> HMR:
    """Make a model lighter by a plan; the same model and plan give the same network.

    The model is changed, and given back. It may have been pruned before, see `PruneConfig`. Masks
    are held while it is trained, until `settle`. Multiply-accumulates are counted at pictures of
    `resolution` pixels a side.

    Raises:
        ValueError: see `mask_weights` and `cut_channels`.
    """
    settle(model)
    if plan.kind == "masks":
        return mask_weights(model, plan.amount)
    return cut_channels(model, plan.amount, resolution)


def settle(model: HMR) -> HMR:
    """Make an ordinary model of a pruned one; masks become exact zeros among its weights."""
    for _, layer in prunable_layers(model):
        if masks.is_pruned(layer):
            masks.remove(layer, "weight")
    return model


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
    masked, so that `amount`, a share of the weights, counts from the unpruned network.

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
    masks.global_unstructured(
        [(layer, "weight") for layer in layers],
        pruning_method=masks.L1Unstructured,
        amount=max(round(amount * count), zeros),
    )
    return model


def share_of_zeros(model: nn.Module) -> float:
    """Share of exact zeros among the weights that can be masked, masked or not."""
    weights = [layer.weight for _, layer in prunable_layers(model)]
    nonzero = sum(int(torch.count_nonzero(weight)) for weight in weights)
    return 1 - nonzero / sum(weight.numel() for weight in weights)


@dataclass(frozen=True)
class Sensitivity:
    """Scores of a model of which one layer at a time was masked."""

    layers: tuple[str, ...]  # in the model's order
    amounts: tuple[float, ...]  # shares of the layer's weights
    scores: np.ndarray  # (layers, amounts)
    unmasked: float  # score of the model as it is


def measure_sensitivity(
    model: HMR,
    score: Callable[[HMR], float],
    amounts: Sequence[float] = (0.2, 0.5, 0.8),
    progress: bool = True,
) -> Sensitivity:
    """Mask each layer alone by each share, its smallest weights first, and score the model.

    Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, sec. 3.2, for single weights.
    The model is as it was afterwards, even if `score`, which must leave the weights alone, raises.
    """
    layers = tuple(prunable_layers(model))
    scores = np.empty((len(layers), len(amounts)))
    unmasked = float(score(model))
    bar = tqdm(total=scores.size, desc="sensitivity", unit="score", disable=not progress)
    with bar:
        for row, (_, layer) in enumerate(layers):
            whole = layer.weight.detach().clone()
            try:
                for column, amount in enumerate(amounts):
                    kept = masks.L1Unstructured(amount).compute_mask(whole, torch.ones_like(whole))
                    layer.weight.data.copy_(whole * kept)
                    scores[row, column] = score(model)
                    bar.update()
            finally:
                layer.weight.data.copy_(whole)
    return Sensitivity(tuple(name for name, _ in layers), tuple(amounts), scores, unmasked)


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

    The amount is the share of the unpruned network's multiply-accumulates, counted at pictures of
    `resolution` pixels a side, that is gone afterwards. The model has no masks, and is changed.

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


@contextmanager
def divided_input(model: HMR) -> Iterator[None]:
    """The regressor's first layer as two, one of the features, one of pose, shape and camera.

    torch-pruning takes a layer with k times as many inputs as its source has channels for one
    behind a flattened map: 157 inputs besides fewer features look like that. Apart, the features
    are all inputs of their layer, and the others have no source at all, so that none can go.
    """
    regressor = model.regressor
    regressor.fc1 = _Divided(regressor.fc1, model.encoder.feature_size)
    try:
        yield
    finally:
        regressor.fc1 = regressor.fc1.joined()


def trace(model: HMR, resolution: int) -> Any:
    """torch-pruning's graph of a model whose input is divided.

    Raises:
        ValueError: some layers cannot be resized, or torch-pruning does not understand them.
    """
    import torch_pruning  # only here: few need it

    name = model.encoder.name
    if getattr(getattr(model.encoder, "backbone", None), "channels_fixed", False):
        raise ValueError(
            f"the features of {name!r} are landmarks, each in its own place, so no channels can be "
            "cut out. Prune it by masks, or take another encoder"
        )
    for part_name, part in model.named_modules():
        if next(part.parameters(recurse=False), None) is None or isinstance(part, RESIZABLE):
            continue
        raise ValueError(
            "channels can be cut out of convolutions, linear layers and batch normalisation; the "
            f"encoder {name!r} has {type(part).__name__} ({part_name}) as well. Prune it by "
            "masks, or take another encoder"
        )
    image = torch.zeros(1, 3, resolution, resolution, device=next(model.parameters()).device)
    try:
        with torch.enable_grad():
            return torch_pruning.DependencyGraph().build_dependency(_OnePass(model), image)
    except Exception as error:  # it raises whatever its arithmetic meets, ZeroDivisionError too
        raise ValueError(
            f"torch-pruning cannot follow the channels of {name!r} "
            f"({type(error).__name__}: {error}); prune it by masks, or take another encoder"
        ) from error


class _Divided(nn.Module):
    """A linear layer as the sum of two."""

    def __init__(self, whole: nn.Linear, first: int) -> None:
        super().__init__()
        self.features = _linear(whole.weight[:, :first], whole.bias)
        self.body = _linear(whole.weight[:, first:])

    def forward(self, state: Tensor) -> Tensor:
        """(B, inputs of both) -> (B, outputs)."""
        first = self.features.in_features
        return self.features(state[:, :first]) + self.body(state[:, first:])

    def joined(self) -> nn.Linear:
        """The one layer again."""
        weight = torch.cat((self.features.weight, self.body.weight), dim=1)
        return _linear(weight, self.features.bias)


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


class _OnePass(nn.Module):
    """An `HMR`'s own layers, wired for tracing: one correction, before bodies are made of it."""

    def __init__(self, model: HMR) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.regressor = model.regressor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> corrections of pose, shape and camera."""
        layers = self.regressor
        body = torch.cat(layers.start_state(len(images)), dim=1)
        hidden = layers.fc1.features(self.encoder(images)) + layers.fc1.body(body)
        hidden = layers.activation(layers.fc2(layers.activation(hidden)))
        return layers.decpose(hidden), layers.decshape(hidden), layers.deccam(hidden)
