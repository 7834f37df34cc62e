"""A DenseNet from a recipe, right or wrong, and its number of parameters without building it.

Huang, Liu, van der Maaten, Weinberger: "Densely Connected Convolutional Networks", CVPR 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hmrlab.models import Encoder

EVERYTHING, BLOCK_INPUT = "everything", "block input"
LAST, INPUT_AND_LAST = "last", "block input and last"
BETWEEN, ALSO_LAST, NO_TRANSITIONS = "between", "also last", "none"
BEFORE, AFTER = "before", "after"
LOGITS, POOLED, MAP = "logits", "pooled", "map"
MAP_SIDE = 7  # of the last map, for a picture of 224 pixels
REGRESSOR, REGRESSOR_PER_FEATURE = 1_372_317, 1024  # SPIN's: so many, and so many a feature
# The fields of a recipe that say what its layers are; the others turn something on or off.
STRUCTURE = ("blocks", "growth", "stem", "inner", "sees", "compression", "transitions")


@dataclass(frozen=True)
class Recipe:
    """How a DenseNet is built. As it stands: torchvision's DenseNet-121.

    A layer is BN, ReLU, 1x1 convolution, BN, ReLU, 3x3 convolution; a transition is BN, ReLU, 1x1
    convolution, average pooling of 2x2.
    """

    blocks: tuple[int, ...] = (6, 12, 24, 16)  # layers in each
    growth: int = 32  # channels that a layer adds
    stem: int = 64  # channels of the first convolution
    inner: int = 128  # channels between a layer's two convolutions; 0: one 3x3 convolution alone
    sees: str = EVERYTHING  # what a layer is given: all outputs of its block, or less
    compression: float = 0.5  # channels out of a transition over those into it
    transitions: str = BETWEEN  # the blocks; "also last": behind the last one too; "none"
    stem_kernel: int = 7
    stem_bias: bool = False
    stem_norm: bool = True
    norms: str = BEFORE  # the convolutions, or "after" them
    layer_bias: bool = False
    transition_bias: bool = False
    final_norm: bool = True
    classes: int = 1000  # the classifier's; 0: there is none
    given: str = LOGITS  # to the regressor: "logits", "pooled" features, or the whole 7x7 "map"

    @property
    def features(self) -> int:
        """Numbers that the regressor is given."""
        width = _widths(self)[-1].out
        return {LOGITS: self.classes, POOLED: width, MAP: width * MAP_SIDE**2}[self.given]


TORCHVISIONS = {
    "densenet121": Recipe(),
    "densenet169": Recipe(blocks=(6, 12, 32, 32)),
    "densenet201": Recipe(blocks=(6, 12, 48, 32)),
}
# As many tutorials for pictures of 32 pixels have it, which call it DenseNet-121 all the same.
TUTORIALS = Recipe(
    blocks=(6, 12, 24, 6),
    growth=12,
    stem=24,
    inner=48,
    stem_bias=True,
    stem_norm=False,
    classes=10,
)


@dataclass(frozen=True)
class _Block:
    """Channels along one block."""

    seen: tuple[int, ...]  # by each of its layers
    joined: int  # out of the block, into its transition
    out: int  # out of the transition, or of the block where none follows
    transition: bool


def _widths(recipe: Recipe) -> list[_Block]:
    blocks = []
    width = recipe.stem
    for number, layers in enumerate(recipe.blocks, start=1):
        seen = tuple(_seen(recipe, width, k) for k in range(layers))
        joined = {
            LAST: recipe.growth,
            INPUT_AND_LAST: width + recipe.growth,
        }.get(recipe.sees, width + layers * recipe.growth)
        follows = recipe.transitions == ALSO_LAST or (
            recipe.transitions == BETWEEN and number < len(recipe.blocks)
        )
        width = int(recipe.compression * joined) if follows else joined
        blocks.append(_Block(seen, joined, width, follows))
    return blocks


def _seen(recipe: Recipe, width: int, k: int) -> int:
    """Channels that layer k of a block sees, whose input has `width`."""
    if k == 0 or recipe.sees == BLOCK_INPUT:
        return width
    return {
        EVERYTHING: width + k * recipe.growth,
        LAST: recipe.growth,
        INPUT_AND_LAST: width + recipe.growth,
    }[recipe.sees]


def amounts(recipe: Recipe) -> np.ndarray:
    """(8,) what there is of everything that a switch turns on or off.

    Weights of the convolutions behind the stem; channels out of the stem, normalised before and
    after convolutions, out of the layers' convolutions, out of the transitions, at the end; and 1.
    They depend on the recipe's fields in `STRUCTURE` alone.
    """
    growth, inner = recipe.growth, recipe.inner
    blocks = _widths(recipe)
    seen = np.array([c for block in blocks for c in block.seen])
    ends = [block for block in blocks if block.transition]
    into, out = sum(block.joined for block in ends), sum(block.out for block in ends)
    weights = (seen * inner + 9 * inner * growth) if inner else 9 * seen * growth
    return np.array(
        [
            int(weights.sum()) + sum(block.joined * block.out for block in ends),
            recipe.stem,
            int(seen.sum()) + len(seen) * inner + into,
            len(seen) * (inner + growth) + out,
            len(seen) * (inner + growth),
            out,
            blocks[-1].out,
            1,
        ]
    )


def prices(recipe: Recipe) -> np.ndarray:
    """(8,) parameters of the whole model for each one of `amounts`.

    A BN has two parameters a channel, a bias has one; the regressor's are among them. They depend
    on the recipe's fields that are not in `STRUCTURE`.
    """
    classes = recipe.classes
    regressor = {LOGITS: 0, POOLED: REGRESSOR_PER_FEATURE, MAP: REGRESSOR_PER_FEATURE * MAP_SIDE**2}
    of_logits = REGRESSOR_PER_FEATURE * classes if recipe.given == LOGITS else 0
    return np.array(
        [
            1,
            3 * recipe.stem_kernel**2 + recipe.stem_bias + 2 * recipe.stem_norm,
            2 * (recipe.norms == BEFORE),
            2 * (recipe.norms == AFTER),
            int(recipe.layer_bias),
            int(recipe.transition_bias),
            2 * recipe.final_norm + classes + regressor[recipe.given],
            classes + of_logits + REGRESSOR,
        ]
    )


def count_whole(recipe: Recipe) -> int:
    """Parameters of SPIN's network on this encoder: how much there is, times what it costs."""
    return int(amounts(recipe) @ prices(recipe))


