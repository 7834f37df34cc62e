"""Pictures of bodies: framed by themselves, over a photograph, from the side, all round.

Light is computed here, once, so that every backend shows the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, weak_perspective_to_translation
from hmrlab.geometry.normals import vertex_normals
from hmrlab.rendering.backends import Pinhole, choose_backend, get_backend

SKIN = (0.68, 0.78, 0.90)
PAPER = 255  # grey of the default background
SUPERSAMPLING = 2
WINDOW_STEP = 256  # pixels, of the parts of a photo that are drawn over
VIEW_DISTANCE = 6.0  # metres, of `render_bodies`' own camera
MOST_DEPTH = VIEW_DISTANCE / 2  # of what it sees, either way from the middle
# Camera frame: x right, y down, z away from the camera. A soft key from the upper left, a raking
# light from the right that shows folds and collapsed joints, and a weak fill from the camera.
_LAMPS = (
    (np.array([-0.6, -0.8, -0.8]), 0.52),
    (np.array([0.95, -0.25, -0.15]), 0.32),
    (np.array([0.0, 0.0, -1.0]), 0.16),
)
_AMBIENT = 0.26

Array = np.ndarray | Tensor


def render_bodies(
    vertices: Array,
    faces: Array,
    *,
    size: int | tuple[int, int] = 256,
    yaw: float = 0.0,
    pitch: float = 0.0,
    colours: Array | None = None,
    backend: str | None = None,
) -> np.ndarray:
    """Bodies in their own frame (y up), each centred, all at one scale.

    Args:
        vertices: (B, V, 3) metres, y up, facing +z.
        faces: (F, 3).
        size: of the pictures, pixels: a side, or (height, width).
        yaw, pitch: where the camera stands, degrees: yaw 90 sees the body's left side, a positive
            pitch looks down on it.
        colours: (3,), (V, 3) or (B, V, 3) in [0, 1].
        backend: see `choose_backend`.

    Returns:
        (B, H, W, 3) uint8 on white.

    Raises:
        ValueError: a vertex is not finite, or a shape does not fit.
    """
    points = _as_bodies(vertices)
    turned = points @ _viewpoint(yaw, pitch).T
    middle = (turned.min(1) + turned.max(1)) / 2
    turned = turned - middle[:, None]
    turned *= MOST_DEPTH / max(np.abs(turned[..., 2]).max(), MOST_DEPTH)  # not behind the camera
    height, width = (size, size) if isinstance(size, int) else size
    span = max(np.abs(turned[..., 1]).max() / height, np.abs(turned[..., 0]).max() / width)
    depth = np.abs(turned[..., 2]).max()
    focal = 0.47 * (VIEW_DISTANCE - depth) / max(span, 1e-6)
    camera = Pinhole(focal, (width / 2, height / 2), height, width)
    turned[..., 2] += VIEW_DISTANCE
    return _draw_all(turned, faces, colours, [camera] * len(turned), None, backend)


def overlay(
    images: Array,
    vertices: Array,
    faces: Array,
    cameras: Array,
    *,
    colours: Array | None = None,
    opacity: float = 1.0,
    backend: str | None = None,
) -> np.ndarray:
    """Bodies over their pictures, seen by SPIN's weak-perspective cameras.

    Args:
        images: (B, R, R, 3) uint8, square crops, as the result.
        vertices: (B, V, 3) metres in the camera frame (y down), without translation.
        faces: (F, 3).
        cameras: (B, 3) scale and shift (s, tx, ty).
        colours, backend: as for `render_bodies`.
        opacity: of the body, 0 to 1.
    """
    points = _as_bodies(vertices)
    pictures = np.asarray(images)
    resolution = pictures.shape[1]
    translation = weak_perspective_to_translation(torch.from_numpy(_numbers(cameras)))
    moved = points + translation.numpy()[:, None]
    focal = SPIN_FOCAL * resolution / SPIN_IMAGE_SIZE
    camera = Pinhole(focal, (resolution / 2, resolution / 2), resolution, resolution)
    return _draw_all(moved, faces, colours, [camera] * len(moved), pictures, backend, opacity)


def over_photo(
    photo: Array,
    vertices: Array,
    faces: Array,
    cameras: Sequence[Pinhole],
    *,
    colours: Array | None = None,
    opacity: float = 1.0,
    backend: str | None = None,
) -> np.ndarray:
    """Bodies over one photo, each seen by its own camera, later ones over earlier ones.

    Args:
        photo: (H, W, 3) uint8, as the result.
        vertices: (B, V, 3) metres in each camera's frame, with translation.
        faces: (F, 3).
        cameras: B, each of the photo's size.
        colours, opacity, backend: as for `overlay`.

    Raises:
        ValueError: a vertex is behind its camera, or is not finite.
    """
    points = _as_bodies(vertices)
    if len(points) and points[..., 2].min() <= 0:
        raise ValueError("a vertex is behind its camera: every z must be positive")
    tints = _colours_for(colours, *points.shape[:2])
    picture = np.array(photo)
    for mesh, camera, tint in zip(points, cameras, tints, strict=True):
        top, left, window = _window(mesh, camera)
        within = picture[top : top + window.height, left : left + window.width]
        height, width = within.shape[:2]
        behind = np.zeros((1, window.height, window.width, 3), np.uint8)
        behind[0, :height, :width] = within
        drawn = _draw_all(mesh[None], faces, tint, [window], behind, backend, opacity)
        within[:] = drawn[0, :height, :width]
    return picture


def _window(mesh: np.ndarray, camera: Pinhole) -> tuple[int, int, Pinhole]:
    """The part of a camera's picture that a mesh is in: its top, its left, and its camera.

    Sizes are rounded up, because a renderer is kept for each of them.
    """
    seen = camera.focal * mesh[:, :2] / mesh[:, 2:] + camera.center
    size = np.array([camera.width, camera.height])
    low = np.floor(np.clip(seen.min(0), 0, size - 1)).astype(int)
    high = np.ceil(np.clip(seen.max(0), low + 1, size)).astype(int)
    width, height = (-(-(high - low) // WINDOW_STEP) * WINDOW_STEP).tolist()
    left, top = low.tolist()
    center = (camera.center[0] - left, camera.center[1] - top)
    return top, left, Pinhole(camera.focal, center, height, width)


def side_view(
    vertices: Array, faces: Array, cameras: Array, size: int = 256, **options: object
) -> np.ndarray:
    """The bodies of `overlay` from their side, turned by 90 degrees: (B, size, size, 3) on white.

    The cameras' scale is kept; `options` are those of `overlay`.
    """
    points = _as_bodies(vertices)
    middle = (points.min(1) + points.max(1))[:, None] / 2
    turned = (points - middle) @ np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    turned[..., 1] += middle[..., 1]
    kept = _numbers(cameras)
    kept[:, 1] = 0
    blank = np.full((len(points), size, size, 3), PAPER, np.uint8)
    return overlay(blank, turned, faces, kept, **options)


def turntable(
    vertices: Array, faces: Array, views: int = 6, size: int = 200, **options: object
) -> np.ndarray:
    """One body (V, 3) from all round, side by side: (size, views * size, 3) uint8."""
    body = np.asarray(vertices)[None]
    strip = [
        render_bodies(body, faces, size=size, yaw=360 * k / views, **options) for k in range(views)
    ]
    return np.concatenate(strip, 2)[0]


def _draw_all(
    points: np.ndarray,
    faces: Array,
    colours: Array | None,
    cameras: list[Pinhole],
    backgrounds: np.ndarray | None,
    backend: str | None,
    opacity: float = 1.0,
) -> np.ndarray:
    drawer = get_backend(choose_backend(backend))
    triangles = np.asarray(faces)
    tints = _colours_for(colours, *points.shape[:2])
    pictures = []
    for k, (mesh, camera) in enumerate(zip(points, cameras, strict=True)):
        lit = lit_colours(mesh, triangles, tints[k])
        colour, depth = drawer.draw(mesh, triangles, lit, camera.scaled(SUPERSAMPLING))
        cover = (depth > 0)[..., None].astype(np.float64)
        share = opacity * _shrink(cover)
        body = _shrink(colour * cover) * opacity
        behind = PAPER if backgrounds is None else backgrounds[k].astype(np.float64)
        pictures.append(body * 255 + behind * (1 - share))
    return np.clip(np.stack(pictures) + 0.5, 0, 255).astype(np.uint8)


def lit_colours(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours (V, 3) in [0, 1] times the light that falls on each vertex, camera frame."""
    normals = vertex_normals(vertices, faces)
    light = np.full(len(vertices), _AMBIENT)
    for direction, strength in _LAMPS:
        towards = direction / np.linalg.norm(direction)
        light += strength * np.maximum(normals @ towards, 0)
    return np.clip(colours * light[:, None], 0, 1)


