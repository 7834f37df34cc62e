import gzip
import itertools
import sys
import time

import pytest
import torch
import torchvision
from torch.nn.utils import prune

from hmrlab.models import HMR, Encoder, create_encoder
from hmrlab.models.cost import (
    Spread,
    asker,
    count_macs,
    count_nonzero,
    count_parameters,
    file_bytes,
    ratios,
    step_bytes,
    time_by_turns,
    weights_bytes,
)
from hmrlab.models.small import SmallNet

PASS = 1024 * 1024 + 1024 * (144 + 10 + 3)  # of the regressor, but for its first layer


def make() -> HMR:
    torch.manual_seed(0)
    return HMR(Encoder("small", SmallNet((16, 16, 16), channels=16, hidden=32), 32))


def test_a_spread_has_four_digits():
    assert Spread.of([3.0, 1.23456, 2.0]) == Spread(2.0, 1.235, 3.0)


def test_ratios_are_taken_turn_by_turn():
    assert ratios([1.0, 20.0, 3.0], [2.0, 40.0, 3.0]) == Spread(0.5, 0.5, 1.0)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_sizes_of_files(tmp_path):
    model = make()
    size, packed = weights_bytes(model)
    assert 4 * count_parameters(model) < size < 4 * count_parameters(model) + 50_000
    assert 0.8 * size < packed < size  # random numbers hardly shrink
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    same, empty = weights_bytes(model)
    assert same == size
    assert empty < 0.02 * size
    path = tmp_path / "file"
    path.write_bytes(b"a" * 1000)
    assert file_bytes(path) == (1000, len(gzip.compress(b"a" * 1000, compresslevel=6)))


def test_turns_alternate_and_each_call_is_timed():
    told = []
    work = {
        "slow": lambda: (told.append("slow"), time.sleep(0.02)),
        "fast": lambda: told.append("fast"),
    }
    taken = time_by_turns(work, rounds=3, turn_seconds=0.001)
    assert {name: len(times) for name, times in taken.items()} == {"slow": 3, "fast": 3}
    assert all(seconds >= 0.02 for seconds in taken["slow"])
    assert told.count("slow") == 2 + 3  # twice to warm up
    places = [k for k, name in enumerate(told) if name == "slow"][1:]
    assert all(b - a > 1 for a, b in itertools.pairwise(places))


def test_asking_in_bfloat16_is_another_answer_and_other_precisions_are_refused():
    model, images = make().eval(), torch.randn(2, 3, 32, 32)
    exact, coarse = asker(model, images)(), asker(model, images, "bf16")()
    torch.testing.assert_close(exact.camera, model(images).camera.detach())
    assert exact.camera.dtype == torch.float32
    assert 0 < (coarse.camera - exact.camera).abs().max() < 0.05
    with pytest.raises(ValueError, match="precision 'fp16' is not one of fp32, bf16"):
        asker(model, images, "fp16")


@pytest.mark.skipif(sys.platform == "win32", reason="no resident memory to ask for")
def test_memory_of_a_step_grows_with_the_batch():
    few = step_bytes(make, 64, 32)
    assert few > 4 * 4 * count_parameters(make())  # weights, gradients, AdamW's two
    assert step_bytes(make, 64, 128) > few + 20e6


@pytest.mark.parametrize(("name", "features"), [("resnet18", 512), ("mobilenet_v3_small", 576)])
def test_multiply_accumulates_are_torchvisions_and_the_regressors(name, features):
    model = HMR(create_encoder(name))
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    published = weights.meta["_ops"] * 1e9  # with the classifier that we take off, to 3 digits
    classifier = {"resnet18": 512 * 1000, "mobilenet_v3_small": 576 * 1024 + 1024 * 1000}[name]
    for n_iter in (1, 3):
        regressor = n_iter * (PASS + 1024 * (features + 157))
        wanted = published - classifier + regressor
        assert count_macs(model, 224, n_iter) == pytest.approx(wanted, abs=0.6e6)


def test_counting_leaves_the_model_as_it_was():
    model = HMR(create_encoder("small"))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    count_macs(model, 64)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_attention_is_counted():
    network = torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64, num_classes=5)
    tokens, width = 17, 32
    block = tokens * width * 4 * width + 2 * tokens * tokens * width + 2 * tokens * width * 64
    wanted = 2 * block + 16 * width * 3 * 64 + width * 5
    assert count_macs(_Plain(network), 32) == wanted


class _Plain(torch.nn.Module):
    """A network that takes a number of corrections and makes none."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, n_iter):
        return self.network(images)


def test_zeros_are_parameters_but_not_nonzero():
    layer = torch.nn.Linear(10, 10)
    prune.l1_unstructured(layer, "weight", 0.3)
    prune.remove(layer, "weight")
    assert count_parameters(layer) == 110
    assert count_nonzero(layer) == 80
