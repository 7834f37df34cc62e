"""Light on a mesh, computed here once, so that every backend shows the same."""

from __future__ import annotations

import numpy as np

from hmrlab.geometry.normals import vertex_normals

# Camera frame: x right, y down, z away from the camera. A soft key from the upper left, a raking
# light from the right that shows folds and collapsed joints, and a weak fill from the camera.
_LAMPS = (
    (np.array([-0.6, -0.8, -0.8]), 0.52),
    (np.array([0.95, -0.25, -0.15]), 0.32),
    (np.array([0.0, 0.0, -1.0]), 0.16),
)
_AMBIENT = 0.26


def lit_colours(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours (V, 3) in [0, 1] times the light that falls on each vertex, camera frame."""
    normals = vertex_normals(vertices, faces)
    light = np.full(len(vertices), _AMBIENT)
    for direction, strength in _LAMPS:
        towards = direction / np.linalg.norm(direction)
        light += strength * np.maximum(normals @ towards, 0)
    return np.clip(colours * light[:, None], 0, 1)
