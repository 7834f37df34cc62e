"""Normals of a mesh, in numpy: light is computed outside of torch's graphs."""

from __future__ import annotations

import numpy as np


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) of vertices (V, 3) float64, each triangle (F, 3) counting by its area.

    They are zeros at vertices without a triangle of some area.
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.repeat(np.cross(b - a, c - a), 3, 0)  # of each corner's triangle, twice its area
    summed = [np.bincount(faces.ravel(), across[:, k], len(vertices)) for k in range(3)]
    normals = np.stack(summed, 1)
    x, y, z = summed
    length = np.sqrt(x * x + y * y + z * z)[:, None]
    return np.divide(normals, length, out=normals, where=length > 0)
