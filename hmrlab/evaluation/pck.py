"""The share of joints that are near enough, and its mean over thresholds.

As the benchmark of MPI-INF-3DHP counts them (Mehta et al., 3DV 2017; `mpii_compute_3d_pck.m`, which
comes with the test set): a joint is right if it is less than 150 mm off, 14 joints count (pelvis,
spine and jaw do not), and the area under the curve is the mean at 0, 5, ..., 150 mm. At 0 mm no
joint is right, so the best possible area is 30/31, 96.8 %.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PCK_THRESHOLD_MM = 150.0
AUC_THRESHOLDS_MM: tuple[float, ...] = tuple(float(t) for t in range(0, 151, 5))


def pck_percent(errors_mm: np.ndarray, threshold_mm: float = PCK_THRESHOLD_MM) -> np.ndarray:
    """Share of each person's joints that are less than a threshold off: (N, J) mm -> (N,) %."""
    return 100.0 * (errors_mm < threshold_mm).mean(axis=1)


def pck_curve(
    errors_mm: np.ndarray, thresholds_mm: Sequence[float] = AUC_THRESHOLDS_MM
) -> np.ndarray:
    """Each person's share at each threshold: (N, J) mm -> (N, T) %."""
    return np.stack([pck_percent(errors_mm, threshold) for threshold in thresholds_mm], axis=1)


def auc_percent(errors_mm: np.ndarray) -> np.ndarray:
    """The mean of each person's curve: (N, J) mm -> (N,) %."""
    return pck_curve(errors_mm).mean(axis=1)
