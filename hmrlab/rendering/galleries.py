"""Pictures side by side, with words; keypoints over them; numbers as colours of the skin."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from hmrlab.bodies.joints import ANNOTATED_NAMES, SKELETON_24
from hmrlab.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FARTHEST = 10  # sides of a picture, beyond which no line is followed
HEAT = "magma_r"  # nothing is nearly white
_LEFT, _RIGHT, _MIDDLE = (230, 80, 50), (40, 120, 220), (60, 160, 80)


def gallery(
    columns: dict[str, np.ndarray], captions: Sequence[str] | None = None, width: float = 2.0
) -> Figure:
    """One row for each person, one titled column for each kind of picture (N, H, W, 3) uint8.

    Args:
        columns: pictures by title; all of the same N.
        captions: N texts, written below each row.
        width: of a picture, inches.

    Raises:
        ValueError: the columns have different numbers of pictures.
    """
    from matplotlib.figure import Figure  # takes a second, and bodies are drawn without it

    counts = {title: len(images) for title, images in columns.items()}
    n = next(iter(counts.values()))
    if len(set(counts.values())) != 1 or (captions is not None and len(captions) != n):
        raise ValueError(f"every column and the captions need the same number, got {counts}")
    extra = 0.22 if captions else 0.0
    figure = Figure(figsize=(width * len(columns), (width + extra) * n + 0.3), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    axes = figure.subplots(n, len(columns), squeeze=False)
    for column, (title, images) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=10)
        for row in range(n):
            axis = axes[row, column]
            axis.imshow(images[row], interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    if captions is not None:
        middle = len(columns) // 2
        for row, caption in enumerate(captions):
            axes[row, middle].set_xlabel(caption, fontsize=9)
    return figure


def contact_sheet(images: np.ndarray, columns: int = 8, zoom: int = 1) -> np.ndarray:
    """(N, H, W, 3) uint8 in a grid: (rows H zoom, columns W zoom, 3); empty places are white."""
    n, height, width, _ = images.shape
    rows = -(-n // columns)
    padded = np.full((rows * columns, height, width, 3), 255, np.uint8)
    padded[:n] = images
    sheet = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    sheet = sheet.reshape(rows * height, columns * width, 3)
    return sheet.repeat(zoom, 0).repeat(zoom, 1)


def draw_keypoints(image: np.ndarray, keypoints: np.ndarray, zoom: int = 4) -> np.ndarray:
    """The 24 annotated keypoints (x, y in pixels, confidence) and their skeleton over a picture.

    The person's left is red, the right blue, the middle green; confidences below 0.1 are left out.
    The picture (H, W, 3) uint8 is enlarged first, (H zoom, W zoom, 3), so that lines stay thin.
    """
    height, width, _ = image.shape
    picture = Image.fromarray(image).resize((width * zoom, height * zoom), Image.BICUBIC)
    pen = ImageDraw.Draw(picture)
    # Pillow walks along a line pixel by pixel, also where a body gone astray leads it miles away.
    far = FARTHEST * zoom * max(height, width)
    places = [tuple(np.clip(point[:2] * zoom, -far, far).tolist()) for point in keypoints]
    seen = keypoints[:, 2] >= 0.1
    thick = max(1, zoom * width // 128)
    for a, b in SKELETON_24:
        if seen[a] and seen[b]:
            pen.line([places[a], places[b]], fill=_side_colour(a, b), width=thick)
    for k in np.flatnonzero(seen):
        x, y = places[k]
        pen.ellipse([x - thick, y - thick, x + thick, y + thick], fill=_side_colour(k, k))
    return np.asarray(picture)


def save_png(path: str | Path, picture: np.ndarray | Figure, dpi: int = 100) -> Path:
    """Write a picture or a figure as PNG, whole or not at all."""
    buffer = io.BytesIO()
    if isinstance(picture, np.ndarray):
        Image.fromarray(picture).save(buffer, format="png")
    else:
        picture.savefig(buffer, format="png", dpi=dpi)
    return write_whole(path, lambda file: file.write(buffer.getvalue()))


def joint_heat(values: np.ndarray, weights: np.ndarray, most: float) -> np.ndarray:
    """Spread each joint's number over the vertices that it moves.

    Args:
        values: (B, 24), 0 to `most`; more is shown as `most`, in the last colour.
        weights: (V, 24) skinning weights.

    Returns:
        (B, V, 3) colours in [0, 1].
    """
    spread = np.asarray(values, dtype=np.float64) @ np.asarray(weights, dtype=np.float64).T
    return _heat_colours(np.clip(spread / most, 0, 1))


def paler(colour: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A colour on the way to white, by each joint's share spread over the vertices that it moves.

    Args:
        colour: (3,) in [0, 1].
        shares: (24,) in [0, 1]; 1 is white.
        weights: (V, 24) skinning weights.

    Returns:
        (V, 3) colours in [0, 1].
    """
    spread = np.clip(weights @ np.asarray(shares, dtype=np.float64), 0, 1)[:, None]
    return colour + (1 - np.asarray(colour)) * spread


def heat_ramp(count: int) -> np.ndarray:
    """The colours of `joint_heat` from 0 to `most`, (count, 3) in [0, 1]."""
    return _heat_colours(np.linspace(0, 1, count))


def colour_bar(most: float, label: str) -> Figure:
    """A legend for `joint_heat`, with the unit in its label."""
    from matplotlib.figure import Figure  # takes a second, and bodies are drawn without it

    figure = Figure(figsize=(4.5, 0.7), layout="constrained")
    axis = figure.add_subplot()
    axis.imshow(heat_ramp(256)[None], aspect="auto", extent=(0, most, 0, 1))
    axis.set(yticks=[], xlabel=label)
    return figure


def _heat_colours(share: np.ndarray) -> np.ndarray:
    import matplotlib  # takes half a second, and bodies of one colour are drawn without it

    # The darkest end of the map would hide the shading.
    return matplotlib.colormaps[HEAT](0.03 + 0.85 * share)[..., :3]


def _side_colour(a: int, b: int) -> tuple[int, int, int]:
    names = ANNOTATED_NAMES[a] + ANNOTATED_NAMES[b]
    if "left" in names and "right" not in names:
        return _LEFT
    if "right" in names and "left" not in names:
        return _RIGHT
    return _MIDDLE
