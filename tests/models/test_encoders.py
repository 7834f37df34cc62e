"""Encoders by name, and ImageNet weights that come from the cache or not at all."""

import re

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch
import torchvision

from hmrlab import LossWeights, Trainer, TrainerSettings
from hmrlab.bodies import load_body
from hmrlab.data.dataset import open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.files import FileProblem
from hmrlab.models import (
    ENCODER_NAMES,
    HMR,
    Encoder,
    HeatmapNet,
    HMRConfig,
    create_encoder,
    encoders,
    load_weights,
    open_model,
    save_weights,
)
from hmrlab.models import hub as hub_module
from hmrlab.models.small import SmallNet
from hmrlab.spin import SPIN

FEATURES = {
    "small": 512,
    "resnet18": 512,
    "resnet50": 2048,
    "densenet121": 1024,
    "densenet169": 1664,
    "densenet201": 1920,
    "mobilenet_v2": 1280,
    "mobilenet_v3_large": 960,
    "mobilenet_v3_small": 576,
    "shufflenet_v2_x1_0": 1024,
    "efficientnet_b0": 1280,
    "convnext_tiny": 768,
}
# Parameters of a whole HMR: the diary's own numbers, and what fills its blanks by the same rule.
WHOLE_MODELS = {
    "resnet50": 26_977_501,
    "densenet169:logits": 16_545_797,
    "densenet201:logits": 22_410_245,
    "mobilenet_v2:logits": 5_901_189,
    "shufflenet_v2_x1_0:logits": 4_674_921,
    "mobilenet_v3_large:logits": 7_879_349,
    "densenet121:logits": 10_375_173,
}


@pytest.mark.parametrize("name", ENCODER_NAMES)
def test_every_encoder_gives_its_features_and_learns_with_all_of_itself(name):
    encoder = create_encoder(name)
    features = encoder(torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert encoder.feature_size == FEATURES[name]
    assert features.shape == (2, FEATURES[name])
    features.square().sum().backward()
    without = [key for key, value in encoder.named_parameters() if value.grad is None]
    assert without == []


@pytest.mark.parametrize("name", WHOLE_MODELS)
def test_whole_models_have_as_many_parameters_as_the_diary_says(name):
    with torch.device("meta"):
        model = HMR(create_encoder(name))
    assert sum(value.numel() for value in model.parameters()) == WHOLE_MODELS[name]


@pytest.mark.parametrize("name", encoders.TORCHVISION_ENCODERS)
def test_the_logits_wiring_is_torchvisions_whole_network(name):
    encoder = create_encoder(f"{name}:logits").eval()
    whole = torchvision.models.get_model(name, weights=None).eval()
    whole.load_state_dict(encoder.backbone.state_dict(), strict=True)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    logits = encoder(images)
    assert encoder.feature_size == logits.shape[1] == 1000
    torch.testing.assert_close(logits, whole(images))
    maps = encoder.maps(images)
    assert maps.shape[1] == encoder.map_channels == FEATURES[name]
    assert maps.shape[2] == maps.shape[3] > 1


def test_convnexts_pooled_features_are_still_normalised():
    """Its head begins with a layer norm, which belongs to the features."""
    features = create_encoder("convnext_tiny").eval()(torch.randn(2, 3, 64, 64))
    torch.testing.assert_close(features.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.var(1, unbiased=False), torch.ones(2), atol=1e-3, rtol=0)


def test_a_checkpoint_remembers_the_wiring(tmp_path):
    model = HMR(create_encoder("shufflenet_v2_x1_0:logits")).eval()
    again = open_model(save_weights(tmp_path / "model.pt", model))
    assert again.encoder.name == "shufflenet_v2_x1_0:logits"
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(again(images).rotations, model(images).rotations)


def test_small_is_small_and_takes_other_sizes():
    encoder = create_encoder("small").eval()
    parameters = sum(value.numel() for value in encoder.parameters())
    assert 0.5e6 < parameters < 1e6  # fewer than a third of MobileNetV2's
    for side in (48, 64, 96):
        assert encoder(torch.zeros(1, 3, side, side)).shape == (1, 512)


def test_a_width_that_would_crash_the_process_is_refused():
    with pytest.raises(ValueError, match=r"widths \(8, 16, 16\).*fewer than 16"):
        SmallNet((8, 16, 16))


def test_small_learns_from_batches_of_any_size():
    """An odd batch is what is left when a picture cannot be read."""
    encoder = SmallNet((16, 16, 16), channels=8, hidden=16).to(memory_format=torch.channels_last)
    for count in (2, 3, 5, 7):
        encoder(torch.ones(count, 3, 32, 32).to(memory_format=torch.channels_last)).sum().backward()
    assert all(value.grad.isfinite().all() for value in encoder.parameters())


def test_two_pictures_do_not_share_features():
    encoder = create_encoder("small").eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(*encoder(images), atol=1e-3)
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("resnet5O", "resnet50"), ("ResNet50", "resnet50"), ("mobilenetv2", "mobilenet_v2")],
)
def test_unknown_name_suggests_the_nearest(wrong, meant):
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'") as caught:
        create_encoder(wrong)
    assert all(name in str(caught.value) for name in ENCODER_NAMES)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("small:logits", "'small' has no classifier"),
        ("resnet18:logit", "unknown wiring 'logit'.*Did you mean 'resnet18:logits'"),
        ("resnet18:pooled", "unknown wiring 'pooled'.*'resnet18' alone gives pooled features"),
        ("resnet18:", "unknown wiring ''"),
        ("resnet81:logits", "unknown encoder 'resnet81'.*Did you mean 'resnet18'"),
    ],
)
def test_a_wiring_that_there_is_not_is_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        create_encoder(wrong)


