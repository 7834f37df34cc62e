"""Means and standard deviations of BlazePose's features over synthetic people, into the package.

    python tools/measure_features.py

The people are those of `hmrlab train eyes --scale quick`, augmented as there.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.data.loader import BatchLoader
from hmrlab.files import write_whole
from hmrlab.models.blazepose.encoder import IMAGENET_MEAN, IMAGENET_STD, head_features
from hmrlab.models.blazepose.export import OnnxBlazePose, export_blazepose
from hmrlab.models.blazepose.weights import FOLDER, load_blazepose
from hmrlab.presets import preset
from hmrlab.training.sets import load_training_set

VARIANTS = ("lite", "full")
LEAST_STD = 1e-3  # of features that hardly change


@torch.inference_mode()
def measure(people: int) -> dict[str, Tensor]:
    """By "<variant>.mean" and "<variant>.std", over that many people."""
    config = preset("eyes", "quick")
    loader = BatchLoader(
        load_training_set(config), batch_size=config.batch_size, resolution=config.resolution,
        augmentation=config.augmentation, shuffle=True, drop_last=True,
    )  # fmt: skip
    networks = {variant: _in_onnxruntime(variant) for variant in VARIANTS}
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    features: dict[str, list[Tensor]] = {variant: [] for variant in VARIANTS}
    for _, batch in zip(
        tqdm(range(people // config.batch_size), unit="batch"), loader, strict=False
    ):
        crops = batch.images * std + mean
        for variant, network in networks.items():
            output = network(crops)
            heads = head_features(output["landmarks"], output["world"])
            features[variant].append(torch.cat([output["f2"].flatten(1), *heads], 1))
    joined = {variant: torch.cat(parts) for variant, parts in features.items()}
    means = {f"{variant}.mean": value.mean(0) for variant, value in joined.items()}
    stds = {f"{variant}.std": value.std(0) + LEAST_STD for variant, value in joined.items()}
    return means | stds


def _in_onnxruntime(variant: str) -> OnnxBlazePose:
    with tempfile.TemporaryDirectory() as folder:
        network = load_blazepose(variant, maps=False)
        path = Path(folder) / f"{variant}.onnx"
        export_blazepose(path, variant, features_only=True, network=network)
        return OnnxBlazePose(path)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=2048, help="over how many; 2048")
    content = safetensors.torch.save(measure(parser.parse_args(arguments).people))
    path = FOLDER / "blazepose_features.safetensors"
    write_whole(path, lambda file: file.write(content))
    print(f"{path}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
