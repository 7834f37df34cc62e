"""What `scene` draws around one person, for many at once and on any device.

Everything is a function of a place in the picture, so that a crop which is turned or scaled shows
the same wall. Places go from 0 to 1 over the picture as it would be stored, x right and y down, and
beyond: a crop that reaches over the edge sees the wall go on.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

KINDS = ("gradient", "room", "clouds", "blocks", "checkers", "stripes", "horizon")
_STUDIO = (0, 1, 2)
_WILD = (0, 1, 2, 3, 4, 5, 6, 3)
_GROUNDS = np.array([[0.35, 0.5, 0.2], [0.75, 0.68, 0.5], [0.4, 0.4, 0.42]])
MOST_BLOCKS, MOST_CELLS = 11, 23
BLUR_TAPS = 3  # on each side of a pixel
GRAINS = 2**21  # of the noise that all pictures share


def draw_backdrops(n: int, hard: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw what stands behind n people, as `scene.background` does for one.

    Args:
        n: people.
        hard: patterns too, in stronger colours: see `scene.background`.
        rng: source of all randomness.

    Returns:
        kind (n,), a place in `KINDS`; colours (n, 2, 3); and what the kinds need besides.
    """
    kind = rng.choice(_WILD if hard else _STUDIO, n)
    colours = np.stack([_colours(n, rng), _colours(n, rng)], 1)
    horizon = kind == KINDS.index("horizon")
    sky = np.array([0.5, 0.7, 0.95]) * rng.uniform(0.6, 1.05, (n, 1))
    ground = _GROUNDS[rng.integers(len(_GROUNDS), size=n)]
    colours[horizon] = np.stack([sky, ground], 1)[horizon]
    widest = np.where(kind == KINDS.index("checkers"), 0.25, 0.3)
    return {
        "kind": kind,
        "colours": colours,
        "turn": rng.uniform(0, 2 * np.pi, n),
        "line": np.where(horizon, rng.uniform(0.3, 0.7, n), rng.uniform(0.55, 0.85, n)),
        "corner": np.where(rng.random(n) < 0.5, rng.uniform(0.1, 0.9, n), np.inf),
        "period": rng.uniform(0.05, widest),
        "phase": rng.random(n),
        "cells": np.where(horizon, rng.integers(8, 24, n), rng.integers(3, 9, n)),
        "field": rng.random((n, MOST_CELLS, MOST_CELLS)),
        "blocks": _draw_blocks(n, rng),
        "grain": 0.12 * rng.random(n) * (hard & (rng.random(n) < 0.5)),
        "grain_offset": rng.integers(GRAINS, size=n),
    }


def noise_grains() -> Tensor:
    """(GRAINS,) standard normal numbers, always the same; each picture starts somewhere in them."""
    return torch.from_numpy(np.random.default_rng(1).standard_normal(GRAINS, np.float32))


