"""Masks of a network that has zeros already."""

import torch

from hmrlab.models import HMR, create_encoder
from hmrlab.models.pruning import PruneConfig, prunable_layers, prune, settle, share_of_zeros


def test_zeros_beyond_the_share_are_held_in_training_too():
    torch.manual_seed(0)
    model = settle(prune(HMR(create_encoder("small")), PruneConfig("masks", 0.5), 64))
    prune(model, PruneConfig("masks", 0.2), 64)
    with torch.no_grad():
        for _, layer in prunable_layers(model):
            layer.weight_orig += 1.0  # as a step of training may
    settle(model)
    assert abs(share_of_zeros(model) - 0.5) < 1e-6
