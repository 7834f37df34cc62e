"""BlazePose wherever an encoder may stand."""

import pytest
import torch

from hmrlab.data import augment
from hmrlab.models import (
    HMR,
    HeatmapNet,
    HMRConfig,
    create_encoder,
    open_model,
    save_weights,
    split_name,
)
from hmrlab.models.blazepose import encoder as module
from hmrlab.models.blazepose import load_blazepose
from hmrlab.models.encoders import BLAZEPOSE_ENCODERS
from hmrlab.models.export import check_onnx, export_onnx
from hmrlab.models.pruning import PruneConfig, prune

SIZES = {"blazepose_lite": 4 * 192 + 39 * 8, "blazepose_full": 4 * 288 + 39 * 8}
CHANNELS = {"blazepose_lite": 192, "blazepose_full": 288}


def pictures(count, side):
    """Normalised."""
    small = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (augment.IMAGENET_MEAN, augment.IMAGENET_STD)
    )
    return images, (images - mean) / std


@pytest.mark.parametrize("name", BLAZEPOSE_ENCODERS)
def test_it_gives_features_and_maps_and_learns_with_all_of_itself(name):
    encoder = create_encoder(name)
    _, images = pictures(2, 96)
    features = encoder(images)
    assert features.shape == (2, encoder.feature_size) == (2, SIZES[name])
    assert features.std() < 4  # of the order of 1, of noise, too
    assert encoder.maps(images).shape == (2, encoder.map_channels, 8, 8)
    assert encoder.map_channels == CHANNELS[name]
    features.square().sum().backward()
    assert [k for k, value in encoder.named_parameters() if value.grad is None] == []
    encoder.measure()
    assert (encoder.feature_size, encoder.map_channels) == (SIZES[name], CHANNELS[name])


def test_its_heads_are_the_networks_own_on_the_undone_picture():
    plain, images = pictures(2, 256)
    encoder, network = create_encoder("blazepose_lite").eval(), load_blazepose("lite")
    with torch.inference_mode():
        features, said = encoder(images), network(plain)
    eyes = encoder.backbone
    heads = (features * eyes.feature_std + eyes.feature_mean)[:, 4 * 192 :]
    landmarks = heads[:, : 39 * 5].view(2, 39, 5)
    torch.testing.assert_close(
        (landmarks[..., :2] + 1) * 128, said.landmarks[..., :2], atol=2e-2, rtol=0
    )
    world = heads[:, 39 * 5 :].view(2, 39, 3) / 2
    torch.testing.assert_close(world, said.world, atol=1e-3, rtol=0)


def test_pictures_of_other_sizes_are_brought_to_its_own():
    encoder = create_encoder("blazepose_lite").eval()
    with torch.inference_mode():
        found = [encoder(pictures(1, side)[1])[:, 4 * 192 :] for side in (224, 256, 320)]
    torch.testing.assert_close(found[0], found[1], atol=0.1, rtol=0)
    torch.testing.assert_close(found[2], found[1], atol=0.1, rtol=0)


def test_it_normalises_as_the_data_does():
    assert module.IMAGENET_MEAN == augment.IMAGENET_MEAN
    assert module.IMAGENET_STD == augment.IMAGENET_STD


def test_a_checkpoint_remembers_tuned_eyes(tmp_path):
    model = HMR(create_encoder("blazepose_lite"), HMRConfig(resolution=64)).eval()
    with torch.no_grad():
        model.encoder.backbone.network.world.bias += 0.1
    again = open_model(save_weights(tmp_path / "model.pt", model))
    assert again.encoder.name == "blazepose_lite"
    _, images = pictures(1, 64)
    with torch.inference_mode():
        assert torch.equal(again(images).rotations, model(images).rotations)


def test_keypoint_maps_and_an_onnx_file_can_be_made_of_it(tmp_path):
    _, images = pictures(1, 64)
    with torch.inference_mode():
        assert HeatmapNet(create_encoder("blazepose_lite")).eval()(images).shape == (1, 24, 32, 32)
    model = HMR(create_encoder("blazepose_lite"), HMRConfig(resolution=64, dropout=0.0)).eval()
    path = export_onnx(model, tmp_path / "eyes.onnx", 64, n_iter=1)
    assert check_onnx(path, model, [images]) < 1e-4


def test_no_channels_are_cut_out_of_it():
    model = HMR(create_encoder("blazepose_lite"), HMRConfig(resolution=64))
    with pytest.raises(ValueError, match=r"'blazepose_lite' are landmarks.*by masks"):
        prune(model, PruneConfig("channels", 0.1), 64)
    assert not model.pruned


def test_names_that_there_are_not_are_refused_with_the_nearest():
    assert split_name("blazepose_full") == ("blazepose_full", "")
    with pytest.raises(ValueError, match="Did you mean 'blazepose_full'"):
        create_encoder("blazepose_ful")
    with pytest.raises(ValueError, match="'blazepose_lite' has no classifier"):
        create_encoder("blazepose_lite:logits")
    with pytest.raises(ValueError, match="'blazepose_lite' brings its own weights along"):
        create_encoder("blazepose_lite", weights="imagenet")
