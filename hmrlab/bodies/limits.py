"""How far each joint of SMPL's tree turns in a healthy adult, degrees.

Rounded from normal ranges of motion (Boone and Azen 1979; Greene and Heckman, AAOS 1994), moved to
SMPL's joints: forearm pronation lies at the elbow, the spine's rotation is shared by three joints,
and a shoulder's range by collar and shoulder. Twist is about the bone, counted from the T-pose;
swing is the rest of the rotation. The table is generous: beyond it is injury, inside it is not yet
comfort.
"""

from __future__ import annotations

import numpy as np

from hmrlab.bodies.joints import SMPL_JOINTS

_TWIST_AND_SWING: dict[str, tuple[float, float]] = {
    "pelvis": (180, 180),  # the body's orientation: anything
    "hip": (45, 130),
    "spine1": (25, 45),
    "knee": (30, 150),
    "spine2": (25, 40),
    "ankle": (30, 60),
    "spine3": (25, 40),
    "foot": (15, 60),
    "neck": (50, 60),
    "collar": (25, 45),
    "head": (50, 50),
    "shoulder": (95, 150),
    "elbow": (95, 150),
    "wrist": (30, 85),
    "hand": (20, 90),
}


def _column(which: int) -> np.ndarray:
    names = (name.removeprefix("left_").removeprefix("right_") for name in SMPL_JOINTS)
    column = np.array([_TWIST_AND_SWING[name][which] for name in names], dtype=np.float64)
    column.setflags(write=False)
    return column


TWIST_LIMITS_DEG = _column(0)
"""(24,) largest twist either way, degrees."""
SWING_LIMITS_DEG = _column(1)
"""(24,) largest swing, degrees."""
