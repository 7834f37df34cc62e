"""From several cameras' pixels to points in space, though some of the pixels are wrong.

Linear triangulation: Hartley and Zisserman, "Multiple View Geometry", 2nd edition, section 12.2.
Wrong views are found by RANSAC (Fischler and Bolles, 1981) over all pairs of cameras, scored with
truncated errors (MSAC; Torr and Zisserman, 2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hmrlab.geometry.calibrated import CalibratedCameras

LEAST_VIEWS = 3  # of two that agree, neither vouches for the other
_REWEIGHTINGS = 3
_SWAPS = 4  # rounds of looking for exchanged sides


@dataclass(frozen=True)
class Triangulated:
    """N points seen by C cameras; where too few views agree, all numbers of a point are NaN."""

    points: Float[Tensor, "n 3"]  # metres, in the cameras' world
    agrees: Bool[Tensor, "n c"]  # which views the point was made of
    pixels_off: Float[Tensor, "n c"]  # of the point's image from each view's own, seen or not
    uncertainty: Float[Tensor, " n"]  # metres: the jackknife's standard error, camera by camera

    @property
    def known(self) -> Bool[Tensor, " n"]:
        """Which points there are."""
        return self.points.isfinite().all(-1)


def triangulate(
    cameras: CalibratedCameras, pixels: Float[Tensor, "*batch c 2"], used: Bool[Tensor, "*batch c"]
) -> Float[Tensor, "*batch 3"]:
    """The points nearest to what some of the cameras see; at least two of them are used.

    Linear equations, weighted anew by the points' depths until what they bring down is the squared
    distance in the picture.

    Args:
        cameras: C of them.
        pixels: whatever stands where a view is not used.
        used: which views.

    Returns:
        metres, in the cameras' world.
    """
    rays = torch.where(used[..., None], cameras.rays(pixels), 0)
    pose = torch.cat([cameras.rotation, cameras.translation[..., None]], -1)
    equations = rays[..., None] * pose[:, None, 2] - pose[:, :2]  # (*batch, C, 2, 4)
    weight = used.to(rays.dtype)
    points = rays.new_zeros(*rays.shape[:-2], 3)
    for _ in range(_REWEIGHTINGS):
        rows = (weight[..., None, None] * equations).flatten(-3, -2)
        squares = rows[..., :3].mT @ rows[..., :3]
        right = rows[..., :3].mT @ rows[..., 3:]
        points = -torch.linalg.lstsq(squares, right).solution[..., 0]
        weight = used / cameras.in_frames(points)[..., 2].abs().clamp_min(1e-3)
    return points


def triangulate_robustly(
    cameras: CalibratedCameras,
    pixels: Float[Tensor, "n c 2"],
    seen: Bool[Tensor, "n c"],
    threshold: float,
    least_views: int = LEAST_VIEWS,
) -> Triangulated:
    """Points of the views that agree: those within a threshold of the best pair's point.

    Args:
        cameras: C of them, at least two.
        pixels: of N points; where not seen or not finite, they do not count.
        seen: which views have an opinion.
        threshold: pixels, from which on a view is not believed.
        least_views: that have to agree.

    Raises:
        ValueError: there are fewer cameras than have to agree, or the shapes do not fit.
    """
    count = len(cameras)
    if pixels.shape[1:] != (count, 2) or seen.shape != pixels.shape[:2] or count < least_views:
        raise ValueError(
            f"expected pixels (N, {count}, 2) and seen (N, {count}) of {count} cameras, of which "
            f"at least {least_views} must agree; got {tuple(pixels.shape)}, {tuple(seen.shape)}"
        )
    seen = seen & pixels.isfinite().all(-1)
    pixels = torch.where(seen[..., None], pixels, 0)
    agrees, best = torch.zeros_like(seen), pixels.new_full((len(pixels),), torch.inf)
    for pair in combinations(range(count), 2):
        used = torch.zeros_like(seen)
        used[:, pair] = True
        off = _off(cameras, triangulate(cameras, pixels, used), pixels)
        cost = torch.where(seen, off.clamp_max(threshold), threshold).sum(1)
        better = seen[:, pair].all(1) & (cost < best)
        best = torch.where(better, cost, best)
        agrees = torch.where(better[:, None], seen & (off < threshold), agrees)
    known = agrees.sum(1) >= least_views
    agrees = agrees & known[:, None]
    used = agrees | ~known[:, None]  # there has to be something to solve
    points = torch.where(known[:, None], triangulate(cameras, pixels, used), torch.nan)
    return Triangulated(
        points, agrees, _off(cameras, points, pixels), _jackknife(cameras, pixels, agrees, known)
    )


def find_exchanged_sides(
    cameras: CalibratedCameras,
    pixels: Float[Tensor, "f j c 2"],
    seen: Bool[Tensor, "f j c"],
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    threshold: float,
) -> Bool[Tensor, "f p c"]:
    """In which views a limb's left and right are exchanged: they fit the others better that way.

    The other views must agree without it (see `triangulate_robustly`): where half of them are
    exchanged, nobody can tell which half.

    Args:
        cameras: C of them.
        pixels: J joints in F frames.
        seen: which views have an opinion.
        pairs: limbs that are exchanged as a whole: the joints of the left one, and of the right.
        threshold: pixels.

    Returns:
        for each frame, limb and camera, whether to exchange them; see `exchange_sides`.
    """
    swapped = torch.zeros(
        len(pixels), len(pairs), len(cameras), dtype=torch.bool, device=pixels.device
    )
    for _ in range(_SWAPS):
        now = exchange_sides(pixels, pairs, swapped)
        known = exchange_sides(seen, pairs, swapped)
        flat = triangulate_robustly(
            cameras, now.flatten(0, 1), known.flatten(0, 1), threshold
        ).points
        images = cameras.project(flat).view_as(now)
        found = torch.zeros_like(swapped)
        for p, (left, right) in enumerate(pairs):
            as_it_is = _misfit(images, now, known, (*left, *right), (*left, *right), threshold)
            other = _misfit(images, now, known, (*left, *right), (*right, *left), threshold)
            found[:, p] = other < as_it_is - threshold
        if not bool(found.any()):
            break
        swapped = swapped ^ found
    return swapped


def exchange_sides(
    values: Tensor,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    swapped: Bool[Tensor, "f p c"],
) -> Tensor:
    """Values (F, J, C, ...) with left and right exchanged where that is said."""
    changed = values.clone()
    for p, (left, right) in enumerate(pairs):
        here = swapped[:, p, None].view(len(values), 1, -1, *[1] * (values.ndim - 3))
        changed[:, left] = torch.where(here, values[:, right], values[:, left])
        changed[:, right] = torch.where(here, values[:, left], values[:, right])
    return changed


def _misfit(
    images: Tensor,
    pixels: Tensor,
    seen: Tensor,
    ours: Sequence[int],
    theirs: Sequence[int],
    threshold: float,
) -> Float[Tensor, "f c"]:
    """How far some joints' images are from views' pixels of others, up to a threshold each."""
    off = torch.linalg.vector_norm(images[:, ours] - pixels[:, theirs], dim=-1)
    counts = seen[:, theirs] & off.isfinite()
    return torch.where(counts, off.clamp_max(2 * threshold), 0).sum(1)


def _off(cameras: CalibratedCameras, points: Tensor, pixels: Tensor) -> Float[Tensor, "n c"]:
    """Distance of points' images from pixels; infinite behind a camera, NaN where unknown."""
    off = torch.linalg.vector_norm(cameras.project(points) - pixels, dim=-1)
    behind = points.isfinite().all(-1)[:, None] & off.isnan()
    return torch.where(behind, torch.inf, off)


def _jackknife(
    cameras: CalibratedCameras, pixels: Tensor, agrees: Tensor, known: Tensor
) -> Float[Tensor, " n"]:
    """Standard error of points whose views are left out one at a time (Tukey, 1958), metres."""
    count = agrees.sum(1)
    without = agrees[:, None] & ~torch.eye(len(cameras), dtype=torch.bool, device=agrees.device)
    usable = agrees & known[:, None]  # views that can be left out; the others leave nothing out
    points = triangulate(
        cameras,
        pixels[:, None].expand(*without.shape, 2),
        torch.where(usable[..., None], without, True),
    )
    weight = usable[..., None] / count.clamp_min(1)[:, None, None]
    mean = (weight * points).sum(1, keepdim=True)
    variance = (weight * (points - mean).square()).sum((1, 2)) * (count - 1)
    return torch.where(known, variance.clamp_min(0).sqrt(), torch.nan)
