"""What a trained network says of the first test people: some tens of KB, kept beside its scores.

With them a chapter shows the same bodies again without the network.
"""

from __future__ import annotations

import torch

from hmrlab.bodies.params import SMPLParams
from hmrlab.config import Config
from hmrlab.models import HMR
from hmrlab.training.scores import evaluation_loader
from hmrlab.training.sets import TEST_SETS, load_set

PEOPLE = 16  # of each test set, the first ones


@torch.inference_mode()
def predict_gallery(model: HMR, config: Config, device: torch.device) -> dict[str, SMPLParams]:
    """The bodies of each test set's first people, on the CPU, by set.

    Args:
        model: in evaluation mode, on the device.
        config: of its training.
        device: where to compute.
    """
    found = {}
    for name in TEST_SETS:
        batch = next(iter(evaluation_loader(load_set(name, "test", config), config, device)))
        found[name] = model(batch.images[:PEOPLE]).float().to("cpu")
    return found
