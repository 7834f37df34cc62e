"""Skin, hair and clothes as one colour a triangle, chosen on the T-pose.

Front and back of a person can be told apart as in life: hair covers the back of the head, the face
is skin, shirts have a front. Left and right wear the same, but for one person in eight.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from hmrlab.bodies import Body
from hmrlab.bodies.joints import LSP_PART_OF_JOINT, SMPL_JOINTS
from hmrlab.data.synthetic.raster import triangle_labels

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


@dataclass(frozen=True)
class Wardrobe:
    """Where on the body's triangles each garment can lie; made once for a body."""

    faces: np.ndarray  # (F, 3) int64
    centre: np.ndarray  # (F, 3) metres, T-pose of the mean shape
    part: np.ndarray  # (F,) joint that moves the triangle most
    lsp_part: np.ndarray  # (F,) index into LSP_PARTS
    neck_height: float
    crown_height: float
    hip_height: float
    knee_height: float
    ankle_height: float
    shoulder_reach: float  # |x| of the shoulder, metres
    elbow_reach: float

    @classmethod
    def of(cls, body: Body) -> Wardrobe:
        """Measure a body."""
        template = body.v_template.double().cpu().numpy()
        faces = body.faces.cpu().numpy()
        by_joint = body.part_labels.cpu().numpy()
        lsp = np.array(LSP_PART_OF_JOINT)[by_joint]  # of a body that does not say
        if body.lsp_labels is not None:
            lsp = body.lsp_labels.cpu().numpy()
        joints = body.joint_template.double().cpu().numpy()
        height = {name: joints[k, 1] for k, name in enumerate(SMPL_JOINTS)}
        return cls(
            faces=faces,
            centre=template[faces].mean(1),
            part=triangle_labels(by_joint, faces),
            lsp_part=triangle_labels(lsp, faces),
            neck_height=height["neck"],
            crown_height=template[:, 1].max(),
            hip_height=height["left_hip"],
            knee_height=height["left_knee"],
            ankle_height=height["left_ankle"],
            shoulder_reach=abs(joints[SMPL_JOINTS.index("left_shoulder"), 0]),
            elbow_reach=abs(joints[SMPL_JOINTS.index("left_elbow"), 0]),
        )


def dress(wardrobe: Wardrobe, rng: np.random.Generator) -> np.ndarray:
    """Draw a person's looks: the colour of each triangle (F, 3) in [0, 1]."""
    skin = _vary(_SKIN[rng.integers(len(_SKIN))], 0.04, rng)
    colours = np.tile(skin, (len(wardrobe.faces), 1))
    shirt, trousers = _cloth_colour(rng), _cloth_colour(rng)
    _put_on_trousers(wardrobe, colours, trousers, rng)
    _put_on_shirt(wardrobe, colours, shirt, rng)
    _put_on_shoes(wardrobe, colours, rng)
    _grow_hair(wardrobe, colours, skin, rng)
    return np.clip(colours, 0, 1)


def _is(wardrobe: Wardrobe, *names: str) -> np.ndarray:
    wanted = [
        k
        for k, joint in enumerate(SMPL_JOINTS)
        if joint.removeprefix("left_").removeprefix("right_") in names
    ]
    return np.isin(wardrobe.part, wanted)


def _put_on_shirt(
    w: Wardrobe, colours: np.ndarray, base: np.ndarray, rng: np.random.Generator
) -> None:
    hem = w.hip_height + rng.uniform(-0.02, 0.10)
    trunk = _is(w, "pelvis", "spine1", "spine2", "spine3", "collar", "neck")
    on = trunk & (w.centre[:, 1] > hem) & (w.centre[:, 1] < w.neck_height - 0.02)
    sleeve = rng.choice([0.0, 0.45, 1.0, 1.95], p=[0.12, 0.43, 0.1, 0.35])
    forearm = w.elbow_reach - w.shoulder_reach
    reach = w.shoulder_reach + sleeve * forearm
    on |= _is(w, "shoulder", "elbow") & (np.abs(w.centre[:, 0]) < reach)
    colours[on] = _pattern(w.centre[on], base, rng)
    if rng.random() < 0.125:  # one odd sleeve
        side = rng.choice([-1, 1])
        odd = on & _is(w, "shoulder", "elbow") & (w.centre[:, 0] * side > 0)
        colours[odd] = _cloth_colour(rng)
    if rng.random() < 0.5:  # a print or an opening, on the front only
        width, top = rng.uniform(0.03, 0.11), w.neck_height - rng.uniform(0.08, 0.14)
        front = on & (w.centre[:, 2] > 0.02) & (np.abs(w.centre[:, 0]) < width)
        front &= (w.centre[:, 1] < top) & (w.centre[:, 1] > top - rng.uniform(0.08, 0.45))
        colours[front] = _cloth_colour(rng)


