"""Metrics from per-sample results: what each sample adds, and what is read off the sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hmrlab.data.part_masks import CLASSES
from hmrlab.evaluation.intervals import Measure, ratio
from hmrlab.evaluation.joint_sets import J14, JointSet, names_in
from hmrlab.evaluation.pck import auc_percent, pck_percent
from hmrlab.evaluation.scores import ELBOWS
from hmrlab.evaluation.segmentation import accuracy, f1_of_classes, mean_f1

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Counted:
    """What each sample adds to a metric's sums."""

    sums: np.ndarray  # (N, K)
    measure: Measure

    def values(self) -> np.ndarray:
        """(N,) the figure of each sample by itself."""
        return self.measure(self.sums)


def counted(metric: str, arrays: Arrays, joints: JointSet | None) -> Counted:
    """A metric's sums.

    Args:
        metric: of `hmrlab.evaluation.protocols.METRICS`.
        arrays: an evaluation's.
        joints: which the columns of `joint_error_mm` are.

    Raises:
        KeyError: there is no such metric, or the arrays do not hold what it needs.
    """
    if metric in _CONFUSIONS:
        name, measure = _CONFUSIONS[metric]
        confusion = arrays[name].reshape(len(arrays[name]), -1)
        return Counted(confusion, measure)
    if metric in ("pck_percent", "auc_percent"):
        errors = arrays["joint_error_mm"][:, joints.rows(names_in(joints, J14))]
        values = pck_percent(errors) if metric == "pck_percent" else auc_percent(errors)
    else:
        values = _MEANS[metric](arrays)
    known = np.isfinite(values)
    return Counted(np.stack([np.where(known, values, 0), known], 1), ratio)


_MEANS: dict[str, Callable[[Arrays], np.ndarray]] = {
    "mpjpe_mm": lambda arrays: arrays["joint_error_mm"].mean(1),
    "pa_mpjpe_mm": lambda arrays: arrays["pa_mpjpe_mm"],
    "pve_mm": lambda arrays: arrays["pve_mm"],
    "rotation_error_deg": lambda arrays: arrays["rotation_error_deg"].mean(1),
    "elbow_twist_error_deg": lambda arrays: arrays["twist_error_deg"][:, ELBOWS].mean(1),
    "beyond_limits_percent": lambda arrays: 100 * arrays["beyond_limits"][:, 1:].mean(1),
    "keypoint_error_percent": lambda arrays: arrays["keypoint_error_percent"],
}


def _masks(sums: np.ndarray) -> np.ndarray:
    return sums.reshape(*sums.shape[:-1], 2, 2)


def _parts(sums: np.ndarray) -> np.ndarray:
    return sums.reshape(*sums.shape[:-1], CLASSES + 1, CLASSES)


_CONFUSIONS: dict[str, tuple[str, Measure]] = {
    "mask_accuracy_percent": ("mask_confusion", lambda sums: 100 * accuracy(_masks(sums))),
    "mask_f1": ("mask_confusion", lambda sums: mean_f1(_masks(sums))),
    "person_f1": ("mask_confusion", lambda sums: f1_of_classes(_masks(sums))[..., 1]),
    "parts_accuracy_percent": ("parts_confusion", lambda sums: 100 * accuracy(_parts(sums))),
    "parts_f1": ("parts_confusion", lambda sums: mean_f1(_parts(sums))),
}
