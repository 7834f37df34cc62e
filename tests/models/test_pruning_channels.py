"""Channels cut out: how many, with what, and that nothing else changes."""

import copy

import pytest
import torch
from torch import nn

from hmrlab.models import HMR, HMRConfig, create_encoder, open_model, save_weights
from hmrlab.models.checkpoints import NORMALISATION
from hmrlab.models.cost import count_macs, count_macs_by_module, count_parameters
from hmrlab.models.pruning import PruneConfig, divided_input, prune, settle, trace

SIDE = 64
# ShuffleNet's interleaving is beyond torch-pruning 1.6, ConvNeXt has layers that are not resized.
QUICK = ("small", "resnet18", "mobilenet_v3_small")
POSSIBLE = (
    *QUICK, "resnet50", "mobilenet_v2", "mobilenet_v3_large", "densenet121", "efficientnet_b0",
    "mobilenet_v2:logits",
)  # fmt: skip


def make(name="small", relu=True):
    """A network whose normalisation is that of a trained one: no channel is like another."""
    torch.manual_seed(0)
    model = HMR(create_encoder(name), HMRConfig(relu=relu)).eval()
    for layer in model.modules():
        if isinstance(layer, NORMALISATION):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    for layer in (model.regressor.decpose, model.regressor.decshape, model.regressor.deccam):
        nn.init.normal_(layer.weight, 0, 0.03)
    return model


def cut(model, amount):
    return prune(model, PruneConfig("channels", amount), SIDE)


def answers(model, images):
    with torch.no_grad():
        body = model(images)
    return torch.cat([body.rotations.flatten(1), body.betas, body.camera], dim=1)


@pytest.fixture(scope="module")
def images():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("amount", [0.3, 0.6])
def test_the_cost_falls_to_the_wanted_share_and_not_far_below(name, amount, images):
    model = make(name)
    before = count_macs(model, SIDE)
    assert cut(model, amount) is model
    assert 1 - amount - 0.06 <= count_macs(model, SIDE) / before <= 1 - amount
    assert model.pruned
    assert not model.training
    assert model.encoder(images).shape[1] == model.encoder.feature_size
    assert model.encoder.maps(images).shape[1] == model.encoder.map_channels
    assert answers(model, images).isfinite().all()


@pytest.mark.parametrize("name", POSSIBLE)
def test_every_encoder_it_is_meant_for_can_be_saved_and_loaded(name, tmp_path, images):
    model = make(name)
    before = count_macs(model, SIDE)
    cut(model, 0.1)
    assert count_macs(model, SIDE) <= 0.9 * before
    loaded = open_model(save_weights(tmp_path / "model.pt", model))
    assert loaded.pruned
    assert loaded.encoder.feature_size == model.encoder.feature_size
    assert loaded.encoder.map_channels == model.encoder.map_channels
    assert torch.equal(answers(loaded, images), answers(model, images))


@pytest.mark.parametrize("name", ["shufflenet_v2_x1_0", "convnext_tiny"])
def test_encoders_it_cannot_prune_are_named_and_left_alone(name, images):
    model = make(name)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=rf"{name}.*Prune it by masks|{name}.*prune it by masks"):
        cut(model, 0.2)
    assert not model.pruned
    assert torch.equal(answers(model, images), answers(before, images))


@pytest.mark.parametrize("name", ["small", "mobilenet_v3_small"])
def test_widths_stay_multiples_of_sixteen_where_they_were_cut(name):
    model = make(name)
    before = {key: layer.weight.shape for key, layer in model.named_modules() if wide(layer)}
    cut(model, 0.7)
    after = {key: layer.weight.shape[0] for key, layer in model.named_modules() if wide(layer)}
    for key, width in after.items():
        assert width == before[key][0] or (width >= 16 and width % 16 == 0), key
    assert any(after[key] < before[key][0] for key in after)


def wide(layer):
    return isinstance(layer, nn.Conv2d | nn.Linear)


def test_pose_shape_and_camera_keep_their_places(images):
    """The columns of the first layer that see the body, and all outputs, are those from before."""
    model = make()
    body = model.regressor.fc1.weight[:, -157:].detach().clone()
    cut(model, 0.6)
    regressor = model.regressor
    assert [layer.out_features for layer in (regressor.decpose, regressor.decshape)] == [144, 10]
    assert regressor.fc1.in_features == model.encoder.feature_size + 157
    kept = regressor.fc1.weight[:, -157:]
    distance = (kept.detach()[:, None] - body[None]).abs().sum(-1).min(1).values
    assert float(distance.max()) == 0


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_cutting_equals_zeroing_what_is_read(name, images):
    """For each group: the readers' columns zeroed, or the channels cut, the answers agree.

    Again when fewer features are left than there are inputs beside them.
    """
    model = make(name)
    compare_by_groups(model, images)
    cut(model, 0.75)
    assert model.encoder.feature_size < 300
    compare_by_groups(model, images)


