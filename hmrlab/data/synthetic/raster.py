"""A small software renderer: z-buffer, one colour a triangle, smooth light; the same everywhere.

A GPU's or driver's rounding would make the data differ between machines. Here a picture is a pure
function of its numbers, and at 96 px it takes about a millisecond.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def rasterize(
    points: np.ndarray, depth: np.ndarray, faces: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which triangle is nearest in each pixel, and how far it is there.

    Args:
        points: (V, 2) pixels; the middle of pixel i is i + 0.5.
        depth: (V,) along the camera's axis; triangles with a vertex at <= 0 are left out.
        faces: (F, 3).
        height, width: of the picture, pixels.

    Returns:
        triangle (height, width) int32, -1 where there is none; depth (height, width), inf there.
    """
    nearest = np.full((height, width), np.inf)
    triangle = np.full((height, width), -1, dtype=np.int32)
    for face in range(len(faces)):
        a, b, c = faces[face]
        if depth[a] <= 0 or depth[b] <= 0 or depth[c] <= 0:
            continue
        ax, ay, bx, by, cx, cy = (
            points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1],
        )  # fmt: skip
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        left = max(0, int(np.floor(min(ax, bx, cx) - 0.5)))
        right = min(width - 1, int(np.ceil(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.floor(min(ay, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.ceil(max(ay, by, cy) - 0.5)))
        inv_a, inv_b, inv_c = 1 / depth[a], 1 / depth[b], 1 / depth[c]
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wa = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                wb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                # 1/depth is linear across the picture (perspective), depth is not.
                here = 1.0 / (wa * inv_a + wb * inv_b + wc * inv_c)
                if here < nearest[row, column]:
                    nearest[row, column] = here
                    triangle[row, column] = face
    return triangle, nearest


def triangle_labels(labels: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Labels (F,) of triangles from those of vertices (V,): two corners of three decide."""
    corners = labels[faces]
    return np.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0])


def label_picture(triangle: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels in a picture: 0 where there is no triangle, else 1 + the label of it.

    Args:
        triangle: (..., H, W) from `rasterize`.
        labels: (F,) of triangles, 0 to 254.

    Returns:
        (..., H, W) uint8.
    """
    return np.where(triangle >= 0, labels[triangle] + 1, 0).astype(np.uint8)


@njit(cache=True)
def paint(
    picture: np.ndarray,
    triangle: np.ndarray,
    faces: np.ndarray,
    colours: np.ndarray,
    light: np.ndarray,
    factor: int,
) -> np.ndarray:
    """Put the shaded triangles over a picture; edges are as soft as `factor` allows.

    Args:
        picture: (S, S, 3) in [0, 1], changed in place.
        triangle: (S factor, S factor) from `rasterize`.
        faces: (F, 3).
        colours: (F, 3) in [0, 1].
        light: (V,) brightness of each vertex.
        factor: samples along each side of a pixel.

    Returns:
        (S, S) which share of each pixel is covered.
    """
    size = len(picture)
    covered = np.zeros((size, size))
    samples = factor * factor
    for row in range(size):
        for column in range(size):
            red, green, blue, hits = 0.0, 0.0, 0.0, 0
            for i in range(factor):
                for j in range(factor):
                    face = triangle[row * factor + i, column * factor + j]
                    if face < 0:
                        continue
                    bright = (
                        light[faces[face, 0]] + light[faces[face, 1]] + light[faces[face, 2]]
                    ) / 3.0
                    red += colours[face, 0] * bright
                    green += colours[face, 1] * bright
                    blue += colours[face, 2] * bright
                    hits += 1
            if hits:
                rest = 1.0 - hits / samples
                covered[row, column] = hits / samples
                picture[row, column, 0] = picture[row, column, 0] * rest + red / samples
                picture[row, column, 1] = picture[row, column, 1] * rest + green / samples
                picture[row, column, 2] = picture[row, column, 2] * rest + blue / samples
    return covered
