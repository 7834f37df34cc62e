"""Masks: which weights they hold at zero, how long, and what is left of them."""

import numpy as np
import pytest
import torch

from hmrlab.files import FileProblem
from hmrlab.models import HMR, create_encoder, open_model, save_weights
from hmrlab.models.pruning import (
    PruneConfig,
    measure_sensitivity,
    prunable_layers,
    prune,
    settle,
    share_of_zeros,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return HMR(create_encoder("small"))


def masked(model, amount):
    return prune(model, PruneConfig("masks", amount), 64)


def all_weights(model):
    return torch.cat([layer.weight.detach().flatten() for _, layer in prunable_layers(model)])


@pytest.mark.parametrize("amount", [0.0, 0.2, 0.95])
def test_the_smallest_weights_of_all_layers_are_zero_and_no_other(model, amount):
    before = all_weights(model)
    count = round(amount * len(before))
    after = all_weights(settle(masked(model, amount)))
    assert int((after == 0).sum()) == count
    wanted = before.clone()
    wanted[before.abs().argsort()[:count]] = 0
    assert torch.equal(after, wanted)


def test_every_convolution_and_linear_layer_takes_part_and_nothing_else(model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    settle(masked(model, 0.5))
    changed = {key for key, value in model.state_dict().items() if (value != before[key]).any()}
    assert changed == {f"{name}.weight" for name, _ in prunable_layers(model)}
    assert {"regressor.fc1.weight", "encoder.backbone.stem.0.weight"} <= changed


def test_zeros_stay_in_training_and_the_others_move(model):
    masked(model, 0.5)
    before = all_weights(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        answer = model(torch.randn(4, 3, 32, 32))
        (answer.rotations.square().sum() + answer.betas.sum() + answer.camera.sum()).backward()
        optimizer.step()
    after = all_weights(settle(model))
    assert torch.equal(after == 0, before == 0)
    moved = after != before
    assert moved[before != 0].float().mean() > 0.99


def test_settled_it_is_an_ordinary_model_that_answers_the_same(model, tmp_path):
    keys = set(model.state_dict())
    images = torch.randn(2, 3, 64, 64)
    answer = masked(model, 0.8).eval()(images)
    assert set(model.state_dict()) != keys
    with pytest.raises(ValueError, match="still masked"):
        save_weights(tmp_path / "model.pt", model)
    assert settle(settle(model)) is model
    assert set(model.state_dict()) == keys
    assert torch.equal(model(images).rotations, answer.rotations)
    loaded = open_model(save_weights(tmp_path / "model.pt", model))
    assert not loaded.pruned
    assert torch.equal(loaded(images).rotations, answer.rotations)


@pytest.mark.parametrize("settled", [True, False])
def test_shares_are_of_the_unpruned_network_however_often_it_is_pruned(model, settled):
    count = len(all_weights(model))
    first = all_weights(masked(model, 0.5)) == 0
    if settled:
        settle(model)
    second = all_weights(settle(masked(model, 0.8))) == 0
    assert int(second.sum()) == round(0.8 * count)
    assert bool(second[first].all())


def test_zeros_beyond_the_share_stay(model):
    first = all_weights(settle(masked(model, 0.5))) == 0
    again = all_weights(settle(masked(model, 0.2))) == 0
    assert torch.equal(first, again)


def test_a_network_that_lost_channels_is_not_masked(model):
    prune(model, PruneConfig("channels", 0.3), 64)
    with pytest.raises(ValueError, match="lost whole channels"):
        masked(model, 0.5)


def test_share_of_zeros_counts_weights_behind_masks_and_without(model):
    assert share_of_zeros(model) == 0
    assert share_of_zeros(masked(model, 0.25)) == pytest.approx(0.25, abs=1e-6)
    assert share_of_zeros(settle(model)) == pytest.approx(0.25, abs=1e-6)


def test_sensitivity_masks_one_layer_at_a_time_and_puts_it_back(model):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sizes = {name: layer.weight.numel() for name, layer in prunable_layers(model)}
    found = measure_sensitivity(
        model, lambda model: float((all_weights(model) == 0).sum()), (0.0, 0.5, 1.0), False
    )
    assert found.layers == tuple(sizes)
    assert found.unmasked == 0
    wanted = [[0, round(0.5 * size), size] for size in sizes.values()]
    np.testing.assert_array_equal(found.scores, wanted)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_score_that_fails_leaves_the_model_as_it_was(model):
    before = all_weights(model)
    calls = []

    def score(model):
        calls.append(1)
        if len(calls) == 3:
            raise FileProblem("the test set is gone")
        return 0.0

    with pytest.raises(FileProblem, match="gone"):
        measure_sensitivity(model, score, (0.5, 0.9), False)
    assert torch.equal(all_weights(model), before)


def test_zeros_beyond_the_share_are_held_in_training_too():
    torch.manual_seed(0)
    model = settle(prune(HMR(create_encoder("small")), PruneConfig("masks", 0.5), 64))
    prune(model, PruneConfig("masks", 0.2), 64)
    with torch.no_grad():
        for _, layer in prunable_layers(model):
            layer.weight_orig += 1.0  # as a step of training may
    settle(model)
    assert abs(share_of_zeros(model) - 0.5) < 1e-6
