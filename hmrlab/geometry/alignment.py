"""Procrustes alignment: the similarity transform that best lays one point set on another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.geometry._checks import check_trailing


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation, one for each sample."""

    scale: Float[Tensor, "*batch"]
    rotation: Float[Tensor, "*batch 3 3"]
    translation: Float[Tensor, "*batch 3"]  # the points' unit

    def apply(self, points: Float[Tensor, "*batch n 3"]) -> Float[Tensor, "*batch n 3"]:
        """Transform points."""
        turned = points @ self.rotation.transpose(-1, -2)
        return self.scale[..., None, None] * turned + self.translation[..., None, :]


def procrustes_fit(
    source: Float[Tensor, "*batch n 3"], target: Float[Tensor, "*batch n 3"]
) -> Similarity:
    """Scale, rotation and translation of least squared error from `source` to `target`.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 1991, eqs. 40 to 43. A mirrored source is not mirrored back.

    Args:
        source: (..., N, 3).
        target: (..., N, 3), same unit.

    Returns:
        The transform. A source whose points all coincide gets scale 0, onto the target's mean.

    Raises:
        ValueError: the last dimension is not 3 or the shapes differ.
    """
    check_trailing(source, "source", 3)
    if source.shape != target.shape:
        raise ValueError(
            f"source and target must have one shape, got {tuple(source.shape)} and "
            f"{tuple(target.shape)}"
        )
    source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    centred_source, centred_target = source - source_mean, target - target_mean

    # The best rotation aligns the principal directions of the 3x3 cross-covariance.
    covariance = centred_target.transpose(-1, -2) @ centred_source
    u, singular, vt = torch.linalg.svd(covariance)
    handedness = torch.sign(torch.linalg.det(u @ vt))
    signs = torch.ones_like(singular)
    signs = torch.cat((signs[..., :2], handedness[..., None]), dim=-1)
    rotation = (u * signs[..., None, :]) @ vt

    spread = centred_source.square().sum((-2, -1))
    safe_spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    scale = (singular * signs).sum(-1) / safe_spread
    moved_mean = scale[..., None] * (rotation @ source_mean.transpose(-1, -2))[..., 0]
    return Similarity(scale, rotation, target_mean[..., 0, :] - moved_mean)


def procrustes_align(
    source: Float[Tensor, "*batch n 3"], target: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch n 3"]:
    """Move `source` onto `target` by its best similarity transform (see `procrustes_fit`).

    >>> target = torch.eye(3)
    >>> turned = 2 * target.roll(1, dims=1) + 5  # another place, size and orientation
    >>> torch.allclose(procrustes_align(turned, target), target, atol=1e-5)
    True

    Args:
        source: (..., N, 3).
        target: (..., N, 3), same unit.

    Returns:
        (..., N, 3) the transformed source.

    Raises:
        ValueError: the last dimension is not 3 or the shapes differ.
    """
    return procrustes_fit(source, target).apply(source)
