"""What is around a person: backgrounds, things in front, light, and what a camera does to it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom


def background(size: int, hard: bool, rng: np.random.Generator) -> np.ndarray:
    """A picture (size, size, 3) in [0, 1] to stand in front of.

    `studio` pictures have gradients, plain rooms and soft clouds; `wild` ones also blocks,
    checkers, stripes and horizons, in stronger colours.
    """
    makers = (_gradient, _room, _clouds)
    if hard:
        makers = (*makers, _blocks, _checkers, _stripes, _horizon, _blocks)
    picture = makers[rng.integers(len(makers))](size, rng)
    if hard and rng.random() < 0.5:
        picture = picture + rng.normal(0, 0.12, (size, size, 1)) * rng.random()
    return np.clip(picture, 0, 1)


def light_direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector towards the lamp, camera frame: from above, before or beside the person."""
    angle, height = rng.uniform(-1.9, 1.9), rng.uniform(0.1, 1.2)
    return np.array(
        [np.sin(angle) * np.cos(height), -np.sin(height), -np.cos(angle) * np.cos(height)]
    )


def brightness(normals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light on each vertex (V,): an ambient share, one lamp, and a weak one at the camera."""
    ambient, lamp = rng.uniform(0.35, 0.55), rng.uniform(0.4, 0.75)
    at_camera = rng.uniform(0.05, 0.25)
    lambert = np.maximum(normals @ light_direction(rng), 0)
    return ambient + lamp * lambert + at_camera * np.maximum(-normals[:, 2], 0)


def occlude(picture: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put a block, a pole or a table before the person, in place.

    Args:
        picture: (S, S, 3). box: (4,) left, top, right, bottom of the person, pixels.

    Returns:
        (S, S) bool, what is now hidden.
    """
    size = len(picture)
    hidden = np.zeros((size, size), bool)
    width, height = box[2] - box[0], box[3] - box[1]
    kind = rng.integers(3)
    if kind == 0:
        w, h = rng.uniform(0.15, 0.45) * width, rng.uniform(0.1, 0.35) * height
        x, y = rng.uniform(box[0], box[2] - w), rng.uniform(box[1], box[3] - h)
    elif kind == 1:
        w, h = rng.uniform(0.04, 0.12) * size, size
        x, y = rng.uniform(box[0], box[2]), 0
    else:
        w, h = size, rng.uniform(0.12, 0.4) * height
        x, y = 0, box[3] - h
    rows = slice(max(0, int(y)), max(0, int(y + h)))
    columns = slice(max(0, int(x)), max(0, int(x + w)))
    hidden[rows, columns] = True
    patch = _gradient(size, rng)
    picture[hidden] = patch[hidden]
    return hidden


def photograph(picture: np.ndarray, hard: bool, rng: np.random.Generator) -> np.ndarray:
    """Exposure, blur and sensor noise: (S, S, 3) in [0, 1] -> uint8."""
    if hard:
        picture = picture ** rng.uniform(0.6, 1.6)
        blur = rng.choice([0, 0, rng.uniform(0.4, 1.0)])
        if blur:
            picture = gaussian_filter(picture, (blur, blur, 0))
    noise = rng.uniform(0, 0.05 if hard else 0.015)
    picture = picture + rng.normal(0, 1, picture.shape).astype(np.float32) * noise
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _colour(rng: np.random.Generator) -> np.ndarray:
    grey = rng.uniform(0.05, 0.95)
    return np.clip(grey + rng.normal(0, 0.16, 3), 0, 1)


def _gradient(size: int, rng: np.random.Generator) -> np.ndarray:
    a, b = _colour(rng), _colour(rng)
    angle = rng.uniform(0, 2 * np.pi)
    t = np.linspace(-0.5, 0.5, size)
    share = np.clip(0.5 + np.cos(angle) * t[None] + np.sin(angle) * t[:, None], 0, 1)[..., None]
    return a * share + b * (1 - share)


def _room(size: int, rng: np.random.Generator) -> np.ndarray:
    picture = np.empty((size, size, 3))
    floor = int(rng.uniform(0.55, 0.85) * size)
    picture[:floor], picture[floor:] = _colour(rng), _colour(rng)
    fade = np.linspace(0.8, 1.1, size - floor)[:, None, None]
    picture[floor:] *= fade
    if rng.random() < 0.5:
        corner = int(rng.uniform(0.1, 0.9) * size)
        picture[:floor, corner:] *= 0.85
    return picture


def _clouds(size: int, rng: np.random.Generator) -> np.ndarray:
    cells = rng.integers(3, 9)
    field = zoom(rng.random((cells, cells)), size / cells, order=1)[:size, :size, None]
    return _colour(rng) * field + _colour(rng) * (1 - field)


def _blocks(size: int, rng: np.random.Generator) -> np.ndarray:
    picture = _gradient(size, rng)
    for _ in range(rng.integers(3, 12)):
        x, y = rng.integers(0, size, 2)
        w, h = rng.integers(size // 16, size // 2, 2)
        picture[y : y + h, x : x + w] = _colour(rng)
    return picture


def _checkers(size: int, rng: np.random.Generator) -> np.ndarray:
    period = rng.uniform(0.05, 0.25) * size
    cells = np.floor((np.arange(size) + rng.uniform(0, size)) / period)
    on = ((cells[None] + cells[:, None]) % 2)[..., None]
    return _colour(rng) * on + _colour(rng) * (1 - on)


def _stripes(size: int, rng: np.random.Generator) -> np.ndarray:
    angle, period = rng.uniform(0, np.pi), rng.uniform(0.05, 0.3) * size
    line = np.arange(size)
    wave = np.sin(2 * np.pi * (np.cos(angle) * line[None] + np.sin(angle) * line[:, None]) / period)
    on = (wave > 0)[..., None]
    return _colour(rng) * on + _colour(rng) * ~on


def _horizon(size: int, rng: np.random.Generator) -> np.ndarray:
    line = int(rng.uniform(0.3, 0.7) * size)
    sky = np.array([0.5, 0.7, 0.95]) * rng.uniform(0.6, 1.05)
    ground = np.array([[0.35, 0.5, 0.2], [0.75, 0.68, 0.5], [0.4, 0.4, 0.42]])[rng.integers(3)]
    picture = np.empty((size, size, 3))
    picture[:line] = sky + np.linspace(0, 0.2, line)[:, None, None]
    picture[line:] = ground
    cells = rng.integers(8, 24)
    rough = zoom(rng.random((cells, cells)), size / cells, order=1)[:size, :size, None]
    return picture * (0.75 + 0.5 * rough)