def count_encoder(recipe: Recipe) -> int:
    """Parameters of this encoder, its classifier included."""
    return count_whole(recipe) - REGRESSOR - REGRESSOR_PER_FEATURE * recipe.features


def build(recipe: Recipe) -> Encoder:
    """The encoder of a recipe, from a random start."""
    return Encoder("densenet by recipe", DenseNet(recipe), recipe.features)


class DenseNet(nn.Module):
    """A DenseNet by a recipe: (B, 3, H, W) pictures -> (B, recipe.features)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        kernel, width = recipe.stem_kernel, recipe.stem
        stem: list[nn.Module] = [
            nn.Conv2d(3, width, kernel, stride=2, padding=kernel // 2, bias=recipe.stem_bias)
        ]
        if recipe.stem_norm:
            stem += [nn.BatchNorm2d(width), nn.ReLU()]
        self.stem = nn.Sequential(*stem, nn.MaxPool2d(3, stride=2, padding=1))
        self.stages = nn.ModuleList()  # a block and its transition each
        for block in _widths(recipe):
            layers = nn.ModuleList(_layer(recipe, seen) for seen in block.seen)
            self.stages.append(nn.ModuleList([layers, _transition(recipe, block)]))
            width = block.out
        self.end = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()) if recipe.final_norm else None
        self.classifier = nn.Linear(width, recipe.classes) if recipe.classes else None

    def maps(self, images: Tensor) -> list[Tensor]:
        """What comes out of the stem, and out of each block with its transition."""
        found = [self.stem(images)]
        for layers, transition in self.stages:
            found.append(transition(_through(self.recipe.sees, layers, found[-1])))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, recipe.features)."""
        last = self.maps(images)[-1]
        if self.end is not None:
            last = self.end(last)
        side = MAP_SIDE if self.recipe.given == MAP else 1
        pooled = nn.functional.adaptive_avg_pool2d(last, side).flatten(1)
        return self.classifier(pooled) if self.recipe.given == LOGITS else pooled


def _through(sees: str, layers: nn.ModuleList, start: Tensor) -> Tensor:
    """A block: each layer is given what its recipe lets it see."""
    outputs = [start]
    for layer in layers:
        if sees == EVERYTHING:
            given = torch.cat(outputs, 1)
        elif sees == BLOCK_INPUT or len(outputs) == 1:
            given = start
        elif sees == LAST:
            given = outputs[-1]
        else:
            given = torch.cat([start, outputs[-1]], 1)
        outputs.append(layer(given))
    if sees == LAST:
        return outputs[-1]
    return torch.cat([start, outputs[-1]] if sees == INPUT_AND_LAST else outputs, 1)


def _transition(recipe: Recipe, block: _Block) -> nn.Module:
    if not block.transition:
        return nn.Identity()
    step = _step(recipe, block.joined, block.out, 1, recipe.transition_bias)
    return nn.Sequential(*step, nn.AvgPool2d(2))


def _layer(recipe: Recipe, seen: int) -> nn.Sequential:
    if not recipe.inner:
        return nn.Sequential(*_step(recipe, seen, recipe.growth, 3, recipe.layer_bias))
    return nn.Sequential(
        *_step(recipe, seen, recipe.inner, 1, recipe.layer_bias),
        *_step(recipe, recipe.inner, recipe.growth, 3, recipe.layer_bias),
    )


def _step(recipe: Recipe, given: int, out: int, kernel: int, bias: bool) -> list[nn.Module]:
    """Normalisation, ReLU and convolution, in the recipe's order."""
    convolution = nn.Conv2d(given, out, kernel, padding=kernel // 2, bias=bias)
    if recipe.norms == BEFORE:
        return [nn.BatchNorm2d(given), nn.ReLU(), convolution]
    return [convolution, nn.BatchNorm2d(out), nn.ReLU()]
