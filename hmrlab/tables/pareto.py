"""Accuracy against cost, and the networks that no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

_INK, _FAINT = "#333333", "#c9ced6"
_COLOURS = ("#1f6fb4", "#d1495b", "#2a9d5c", "#e08e1b", "#7b4fa6", "#0f8b8d", "#8c564b", "#666666")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "o")
_ANGLES = 16
_DISTANCES = (7.0, 14.0, 24.0, 38.0, 54.0)  # pixels from the point to the nearest edge of the words
_MARKER = 6.0  # half the side of a point's marker, pixels
_GAP = 2.0  # pixels between words
_PASSES = 4
_OUTSIDE, _COVERED, _FAR = 20.0, 10.0, 0.02  # costs: a pixel outside, a pixel covered, a pixel away


@dataclass(frozen=True)
class Point:
    """One network in a plot."""

    label: str
    family: str  # shares a colour
    cost: float
    error: float  # mean over the seeds
    least: float
    most: float


@dataclass(frozen=True)
class Panel:
    """One kind of cost."""

    cost: str  # its name and unit
    points: tuple[Point, ...]


def pareto_front(costs: Sequence[float], errors: Sequence[float]) -> list[int]:
    """Which are beaten by nobody: no other has at most their cost and error, and less of one.

    Gives their places, cheapest first; of equals all.
    """
    if len(costs) != len(errors):
        raise ValueError(f"{len(costs)} costs and {len(errors)} errors; expected as many")
    best, front = float("inf"), []
    order = sorted(range(len(costs)), key=lambda k: (costs[k], errors[k]))
    for k in order:
        equal = bool(front) and (costs[k], errors[k]) == (costs[front[-1]], errors[front[-1]])
        if errors[k] < best or equal:
            front.append(k)
            best = errors[k]
    return front


def plot_accuracy(
    panels: Sequence[Panel], error: str, title: str, *, joined: bool = False
) -> Figure:
    """One panel for each kind of cost, costs on a logarithmic axis, the Pareto front marked.

    Args:
        panels: the same networks with different costs; there may be none in them.
        error: name and unit of the errors.
        title: of the whole.
        joined: draw a thin line through each family's points, in their order.
    """
    with matplotlib.rc_context({"font.size": 10, "axes.titlesize": 11}):
        figure = Figure(figsize=(6.2 * len(panels), 5.4), dpi=100, layout="constrained")
        figure.suptitle(title, fontsize=13, color=_INK)
        families = list(dict.fromkeys(p.family for panel in panels for p in panel.points))
        looks = {
            family: (_COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)])
            for k, family in enumerate(families)
        }
        all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(all_axes, panels, strict=True):
            _draw(axes, panel, looks, joined)
        all_axes[0].set_ylabel(error, color=_INK)
        if families:
            handles, names = all_axes[0].get_legend_handles_labels()
            figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False)
        figure.draw_without_rendering()
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")  # labels are placed for these sizes
        for axes, panel in zip(all_axes, panels, strict=True):
            _label_points(
                axes,
                np.array([point.cost for point in panel.points]),
                np.array([point.error for point in panel.points]),
                [point.label for point in panel.points],
                color=[looks[point.family][0] for point in panel.points],
                fontsize=8.5,
            )
    return figure


def _draw(axes: Axes, panel: Panel, looks: dict[str, tuple[str, str]], joined: bool) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(panel.cost, color=_INK)
    axes.grid(True, which="major", color="#eceff3", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, which="both")
    costs = [point.cost for point in panel.points]
    errors = [point.error for point in panel.points]
    front = pareto_front(costs, errors)
    if not front:
        words = "nothing both recorded and measured yet"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center")
        return
    axes.margins(x=0.16, y=0.12)
    x = np.array([costs[k] for k in front])
    y = np.array([errors[k] for k in front])
    axes.step(
        [*x, max(costs)], [*y, y[-1]], where="post", color=_FAINT, lw=5, zorder=1,
        solid_joinstyle="round", label="Pareto front",
    )  # fmt: skip
    for family, (colour, marker) in looks.items():
        mine = [k for k, point in enumerate(panel.points) if point.family == family]
        if not mine:
            continue
        spread = np.array(
            [[errors[k] - panel.points[k].least, panel.points[k].most - errors[k]] for k in mine]
        ).T
        axes.errorbar(
            [costs[k] for k in mine],
            [errors[k] for k in mine],
            yerr=spread,
            fmt=marker,
            ls="-" if joined else "none",
            lw=0.9,
            elinewidth=1.2,
            color=colour,
            ms=6.5,
            mec="white",
            mew=0.8,
            zorder=3,
        )
        axes.plot([], [], marker, color=colour, ms=6.5, label=family)
    axes.scatter(x, y, s=130, facecolors="none", edgecolors=_INK, lw=1.1, zorder=4, gid="front")


def place(anchors: np.ndarray, sizes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Where to put the middles (N, 2) of boxes near their points, so that little is covered.

    Each box in turn takes the best of some places around its point, given where all others are;
    after a few rounds nothing moves any more.

    Args:
        anchors: (N, 2) the points, pixels.
        sizes: (N, 2) widths and heights of the boxes, pixels.
        width, height: of the field that they should stay in.
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


def _label_points(axes: Axes, x: np.ndarray, y: np.ndarray, words: list[str], **text) -> None:
    """Write words beside points (N,), with a thin line to those that had to move away.

    Args:
        axes: with its final limits, in a figure of its final size.
        x, y: data coordinates.
        words: N of them.
        text: settings for matplotlib's `Axes.annotate`, with N colours as `color`.
    """
    figure = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    box = axes.get_window_extent(renderer)
    anchors = axes.transData.transform(np.column_stack([x, y])) - [box.x0, box.y0]
    colours = text.pop("color")
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
