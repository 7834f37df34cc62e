"""A sampler of everyday poses, in angles that a person would use to describe them.

Each activity draws some twenty angles for each side of the body: where the upper arm points
(elevation above the horizontal, azimuth from sideways to forwards), how far elbow, hip and knee
are bent, how the spine leans. Whatever it does not mention stays near rest. Every angle then gets
noise of its own, and twist about the long bones is drawn separately:

    forearm     N(0, 22) degrees        upper arm   what the activity needs + N(0, 14)
    thigh       N(0, 8)                 neck, head  half of the look to the side each

Angles are clipped to ranges inside `hmrlab.bodies.limits`. Half of all poses are mirrored, so left
and right are alike. Axes are the body's: x left, y up, z forwards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmrlab.bodies.joints import POSE_FLIP, SMPL_JOINTS

MOST_HIP_TWIST = 40.0  # degrees; the limit is 45, about an axis a few degrees from this one

Angles = dict[str, np.ndarray]
"""Degrees. Keys of `_REST`; limbs hold (n, 2), left and right, the trunk (n,)."""

# name: (rest, noise, least, most)
_LIMBS: dict[str, tuple[float, float, float, float]] = {
    "arm_up": (-72, 6, -88, 85),  # -90 hangs, 0 horizontal, 90 straight up
    "arm_front": (5, 10, -40, 120),  # 0 sideways, 90 forwards
    "arm_twist": (0, 14, -85, 85),
    "elbow": (18, 8, 0, 145),
    "forearm_twist": (0, 22, -85, 85),
    "wrist": (0, 10, -50, 50),
    "shrug": (0, 4, -12, 25),
    "hip": (3, 5, -25, 120),  # forwards
    "hip_out": (3, 4, -15, 50),
    "hip_twist": (0, 8, -35, 35),
    "knee": (6, 5, 0, 140),
    "ankle": (0, 7, -25, 40),
}
_TRUNK: dict[str, tuple[float, float, float, float]] = {
    "bend": (3, 5, -25, 95),  # forwards, shared by three spine joints
    "lean": (0, 4, -30, 30),
    "turn": (0, 7, -45, 45),
    "nod": (4, 8, -35, 40),
    "tilt": (0, 5, -25, 25),
    "look": (0, 14, -65, 65),
    "pitch": (0, 3, -60, 60),  # of the whole body, forwards
}


def _uniform(rng: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    return rng.uniform(low, high, n)


def _pair(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack([left, right], 1)


def _both(rng: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """One draw for both sides, with a small difference."""
    shared = rng.uniform(low, high, n)
    return shared[:, None] + rng.normal(0, 0.08 * abs(high - low) + 2, (n, 2))


def _one_side(rng: np.random.Generator, low: float, high: float, rest: float, n: int) -> np.ndarray:
    """The left side does it, the right rests (mirroring exchanges them for half the people)."""
    return _pair(_uniform(rng, low, high, n), np.full(n, rest))


def _standing(rng: np.random.Generator, n: int) -> Angles:
    return {"arm_up": _both(rng, -85, -60, n), "hip_out": _both(rng, 1, 10, n)}


def _gait(rng: np.random.Generator, n: int, swing: float, knee: float, elbow: float) -> Angles:
    phase = rng.uniform(0, 2 * np.pi, n)
    size = rng.uniform(0.6, 1.2, n)
    wave, lift = np.sin(phase) * size, np.cos(phase)
    return {
        "hip": _pair(8 + swing * wave, 8 - swing * wave),
        "knee": _pair(
            8 + knee * np.clip(lift, 0, 1) * size, 8 + knee * np.clip(-lift, 0, 1) * size
        ),
        "arm_up": _pair(-76 + 10 * np.abs(wave), -76 + 10 * np.abs(wave)),
        "arm_front": _pair(60 - 0.9 * swing * wave, 60 + 0.9 * swing * wave),
        "arm_twist": np.full((n, 2), -20.0),
        "elbow": np.full((n, 2), elbow) + rng.normal(0, 8, (n, 2)),
        "turn": -0.25 * swing * wave,
        "ankle": _pair(10 * lift, -10 * lift),
    }


def _walking(rng: np.random.Generator, n: int) -> Angles:
    return _gait(rng, n, 26, 45, 20)


def _running(rng: np.random.Generator, n: int) -> Angles:
    return _gait(rng, n, 48, 95, 85) | {"bend": _uniform(rng, 5, 18, n)}


def _sitting(rng: np.random.Generator, n: int) -> Angles:
    return {
        "hip": _both(rng, 75, 100, n), "knee": _both(rng, 65, 105, n),
        "hip_out": _both(rng, 2, 22, n), "arm_up": _both(rng, -75, -45, n),
        "arm_front": _both(rng, 30, 80, n), "elbow": _both(rng, 20, 85, n),
        "bend": _uniform(rng, -8, 25, n),
    }  # fmt: skip


def _squatting(rng: np.random.Generator, n: int) -> Angles:
    depth = _uniform(rng, 50, 115, n)
    arms = _both(rng, -55, 5, n)
    return {
        "hip": _pair(depth, depth), "knee": _pair(depth * 1.1, depth * 1.1),
        "hip_out": _both(rng, 8, 32, n), "ankle": np.full((n, 2), -15.0), "bend": depth * 0.3,
        "arm_up": arms, "arm_front": _both(rng, 60, 100, n), "elbow": _both(rng, 5, 60, n),
    }  # fmt: skip


def _reaching(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _one_side(rng, -25, 60, -70, n), "arm_front": _one_side(rng, 20, 105, 10, n),
        "elbow": _one_side(rng, 0, 35, 20, n), "bend": _uniform(rng, 0, 25, n),
        "turn": _uniform(rng, -25, 10, n), "shrug": _one_side(rng, 0, 15, 0, n),
    }  # fmt: skip


def _waving(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _one_side(rng, -15, 45, -75, n), "arm_front": _one_side(rng, 0, 45, 5, n),
        "elbow": _one_side(rng, 40, 115, 15, n), "arm_twist": _one_side(rng, -80, -45, 0, n),
    }  # fmt: skip


def _arms_raised(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _both(rng, 25, 80, n), "arm_front": _both(rng, 0, 40, n),
        "elbow": _both(rng, 0, 50, n), "shrug": _both(rng, 5, 20, n),
        "hip_out": _both(rng, 2, 18, n),
    }  # fmt: skip


def _throwing(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _pair(_uniform(rng, -5, 50, n), _uniform(rng, -40, 15, n)),
        "arm_front": _pair(_uniform(rng, -35, 15, n), _uniform(rng, 40, 100, n)),
        "elbow": _pair(_uniform(rng, 50, 115, n), _uniform(rng, 5, 50, n)),
        "arm_twist": _one_side(rng, -80, -30, 0, n),
        "hip": _pair(_uniform(rng, -20, 0, n), _uniform(rng, 10, 50, n)),
        "knee": _both(rng, 5, 40, n), "turn": _uniform(rng, 5, 35, n),
    }  # fmt: skip


def _bending(rng: np.random.Generator, n: int) -> Angles:
    bend = _uniform(rng, 35, 90, n)
    return {
        "bend": bend * 0.55, "pitch": bend * 0.2, "hip": _pair(bend * 0.5, bend * 0.5),
        "knee": _both(rng, 0, 40, n), "arm_up": _both(rng, -70, 0, n),
        "arm_front": _both(rng, 60, 100, n), "elbow": _both(rng, 0, 35, n),
    }  # fmt: skip


def _kneeling(rng: np.random.Generator, n: int) -> Angles:
    return {
        "hip": _pair(_uniform(rng, 70, 100, n), _uniform(rng, -12, 15, n)),
        "knee": _pair(_uniform(rng, 75, 105, n), _uniform(rng, 75, 110, n)),
        "arm_up": _both(rng, -70, -20, n), "arm_front": _both(rng, 20, 90, n),
        "elbow": _both(rng, 15, 80, n), "bend": _uniform(rng, 0, 30, n),
    }  # fmt: skip


def _lunging(rng: np.random.Generator, n: int) -> Angles:
    front = _uniform(rng, 45, 95, n)
    return {
        "hip": _pair(front, _uniform(rng, -25, -5, n)),
        "knee": _pair(front, _uniform(rng, 10, 60, n)),
        "arm_up": _both(rng, -70, 15, n), "arm_front": _both(rng, 0, 60, n),
        "elbow": _both(rng, 0, 90, n), "ankle": _pair(np.full(n, -10.0), np.full(n, 20.0)),
    }  # fmt: skip


def _dancing(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": rng.uniform(-75, 70, (n, 2)), "arm_front": rng.uniform(-25, 95, (n, 2)),
        "elbow": rng.uniform(0, 110, (n, 2)), "arm_twist": rng.uniform(-60, 30, (n, 2)),
        "hip": rng.uniform(-15, 55, (n, 2)), "hip_out": rng.uniform(0, 30, (n, 2)),
        "knee": rng.uniform(0, 70, (n, 2)), "lean": _uniform(rng, -20, 20, n),
        "turn": _uniform(rng, -25, 25, n), "tilt": _uniform(rng, -15, 15, n),
    }  # fmt: skip


def _boxing(rng: np.random.Generator, n: int) -> Angles:
    punch = rng.uniform(0, 1, n)
    return {
        "arm_up": _pair(-60 + 60 * punch, np.full(n, -58.0)),
        "arm_front": _pair(45 + 45 * punch, _uniform(rng, 40, 70, n)),
        "arm_twist": _pair(-40 + 20 * punch, np.full(n, -35.0)),
        "elbow": _pair(125 - 110 * punch, _uniform(rng, 95, 135, n)),
        "hip": _pair(_uniform(rng, 10, 35, n), _uniform(rng, -15, 5, n)),
        "knee": _both(rng, 10, 40, n), "turn": -20 * punch, "bend": _uniform(rng, 5, 20, n),
    }  # fmt: skip


def _phoning(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _one_side(rng, -60, -25, -72, n), "arm_front": _one_side(rng, 35, 75, 5, n),
        "elbow": _one_side(rng, 110, 140, 18, n), "arm_twist": _one_side(rng, -55, -25, 0, n),
        "tilt": _uniform(rng, -15, 5, n),
    }  # fmt: skip


def _hands_on_hips(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _both(rng, -58, -42, n), "arm_front": _both(rng, -30, -8, n),
        "elbow": _both(rng, 75, 105, n), "arm_twist": _both(rng, 35, 65, n),
        "hip_out": _both(rng, 2, 16, n),
    }  # fmt: skip


def _t_posing(rng: np.random.Generator, n: int) -> Angles:
    return {
        "arm_up": _both(rng, -30, 25, n), "arm_front": _both(rng, -10, 25, n),
        "elbow": _both(rng, 0, 25, n), "hip_out": _both(rng, 2, 22, n),
    }  # fmt: skip


ACTIVITIES: dict[str, Callable[[np.random.Generator, int], Angles]] = {
    "standing": _standing, "walking": _walking, "running": _running, "sitting": _sitting,
    "squatting": _squatting, "reaching": _reaching, "waving": _waving,
    "arms_raised": _arms_raised, "throwing": _throwing, "bending": _bending,
    "kneeling": _kneeling, "lunging": _lunging, "dancing": _dancing, "boxing": _boxing,
    "phoning": _phoning, "hands_on_hips": _hands_on_hips, "arms_out": _t_posing,
}  # fmt: skip


def sample_poses(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw poses in the body's frame.

    Args:
        n: how many.
        rng: source of all randomness.

    Returns:
        axis-angles (n, 24, 3), radians, with any heading (yaw) at the root; and the position of
        each pose's activity in `ACTIVITIES` (n,).
    """
    labels = rng.integers(0, len(ACTIVITIES), n)
    angles = {key: np.full((n, 2), row[0]) for key, row in _LIMBS.items()}
    angles |= {key: np.full(n, row[0]) for key, row in _TRUNK.items()}
    for number, activity in enumerate(ACTIVITIES.values()):
        members = np.flatnonzero(labels == number)
        for key, value in activity(rng, len(members)).items():
            angles[key][members] = value
    for key, (_, noise, least, most) in (_LIMBS | _TRUNK).items():
        angles[key] = np.clip(angles[key] + rng.normal(0, noise, angles[key].shape), least, most)
    matrices = _to_rotations(angles)
    mirrored = rng.random(n) < 0.5
    signs = np.array([1.0, -1.0, -1.0])
    poses = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec().reshape(n, 24, 3)
    poses[mirrored] = poses[mirrored][:, list(POSE_FLIP)] * signs
    heading = Rotation.from_rotvec(np.outer(rng.uniform(-np.pi, np.pi, n), [0.0, 1.0, 0.0]))
    poses[:, 0] = (heading * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    return poses, labels


def sample_betas(n: int, rng: np.random.Generator, most: float = 2.5) -> np.ndarray:
    """Shapes (n, 10): standard normal, clipped to +- `most`."""
    return np.clip(rng.normal(size=(n, 10)), -most, most)


@lru_cache(maxsize=1)
def mean_rotations() -> torch.Tensor:
    """The sampler's mean pose (24, 3, 3), float32, facing the camera: the regressor's start.

    The mean of each joint is chordal: the rotation nearest the mean matrix.
    """
    poses, _ = sample_poses(4000, np.random.default_rng(2019))
    mean = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3).mean(0)
    u, _, vt = np.linalg.svd(mean)
    u[..., -1] *= np.linalg.det(u @ vt)[:, None]
    rotations = u @ vt
    rotations[0] = np.diag([1.0, -1.0, -1.0])  # half a turn about x: the camera's y points down
    return torch.from_numpy(rotations).float()


