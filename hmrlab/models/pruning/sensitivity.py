"""Which layers a network can do without weights in, and which not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils import prune
from tqdm.auto import tqdm

from hmrlab.models.hmr import HMR
from hmrlab.models.pruning.masks import prunable_layers


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

    Args:
        model: ordinary; as it was afterwards, even if `score` raises.
        score: must leave the weights as they are.
        amounts: shares of a layer's weights, from 0 to 1.
        progress: show a bar.
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
                    kept = prune.L1Unstructured(amount).compute_mask(whole, torch.ones_like(whole))
                    layer.weight.data.copy_(whole * kept)
                    scores[row, column] = score(model)
                    bar.update()
            finally:
                layer.weight.data.copy_(whole)
    return Sensitivity(tuple(name for name, _ in layers), tuple(amounts), scores, unmasked)
