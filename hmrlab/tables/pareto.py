"""Accuracy against cost, and the networks that no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hmrlab.tables.labels import label_points

_INK, _FAINT = "#333333", "#c9ced6"
_COLOURS = ("#1f6fb4", "#d1495b", "#2a9d5c", "#e08e1b", "#7b4fa6", "#0f8b8d", "#8c564b", "#666666")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "o")


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

    Args:
        costs: of each.
        errors: of each, in the same order.

    Returns:
        Their places, cheapest first; of equals all.

    Raises:
        ValueError: there are not as many costs as errors.
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
            label_points(
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
