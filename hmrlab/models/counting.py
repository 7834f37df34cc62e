"""What a network costs: its parameters, those that are not zero, its multiply-accumulates."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hmrlab.models.hmr import HMR


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers of a network; buffers are not among them."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_nonzero(model: nn.Module) -> int:
    """Parameters that are not exactly zero, as a mask leaves them once it is removed."""
    return sum(int(torch.count_nonzero(parameter)) for parameter in model.parameters())


def count_macs(model: HMR, resolution: int, n_iter: int = 3) -> int:
    """Multiply-accumulates for one picture, all passes of the regressor included.

    Those of convolutions, matrix products and attention; what runs over each element once
    (normalisation, activations, pooling) is not counted. A multiplication by zero counts.

    Args:
        model: is run once, in evaluation mode, and left in the mode that it was in.
        resolution: side of the picture, pixels.
        n_iter: corrections of the mean body.
    """
    return count_macs_by_module(model, resolution, n_iter)[""]


def count_macs_by_module(model: HMR, resolution: int, n_iter: int = 3) -> dict[str, int]:
    """The same for each module with all that is in it, by its name; "" is the whole model."""
    image = torch.zeros(1, 3, resolution, resolution, device=next(model.parameters()).device)
    was_training = model.training
    fast = torch.backends.mha.get_fastpath_enabled()
    counter = FlopCounterMode(display=False)
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention is one uncounted operation
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(image, n_iter)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        model.train(was_training)
    start = f"{type(model).__name__}."
    return {
        name.removeprefix(start): sum(kinds.values()) // 2
        for name, kinds in counter.get_flop_counts().items()
        if name.startswith(start)
    } | {"": counter.get_total_flops() // 2}
