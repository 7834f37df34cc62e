"""Joints as weighted sums of vertices, fitted to a population of bodies in T-pose.

Two kinds are needed. SMPL's own joints are regressed from the unposed mesh alone and have to be
right to the millimetre: ridge regression, signs free. The extra joints and Human3.6M's are
regressed from posed meshes: there only local, non-negative sums stay inside the limb.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import nnls

Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]

SUM_WEIGHT = 100.0  # how strongly a non-negative row is held to the sum 1
SPREAD = 1e-3  # ridge, metres: many vertices share the work


def fit_signed(vertices: np.ndarray, targets: np.ndarray, candidates: int = 700) -> np.ndarray:
    """One row by ridge regression on the vertices nearest the target.

    Args:
        vertices: (N, V, 3) bodies in T-pose, metres.
        targets: (N, 3) where the point lies in each, metres.
        candidates: how many of the nearest vertices may be used.

    Returns:
        (V,), sums to 1, of either sign.
    """
    near, offsets = _offsets(vertices, targets, candidates)
    gram = offsets.T @ offsets + SPREAD**2 * np.eye(len(near))
    solution = np.linalg.solve(gram, np.ones(len(near)))
    row = np.zeros(vertices.shape[1])
    row[near] = solution / solution.sum()
    return row


def fit_local(vertices: np.ndarray, targets: np.ndarray, candidates: int = 400) -> np.ndarray:
    """One row by non-negative least squares; arguments and result as for `fit_signed`."""
    near, offsets = _offsets(vertices, targets, candidates)
    count = len(near)
    rows = np.concatenate([offsets, SUM_WEIGHT * np.ones((1, count)), SPREAD * np.eye(count)])
    wanted = np.zeros(len(rows))
    wanted[len(offsets)] = SUM_WEIGHT
    solution, _ = nnls(rows, wanted, maxiter=50 * count)
    row = np.zeros(vertices.shape[1])
    row[near] = solution / solution.sum()
    return row


def fit_regressors(
    fit: Fit,
    vertices: np.ndarray,
    targets: np.ndarray,
    joint_mirror: tuple[int, ...],
    vertex_mirror: np.ndarray,
) -> np.ndarray:
    """Rows for several points, symmetric: one side is fitted, the other mirrored.

    Args:
        fit: `fit_signed` or `fit_local`.
        vertices: (N, V, 3) metres.
        targets: (N, R, 3) metres.
        joint_mirror: (R,) the mirror image of each point; those on the midline are their own.
        vertex_mirror: (V,) the mirror image of each vertex.

    Returns:
        (R, V).
    """
    rows = np.zeros((targets.shape[1], vertices.shape[1]))
    for point, other in enumerate(joint_mirror):
        if other < point:
            rows[point] = rows[other][vertex_mirror]
            continue
        rows[point] = fit(vertices, targets[:, point])
        if other == point:
            rows[point] = (rows[point] + rows[point][vertex_mirror]) / 2
    return rows


def _offsets(
    vertices: np.ndarray, targets: np.ndarray, candidates: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest vertices, and (3 N, C) offsets from the target to each, scaled by 1/sqrt(N)."""
    distance = np.linalg.norm(vertices.mean(0) - targets.mean(0), axis=1)
    near = np.argsort(distance)[:candidates]
    offsets = vertices[:, near].astype(np.float64) - targets[:, None]
    return near, offsets.transpose(0, 2, 1).reshape(-1, len(near)) / np.sqrt(len(vertices))
