"""Training an encoder on maps of the 2D keypoints: its objective and its scores."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hmrlab.bodies.joints import ANNOTATED
from hmrlab.config import Config
from hmrlab.data.batch import Batch
from hmrlab.device import autocast
from hmrlab.evaluation.metrics import keypoint_error
from hmrlab.losses import heatmap_loss
from hmrlab.models import HeatmapNet, expected_places
from hmrlab.training.scores import CHECKED_PEOPLE, evaluation_loader
from hmrlab.training.sets import TEST_SETS, load_set


@dataclass(frozen=True)
class HeatmapObjective:
    """Where the 24 annotated keypoints are in the picture, for a `HeatmapNet`."""

    std: float = 1.0  # of the truth's Gaussian, cells of the map

    def __call__(
        self, model: nn.Module, batch: Batch, precision: str = "fp32"
    ) -> dict[str, Tensor]:
        """See `Objective`."""
        with autocast(batch.images.device, precision):
            output = model(batch.images.contiguous(memory_format=torch.channels_last))
        loss = heatmap_loss(output.float(), batch.keypoints_2d[:, ANNOTATED], self.std)
        return {"total": loss}

    def state(self) -> dict[str, Tensor]:
        """See `Objective`."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """See `Objective`."""


def check_maps(model: HeatmapNet, config: Config, device: torch.device) -> dict[str, float]:
    """The error on studio's first test people."""
    return {"keypoint_error_percent": _error(model, config, device, "studio", CHECKED_PEOPLE)}


def score_maps(model: HeatmapNet, config: Config, device: torch.device) -> dict[str, float]:
    """The error on each test set, by "<set>/<name>"."""
    return {
        f"{name}/keypoint_error_percent": _error(model, config, device, name) for name in TEST_SETS
    }


def _error(
    model: HeatmapNet, config: Config, device: torch.device, name: str, people: int | None = None
) -> float:
    """Mean distance of the maps' mean places from the keypoints, percent of the crop's side."""
    loader = evaluation_loader(load_set(name, "test", config), config, device)
    was_training = model.training
    model.eval()
    count = None if people is None else max(1, people // loader.batch_size)
    with torch.inference_mode():
        errors = [
            keypoint_error(
                expected_places(model(batch.images).float()), batch.keypoints_2d[:, ANNOTATED]
            )
            for batch in itertools.islice(loader, count)
        ]
    model.train(was_training)
    return float(torch.cat(errors).nanmean())