def grains_from(grains: Tensor, offset: Tensor, rows: int, columns: int) -> Tensor:
    """(B, rows, columns) of the grains; which of them, an offset (B,) below `GRAINS` says."""
    lines = grains[: GRAINS // columns * columns].view(-1, columns)
    steps = torch.arange(rows, device=grains.device)
    return lines[(offset.long()[:, None] + steps) % len(lines)]


def paint_backdrops(drawn: dict[str, Tensor], kind: np.ndarray, places: Tensor) -> Tensor:
    """The pictures (B, R, R, 3) behind B people.

    Args:
        drawn: from `draw_backdrops`, as tensors.
        kind: (B,) the same as `drawn["kind"]`; known here, so that nobody has to ask a GPU.
        places: (B, R, R, 2) of each pixel, 0 to 1 over the picture.
    """
    picture = torch.empty(*places.shape[:-1], 3, device=places.device)
    for number, name in enumerate(KINDS):
        chosen = np.flatnonzero(kind == number)
        if len(chosen):
            rows = torch.from_numpy(chosen).to(places.device)
            one = {key: value.index_select(0, rows) for key, value in drawn.items()}
            x, y = places.index_select(0, rows).unbind(-1)
            painted = _PAINTERS[name](one, x[..., None], y[..., None])
            picture.index_copy_(0, rows, painted)
    return picture


def gradient(colours: Tensor, turn: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """From one colour to another across the picture.

    Args:
        colours: (B, 2, 3). turn: (B,) radians. x, y: (B, R, R, 1).
    """
    turn = turn[:, None, None, None]
    share = (0.5 + turn.cos() * (x - 0.5) + turn.sin() * (y - 0.5)).clamp(0, 1)
    first, second = colours[:, :, None, None].unbind(1)
    return first * share + second * (1 - share)


def blur(pictures: Tensor, sigma: Tensor) -> Tensor:
    """Soften pictures (B, R, R, 3) by a Gaussian of its own width each, (B,) pixels."""
    taps = torch.arange(-BLUR_TAPS, BLUR_TAPS + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (taps / sigma[:, None]).square())
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
    for dim in (1, 2):
        side = pictures.shape[dim]
        around = [0, 0, 0, 0, 0, 0]
        around[2 * (3 - dim) : 2 * (3 - dim) + 2] = [BLUR_TAPS, BLUR_TAPS]
        wide = nnf.pad(pictures[:, None], around, mode="replicate")[:, 0]
        pictures = sum(weights[:, k] * wide.narrow(dim, k, side) for k in range(len(taps)))
    return pictures


def _gradient(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    return gradient(one["colours"], one["turn"], x, y)


def _room(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    line, corner = (_over_picture(one[name]) for name in ("line", "corner"))
    wall, floor = one["colours"][:, :, None, None].unbind(1)
    wall = torch.where(x > corner, 0.85 * wall, wall)
    depth = ((y - line) / (1 - line)).clamp(0, 1)
    return torch.where(y < line, wall, floor * (0.8 + 0.3 * depth))


def _clouds(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    share = _smooth_field(one, x, y)
    first, second = one["colours"][:, :, None, None].unbind(1)
    return first * share + second * (1 - share)


def _blocks(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    picture = _gradient(one, x, y)
    for number in range(MOST_BLOCKS):
        block = one["blocks"][:, number, None, None]
        left, top, right, bottom = block[..., :4, None].unbind(-2)
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        picture = torch.where(inside, block[..., 4:], picture)
    return picture


def _checkers(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    period, phase = (_over_picture(one[name]) for name in ("period", "phase"))
    cells = ((x + phase) / period).floor() + ((y + phase) / period).floor()
    return _one_or_other(one, cells % 2 == 1)


def _stripes(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    turn, period = (_over_picture(one[name]) for name in ("turn", "period"))
    return _one_or_other(one, (2 * math.pi * (turn.cos() * x + turn.sin() * y) / period).sin() > 0)


def _horizon(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    line = _over_picture(one["line"])
    sky, ground = one["colours"][:, :, None, None].unbind(1)
    picture = torch.where(y < line, sky + 0.2 * (y / line).clamp(0, 1), ground)
    return picture * (0.75 + 0.5 * _smooth_field(one, x, y))


_PAINTERS = {
    "gradient": _gradient, "room": _room, "clouds": _clouds, "blocks": _blocks,
    "checkers": _checkers, "stripes": _stripes, "horizon": _horizon,
}  # fmt: skip


def _over_picture(value: Tensor) -> Tensor:
    return value[:, None, None, None]


def _one_or_other(one: dict[str, Tensor], on: Tensor) -> Tensor:
    first, second = one["colours"][:, :, None, None].unbind(1)
    return torch.where(on, first, second)


def _smooth_field(one: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """(B, R, R, 1) in [0, 1]: a coarse grid of random numbers, joined by straight lines.

    Beyond the picture it is seen as in a mirror.
    """
    cells = _over_picture(one["cells"])
    mirrored = [1 - (1 - value % 2).abs() for value in (x, y)]
    grid = torch.cat([2 * value * (cells - 1) / (MOST_CELLS - 1) - 1 for value in mirrored], -1)
    field = nnf.grid_sample(one["field"][:, None], grid, align_corners=True, padding_mode="border")
    return field[:, 0, :, :, None]


def _draw_blocks(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, MOST_BLOCKS, 7): left, top, right, bottom, colour; 3 to 11 of them have a size."""
    corner = rng.random((n, MOST_BLOCKS, 2))
    size = rng.uniform(1 / 16, 1 / 2, (n, MOST_BLOCKS, 2))
    there = np.arange(MOST_BLOCKS) < rng.integers(3, MOST_BLOCKS + 1, (n, 1))
    size *= there[..., None]
    colour = _colours(n * MOST_BLOCKS, rng).reshape(n, MOST_BLOCKS, 3)
    return np.concatenate([corner, corner + size, colour], 2)


def _colours(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.clip(rng.uniform(0.05, 0.95, (n, 1)) + rng.normal(0, 0.16, (n, 3)), 0, 1)