def _to_rotations(angles: Angles) -> np.ndarray:
    """Named angles, degrees -> (n, 24, 3, 3)."""
    n = len(angles["bend"])
    out = np.tile(np.eye(3), (n, 24, 1, 1))

    def put(name: str, value: np.ndarray) -> None:
        out[:, SMPL_JOINTS.index(name)] = value

    for side, column in (("left", 0), ("right", 1)):
        a = {key: angles[key][:, column] for key in _LIMBS}
        limb = {
            "collar": _euler("z", a["shrug"]),
            "shoulder": _arm_swing(a["arm_up"], a["arm_front"]) @ _euler("x", a["arm_twist"]),
            "elbow": _euler("y", -a["elbow"]) @ _euler("x", a["forearm_twist"]),
            "wrist": _euler("z", a["wrist"]),
            "hip": _limit_twist(
                _euler("z", a["hip_out"]) @ _euler("x", -a["hip"]) @ _euler("y", a["hip_twist"])
            ),
            "knee": _euler("x", a["knee"]),
            "ankle": _euler("x", -a["ankle"]),
        }
        for name, value in limb.items():
            put(f"{side}_{name}", value if side == "left" else _mirror(value))
    bend = _euler("x", angles["bend"] / 3)
    for name in ("spine1", "spine2", "spine3"):
        put(name, bend @ _euler("z", angles["lean"] / 3) @ _euler("y", angles["turn"] / 3))
    head = (
        _euler("x", angles["nod"] / 2)
        @ _euler("z", angles["tilt"] / 2)
        @ _euler("y", angles["look"] / 2)
    )
    put("neck", head)
    put("head", head)
    put("pelvis", _euler("x", angles["pitch"]))
    return out


