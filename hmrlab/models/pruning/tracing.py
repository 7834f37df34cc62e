"""Which channels stand and fall together, by torch-pruning's dependency graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from hmrlab.models.hmr import HMR
from hmrlab.models.pruning.shapes import RESIZABLE


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
        ValueError: the encoder has layers that cannot be resized, or that torch-pruning does not
            understand.
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
    layer = skip_init(
        nn.Linear, weight.shape[1], weight.shape[0], bias is not None,
        device=weight.device, dtype=weight.dtype,
    )  # fmt: skip
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
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
