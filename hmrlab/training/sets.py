"""The data sets of a scale, made on first use."""

from __future__ import annotations

from hmrlab.data.dataset import MixedDataset, PoseDataset, open_set, spin_shares
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.training.scales import Scale

BODY_DETAIL = "light"  # the pictures are made with it, so labels and losses speak of one body
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


def load_set(name: str, split: str, scale: Scale, named: str | None = None) -> PoseDataset:
    """Open that set, generating it first where it is missing or damaged.

    Args:
        name: studio or wild.
        split: train or test.
        scale: decides its size.
        named: what the set is called in messages; by default as its folder.
    """
    return open_set(ensure_set(set_spec(name, split, scale)), named)


def load_training_set(
    names: tuple[str, ...], scale: Scale, share: float = 1.0, only_2d: bool = False
) -> PoseDataset | MixedDataset:
    """One training set, or several mixed by SPIN's shares.

    Args:
        names: of the sets.
        scale: decides their sizes.
        share: of each set's people that is kept, the first ones; at least one batch.
        only_2d: forget every label but the 2D keypoints.

    Raises:
        ValueError: see `set_spec`; the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"the share of people to keep must be above 0 and at most 1, got {share}")
    parts = {name: load_set(name, "train", scale, named=name) for name in names}
    if share < 1:
        least = scale.batch_size
        parts = {
            name: part.first(max(least, round(share * len(part)))) for name, part in parts.items()
        }
    if only_2d:
        parts = {name: part.with_2d_alone() for name, part in parts.items()}
    if len(parts) == 1:
        return parts[names[0]]
    shares = spin_shares({name: len(part) for name, part in parts.items()})
    return MixedDataset(list(parts.values()), list(shares.values()))