def _euler(axis: str, degrees: np.ndarray) -> np.ndarray:
    return Rotation.from_euler(axis, degrees[:, None], degrees=True).as_matrix()


def _mirror(rotation: np.ndarray) -> np.ndarray:
    signs = np.array([-1.0, 1.0, 1.0])
    return rotation * signs[:, None] * signs


def _limit_twist(thigh: np.ndarray) -> np.ndarray:
    """Take back the twist about the thigh, along y at rest, that goes beyond a limit.

    Bending and spreading the hip together turns the thigh about itself, though neither does alone.
    """
    quaternion = Rotation.from_matrix(thigh).as_quat()
    twist = 2 * np.arctan2(quaternion[:, 1], quaternion[:, 3])
    twist = (np.degrees(twist) + 180) % 360 - 180
    excess = twist - np.clip(twist, -MOST_HIP_TWIST, MOST_HIP_TWIST)
    return thigh @ _euler("y", -excess)


def _arm_swing(up: np.ndarray, front: np.ndarray) -> np.ndarray:
    """The twist-free rotation that takes the left arm from +x to where it should point."""
    up, front = np.radians(up), np.radians(front)
    target = np.stack([np.cos(up) * np.cos(front), np.sin(up), np.cos(up) * np.sin(front)], 1)
    axis = np.cross(np.broadcast_to([1.0, 0.0, 0.0], target.shape), target)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], target[:, 0])
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-9) * angle[:, None]).as_matrix()
