"""Learning rates as closed forms of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, peak: float, schedule: str) -> float:
    """The learning rate of optimiser step `step` (from 0) of `steps`.

    Args:
        schedule: "constant" is SPIN's (Adam at one rate to the end); "warm_cosine" rises linearly
            over the first 5 % and falls as half a cosine to 1 % of the peak, which makes
            trainings of minutes end well.

    Raises:
        ValueError: the schedule is neither.
    """
    if schedule == "constant":
        return peak
    if schedule != "warm_cosine":
        raise ValueError(f"unknown schedule {schedule!r}; choose constant or warm_cosine")
    warm = max(1, round(0.05 * steps))
    if step < warm:
        return peak * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
