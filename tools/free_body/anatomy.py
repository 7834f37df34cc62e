"""Points on the free body that SMPL's users expect, defined by where they are on a person."""

from __future__ import annotations

import numpy as np

from hmrlab.bodies.joints import (
    EXTRA_JOINTS,
    H36M_JOINTS,
    LANDMARKS,
    LSP_PART_OF_JOINT,
    SMPL_JOINTS,
)

_FRONT, _UP = 2, 1


def find_landmarks(
    template: np.ndarray, joints: np.ndarray, tips: dict[str, int], mirror: np.ndarray
) -> np.ndarray:
    """The 21 vertices that smplx appends to the joints, found on this mesh.

    Args:
        template: (V, 3) metres, y up, facing +z. joints: (24, 3).
        tips: vertices at the ends of fingers and toes.
        mirror: (V,) each vertex's mirror image.

    Returns:
        (21,) vertices in smplx's order; left ones are the mirror images of right ones.
    """
    head = joints[SMPL_JOINTS.index("head")]
    in_head = template[:, _UP] > head[_UP] - 0.02
    midline = np.abs(template[:, 0]) < 0.004
    found = {"nose": _extreme(template[:, _FRONT], in_head & midline & _below_brow(template, head))}
    right = template[:, 0] < 0
    eye_level = np.abs(template[:, _UP] - template[found["nose"], _UP] - 0.04) < 0.02
    eye_column = np.abs(template[:, 0] + 0.031) < 0.004
    found["right_eye"] = _extreme(template[:, _FRONT], in_head & eye_level & eye_column)
    found["right_ear"] = _extreme(-template[:, 0], in_head & right & (np.abs(
        template[:, _UP] - template[found["nose"], _UP]) < 0.06))  # fmt: skip
    foot = template[:, _UP] < joints[SMPL_JOINTS.index("right_ankle"), _UP] - 0.03
    found["right_heel"] = _extreme(-template[:, _FRONT], foot & right)
    for name in LANDMARKS:
        if name.startswith("right") and name not in found:
            found[name] = tips[name]
    for name in LANDMARKS:
        if name.startswith("left"):
            found[name] = int(mirror[found[name.replace("left", "right")]])
    return np.array([found[name] for name in LANDMARKS])


def extra_joint_targets(vertices: np.ndarray, joints: np.ndarray, chin: int, crown: int) -> dict:
    """Where the extra and Human3.6M joints lie in each body, by anatomy.

    Args:
        vertices: (N, V, 3) T-pose bodies, metres. joints: (N, 24, 3).
        chin, crown: vertices at the tip of the chin and the top of the head.

    Returns:
        name -> (N, 3). Markers sit on the skin and joints inside; each line says which mean of
        the two is meant.
    """
    j = {name: joints[:, k] for k, name in enumerate(SMPL_JOINTS)}
    top, tip = vertices[:, crown], vertices[:, chin]
    thorax = (j["left_shoulder"] + j["right_shoulder"]) / 2
    jaw = 0.5 * tip + 0.5 * j["head"]  # under the ears, behind the chin
    targets = {
        "right_hip_lsp": _outwards(j["right_hip"], j["left_hip"], 0.12),
        "left_hip_lsp": _outwards(j["left_hip"], j["right_hip"], 0.12),
        "neck_lsp": 0.5 * thorax + 0.5 * j["neck"],  # between the collar bones
        "top_of_head_lsp": 0.97 * top + 0.03 * j["head"],
        "pelvis_mpii": j["pelvis"],
        "thorax_mpii": 0.8 * thorax + 0.2 * j["neck"],
        "spine_h36m": (j["spine2"] + j["spine1"]) / 2,
        "jaw_h36m": jaw,
        "head_h36m": 0.6 * top + 0.4 * jaw,  # the middle of the skull, a little high
        "spine": (j["spine2"] + j["spine1"]) / 2,
        "neck": 0.5 * thorax + 0.5 * j["neck"],
        "jaw": jaw,
        "head": 0.7 * top + 0.3 * jaw,  # the H36M regressor's head lies higher than the extra one
    }
    limbs = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for name in ("pelvis", *(f"{side}_{limb}" for side in ("left", "right") for limb in limbs)):
        targets[name] = j[name]
    return {name: targets[name] for name in (*EXTRA_JOINTS, *H36M_JOINTS)}


def chin_and_crown(template: np.ndarray, joints: np.ndarray) -> tuple[int, int]:
    """The vertices at the tip of the chin and at the top of the head."""
    midline = np.abs(template[:, 0]) < 0.004
    head = joints[SMPL_JOINTS.index("head")]
    face = midline & (np.abs(template[:, _UP] - head[_UP]) < 0.05)
    lowest = template[:, _FRONT] - 0.7 * template[:, _UP]  # forwards and downwards
    return _extreme(lowest, face), _extreme(template[:, _UP], midline)


def lsp_part_labels(weights: np.ndarray) -> np.ndarray:
    """The LSP part of each vertex: (V, 24) weights -> (V,) index into LSP_PARTS."""
    return np.array(LSP_PART_OF_JOINT)[weights.argmax(1)]


def _outwards(joint: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    return joint + share * (joint - other) / 2


def _below_brow(template: np.ndarray, head: np.ndarray) -> np.ndarray:
    return template[:, _UP] < head[_UP] + 0.08


def _extreme(score: np.ndarray, among: np.ndarray) -> int:
    """The vertex of the largest score among those allowed."""
    if not among.any():
        raise ValueError("no vertex of the mesh is where this landmark should be")
    return int(np.where(among, score, -np.inf).argmax())
