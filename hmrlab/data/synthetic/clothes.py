"""What a person wears, as numbers; and the colours of a body's triangles that follow from them.

The numbers of one person are drawn by `draw_looks`, in the order that the stored sets were drawn
in; those of many people at once by `draw_many_looks`, from the same distributions. `wear` colours
many bodies at once on any device.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

# Light to dark, sRGB; spread like the ten tones of the Monk scale.
_SKIN = np.array(
    [
        (0.96, 0.87, 0.80), (0.93, 0.80, 0.70), (0.87, 0.71, 0.58), (0.78, 0.60, 0.46),
        (0.66, 0.47, 0.34), (0.54, 0.36, 0.25), (0.41, 0.27, 0.19), (0.28, 0.18, 0.13),
    ]
)  # fmt: skip
_HAIR = np.array(
    [
        (0.05, 0.04, 0.04), (0.15, 0.10, 0.07), (0.30, 0.19, 0.11), (0.50, 0.33, 0.16),
        (0.72, 0.57, 0.32), (0.45, 0.16, 0.08), (0.55, 0.55, 0.55),
    ]
)  # fmt: skip
_SLEEVES = ((0.0, 0.45, 1.0, 1.95), (0.12, 0.43, 0.1, 0.35))  # of the upper arm; how often
_HEMS = (0.55, 0.1, 0.2, 0.15)  # how often each of `_hem_heights`
_SHOES = ((-0.01, 0.05, 0.15), (0.6, 0.25, 0.15))  # metres above the ankle; how often
_HAIR_LENGTHS = ((0.62, 0.45, 0.2), (0.45, 0.3, 0.25))  # how far down the back; how often
_ODD_SLEEVE, _FRONT, _BAREFOOT, _BALD, _BEARD = 0.125, 0.5, 0.12, 0.06, 0.15
_PLAIN_SHIRT, _PLAIN_TROUSERS = 0.5, 0.7


Values = np.ndarray | Tensor


@dataclass(frozen=True)
class Looks:
    """The looks of n people; arrays or tensors (n,), colours (n, 3) in [0, 1]; 1 for yes."""

    skin: Values
    shirt: Values
    shirt_pattern: Values  # -1 plain, 0 to 3: see `_patterned`
    shirt_other: Values  # the pattern's second colour
    shirt_period: Values  # metres
    shirt_hem: Values  # metres above the hips
    sleeve: Values  # lengths of the upper arm
    odd_side: Values  # +1 or -1, the side of a sleeve in another colour; 0 none
    odd_colour: Values
    front: Values  # whether there is a print on the shirt's front
    front_width: Values  # half of it, metres
    front_top: Values  # metres below the neck
    front_length: Values  # metres
    front_colour: Values
    trousers: Values
    trousers_pattern: Values
    trousers_other: Values
    trousers_period: Values
    trousers_hem: Values  # 0 to 3: see `_hem_heights`
    barefoot: Values
    shoe_top: Values  # metres above the ankle
    shoes: Values
    sole: Values  # its grey
    hair: Values
    hair_brow: Values  # where the hair begins: 0 the neck, 1 the crown
    hair_length: Values
    bald: Values
    beard: Values


@dataclass(frozen=True)
class Fabric:
    """Where on a body's triangles each garment can lie, as tensors on one device."""

    centre: Tensor  # (F, 3) metres, T-pose of the mean shape
    trunk: Tensor  # (F,) bool; so are those below
    arms: Tensor
    legs: Tensor
    feet: Tensor
    head: Tensor
    neck_height: float
    crown_height: float
    hip_height: float
    knee_height: float
    ankle_height: float
    shoulder_reach: float  # |x| of the shoulder, metres
    elbow_reach: float

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Fabric:
        """The same on a device, its places in a float type."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: value.to(device, dtype if value.is_floating_point() else value.dtype)
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        return Fabric(**values | moved)


def draw_looks(rng: np.random.Generator) -> Looks:
    """The looks of one person, n = 1. What is not worn is not drawn."""
    found: dict[str, object] = {"skin": _vary(_SKIN[rng.integers(len(_SKIN))], 0.04, rng)}
    found["shirt"], found["trousers"] = _cloth_colour(rng), _cloth_colour(rng)
    found["trousers_hem"] = rng.choice(len(_HEMS), p=_HEMS)
    _draw_pattern("trousers", _PLAIN_TROUSERS, found, rng)
    found["shirt_hem"] = rng.uniform(-0.02, 0.10)
    found["sleeve"] = rng.choice(_SLEEVES[0], p=_SLEEVES[1])
    _draw_pattern("shirt", _PLAIN_SHIRT, found, rng)
    if rng.random() < _ODD_SLEEVE:
        found["odd_side"], found["odd_colour"] = rng.choice([-1, 1]), _cloth_colour(rng)
    if rng.random() < _FRONT:
        found["front"] = 1
        found["front_width"], found["front_top"] = rng.uniform(0.03, 0.11), rng.uniform(0.08, 0.14)
        found["front_length"], found["front_colour"] = rng.uniform(0.08, 0.45), _cloth_colour(rng)
    found["barefoot"] = rng.random() < _BAREFOOT
    if not found["barefoot"]:
        found["shoe_top"] = rng.choice(_SHOES[0], p=_SHOES[1])
        found["shoes"] = _cloth_colour(rng) * rng.choice([0.4, 1.0])
        found["sole"] = rng.choice([0.1, 0.9])
    found["hair_brow"] = rng.uniform(0.74, 0.82)
    found["hair_length"] = rng.choice(_HAIR_LENGTHS[0], p=_HAIR_LENGTHS[1])
    found["bald"] = rng.random() < _BALD
    found["hair"] = _vary(_HAIR[rng.integers(len(_HAIR))], 0.03, rng)
    found["beard"] = rng.random() < _BEARD
    colours = ("odd_colour", "front_colour", "shoes", "shirt_other", "trousers_other")
    nothing = {f.name: np.zeros(3) if f.name in colours else 0.0 for f in fields(Looks)}
    return Looks(**{k: np.asarray(v, np.float64)[None] for k, v in (nothing | found).items()})


def draw_many_looks(n: int, rng: np.random.Generator) -> Looks:
    """The looks of n people. Everything is drawn for everybody, worn or not."""

    def chance(share: float) -> np.ndarray:
        return (rng.random(n) < share).astype(np.float64)

    def one_of(values: tuple[float, ...], shares: tuple[float, ...]) -> np.ndarray:
        return rng.choice(values, n, p=shares)

    return Looks(
        skin=_vary(_SKIN[rng.integers(len(_SKIN), size=n)], 0.04, rng),
        shirt=_cloth_colours(n, rng),
        shirt_pattern=np.where(chance(_PLAIN_SHIRT), -1, rng.integers(4, size=n)),
        shirt_other=_cloth_colours(n, rng),
        shirt_period=rng.uniform(0.05, 0.14, n),
        shirt_hem=rng.uniform(-0.02, 0.10, n),
        sleeve=one_of(*_SLEEVES),
        odd_side=chance(_ODD_SLEEVE) * rng.choice([-1, 1], n),
        odd_colour=_cloth_colours(n, rng),
        front=chance(_FRONT),
        front_width=rng.uniform(0.03, 0.11, n),
        front_top=rng.uniform(0.08, 0.14, n),
        front_length=rng.uniform(0.08, 0.45, n),
        front_colour=_cloth_colours(n, rng),
        trousers=_cloth_colours(n, rng),
        trousers_pattern=np.where(chance(_PLAIN_TROUSERS), -1, rng.integers(4, size=n)),
        trousers_other=_cloth_colours(n, rng),
        trousers_period=rng.uniform(0.05, 0.14, n),
        trousers_hem=one_of((0, 1, 2, 3), _HEMS),
        barefoot=chance(_BAREFOOT),
        shoe_top=one_of(*_SHOES),
        shoes=_cloth_colours(n, rng) * rng.choice([0.4, 1.0], (n, 1)),
        sole=rng.choice([0.1, 0.9], n),
        hair=_vary(_HAIR[rng.integers(len(_HAIR), size=n)], 0.03, rng),
        hair_brow=rng.uniform(0.74, 0.82, n),
        hair_length=one_of(*_HAIR_LENGTHS),
        bald=chance(_BALD),
        beard=chance(_BEARD),
    )


def wear(fabric: Fabric, looks: Looks) -> Tensor:
    """The colour of each triangle: (n, F, 3) in [0, 1].

    Args:
        fabric: of the body.
        looks: of n people, tensors on the fabric's device.
    """
    one = {f.name: getattr(looks, f.name)[:, None] for f in fields(looks)}  # to go with (F,)
    colours = one["skin"].expand(-1, len(fabric.centre), -1)
    colours = _put_on_trousers(fabric, one, colours)
    colours = _put_on_shirt(fabric, one, colours)
    colours = _put_on_shoes(fabric, one, colours)
    return _grow_hair(fabric, one, colours).clamp(0, 1)


def _put_on_trousers(w: Fabric, one: dict[str, Tensor], colours: Tensor) -> Tensor:
    y = w.centre[:, 1]
    heights = torch.tensor(_hem_heights(w), dtype=y.dtype, device=y.device)
    hem = heights[one["trousers_hem"].long()]
    on = w.legs & (y > hem) & (y < w.hip_height + 0.12)
    return _patterned("trousers", w, one, on, colours)


def _hem_heights(w: Fabric) -> tuple[float, ...]:
    """Where trousers may end, metres: long, half down the shin, at the knee, short."""
    shin = w.knee_height - w.ankle_height
    return (w.ankle_height + 0.02, w.knee_height - 0.4 * shin, w.knee_height + 0.08,
            w.knee_height + 0.25)  # fmt: skip


def _put_on_shirt(w: Fabric, one: dict[str, Tensor], colours: Tensor) -> Tensor:
    x, y, z = w.centre.unbind(-1)
    on = w.trunk & (y > w.hip_height + one["shirt_hem"]) & (y < w.neck_height - 0.02)
    reach = w.shoulder_reach + one["sleeve"] * (w.elbow_reach - w.shoulder_reach)
    on = on | (w.arms & (x.abs() < reach))
    colours = _patterned("shirt", w, one, on, colours)
    odd = on & w.arms & (x * one["odd_side"] > 0)
    colours = torch.where(odd[..., None], one["odd_colour"], colours)
    top = w.neck_height - one["front_top"]
    front = on & (one["front"] > 0) & (z > 0.02) & (x.abs() < one["front_width"])
    front = front & (y < top) & (y > top - one["front_length"])
    return torch.where(front[..., None], one["front_colour"], colours)


def _put_on_shoes(w: Fabric, one: dict[str, Tensor], colours: Tensor) -> Tensor:
    y = w.centre[:, 1]
    on = w.feet & (one["barefoot"] == 0) & (y < w.ankle_height + one["shoe_top"])
    colours = torch.where(on[..., None], one["shoes"], colours)
    sole = on & (y < w.ankle_height - 0.062)
    return torch.where(sole[..., None], one["sole"][..., None], colours)


def _grow_hair(w: Fabric, one: dict[str, Tensor], colours: Tensor) -> Tensor:
    x, y, z = w.centre.unbind(-1)
    height = (y - w.neck_height) / (w.crown_height - w.neck_height)  # 0 neck, 1 crown
    back = z < 0.055 + 0.05 * (height - 0.5)
    hair = w.head & ((height > one["hair_brow"]) | (back & (height > one["hair_length"])))
    hair = hair & (one["bald"] == 0)
    face = w.head & ~hair & (z > 0.1)
    mouth = face & (x.abs() < 0.025) & ((height - 0.44).abs() < 0.03)
    eyes = face & ((x.abs() - 0.032).abs() < 0.016) & ((height - 0.66).abs() < 0.03)
    beard = face & (height < 0.48) & (one["beard"] > 0)
    skin, tone = one["skin"], one["hair"]
    lips = torch.stack([skin[..., 0] * 0.85, skin[..., 1] * 0.55, skin[..., 2] * 0.55], -1)
    for on, colour in ((hair, tone), (mouth, lips), (eyes, skin * 0.35),
                       (beard, 0.6 * tone + 0.4 * skin)):  # fmt: skip
        colours = torch.where(on[..., None], colour, colours)
    return colours


def _patterned(name: str, w: Fabric, one: dict[str, Tensor], on: Tensor, colours: Tensor) -> Tensor:
    """Cloth over the triangles `on`: plain, or stripes along, across, checkers, dots."""
    kind, period = one[f"{name}_pattern"], one[f"{name}_period"]
    period = torch.where(kind < 0, 1, period)
    u, v = w.centre[:, 0] / period, w.centre[:, 1] / period
    across, along = u % 1, v % 1
    other = ((kind == 0) & (along < 0.5)) | ((kind == 1) & (across < 0.4))
    other = other | ((kind == 2) & ((u.floor() + v.floor()) % 2 == 0))
    other = other | ((kind == 3) & ((across - 0.5) ** 2 + (along - 0.5) ** 2 < 0.09))
    cloth = torch.where(other[..., None], one[f"{name}_other"], one[name])
    return torch.where(on[..., None], cloth, colours)


def _draw_pattern(
    name: str, plain: float, found: dict[str, object], rng: np.random.Generator
) -> None:
    found[f"{name}_pattern"] = -1
    if rng.random() < plain:
        return
    found[f"{name}_other"], found[f"{name}_period"] = _cloth_colour(rng), rng.uniform(0.05, 0.14)
    found[f"{name}_pattern"] = rng.integers(4)


def _cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """Any hue, but greys, blues and dark cloth more often, as people dress."""
    if rng.random() < 0.35:
        return np.full(3, rng.uniform(0.05, 0.95)) + rng.normal(0, 0.02, 3)
    hue = rng.normal(0.6, 0.08) % 1 if rng.random() < 0.3 else rng.random()
    return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.25, 0.95), rng.uniform(0.2, 0.95)))


def _cloth_colours(n: int, rng: np.random.Generator) -> np.ndarray:
    """`_cloth_colour` for n people, (n, 3)."""
    grey = rng.uniform(0.05, 0.95, (n, 1)) + rng.normal(0, 0.02, (n, 3))
    hue = np.where(rng.random(n) < 0.3, rng.normal(0.6, 0.08, n) % 1, rng.random(n))
    saturation, value = rng.uniform(0.25, 0.95, (n, 1)), rng.uniform(0.2, 0.95, (n, 1))
    sector = (np.array([5.0, 3.0, 1.0]) + 6 * hue[:, None]) % 6
    bright = value * (1 - saturation * np.clip(np.minimum(sector, 4 - sector), 0, 1))
    return np.where(rng.random((n, 1)) < 0.35, grey, bright)


def _vary(colour: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A colour (3,), or n (n, 3), somewhat lighter or darker and of another tint."""
    lighter = rng.normal(0, amount / 2, (*colour.shape[:-1], 1))
    return np.clip(colour + lighter + rng.normal(0, amount / 3, colour.shape), 0, 1)
