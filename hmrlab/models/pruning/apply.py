"""A plan carried out, and what is left of it before a model is saved."""

from __future__ import annotations

from hmrlab.config import PruneConfig
from hmrlab.models.hmr import HMR
from hmrlab.models.pruning.channels import cut_channels
from hmrlab.models.pruning.masks import mask_weights, remove_masks


def prune(model: HMR, plan: PruneConfig, resolution: int) -> HMR:
    """Make a model lighter by a plan; the same model and plan give the same network.

    Args:
        model: is changed. It may have been pruned before, see `PruneConfig`.
        plan: what is taken away.
        resolution: side of the pictures, pixels, at which multiply-accumulates are counted.

    Returns:
        The model that was given. Masks are held while it is trained, until `settle`.

    Raises:
        ValueError: see `mask_weights` and `cut_channels`.
    """
    settle(model)
    if plan.kind == "masks":
        return mask_weights(model, plan.amount)
    return cut_channels(model, plan.amount, resolution)


def settle(model: HMR) -> HMR:
    """Make an ordinary model of a pruned one; masks become exact zeros among its weights."""
    return remove_masks(model)
