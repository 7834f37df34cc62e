"""Fourteen joints as a stick figure, from the front, the side, from above or aslant."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

BONES_14: tuple[tuple[int, int], ...] = (
    (0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11), (2, 3), (8, 9), (2, 8),
    (3, 9), (8, 12), (9, 12), (12, 13),
)  # fmt: skip
"""Pairs of J14's joints to join by a line."""

_ASIDE, _DOWN = math.radians(40), math.radians(20)
_X, _Y, _Z = np.eye(3)
_ASLANT_X = math.cos(_ASIDE) * _X - math.sin(_ASIDE) * _Z
_ASLANT_Z = math.sin(_ASIDE) * _X + math.cos(_ASIDE) * _Z
# What points right and what points up on the page, with words for both.
_VIEWS: dict[str, tuple[np.ndarray, np.ndarray, str, str]] = {
    "front": (_X, _Y, "x, metres", "y, metres"),
    "side": (_Z, _Y, "z, metres", "y, metres"),
    "above": (_X, -_Z, "x, metres", "-z, metres"),
    "aslant": (
        _ASLANT_X,
        math.cos(_DOWN) * _Y - math.sin(_DOWN) * _ASLANT_Z,
        "across, metres",
        "up, metres",
    ),
}
VIEWS = tuple(_VIEWS)


def draw_sticks(
    axis: Axes,
    points: Tensor,
    view: str = "front",
    colour: str = "C0",
    *,
    label: str | None = None,
    width: float = 2.0,
) -> None:
    """Draw a body's 14 joints and the bones between them.

    Args:
        axis: to draw on; it gets the view's labels and equal scales.
        points: (14, 3) in J14's order, metres, the body's frame (x its left, y up, z forwards).
        view: front; side, from its right, so that forwards is to the right; above, forwards is
            down; or aslant, from before, its left and a little above.
        colour: of the lines and points.
        label: for the legend.
        width: of the lines, points.

    Raises:
        KeyError: there is no such view.
        ValueError: these are not 14 points.
    """
    flat = _flat(points, view)
    for number, (a, b) in enumerate(BONES_14):
        axis.plot(*flat[[a, b]].T, color=colour, lw=width, solid_capstyle="round",
                  label=label if number == 0 else None)  # fmt: skip
    axis.plot(*flat.T, "o", color=colour, ms=width + 1.5)
    _frame(axis, view)


def draw_misses(
    axis: Axes, points: Tensor, true: Tensor, view: str = "front", colour: str = "C3"
) -> None:
    """A thin line from each joint (14, 3) to where it should be, on the axis of `draw_sticks`."""
    for pair in np.stack([_flat(points, view), _flat(true, view)], 1):
        axis.plot(*pair.T, color=colour, lw=1.0)
    _frame(axis, view)


def _flat(points: Tensor, view: str) -> np.ndarray:
    if tuple(points.shape) != (14, 3):
        raise ValueError(f"a stick figure needs (14, 3) points, got {tuple(points.shape)}")
    right, up, _, _ = _VIEWS[view]
    return points.detach().numpy() @ np.stack([right, up], 1)


def _frame(axis: Axes, view: str) -> None:
    _, _, across, upwards = _VIEWS[view]
    axis.set(xlabel=across, ylabel=upwards, aspect="equal")
