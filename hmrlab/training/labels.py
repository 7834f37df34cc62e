"""What labels a training is really given: counted before it starts."""

from __future__ import annotations

import warnings

from hmrlab.data.loader import BatchLoader
from hmrlab.losses import LossWeights

SAMPLES = 512  # to count; they are gathered as they will be for training
_NEEDED = {
    "keypoints_2d": ("keypoints",),
    "pose_3d": ("keypoints_3d",),
    "smpl": ("pose", "betas", "vertices"),
}


def label_shares(loader: BatchLoader) -> dict[str, dict[str, float]]:
    """For each set that the loader draws from: its share of the samples, and of each label.

    Counted in what the loader hands out, not in the files: a flag may well be right in its file
    and wrong when it arrives.

    Returns:
        {set: {"samples": 0 to 1, "keypoints_2d": 0 to 1, "pose_3d": ..., "smpl": ...}}
    """
    parts = loader.first_samples(SAMPLES)
    total = sum(len(part) for part in parts)
    names = loader.dataset.names
    shares = {}
    for part in parts:
        known = (part.keypoints[:, 25:, 2] > 0).any(1)
        flags = {"keypoints_2d": known, "pose_3d": part.has_pose_3d, "smpl": part.has_smpl}
        for number in part.sources.unique().tolist():
            own = part.sources == number
            shares[names[number]] = {"samples": int(own.sum()) / total} | {
                name: float(flag[own].float().mean()) for name, flag in flags.items()
            }
    return shares


def check_labels(loader: BatchLoader, losses: LossWeights) -> dict[str, dict[str, float]]:
    """As `label_shares`, with a warning of losses that have nothing to work with.

    A flag that is 0 everywhere does not fail, it only teaches nothing: the diary lost weeks to it.
    """
    shares = label_shares(loader)
    for label, names in _NEEDED.items():
        idle = [name for name in names if getattr(losses, name)]
        if label == "keypoints_2d" and not losses.annotated:
            continue
        if idle and not any(share[label] for share in shares.values()):
            warnings.warn(
                f"{loader.dataset.name}: none of the first {SAMPLES} samples has the label "
                f"{label!r}, so the losses {', '.join(idle)} can teach nothing. Is the flag read "
                "right?",
                stacklevel=2,
            )
    return shares


def describe_shares(shares: dict[str, dict[str, float]]) -> str:
    """One line for each set, in percent."""
    lines = []
    for name, share in shares.items():
        labels = ", ".join(f"{k} {100 * v:.0f} %" for k, v in share.items() if k != "samples")
        lines.append(f"{name}: {100 * share['samples']:.0f} % of the samples; labelled: {labels}")
    return "\n".join(lines)
