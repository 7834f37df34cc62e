"""People drawn as numbers, a thousand at a time, for `fresh` to take pictures of.

Person i of a set is row i modulo `CHUNK` of chunk i // CHUNK, and a chunk is drawn from (seed, set,
chunk) alone. So a person is the same in every epoch, in every batch and on every device.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
from torch import Tensor

from hmrlab.bodies.joints import ANNOTATED
from hmrlab.bodies.paths import FREE, body_digest
from hmrlab.data.synthetic.backdrops import GRAINS, draw_backdrops
from hmrlab.data.synthetic.clothes import draw_many_looks
from hmrlab.data.synthetic.people import beside, observe, place_people
from hmrlab.data.synthetic.scene import light_direction

CHUNK = 1024
KEPT_CHUNKS = 128  # in memory: 4 KB a person
FRESH = 97  # apart from the splits of the stored sets
_COMPANY, _OCCLUDED = 0.2, 0.35  # shares of wild people

Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Cast:
    """n people; lengths are in sides of the picture where they are not metres."""

    table: np.ndarray  # (n, P) float32: all that is drawn of a person, side by side
    layout: Layout  # the names in it, and their shapes
    labels: dict[str, np.ndarray]  # as `RawLabels` has them, for a picture of side 1
    kind: np.ndarray  # (n,) of the backdrop
    company: np.ndarray  # (n,) bool, whether the person before stands there, too
    blurred: np.ndarray  # (n,) bool


def unpack(table: Tensor, layout: Layout) -> dict[str, Tensor]:
    """The columns of a table (B, P) by their names: views (B, *shape)."""
    widths = [int(np.prod(shape)) for _, shape in layout]
    parts = table.split(widths, 1)
    return {
        name: part.unflatten(1, shape) if len(shape) > 1 else part if shape else part[:, 0]
        for (name, shape), part in zip(layout, parts, strict=True)
    }


def people_of(seed: int, hard: np.ndarray, index: np.ndarray, body: str = FREE) -> Cast:
    """The people of these numbers; those that keep them company follow after them.

    Args:
        seed: of the sets.
        hard: (B,) bool, whose set is `wild`, not `studio`.
        index: (B,) numbers of people, each at least 0.
        body: whose, a name or path.

    Returns:
        all of a `Cast` of B people, but for the table: that has B rows and one more for each
        person with company.
    """
    digest = body_digest(body)
    at = [
        (draw_chunk(seed, bool(h), int(i) // CHUNK, body, digest), int(i) % CHUNK)
        for h, i in zip(hard, index, strict=True)
    ]
    company = np.array([chunk.company[row] for chunk, row in at])
    others = [at[k] for k in np.flatnonzero(company)]
    return Cast(
        # the person before, within the chunk
        table=np.stack([c.table[r] for c, r in at] + [c.table[r - 1] for c, r in others]),
        layout=at[0][0].layout,
        labels={name: np.stack([c.labels[name][r] for c, r in at]) for name in at[0][0].labels},
        kind=np.array([chunk.kind[row] for chunk, row in at]),
        company=company,
        blurred=np.array([chunk.blurred[row] for chunk, row in at]),
    )


@lru_cache(maxsize=KEPT_CHUNKS)
def draw_chunk(seed: int, hard: bool, number: int, body: str, digest: str) -> Cast:
    """One chunk of people.

    Args:
        seed: of the sets.
        hard: `wild` or `studio`.
        number: of the chunk.
        body: a name or path.
        digest: of the body's file, on which the labels depend.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, FRESH, int(hard), int(number)]))
    placed = place_people(CHUNK, 1.0, hard, rng, body)
    looks = draw_many_looks(CHUNK, rng)
    backdrops = draw_backdrops(CHUNK, hard, rng)
    screen = _draw_screens(placed.flat, hard, rng)
    inside = np.clip(placed.flat, 0, 1 - 1e-6)
    box = screen["screen"][:, None]
    hidden = ((inside >= box[..., :2]) & (inside < box[..., 2:])).all(-1)
    camera = _draw_camera(CHUNK, hard, rng)
    drawn = {
        "pose": placed.pose,
        "betas": placed.betas,
        "translation": placed.translation,
        "focal": placed.focal,
        "principal": placed.principal,
        "ambient": rng.uniform(0.35, 0.55, CHUNK),
        "lamp": rng.uniform(0.4, 0.75, CHUNK),
        "at_camera": rng.uniform(0.05, 0.25, CHUNK),
        "towards_lamp": np.stack([light_direction(rng) for _ in range(CHUNK)]),
        "beside": beside(CHUNK, rng),
        **{f.name: getattr(looks, f.name) for f in fields(looks)},
        **backdrops,
        **screen,
        **camera,
    }
    joints = placed.keypoints[:, ANNOTATED] + placed.translation[:, None]
    labels = {
        "center": placed.center,
        "scale": placed.side / 200,
        "keypoints": observe(placed, 1.0, hidden, hard, rng),
        "joints_3d": np.concatenate([joints, np.ones((CHUNK, 24, 1))], 2),
        "pose": placed.pose,
        "betas": placed.betas,
    }
    return Cast(
        table=np.concatenate([v.reshape(CHUNK, -1) for v in drawn.values()], 1, dtype=np.float32),
        layout=tuple((name, value.shape[1:]) for name, value in drawn.items()),
        labels={name: value.astype(np.float32) for name, value in labels.items()},
        kind=backdrops["kind"],
        company=hard & (rng.random(CHUNK) < _COMPANY),
        blurred=camera["blur"] > 0,
    )


def _draw_screens(flat: np.ndarray, hard: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A block, a pole or a table before a third of the wild people, as `scene.occlude` has them."""
    n = len(flat)
    low, high = flat.min(1), flat.max(1)
    extent = high - low
    block = np.stack([rng.uniform(0.15, 0.45, n), rng.uniform(0.1, 0.35, n)], 1) * extent
    at = rng.uniform(low, high - block)
    blocks = np.concatenate([at, at + block], 1)
    x, width = rng.uniform(low[:, 0], high[:, 0]), rng.uniform(0.04, 0.12, n)
    far = np.full(n, 2.0)  # beyond the picture, where a turned crop may look
    poles = np.stack([x, -far, x + width, far], 1)
    top = high[:, 1] - rng.uniform(0.12, 0.4, n) * extent[:, 1]
    tables = np.stack([-far, top, far, high[:, 1]], 1)
    which = rng.integers(3, size=n)[:, None]
    screen = np.where(which == 0, blocks, np.where(which == 1, poles, tables))
    there = hard & (rng.random(n) < _OCCLUDED)
    patch = draw_backdrops(n, False, rng)
    return {
        "screen": np.where(there[:, None], screen, 0),
        "screen_colours": patch["colours"],
        "screen_turn": patch["turn"],
    }


def _draw_camera(n: int, hard: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Exposure, blur and noise, as `scene.photograph` has them."""
    blur = rng.uniform(0.4, 1.0, n) * (rng.random(n) < 1 / 3)
    return {
        "gamma": rng.uniform(0.6, 1.6, n) if hard else np.ones(n),
        "blur": blur if hard else np.zeros(n),
        "noise": rng.uniform(0, 0.05 if hard else 0.015, n),
        "noise_offset": rng.integers(GRAINS, size=n),
    }