def test_unknown_weights_are_refused():
    with pytest.raises(ValueError, match="None or 'imagenet'"):
        create_encoder("resnet18", weights="coco")
    with pytest.raises(ValueError, match="no ImageNet weights for 'small'"):
        create_encoder("small", weights="imagenet")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch hub cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def published_name(name: str) -> str:
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    return weights.url.rpartition("/")[2]


def test_missing_imagenet_weights_are_named_and_not_fetched(hub, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("fetched"))
    with pytest.raises(FileProblem, match=r"resnet18-.*\.pth.*allow_download=True"):
        create_encoder("resnet18", weights="imagenet")


def test_damaged_imagenet_weights_are_named(hub):
    (hub / published_name("resnet18")).write_bytes(b"half a file")
    with pytest.raises(FileProblem, match=r"resnet18-.*\.pth is damaged"):
        create_encoder("resnet18", weights="imagenet")


@pytest.mark.parametrize(
    "name", ["resnet18", "densenet121", "convnext_tiny", "densenet121:logits", "resnet18:logits"]
)
def test_imagenet_weights_arrive_in_the_encoder(hub, monkeypatch, name):
    plain, _, wiring = name.partition(":")
    file = hub / published_name(plain)
    state = torchvision.models.get_model(plain, weights=None).state_dict()
    old_names = {  # DenseNet's published file has the names of torchvision 0.1
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value
        for key, value in state.items()
    }
    torch.save(old_names, file)
    monkeypatch.setattr(hub_module, "sha256_of", lambda path: path.stem.rpartition("-")[2])
    loaded = create_encoder(name, weights="imagenet").backbone.state_dict()
    dropped = () if wiring else ("fc.", "classifier.weight", "classifier.bias", "classifier.2.")
    assert set(loaded) == {key for key in state if not key.startswith(tuple(dropped))}
    for key, value in loaded.items():
        assert torch.equal(value, state[key]), key


def test_hash_is_of_the_whole_file(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * 5000)
    before = hub_module.sha256_of(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert hub_module.sha256_of(file) != before


OTHERS = {  # of torchvision's: features, channels of the maps (0: none)
    "resnet34": (512, 512),
    "efficientnet_b1": (1280, 1280),
    "regnet_y_400mf": (440, 440),
    "squeezenet1_1": (512, 512),
    "mnasnet0_5": (1280, 1280),
    "alexnet": (4096, 256),
    "swin_t": (768, 768),
    "vit_b_32": (768, 0),
}


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_network_of_torchvisions_is_an_encoder(name):
    size, channels = OTHERS[name]
    encoder = create_encoder(name).eval()
    side = 64 if channels else 224
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    assert encoder.feature_size == size
    assert encoder(images).shape == (2, size)
    assert not any(isinstance(layer, torch.nn.Dropout) for layer in encoder.backbone.children())
    if channels:
        assert encoder.maps(images).shape[1] == encoder.map_channels == channels
    else:
        with pytest.raises(ValueError, match=f"'{name}' gives no feature maps"):
            encoder.maps(images)


def test_the_logits_of_other_networks_are_torchvisions():
    encoder = create_encoder("squeezenet1_1:logits").eval()
    whole = torchvision.models.squeezenet1_1(weights=None).eval()
    whole.load_state_dict(encoder.backbone.state_dict(), strict=True)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(encoder(images), whole(images))
    assert encoder.feature_size == 1000


def test_a_network_whose_classifiers_are_several_is_refused():
    with pytest.raises(ValueError, match=r"torchvision knows 'googlenet'.*aux1.fc2, aux2.fc2, fc"):
        create_encoder("googlenet")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("regnet_y_40mf", "regnet_y_400mf"), ("resnet10t", "timm:resnet10t"),
     ("timm:resnet10", "timm:resnet10t")],
)  # fmt: skip
def test_the_nearest_name_is_looked_for_in_torchvision_and_timm(wrong, meant):
    with pytest.raises(ValueError, match=f"Did you mean '{meant}'"):
        create_encoder(wrong)


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [("timm:resnet10t", 512, 512), ("timm:mobilenetv3_small_050", 1024, 288)],
)
def test_a_network_of_timms_is_an_encoder(name, size, channels, tmp_path):
    model = HMR(create_encoder(name)).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert model.encoder(images).shape == (2, model.encoder.feature_size) == (2, size)
    assert model.encoder.maps(images).shape[1] == model.encoder.map_channels == channels
    again = open_model(save_weights(tmp_path / "model.pt", model))
    assert again.config.encoder == name
    torch.testing.assert_close(again(images).rotations, model(images).rotations)


