"""Words beside the points of a plot, placed so that they do not cover each other."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patheffects import withStroke

_ANGLES = 16
_DISTANCES = (7.0, 14.0, 24.0, 38.0, 54.0)  # pixels from the point to the nearest edge of the words
_MARKER = 6.0  # half the side of a point's marker, pixels
_GAP = 2.0  # pixels between words
_PASSES = 4
_OUTSIDE, _COVERED, _FAR = 20.0, 10.0, 0.02  # costs: a pixel outside, a pixel covered, a pixel away


def place(anchors: np.ndarray, sizes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Where to put the middles of boxes near their points, so that little is covered.

    Each box in turn takes the best of some places around its point, given where all others are;
    after a few rounds nothing moves any more.

    Args:
        anchors: (N, 2) the points, pixels.
        sizes: (N, 2) widths and heights of the boxes, pixels.
        width: of the field that they should stay in.
        height: of the field.

    Returns:
        (N, 2) pixels.
    """
    count = len(anchors)
    places = anchors + np.array([0.0, _DISTANCES[0]]) + sizes * [0.0, 0.5]
    for _ in range(_PASSES):
        before = places.copy()
        for k in range(count):
            candidates = _around(anchors[k], sizes[k])
            others = np.arange(count) != k
            cost = _FAR * np.linalg.norm(candidates - anchors[k], axis=1)
            cost += _OUTSIDE * _outside(candidates, sizes[k], width, height)
            cost += _COVERED * _overlap(candidates, sizes[k], places[others], sizes[others] + _GAP)
            cost += _COVERED * _overlap(
                candidates, sizes[k], anchors, np.full((count, 2), 2 * _MARKER)
            )
            places[k] = candidates[int(cost.argmin())]
        if np.array_equal(before, places):
            break
    return places


def label_points(axes: Axes, x: np.ndarray, y: np.ndarray, words: list[str], **text) -> None:
    """Write words beside points, with a thin line to those that had to move away.

    Args:
        axes: with its final limits, in a figure of its final size.
        x: (N,) data coordinates.
        y: (N,).
        words: N of them.
        text: settings for matplotlib's `Axes.annotate`; `color` may be N colours.
    """
    figure = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    box = axes.get_window_extent(renderer)
    anchors = axes.transData.transform(np.column_stack([x, y])) - [box.x0, box.y0]
    colours = text.pop("color", ["black"] * len(words))
    sizes = []
    for word in words:
        drawn = axes.text(0.5, 0.5, word, transform=axes.transAxes, **text)
        extent = drawn.get_window_extent(renderer)
        sizes.append((extent.width, extent.height))
        drawn.remove()
    sizes = np.array(sizes).reshape(-1, 2)
    places = place(anchors, sizes, box.width, box.height)
    points = 72 / figure.dpi
    for k, word in enumerate(words):
        anchor, size, spot = anchors[k], sizes[k], places[k]
        gap = np.maximum(np.abs(spot - anchor) - size / 2, 0)
        line = {"arrowstyle": "-", "lw": 0.6, "color": colours[k], "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            word,
            (x[k], y[k]),
            xytext=tuple((spot - anchor) * points),
            textcoords="offset points",
            ha="center",
            va="center",
            color=colours[k],
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            arrowprops=line if np.linalg.norm(gap) > 2 * _DISTANCES[0] else None,
            **text,
        )


def _around(anchor: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(M, 2) middles of a box whose edge is at some distance from a point, in some directions."""
    found = []
    for distance in _DISTANCES:
        for k in range(_ANGLES):
            angle = 2 * math.pi * k / _ANGLES
            direction = np.array([math.cos(angle), math.sin(angle)])
            reach = np.clip(direction * 1.5, -1, 1)  # beside it, or above it, or at a corner
            found.append(anchor + direction * distance + reach * size / 2)
    return np.array(found)


def _overlap(
    places: np.ndarray, size: np.ndarray, others: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """(M,) side of a square as large as what a box at each of M places covers of other boxes."""
    reach = (size + sizes) / 2
    shared = np.clip(reach - np.abs(places[:, None] - others), 0, np.minimum(size, sizes))
    return np.sqrt(shared.prod(axis=-1)).sum(axis=-1)


def _outside(places: np.ndarray, size: np.ndarray, width: float, height: float) -> np.ndarray:
    """(M,) pixels by which a box at each of M places leaves the field."""
    low = np.clip(size / 2 - places, 0, None)
    high = np.clip(places + size / 2 - [width, height], 0, None)
    return (low + high).sum(axis=1)
