"""Whole channels cut out, with all that produced and read them: a smaller ordinary network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hmrlab.models.counting import count_macs, count_macs_by_module
from hmrlab.models.encoders import create_encoder
from hmrlab.models.hmr import HMR
from hmrlab.models.pruning.shapes import RESIZABLE
from hmrlab.models.small import NARROWEST

MULTIPLE = NARROWEST  # widths stay multiples of it, which vector instructions like, too
STEPS = 16  # a group's channels go in about as many blocks
SHARE = 0.2  # of the groups that lose a block before all importances are measured anew
SLACK = 0.05  # by how much of the unpruned cost a cut should go too far at most


def cut_channels(model: HMR, amount: float, resolution: int) -> HMR:
    """Cut out the least important channels until enough multiply-accumulates are gone.

    Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023 (`torch-pruning`): channels
    that stand and fall together, over shortcuts, concatenations and depthwise convolutions, are a
    group. A channel's importance is the L2 norm of all its weights in the group over the group's
    mean (eq. 4 there, normalised). Blocks of at least 16 channels go, the least important of all
    groups first, until the whole network is at or below the wanted cost. Pose, shape and camera
    are never cut, neither the regressor's outputs nor those of its inputs that carry them.

    Args:
        model: ordinary, without masks; is changed.
        amount: share of the unpruned network's multiply-accumulates that is gone afterwards.
        resolution: side of the pictures at which they are counted, pixels.

    Raises:
        ValueError: the encoder has parts that no channels can be cut out of, or so few channels
            are left that the share cannot be reached.
    """
    unpruned = count_macs(_unpruned(model), resolution)
    wanted = (1 - amount) * unpruned
    if count_macs(model, resolution) <= wanted:
        return model
    was_training = model.training
    graph = _trace(model.eval(), resolution)
    try:
        while (cost := count_macs(model, resolution)) > wanted:
            blocks = list(_blocks(model, graph, resolution))
            if not blocks:
                raise ValueError(
                    f"no more channels of {model.encoder.name!r} can go (none below {MULTIPLE}), "
                    f"and {amount:.0%} of the multiply-accumulates are not gone yet; ask for less"
                )
            for block in _next(blocks, cost - wanted + SLACK * unpruned):
                graph.get_pruning_group(block.layer, block.how, block.channels).prune()
                if count_macs(model, resolution) <= wanted:
                    break
    finally:
        model.pruned = True
        model.encoder.measure()
        model.train(was_training)
    return model


@dataclass(frozen=True)
class _Block:
    """A group's least important channels."""

    importance: float  # mean over the channels; 1 is the mean of the group's
    layer: nn.Module  # any that produces them
    how: object  # torch-pruning's function that cuts the layer
    channels: list[int]
    saving: float  # multiply-accumulates that go with them, about


class _OnePass(nn.Module):
    """An `HMR`'s own layers, wired for tracing: one correction, before bodies are made of it."""

    def __init__(self, model: HMR) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.regressor = model.regressor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> corrections of pose, shape and camera."""
        return self.regressor.correction(
            self.encoder(images), *self.regressor.start_state(len(images))
        )


def _unpruned(model: HMR) -> HMR:
    """A network of the model's cost before any pruning."""
    if not model.pruned:
        return model
    with torch.random.fork_rng(devices=[]):
        return HMR(create_encoder(model.encoder.name))


def _trace(model: HMR, resolution: int):
    """torch-pruning's graph of which channels belong together."""
    import torch_pruning  # only here: few need it

    name = model.encoder.name
    _check_parts(model)
    image = torch.zeros(1, 3, resolution, resolution, device=next(model.parameters()).device)
    try:
        with torch.enable_grad():
            return torch_pruning.DependencyGraph().build_dependency(_OnePass(model), image)
    except Exception as error:  # it raises whatever its arithmetic meets, ZeroDivisionError too
        raise ValueError(
            f"torch-pruning cannot follow the channels of {name!r} "
            f"({type(error).__name__}: {error}); prune it by masks, or take another encoder"
        ) from error


def _check_parts(model: HMR) -> None:
    for part_name, part in model.named_modules():
        if next(part.parameters(recurse=False), None) is None or isinstance(part, RESIZABLE):
            continue
        raise ValueError(
            f"channels can be cut out of convolutions, linear layers and batch normalisation; "
            f"the encoder {model.encoder.name!r} has {type(part).__name__} ({part_name}) as well. "
            "Prune it by masks, or take another encoder"
        )


def _next(blocks: list[_Block], most: float) -> list[_Block]:
    """The least important blocks, as many as can go before importances are measured anew.

    Together they save no more than `most`, unless each alone does; then it is the smallest.
    """
    chosen: list[_Block] = []
    for block in sorted(blocks, key=lambda block: block.importance):
        if block.saving <= most:
            chosen.append(block)
            most -= block.saving
        if len(chosen) >= SHARE * len(blocks):
            break
    return chosen or [min(blocks, key=lambda block: block.saving)]


def _blocks(model: HMR, graph, resolution: int) -> Iterator[_Block]:
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
        importance = measure(group).nan_to_num()  # a group of zeros has no mean to be divided by
        channels = importance.argsort(stable=True)[: width - narrower]
        layers = {dep.target.module for dep, _ in group}
        reached = sum(costs.get(names.get(layer, "no layer"), 0) for layer in layers)
        yield _Block(
            float(importance[channels].mean()),
            first.target.module,
            first.handler,
            channels.sort().values.tolist(),
            reached * (width - narrower) / width,
        )


def _narrower(width: int) -> int:
    """The next smaller width: a multiple of 16, and about a sixteenth of the channels away."""
    block = max(MULTIPLE, width // STEPS // MULTIPLE * MULTIPLE)
    return (width - block + MULTIPLE - 1) // MULTIPLE * MULTIPLE