def _put_on_trousers(
    w: Wardrobe, colours: np.ndarray, base: np.ndarray, rng: np.random.Generator
) -> None:
    shin = w.knee_height - w.ankle_height
    hem = rng.choice(
        [w.ankle_height + 0.02, w.knee_height - 0.4 * shin, w.knee_height + 0.08,
         w.knee_height + 0.25], p=[0.55, 0.1, 0.2, 0.15],
    )  # fmt: skip
    legs = _is(w, "pelvis", "hip", "knee", "ankle", "spine1")
    on = legs & (w.centre[:, 1] > hem) & (w.centre[:, 1] < w.hip_height + 0.12)
    colours[on] = _pattern(w.centre[on], base, rng, plain=0.7)


def _put_on_shoes(w: Wardrobe, colours: np.ndarray, rng: np.random.Generator) -> None:
    if rng.random() < 0.12:
        return  # barefoot
    top = w.ankle_height + rng.choice([-0.01, 0.05, 0.15], p=[0.6, 0.25, 0.15])
    on = _is(w, "ankle", "foot", "knee") & (w.centre[:, 1] < top)
    colours[on] = _cloth_colour(rng) * rng.choice([0.4, 1.0])
    sole = on & (w.centre[:, 1] < w.ankle_height - 0.062)
    colours[sole] = rng.choice([0.1, 0.9])


def _grow_hair(
    w: Wardrobe, colours: np.ndarray, skin: np.ndarray, rng: np.random.Generator
) -> None:
    head = _is(w, "head", "neck")
    height = (w.centre[:, 1] - w.neck_height) / (w.crown_height - w.neck_height)  # 0 neck, 1 crown
    depth = w.centre[:, 2]
    brow = rng.uniform(0.74, 0.82)
    length = rng.choice([0.62, 0.45, 0.2], p=[0.45, 0.3, 0.25])  # how far down the back
    back = depth < 0.055 + 0.05 * (height - 0.5)
    hair = head & ((height > brow) | (back & (height > length)))
    if rng.random() < 0.06:
        hair &= height > 2  # bald
    tone = _vary(_HAIR[rng.integers(len(_HAIR))], 0.03, rng)
    colours[hair] = tone
    face = head & ~hair & (depth > 0.1)
    mouth = face & (np.abs(w.centre[:, 0]) < 0.025) & (np.abs(height - 0.44) < 0.03)
    eyes = face & (np.abs(np.abs(w.centre[:, 0]) - 0.032) < 0.016) & (np.abs(height - 0.66) < 0.03)
    colours[mouth] = skin * (0.85, 0.55, 0.55)
    colours[eyes] = skin * 0.35
    if rng.random() < 0.15:
        colours[face & (height < 0.48)] = 0.6 * tone + 0.4 * skin  # a beard


def _pattern(
    points: np.ndarray, base: np.ndarray, rng: np.random.Generator, plain: float = 0.5
) -> np.ndarray:
    """Colours (K, 3) of a cloth at points (K, 3) of the T-pose."""
    colours = np.tile(base, (len(points), 1))
    if rng.random() < plain:
        return colours
    other, period = _cloth_colour(rng), rng.uniform(0.05, 0.14)
    kind = rng.integers(4)
    u, v = points[:, 0] / period, points[:, 1] / period
    if kind == 0:
        on = v % 1 < 0.5
    elif kind == 1:
        on = u % 1 < 0.4
    elif kind == 2:
        on = (np.floor(u) + np.floor(v)) % 2 == 0
    else:
        on = (u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.09
    colours[on] = other
    return colours


def _cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """Any hue, but greys, blues and dark cloth more often, as people dress."""
    if rng.random() < 0.35:
        return np.full(3, rng.uniform(0.05, 0.95)) + rng.normal(0, 0.02, 3)
    hue = rng.normal(0.6, 0.08) % 1 if rng.random() < 0.3 else rng.random()
    return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(0.25, 0.95), rng.uniform(0.2, 0.95)))


def _vary(colour: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(colour + rng.normal(0, amount / 2) + rng.normal(0, amount / 3, 3), 0, 1)
