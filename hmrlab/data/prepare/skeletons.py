"""The joints of Human3.6M and MPI-INF-3DHP by name, and where each goes among the 24 annotated."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hmrlab.bodies.joints import ANNOTATED_NAMES

H36M_32: tuple[str, ...] = (
    "Hips", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase", "RightToeEnd",
    "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "LeftToeEnd",
    "Spine", "Spine1", "Neck", "Head", "HeadEnd",
    "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "LeftHandThumb", "LeftThumbEnd",
    "LeftWristEnd", "LeftHandEnd",
    "RightShoulder", "RightArm", "RightForeArm", "RightHand", "RightHandThumb", "RightThumbEnd",
    "RightWristEnd", "RightHandEnd",
)  # fmt: skip
"""All joints of Human3.6M's CDF files; names as in its skeleton, the ends of chains named here."""
H36M_TO_ANNOTATED: dict[str, str] = {
    "RightFoot": "right_ankle", "RightLeg": "right_knee", "RightUpLeg": "right_hip",
    "LeftUpLeg": "left_hip", "LeftLeg": "left_knee", "LeftFoot": "left_ankle",
    "RightHand": "right_wrist", "RightForeArm": "right_elbow", "RightArm": "right_shoulder",
    "LeftArm": "left_shoulder", "LeftForeArm": "left_elbow", "LeftHand": "left_wrist",
    "RightShoulder": "neck_lsp", "Spine": "pelvis_mpii", "Spine1": "spine_h36m",
    "Head": "jaw_h36m", "HeadEnd": "head_h36m",
}  # fmt: skip
"""SPIN's 17. `Spine` begins where `Hips` is, and `RightShoulder` where `Neck` is."""

MPI_28: tuple[str, ...] = (
    "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top",
    "left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_clavicle", "right_shoulder", "right_elbow", "right_wrist", "right_hand",
    "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe",
    "right_hip", "right_knee", "right_ankle", "right_foot", "right_toe",
)  # fmt: skip
"""Joints of MPI-INF-3DHP's training annotations."""
MPI_17: tuple[str, ...] = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "pelvis", "spine", "head",
)  # fmt: skip
"""Joints of its test annotations."""
MPI_TO_ANNOTATED: dict[str, str] = {
    **{f"{side}_{joint}": f"{side}_{joint}" for side in ("right", "left")
       for joint in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")},
    "neck": "neck_lsp", "pelvis": "pelvis_mpii", "spine": "spine_h36m", "head": "jaw_h36m",
    "head_top": "head_h36m",
}  # fmt: skip
"""SPIN's 17 of both."""


def chosen(points: np.ndarray, names: tuple[str, ...], to: Mapping[str, str]) -> np.ndarray:
    """Only the joints that have a place among the 24, (n, J, d) -> (n, 17, d), in `to`'s order."""
    return points[:, [names.index(name) for name in to]]


def placed(points: np.ndarray, to: Mapping[str, str]) -> np.ndarray:
    """Joints at their places among the 24 annotated, with confidence 1; the others are 0.

    Args:
        points: (n, 17, d), in `to`'s order.
        to: name among the 24 by the set's own name.

    Returns:
        (n, 24, d + 1) float32.
    """
    n, _, d = points.shape
    result = np.zeros((n, len(ANNOTATED_NAMES), d + 1), np.float32)
    rows = [ANNOTATED_NAMES.index(name) for name in to.values()]
    result[:, rows, :d] = points
    result[:, rows, d] = 1
    return result


def centred(points: np.ndarray, names: tuple[str, ...], root: str) -> np.ndarray:
    """(n, J, 3) in mm -> in metres from the root joint."""
    return (points - points[:, [names.index(root)]]) / 1000.0
