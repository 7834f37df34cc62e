"""Numbers of joints as colours of the skin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAT = "magma_r"  # nothing is nearly white


def joint_heat(
    values: np.ndarray, weights: np.ndarray, most: float, colour_map: str = HEAT
) -> np.ndarray:
    """Spread each joint's number over the vertices that it moves.

    Args:
        values: (B, 24), 0 to `most`; more is shown as `most`.
        weights: (V, 24) skinning weights.
        most: value of the last colour.
        colour_map: one of matplotlib's.

    Returns:
        (B, V, 3) colours in [0, 1].
    """
    spread = np.asarray(values, dtype=np.float64) @ np.asarray(weights, dtype=np.float64).T
    return _colours(np.clip(spread / most, 0, 1), colour_map)


def heat_ramp(count: int, colour_map: str = HEAT) -> np.ndarray:
    """The colours of `joint_heat` from 0 to `most`, (count, 3) in [0, 1]."""
    return _colours(np.linspace(0, 1, count), colour_map)


def colour_bar(most: float, label: str, colour_map: str = HEAT) -> Figure:
    """A legend for `joint_heat`, with the unit in its label."""
    from matplotlib.figure import Figure  # takes a second, and bodies are drawn without it

    figure = Figure(figsize=(4.5, 0.7), layout="constrained")
    axis = figure.add_subplot()
    axis.imshow(heat_ramp(256, colour_map)[None], aspect="auto", extent=(0, most, 0, 1))
    axis.set(yticks=[], xlabel=label)
    return figure


def _colours(share: np.ndarray, colour_map: str) -> np.ndarray:
    import matplotlib  # takes half a second, and bodies of one colour are drawn without it

    # The darkest end of the map would hide the shading.
    return matplotlib.colormaps[colour_map](0.03 + 0.85 * share)[..., :3]