def compare_by_groups(model, images):
    count = None
    number = 0
    while count is None or number < count:
        zeroed, smaller = copy.deepcopy(model), copy.deepcopy(model)
        with divided_input(smaller), divided_input(zeroed):
            graph = trace(smaller, SIDE)
            regressor = smaller.regressor
            kept = [regressor.decpose, regressor.decshape, regressor.deccam]
            groups = list(graph.get_all_groups(ignored_layers=kept))
            count = len(groups)
            first = groups[number][0].dep
            width = graph.get_out_channels(first.target.module)
            chosen = list(range(0, width, 3))
            group = graph.get_pruning_group(first.target.module, first.handler, chosen)
            names = {layer: key for key, layer in smaller.named_modules()}
            others = dict(zeroed.named_modules())
            for dependency, channels in group:
                layer = dependency.target.module
                reads = graph.is_in_channel_pruning_fn(dependency.handler)
                if reads and wide(layer) and getattr(layer, "groups", 1) == 1:
                    others[names[layer]].weight.data[:, channels] = 0
            group.prune()
        before, wanted = answers(model, images), answers(zeroed, images)
        torch.testing.assert_close(answers(smaller, images), wanted, atol=2e-4, rtol=1e-3)
        assert (before - wanted).abs().max() > 2e-3, "the comparison would see nothing"
        number += 1 if count < 20 else 3


def test_channels_that_say_nothing_go_first_and_nothing_changes(images):
    model = make(relu=False)
    block = model.encoder.backbone.stages[1][0]
    silent = [1, 2, 3, 5, 8, 13, 21, 34, 40, 41, 42, 50, 51, 60, 61, 62]
    with torch.no_grad():
        for layer in (block.first[0], block.first[1]):
            layer.weight[silent] = 0
        block.first[1].bias[silent] = 0
        block.second[0].weight[:, silent] = 0
    before = answers(model, images)
    loud = [channel for channel in range(64) if channel not in silent]
    wanted = block.first[0].weight[loud].clone()
    cut(model, 0.05)
    assert torch.equal(block.first[0].weight, wanted)
    torch.testing.assert_close(answers(model, images), before, atol=1e-5, rtol=1e-5)


def test_the_same_network_is_cut_the_same_way():
    one, other = cut(make(), 0.5), cut(make(), 0.5)
    for key, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_shares_are_of_the_unpruned_network_and_a_reached_one_changes_nothing():
    model = make()
    unpruned = count_macs(model, SIDE)
    cut(model, 0.3)
    cut(model, 0.5)
    assert 0.44 <= count_macs(model, SIDE) / unpruned <= 0.5
    before = model.state_dict()
    cut(model, 0.4)
    assert {k: v.shape for k, v in before.items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }


def test_other_random_draws_are_left_alone():
    model = make()
    cut(model, 0.2)
    torch.manual_seed(3)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    cut(model, 0.4)
    assert torch.equal(torch.rand(1), drawn)


def test_no_cost_that_small_can_be_reached():
    model = make()
    with pytest.raises(ValueError, match="no more channels of 'small' can go"):
        cut(model, 0.999)
    assert answers(model, torch.zeros(1, 3, SIDE, SIDE)).isfinite().all()


def test_a_masked_network_may_lose_channels_and_settling_leaves_them_gone():
    model = prune(make(), PruneConfig("masks", 0.5), SIDE)
    cut(model, 0.5)
    parameters = count_parameters(model)
    assert not any(key.endswith("_mask") for key in model.state_dict())
    assert count_parameters(settle(model)) == parameters


def test_cut_layers_train(images):
    model = cut(make(), 0.5).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    answer = model(images)
    (answer.rotations.square().sum() + answer.betas.sum() + answer.camera.sum()).backward()
    assert all(value.grad is not None for value in model.parameters())
    optimizer.step()


def test_costs_by_module_add_up():
    model = make()
    costs = count_macs_by_module(model, SIDE)
    assert costs[""] == costs["encoder"] + costs["regressor"] == count_macs(model, SIDE)
    assert costs["regressor.fc2"] == 3 * 1024 * 1024


@pytest.mark.parametrize(("kind", "amount"), [("weights", 0.5), ("masks", 1.0), ("channels", -0.1)])
def test_plans_that_mean_nothing_are_refused(kind, amount):
    with pytest.raises(ValueError, match=r"pruning is by|share to prune"):
        PruneConfig(kind, amount)
