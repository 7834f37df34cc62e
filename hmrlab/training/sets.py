"""The data sets of a scale, made on first use."""

from __future__ import annotations

from hmrlab.data.dataset import PoseDataset, open_set
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.training.scales import Scale

SPLIT_SEED = 0  # the sets themselves never change with a training's seed


def set_spec(name: str, split: str, scale: Scale) -> SetSpec:
    """Which synthetic set serves as `name` ("studio", "wild") `split` ("train", "test").

    Raises:
        ValueError: this scale has no such set.
    """
    count = getattr(scale, f"{name}_{split}", None)
    if not isinstance(count, int):
        raise ValueError(f"scale {scale.name!r} has no set {name!r}, split {split!r}")
    return SetSpec(name=name, split=split, count=count, size=scale.stored_size, seed=SPLIT_SEED)


def load_set(name: str, split: str, scale: Scale) -> PoseDataset:
    """Open that set, generating it first where it is missing or damaged."""
    return open_set(ensure_set(set_spec(name, split, scale)))
