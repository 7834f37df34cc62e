"""Encoders taught where the joints are."""

import pytest
import torch

from hmrlab.files import FileProblem
from hmrlab.losses import heatmap_loss
from hmrlab.models import (
    ENCODER_NAMES,
    HMR,
    HeatmapNet,
    create_encoder,
    expected_places,
    load_encoder_weights,
    open_model,
    save_weights,
)


@pytest.mark.parametrize("name", ENCODER_NAMES)
def test_maps_of_every_encoder_are_what_it_pools(name):
    encoder = create_encoder(name).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = encoder.maps(images)
    assert maps.shape[1] == encoder.map_channels
    assert maps.shape[2] == maps.shape[3] > 1
    if name not in ("small", "convnext_tiny"):  # they compute on
        torch.testing.assert_close(maps.mean((2, 3)), encoder(images), atol=1e-4, rtol=1e-4)


def test_small_has_a_map_of_half_the_pictures_side():
    logits = HeatmapNet(create_encoder("small")).eval()(torch.zeros(2, 3, 64, 64))
    assert logits.shape == (2, 24, 32, 32)


def test_a_sharp_map_is_read_where_it_peaks():
    logits = torch.full((1, 2, 8, 10), -50.0)
    logits[0, 0, 0, 0] = logits[0, 1, 7, 4] = 50.0
    places = expected_places(logits)
    expected = torch.tensor([[[-0.9, -7 / 8], [-0.1, 7 / 8]]])
    torch.testing.assert_close(places, expected)


def test_the_best_map_is_the_truths_own_gaussian():
    """Cross-entropy is least, and as much as the Gaussian's entropy, where both agree."""
    labelled = torch.tensor([[[0.1, -0.3, 1.0]]])
    middles = (2 * torch.arange(32) + 1) / 32 - 1
    cells = ((middles[:, None] + 0.3) ** 2 + (middles[None] - 0.1) ** 2) * 16**2
    best = -cells / 2
    entropy = 1 + torch.tensor(2 * torch.pi).log()  # of a round Gaussian of deviation 1
    assert heatmap_loss(best[None, None], labelled, 1.0) == pytest.approx(float(entropy), abs=1e-3)
    for shifted in (best.roll(1, 0), best.roll(2, 1), 0.5 * best):
        assert heatmap_loss(shifted[None, None], labelled, 1.0) > entropy + 0.05


def test_the_loss_has_a_right_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    labelled = torch.rand(2, 3, 3, generator=generator, dtype=torch.float64) - 0.5
    labelled[..., 2] = 1
    assert torch.autograd.gradcheck(lambda x: heatmap_loss(x, labelled, 1.0), (logits,))


def test_keypoints_that_are_unlabelled_or_outside_count_for_nothing():
    logits = torch.randn(1, 4, 8, 8, requires_grad=True)
    labelled = torch.tensor([[[0.0, 0.0, 0.0], [1.7, 0.0, 1.0], [float("nan")] * 2 + [0.0],
                              [9.0, 9.0, 1.0]]])  # fmt: skip
    loss = heatmap_loss(logits, labelled, 1.0)
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()
    one = torch.cat([labelled, torch.tensor([[[0.2, 0.2, 1.0]]])], 1)
    more = torch.cat([logits, torch.zeros(1, 1, 8, 8)], 1)
    alone = heatmap_loss(torch.zeros(1, 1, 8, 8), one[:, -1:], 1.0)
    torch.testing.assert_close(heatmap_loss(more, one, 1.0), alone)


def test_an_encoder_goes_over_from_one_model_to_another(tmp_path):
    taught = HeatmapNet(create_encoder("small"))
    path = save_weights(tmp_path / "model.pt", taught)
    fresh = HMR(create_encoder("small"))
    load_encoder_weights(path, fresh.encoder)
    for key, value in taught.encoder.state_dict().items():
        assert torch.equal(value, fresh.encoder.state_dict()[key])
    with pytest.raises(FileProblem, match="holds the encoder 'small', wanted is 'resnet18'"):
        load_encoder_weights(path, create_encoder("resnet18"))


def test_half_precision_halves_the_file_and_hardly_changes_the_answer(tmp_path):
    torch.manual_seed(0)
    model = HMR(create_encoder("small")).eval()
    whole, half = (save_weights(tmp_path / f"{h}.pt", model, half=h) for h in (False, True))
    assert half.stat().st_size < 0.52 * whole.stat().st_size
    again = open_model(half)
    assert again.regressor.fc1.weight.dtype == torch.float32
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(again(images).rotations, model(images).rotations, atol=2e-3, rtol=0)
