"""What a viewer can show: people x steps x bodies, with all that stands beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.bodies.limits import SWING_LIMITS_DEG, TWIST_LIMITS_DEG
from hmrlab.geometry import (
    SPIN_FOCAL,
    SPIN_IMAGE_SIZE,
    bone_axes,
    matrix_to_axis_angle,
    weak_perspective_to_translation,
)
from hmrlab.rendering.heat import heat_ramp
from hmrlab.viewer.packing import Mesh

HALF_PICTURE = SPIN_IMAGE_SIZE / 2 / SPIN_FOCAL
"""Half the side of SPIN's crop over its focal length: the camera that the picture stands in."""
COLOURS = ("#8fb0dc", "#e0a878", "#93c29a", "#c39bd0", "#d9c36c", "#7fc4c4")
TRUTH_COLOUR = "#d5d0c8"
HEATS = ("none", "twist", "rotation", "distance")
FRAMES = ("body", "camera")
MOST_HEAT = {"twist": 180, "rotation": 90, "distance": 200}  # degrees, degrees, millimetres
RAMP_COLOURS = 24
VIEWS = {"body": (20.0, 6.0), "camera": (0.0, 0.0)}  # yaw and pitch to begin with, degrees


@dataclass(frozen=True)
class Takes:
    """All bodies of a viewer: P people at T steps by M figures (models, or the truth)."""

    pose: np.ndarray  # (P, T, M, 24, 3) axis-angles, radians
    betas: np.ndarray  # (P, T, M, 10)
    translation: np.ndarray  # (P, T, M, 3) metres, camera frame; 0 where there is no camera

    @property
    def shape(self) -> tuple[int, int, int]:
        """P, T, M."""
        return self.pose.shape[:3]

    def at(self, person: int, step: int) -> dict[str, np.ndarray]:
        """The arrays of M figures at one step of one person, by their names."""
        return {name: values[person, step] for name, values in vars(self).items()}

    def to_bytes(self) -> bytes:
        """Person by person, step by step, figure by figure: pose, betas, translation."""
        parts = [values.reshape(*self.shape, -1) for values in vars(self).values()]
        return np.concatenate(parts, -1).astype("<f4").tobytes()


def takes_of(rotations: Any, betas: Any | None = None, translation: Any | None = None) -> Takes:
    """Bring poses into the order of people, steps, figures.

    Args:
        rotations: (..., 24, 3) axis-angles or (..., 24, 3, 3) matrices, with up to three axes in
            front: figures; steps and figures; people, steps and figures.
        betas: (..., 10) alike; zeros by default.
        translation: (..., 3) alike.

    Raises:
        ValueError: shapes do not fit, or a number is not finite.
    """
    pose = _plain(rotations, "rotations")
    if pose.shape[-2:] == (3, 3) and pose.ndim > 3 and pose.shape[-3] == len(SMPL_JOINTS):
        pose = _plain(matrix_to_axis_angle(torch.from_numpy(pose)), "rotations")
    elif pose.shape[-1] == 3 * len(SMPL_JOINTS):
        pose = pose.reshape(*pose.shape[:-1], len(SMPL_JOINTS), 3)
    if pose.shape[-2:] != (len(SMPL_JOINTS), 3) or pose.ndim > 5:
        raise ValueError(
            "rotations: expected (figures, 24, 3) axis-angles or (figures, 24, 3, 3) matrices, "
            f"with steps and people in front if there are any; got {np.shape(rotations)}"
        )
    pose = pose.reshape((1,) * (5 - pose.ndim) + pose.shape)
    lead = pose.shape[:3]
    return Takes(
        pose.astype(np.float32),
        _like(betas, "betas", (*lead, 10)),
        _like(translation, "translation", (*lead, 3)),
    )


def translation_of(posed: Any) -> Tensor | None:
    """Where bodies stand in the camera's frame, (B, 3) metres, if they say so.

    Args:
        posed: with a `translation` (as fits have) or a weak-perspective `camera` (as predictions).
    """
    if getattr(posed, "translation", None) is not None:
        return posed.translation
    camera = getattr(posed, "camera", None)
    return None if camera is None else weak_perspective_to_translation(camera)


def describe_scene(
    bodies: Sequence[Body | Mesh],
    digests: Sequence[str],
    shape: tuple[int, int, int],
    *,
    names: Sequence[str],
    people: Sequence[str],
    steps: Sequence[str],
    step_name: str,
    truth: int | None,
    frame: str,
    pictures: bool,
    editable: bool,
    title: str,
    view: tuple[float, float] | None,
) -> dict[str, Any]:
    """What the browser needs to know besides numbers, as plain JSON."""
    counts = {"names": names, "people": people, "steps": steps}
    for (label, words), wanted in zip(counts.items(), (shape[2], shape[0], shape[1]), strict=True):
        if len(words) != wanted:
            raise ValueError(f"{label}: {wanted} are shown, so {wanted} words; got {len(words)}")
    if truth is not None and not 0 <= truth < shape[2]:
        raise ValueError(f"truth: there are figures 0 to {shape[2] - 1}, got {truth}")
    order = list(dict.fromkeys(digests))
    others = iter(COLOURS * shape[2])
    first = bodies[0]
    posable = isinstance(first, Body)
    yaw, pitch = view or VIEWS[frame]
    return {
        "shape": list(shape),
        "bodies": order,
        "figures": [
            {
                "name": name,
                "colour": TRUTH_COLOUR if k == truth else next(others),
                "body": order.index(digests[k if len(digests) > 1 else 0]),
            }
            for k, name in enumerate(names)
        ],
        "people": list(people),
        "steps": list(steps),
        "stepName": step_name,
        "reference": truth,
        "joints": list(SMPL_JOINTS) if posable else None,
        "axes": _axes(first) if posable else None,
        "limits": [
            {"mostTwist": float(twist), "mostSwing": float(swing)}
            for twist, swing in zip(TWIST_LIMITS_DEG, SWING_LIMITS_DEG, strict=True)
        ],
        "ramp": np.round(heat_ramp(RAMP_COLOURS), 4).tolist(),
        "most": MOST_HEAT,
        "half": HALF_PICTURE,
        "pictures": pictures,
        "editable": editable and posable,
        "title": title,
        "view": {"yaw": yaw, "pitch": pitch},
    }


def _axes(body: Body) -> list[list[float]]:
    mean = body.rest_joints(body.v_template.new_zeros(1, 10))[0]
    return bone_axes(mean, body.parents).tolist()


def _plain(values: Any, name: str) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {int((~np.isfinite(array)).sum())} numbers NaN or infinite")
    return array


def _like(values: Any | None, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if values is None:
        return np.zeros(shape, np.float32)
    array = _plain(values, name)
    if array.shape != shape[len(shape) - array.ndim :]:
        raise ValueError(f"{name}: expected {shape}, to go with the rotations; got {array.shape}")
    return np.ascontiguousarray(np.broadcast_to(array, shape), dtype=np.float32)
