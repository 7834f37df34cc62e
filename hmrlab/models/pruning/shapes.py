"""An ordinary model's layers resized to weights that lost channels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hmrlab.models.hmr import HMR

NORMALISATION = nn.modules.batchnorm._BatchNorm
RESIZABLE = (nn.Conv2d, nn.Linear, NORMALISATION)


def fit_shapes(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a model's layers the shapes of a state dict; their values are then not initialised.

    Convolutions (depthwise ones stay depthwise), linear layers and batch normalisation are
    resized; a layer without an entry of its kind is left alone, and is found when the state is
    loaded. Whether the layers still fit each other is not checked, see `check_widths`.

    Args:
        model: as it was built.
        state: of a model of the same build with fewer channels.

    Raises:
        RuntimeError: an `HMR`'s encoder does not run with these shapes.
    """
    for name, layer in model.named_modules():
        weight = state.get(f"{name}.weight")
        if not isinstance(layer, RESIZABLE) or not isinstance(weight, Tensor):
            continue
        if weight.ndim == layer.weight.ndim and weight.shape != layer.weight.shape:
            _resize(layer, weight.shape)
    if isinstance(model, HMR):
        model.encoder.measure()


def check_widths(model: nn.Module, resolution: int = 64) -> None:
    """Run one picture through a model on the meta device, where nothing is calculated.

    Raises:
        RuntimeError: the layers do not fit each other.
    """
    model.eval()(torch.empty(1, 3, resolution, resolution, device="meta"))


def _resize(layer: nn.Module, shape: torch.Size) -> None:
    if isinstance(layer, NORMALISATION):
        layer.num_features = shape[0]
        for name in ("running_mean", "running_var"):
            setattr(layer, name, getattr(layer, name).new_empty(shape))
    elif isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = shape
    else:
        if layer.groups == layer.in_channels == layer.out_channels:
            layer.groups = shape[0]
        layer.out_channels, layer.in_channels = shape[0], shape[1] * layer.groups
    layer.weight = nn.Parameter(layer.weight.new_empty(shape))
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.new_empty(shape[0]))
