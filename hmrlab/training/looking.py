"""Data sets through a frozen encoder, which looks at each picture once: see `data.features`."""

from __future__ import annotations

import torch

from hmrlab.config import AugmentationSettings, Config
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.features import FeatureSet, FeatureSpec, Look, look_once, weights_digest
from hmrlab.models import HMR
from hmrlab.models.blazepose.encoder import BlazePoseEncoder
from hmrlab.training.sets import identity_of_test_set, load_test_set, training_set_identity


def see_training_set(
    dataset: PoseDataset | MixedDataset,
    model: HMR,
    config: Config,
    device: torch.device,
    progress: bool = True,
) -> FeatureSet | MixedDataset:
    """What the model's frozen encoder sees of a training's data, `config.views` times.

    Args:
        dataset: of `load_training_set`.
        model: on any device.
        config: of the training.
        device: where to look.
        progress: show bars.
    """
    seen = [
        _see(part, training_set_identity(name, config), model, config, device, progress)
        for name, part in zip(config.data, dataset.parts, strict=True)
    ]
    return seen[0] if len(seen) == 1 else MixedDataset(seen, dataset.shares)


def see_test_set(
    name: str, model: HMR, config: Config, device: torch.device, progress: bool = True
) -> FeatureSet:
    """What the model's frozen encoder sees of a test set, not augmented."""
    dataset, data = load_test_set(name, config), identity_of_test_set(name, config)
    return _see(dataset, data, model, config, device, progress, test=True)


def _see(
    dataset: PoseDataset,
    data: str,
    model: HMR,
    config: Config,
    device: torch.device,
    progress: bool,
    test: bool = False,
) -> FeatureSet:
    augmentation: AugmentationSettings | None = None if test else config.augmentation
    spec = FeatureSpec(
        data=f"{data} x{config.crop_factor:g}",
        encoder=weights_digest(model.encoder),
        count=len(dataset),
        feature_size=model.encoder.feature_size,
        resolution=config.resolution,
        views=1 if test else config.views,
        augmentation=augmentation,
    )
    return look_once(
        dataset, spec, lambda: _look_of(model, device), device=device, progress=progress
    )


def _look_of(model: HMR, device: torch.device) -> Look:
    """The encoder, on a CPU in onnxruntime where it can be: in a third of the time."""
    backbone = model.encoder.backbone
    if device.type == "cpu" and type(backbone) is BlazePoseEncoder:
        from hmrlab.models.blazepose.export import onnx_look  # onnx takes a second

        return onnx_look(backbone)
    return model.encoder.to(device).eval()
