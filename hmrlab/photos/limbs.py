"""Which limbs of people were seen, by keypoints that show them; the others are guessed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hmrlab.bodies.joints import OPENPOSE_NAMES, SMPL_JOINTS


class Limb(NamedTuple):
    """A part of the body that is seen or not."""

    name: str
    shown_by: tuple[str, ...]  # OpenPose's keypoints, one of which is enough
    joints: tuple[str, ...]  # of SMPL, that move it


def _sides(name: str, shown_by: tuple[str, ...], joints: tuple[str, ...]) -> list[Limb]:
    return [
        Limb(
            f"{side}_{name}",
            tuple(f"{side}_{each}" for each in shown_by),
            tuple(f"{side}_{each}" for each in joints),
        )
        for side in ("left", "right")
    ]


LIMBS = (
    Limb("head", ("nose", "left_eye", "right_eye", "left_ear", "right_ear"), ("neck", "head")),
    Limb(
        "torso",
        ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
        ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"),
    ),
    *_sides("upper_arm", ("elbow",), ("shoulder",)),
    *_sides("forearm", ("wrist",), ("elbow", "wrist", "hand")),
    *_sides("thigh", ("knee",), ("hip",)),
    *_sides("shank", ("ankle", "heel", "big_toe", "small_toe"), ("knee", "ankle", "foot")),
)
"""A limb beyond a joint is shown by its far end."""
_TOGETHER = (
    *(
        (f"{side}_{whole}", (f"{side}_{upper}", f"{side}_{lower}"))
        for whole, upper, lower in (("arm", "upper_arm", "forearm"), ("leg", "thigh", "shank"))
        for side in ("left", "right")
    ),
    *(
        (f"{name}s", (f"left_{name}", f"right_{name}"))
        for name in ("arm", "upper_arm", "forearm", "leg", "thigh", "shank")
    ),
)
"""What two names have in common, the smaller pairs first."""


def limbs_seen(seen: np.ndarray) -> np.ndarray:
    """Which of `LIMBS` are seen, (N, 10) bool, of keypoints that are, (N, 25) bool."""
    rows = [[OPENPOSE_NAMES.index(name) for name in limb.shown_by] for limb in LIMBS]
    return np.stack([seen[:, each].any(1) for each in rows], 1)


def joints_guessed(limbs: np.ndarray) -> np.ndarray:
    """(N, 24) 1 for SMPL's joints that move a limb which is not seen, else 0; limbs (N, 10)."""
    guessed = np.zeros((len(limbs), len(SMPL_JOINTS)))
    for k, limb in enumerate(LIMBS):
        guessed[:, [SMPL_JOINTS.index(name) for name in limb.joints]] = ~limbs[:, k, None]
    return guessed


def in_words(limbs: np.ndarray) -> str:
    """Which of one person's limbs (10,) are not seen, such as "left forearm, legs"; "" for none."""
    names = [limb.name for limb, seen in zip(LIMBS, limbs, strict=True) if not seen]
    for whole, parts in _TOGETHER:
        if set(parts) <= set(names):
            first, *others = parts
            names = [whole if name == first else name for name in names if name not in others]
    return ", ".join(names).replace("_", " ")
