"""Chosen points of a body without its mesh: the keypoint body.

A posed joint is its parent's place plus its parent's global rotation times a bone, and so on down
to the root; a skinned vertex adds the rotation of each of its joints times an offset; a regressed
point is a weighted sum of both. All three are linear in the global rotations G:

    point_k = root + sum over the joints j of  G_j arm_kj

The arms depend on the shape (linearly), and on the pose where a body has pose correctives
(linearly in R - I). They are summed over the vertices once, when the body is loaded, so it makes
no difference afterwards whether a point is a joint, one vertex or a weighted sum of thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from hmrlab.bodies.format import N_BETAS, N_JOINTS, BodyArrays
from hmrlab.bodies.joints import SMPL_PARENTS
from hmrlab.bodies.lbs import pose_features


@dataclass(frozen=True)
class Linearised:
    """Points of posed bodies and how they move; metres, radians."""

    points: Float[Tensor, "b k 3"]
    moment_arms: Float[Tensor, "b 24 3 k"]  # from joint j to what of point k turns with it
    global_rot: Float[Tensor, "b 24 3 3"]  # global rotations
    by_betas: Float[Tensor, "b k 3 10"]  # derivative of the points by each beta


class BodyPoints(nn.Module):
    """K points that are weighted sums of a body's joints and vertices.

    Args:
        arrays: the body.
        rows: (K, 24 + V) weights over the joints and the vertices, or (K, V) over the vertices.
        dtype: of the results.

    Raises:
        ValueError: the rows have neither shape.
    """

    def __init__(
        self, arrays: BodyArrays, rows: np.ndarray, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.count = len(rows)
        coefficients = _Coefficients.of(arrays, rows)
        for name, value in vars(coefficients).items():
            tensor = None if value is None else torch.as_tensor(value, dtype=dtype)
            self.register_buffer(name, tensor, persistent=False)
        below = torch.as_tensor(_DESCENDANTS, dtype=dtype)
        self.register_buffer("_descendants", below, persistent=False)

    def forward(
        self, rotations: Float[Tensor, "b 24 3 3"], betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b k 3"]:
        """The points, metres."""
        arms = self._arms(rotations, betas).flatten(1, 2)
        global_rot = global_rotations(rotations).transpose(1, 2).flatten(2)  # (B, 3, 72)
        return (global_rot @ arms).mT + self._root(betas)

    def linearise(
        self, rotations: Float[Tensor, "b 24 3 3"], betas: Float[Tensor, "b 10"]
    ) -> Linearised:
        """The points and their derivatives in closed form, for optimisers of second order.

        A small turn w (world axes, radians) of joint j and of all that hangs on it moves point k by
        w x moment_arms[:, j, :, k]. Where a body has pose correctives, their change is left out
        of the derivatives (not of the points): it is small, and an optimiser that checks its
        steps does not mind.

        Args:
            rotations: (B, 24, 3, 3).
            betas: (B, 10).
        """
        global_rot = global_rotations(rotations)
        arms = global_rot @ self._arms(rotations, betas)  # (B, 24, 3, K)
        batch = len(betas)
        moment_arms = (self._descendants @ arms.flatten(2)).view_as(arms)
        points = arms.sum(1).mT + self._root(betas)
        flat = global_rot.transpose(1, 2).flatten(2)  # (B, 3, 72)
        by_betas = (flat @ self.arm_shapes.view(N_BETAS, 3 * N_JOINTS, -1).transpose(0, 1)
                    .reshape(3 * N_JOINTS, -1)).view(batch, 3, N_BETAS, self.count)  # fmt: skip
        by_betas = by_betas.permute(0, 3, 1, 2)
        by_betas = by_betas + self.sums[:, None, None] * self.root_shapes.mT
        return Linearised(points, moment_arms, global_rot, by_betas)

    def _arms(
        self, rotations: Float[Tensor, "b 24 3 3"], betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b 24 3 k"]:
        """In each joint's own frame."""
        arms = torch.addmm(self.arm_template, betas, self.arm_shapes)
        if self.arm_correctives is not None:
            arms = torch.addmm(arms, pose_features(rotations), self.arm_correctives)
        return arms.view(-1, N_JOINTS, 3, self.count)

    def _root(self, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b k 3"]:
        """The root joint, as often as the point's weights sum to."""
        root = torch.addmm(self.root_template, betas, self.root_shapes)
        return self.sums[:, None] * root[:, None]


@dataclass(frozen=True)
class _Coefficients:
    """What the arms are linear in; computed in double precision."""

    arm_template: np.ndarray  # (24 * 3 * K,)
    arm_shapes: np.ndarray  # (10, 24 * 3 * K)
    arm_correctives: np.ndarray | None  # (207, 24 * 3 * K)
    root_template: np.ndarray  # (3,)
    root_shapes: np.ndarray  # (10, 3)
    sums: np.ndarray  # (K,) of each point's weights: 1, but for the rounding of a file

    @classmethod
    def of(cls, arrays: BodyArrays, rows: np.ndarray) -> _Coefficients:
        n = len(arrays.v_template)
        if rows.ndim != 2 or rows.shape[1] not in (n, n + N_JOINTS):
            raise ValueError(
                f"rows: expected (K, {n}) over the vertices or (K, {n + N_JOINTS}) over joints and "
                f"vertices, got {rows.shape}"
            )
        over_joints = np.zeros((len(rows), N_JOINTS))
        if rows.shape[1] > n:
            over_joints, rows = rows[:, :N_JOINTS], rows[:, N_JOINTS:]
        used = np.flatnonzero(np.abs(rows).sum(0) > 0)
        rows, weights = rows[:, used], arrays.weights[used]
        basis = np.concatenate([arrays.v_template[..., None], arrays.shapedirs], 2)
        rest = np.einsum("jv,vcs->jcs", arrays.joint_regressor, basis)

        held = rows @ weights  # (K, 24): how much of point k is skinned to joint j
        arms = _summed(rows, weights, basis[used]) - held[:, :, None, None] * rest
        hanging = over_joints + held
        for joint in range(N_JOINTS - 1, 0, -1):
            parent = SMPL_PARENTS[joint]
            bone = rest[joint] - rest[parent]
            arms[:, parent] += hanging[:, joint, None, None] * bone
            hanging[:, parent] += hanging[:, joint]
        correctives = None
        if arrays.posedirs is not None:
            correctives = _flat(_summed(rows, weights, arrays.posedirs[used]))
        flat = _flat(arms)
        return cls(flat[0], flat[1:], correctives, rest[0, :, 0], rest[0, :, 1:].T, hanging[:, 0])


def global_rotations(rotations: Float[Tensor, "b 24 3 3"]) -> Float[Tensor, "b 24 3 3"]:
    """Each joint's rotation in the body's frame: its own after all its ancestors'.

    Joints of one depth in the tree are multiplied together, 8 steps instead of 23.

    Args:
        rotations: (B, 24, 3, 3), each relative to its parent.

    Returns:
        (B, 24, 3, 3).
    """
    levels = [rotations[:, :1]]
    for joints, parents in _levels_on(rotations.device):
        levels.append(levels[-1].index_select(1, parents) @ rotations[:, joints])
    return torch.cat(levels, 1)


@lru_cache
def _levels_on(device: torch.device) -> tuple[tuple[slice, Tensor], ...]:
    """`_LEVELS` with indices that lie on the device: a list would be copied there every time."""
    with torch.inference_mode(False):  # kept for trainings, too, whoever asks first
        return tuple((joints, torch.tensor(parents, device=device)) for joints, parents in _LEVELS)


def _summed(rows: np.ndarray, weights: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """sum over vertices v of rows_kv weights_vj basis_vcs -> (K, 24, 3, S)."""
    flat = basis.reshape(len(basis), int(np.prod(basis.shape[1:])))  # no vertex may be used
    arms = [(row[:, None] * weights).T @ flat for row in rows]
    return np.stack(arms).reshape(len(rows), N_JOINTS, *basis.shape[1:])


def _flat(arms: np.ndarray) -> np.ndarray:
    """(K, 24, 3, S) -> (S, 24 * 3 * K)."""
    return arms.transpose(3, 1, 2, 0).reshape(arms.shape[3], -1)


def _levels() -> tuple[tuple[slice, list[int]], ...]:
    """The joints of each depth below the root, and their parents' places one depth higher."""
    depth = [0]
    for parent in SMPL_PARENTS[1:]:
        depth.append(depth[parent] + 1)
    levels = []
    for level in range(1, max(depth) + 1):
        above = depth.index(level - 1)
        joints = slice(depth.index(level), depth.index(level) + depth.count(level))
        levels.append((joints, [SMPL_PARENTS[j] - above for j in range(24)[joints]]))
    return tuple(levels)


def _descendants() -> np.ndarray:
    """(24, 24) 1 where the column's joint is the row's or hangs on it."""
    below = np.eye(N_JOINTS)
    for joint in range(N_JOINTS - 1, 0, -1):
        below[SMPL_PARENTS[joint]] += below[joint]
    return below


_LEVELS = _levels()
_DESCENDANTS = _descendants()