def test_a_transformer_of_timms_takes_small_images_and_gives_no_maps():
    encoder = create_encoder("timm:test_vit").eval()
    assert encoder(torch.zeros(2, 3, 64, 64)).shape == (2, 64)
    with pytest.raises(ValueError, match="'timm:test_vit' gives no feature maps"):
        encoder.maps(torch.zeros(2, 3, 64, 64))


def test_images_are_normalised_as_timms_network_wants_them():
    """test_resnet was trained with mean and standard deviation 0.5."""
    backbone = create_encoder("timm:test_resnet").eval().backbone
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    wanted = backbone.network((pixels - 0.5) / 0.5)
    torch.testing.assert_close(backbone((pixels - mean) / std), wanted)


def test_timms_weights_come_from_the_cache_or_not_at_all(monkeypatch, tmp_path):
    asked = []

    def download(repository, name, *, cache_dir, local_files_only):
        asked.append((repository, name, local_files_only))
        raise FileNotFoundError("nobody answers")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(FileProblem, match=r"weights of timm:resnet10t are not in.*allow_download"):
        create_encoder("timm:resnet10t", "imagenet")
    with pytest.raises(FileProblem, match=r"could not be fetched.*nobody answers.*online"):
        create_encoder("timm:resnet10t", "imagenet", allow_download=True)
    file = ("timm/resnet10t.c3_in1k", "model.safetensors")
    assert asked == [(*file, True), (*file, False)]


def test_timms_weights_arrive_in_the_encoder(monkeypatch, tmp_path):
    whole = timm.create_model("resnet10t")
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(whole.state_dict(), path)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *a, **k: str(path))
    loaded = create_encoder("timm:resnet10t", "imagenet").backbone.network.state_dict()
    assert len(loaded) == len(whole.state_dict()) - 2  # the classifier's weight and bias
    for key, value in loaded.items():
        assert torch.equal(value, whole.state_dict()[key]), key


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("timm:resnet50.a1_in2k", "no weights 'a1_in2k' of 'resnet50'; there are: a1_in1k"),
        ("timm:test_resnet.none", "no weights 'none'"),
        ("timm:hf-hub:timm/resnet10t", "unknown encoder 'timm:hf-hub"),
    ],
)
def test_names_that_timm_has_not_are_refused(name, complaint):
    with pytest.raises(ValueError, match=complaint):
        create_encoder(name)


class Own(torch.nn.Module):
    """A researcher's own encoder, in three lines, and its maps."""

    feature_size = map_channels = 8

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 8, 3, stride=8)

    def maps(self, images):
        return self.layer(images)

    def forward(self, images):
        return self.maps(images).mean((2, 3))


def test_a_checkpoint_of_an_own_module_says_how_to_load_it(tmp_path):
    model = HMR(Own(), HMRConfig(resolution=64)).eval()
    assert model.config.encoder == "Own"
    path = save_weights(tmp_path / "model.pt", model)
    with pytest.raises(FileProblem, match=r"unknown encoder 'Own'.*load_weights\(path, model\)"):
        open_model(path)
    again = load_weights(path, HMR(Own(), model.config)).eval()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(again(images).betas, model(images).betas)


def test_an_own_module_gives_keypoint_maps_with_and_without_a_name():
    images = torch.randn(2, 3, 64, 64)
    for encoder in (Own(), Encoder("own", Own())):
        assert HeatmapNet(encoder)(images).shape == (2, 24, 32, 32)


def test_an_own_module_learns(tmp_path):
    """Two steps of the real loop."""
    set_path = ensure_set(SetSpec("studio", "train", 8, 48), tmp_path / "sets", progress=False)
    loader = BatchLoader(open_set(set_path), batch_size=4, resolution=32, shuffle=True)
    torch.manual_seed(0)
    model = HMR(Own(), HMRConfig(resolution=32))
    before = model.encoder.layer.weight.detach().clone()
    objective = SPIN(load_body("free", "light"), LossWeights())
    trainer = Trainer(
        model, objective, loader, TrainerSettings(steps=2, lr=1e-3), tmp_path, torch.device("cpu")
    )
    trainer.fit(progress=False)
    assert not torch.equal(model.encoder.layer.weight, before)
