"""Making a mesh symmetric, its weights smooth, and a light copy of it."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.spatial import cKDTree

MIRROR = np.array([-1.0, 1.0, 1.0])


def mirror_vertices(template: np.ndarray, tolerance: float = 2e-3) -> np.ndarray:
    """For each vertex its mirror image across x = 0: (V, 3) metres -> (V,).

    Raises:
        ValueError: the mesh has no mirror image of itself within the tolerance.
    """
    distance, partner = cKDTree(template).query(template * MIRROR)
    if distance.max() > tolerance or not (partner[partner] == np.arange(len(partner))).all():
        raise ValueError(
            f"the mesh is not symmetric: worst distance to a mirror image {distance.max():.4f} m"
        )
    return partner


def smooth_weights(
    weights: np.ndarray, faces: np.ndarray, rounds: int, keep: int = 6
) -> np.ndarray:
    """Average each vertex's weights with its neighbours', then keep the largest few.

    Args:
        weights: (V, 24), rows sum to 1.
        rounds: how often to average; the borders between parts grow wider with each.
        keep: joints that may move one vertex.
    """
    n = len(weights)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(n, n)).tocsr()
    graph = ((graph + graph.T) > 0).astype(float)
    degree = np.asarray(graph.sum(1)).ravel()
    mean = diags(1 / np.maximum(degree, 1)) @ graph
    for _ in range(rounds):
        weights = np.where(degree[:, None] > 0, 0.5 * weights + 0.5 * (mean @ weights), weights)
    smallest = np.sort(weights, 1)[:, -keep][:, None]
    kept = np.where(weights >= smallest, weights, 0)
    return kept / kept.sum(1, keepdims=True)


def decimate_symmetric(template: np.ndarray, faces: np.ndarray, target_faces: int) -> tuple:
    """A light copy: one half is simplified (quadric errors), then mirrored and welded.

    Args:
        template: (V, 3) symmetric about x = 0. faces: (F, 3).

    Returns:
        vertices (M, 3), faces (about `target_faces`, 3).
    """
    import fast_simplification

    centre = template[faces].mean(1)
    half = faces[centre[:, 0] > 0]
    points, triangles = fast_simplification.simplify(
        template.astype(np.float32), half.astype(np.int32), target_count=target_faces // 2
    )
    used = np.unique(triangles)
    renumber = np.full(len(points), -1)
    renumber[used] = np.arange(len(used))
    points, triangles = points[used].astype(np.float64), renumber[triangles]
    border = _border_vertices(triangles)
    seam = border[np.abs(points[border, 0]) < 0.01]
    points[seam, 0] = 0
    twin = np.arange(len(points)) + len(points)
    twin[seam] = seam
    both = np.concatenate([points, points * MIRROR])
    all_faces = np.concatenate([triangles, twin[triangles][:, ::-1]])
    used = np.unique(all_faces)
    renumber = np.full(len(both), -1)
    renumber[used] = np.arange(len(used))
    return both[used], renumber[all_faces]


def _border_vertices(triangles: np.ndarray) -> np.ndarray:
    edges = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1
    )
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return np.unique(unique[count == 1])


def closest_on_mesh(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each point the nearest triangle's corners (P, 3) and barycentric weights (P, 3)."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    nearest, _, triangle = trimesh.proximity.closest_point(mesh, points)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[triangle], nearest)
    weights = np.clip(weights, 0, 1)
    return faces[triangle], weights / weights.sum(1, keepdims=True)
