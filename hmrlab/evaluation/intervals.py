"""How far a figure would move with another draw of samples: the bootstrap.

Efron's percentile interval ("Bootstrap Methods: Another Look at the Jackknife", 1979): the samples
are drawn anew, with replacement, as many as there are, the figure is computed of them, a thousand
times; 95 % of what comes out lies in the interval. Neighbouring frames of a video show nearly the
same, so that a thousand of them do not count for a thousand: there whole videos are drawn (Field
and Welsh, "Bootstrapping clustered data", 2007), and the interval is as wide as it should be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from hmrlab.data.shards import JPEG_MARK, RAW_MARK

LEVEL = 0.95
DRAWS = 1000
Measure = Callable[[np.ndarray], np.ndarray]
"""From sums (..., K) over samples to the figure (...)."""

_CAMERA = re.compile(r"\.\d{8}(?=\D|$)")  # Human3.6M: four of them watch the same motion
_NUMBER = re.compile(r"[-_. ]*\d+$")


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} ({self.low:.1f} to {self.high:.1f})"


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first sum over the second, (..., 2) -> (...): a mean; NaN where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums[..., 0] / sums[..., 1]


def bootstrap(
    sums: np.ndarray, measure: Measure, groups: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """A figure of sums over samples, with its interval.

    Args:
        sums: (N, K) what each sample adds to the sums.
        measure: the figure, from the sums.
        groups: (N,) number of the group that each sample belongs to; groups are drawn whole.
        draws, seed: how many times, and of which random numbers.
    """
    if len(sums) == 0:
        raise ValueError("there is no sample to estimate anything of")
    numbers, place = np.unique(groups, return_inverse=True)
    n = len(numbers)
    by_group = np.zeros((n, sums.shape[1]))
    np.add.at(by_group, place, sums.astype(np.float64))
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [np.bincount(rng.integers(0, n, n), minlength=n) @ by_group for _ in range(draws)]
    )
    values = measure(drawn)
    values = values[np.isfinite(values)]
    value = float(measure(by_group.sum(0)))
    if len(values) == 0:
        return Estimate(value, float("nan"), float("nan"))
    edge = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, [edge, 100 - edge])
    return Estimate(value, float(low), float(high))


def sequence_of(imgname: str) -> str:
    """The video that a picture is a frame of: its folder, and its name without the number.

    Human3.6M's cameras are left out: the four show one motion. A picture in a packed array stands
    for itself.
    """
    if RAW_MARK in imgname or JPEG_MARK in imgname:
        return imgname
    path = PurePosixPath(imgname.replace("\\", "/"))
    name = _NUMBER.sub("", path.stem)
    return _CAMERA.sub("", str(path.parent / name))