def _shrink(picture: np.ndarray) -> np.ndarray:
    height, width, channels = picture.shape
    s = SUPERSAMPLING
    return picture.reshape(height // s, s, width // s, s, channels).mean((1, 3))


def _numbers(values: Array) -> np.ndarray:
    """A copy in float64."""
    plain = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    return plain.astype(np.float64)


def _as_bodies(vertices: Array) -> np.ndarray:
    points = _numbers(vertices)
    if points.ndim != 3 or points.shape[2] != 3:
        raise ValueError(f"vertices: expected (B, V, 3), got {points.shape}")
    finite = np.isfinite(points).all((1, 2))
    if not finite.all():
        raise ValueError(f"body {int((~finite).argmax())} has vertices that are NaN or infinite")
    return points


def _colours_for(colours: Array | None, bodies: int, vertices: int) -> np.ndarray:
    tints = np.asarray(SKIN if colours is None else colours, dtype=np.float64)
    if tints.shape not in ((3,), (vertices, 3), (bodies, vertices, 3)):
        raise ValueError(
            f"colours: expected (3,), ({vertices}, 3) or ({bodies}, {vertices}, 3), "
            f"got {tints.shape}"
        )
    return np.broadcast_to(tints, (bodies, vertices, 3))


def _viewpoint(yaw: float, pitch: float) -> np.ndarray:
    """From the body's frame (y up) to the camera's (y down), the camera moved round the body."""
    a, b = np.radians(yaw), np.radians(pitch)
    about_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    # Half a turn about x would also turn left and right round; the camera looks at the body.
    return np.diag([1.0, -1.0, -1.0]) @ about_x @ about_y
