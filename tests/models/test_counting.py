"""Costs against closed forms and torchvision's published numbers."""

import pytest
import torch
import torchvision
from torch.nn.utils import prune

from hmrlab.models import HMR, create_encoder
from hmrlab.models.cost import count_macs, count_nonzero, count_parameters

PASS = 1024 * 1024 + 1024 * (144 + 10 + 3)  # of the regressor, but for its first layer


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
