"""Metrics from the scores of each sample: what it adds to sums, and what is read off these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmrlab.data.part_masks import CLASSES
from hmrlab.evaluation.intervals import Measure, ratio
from hmrlab.evaluation.joint_sets import J14, JointSet, names_in
from hmrlab.evaluation.pck import auc_percent, pck_percent
from hmrlab.evaluation.scores import MaskScores, MeshScores, StoredScores
from hmrlab.evaluation.segmentation import accuracy, f1_of_classes, mean_f1


@dataclass(frozen=True)
class Sums:
    """What each sample adds to a metric's sums."""

    sums: np.ndarray  # (N, K)
    measure: Measure

    def values(self) -> np.ndarray:
        """(N,) the metric of each sample by itself."""
        return self.measure(self.sums)


def sums_of(
    metric: str, scores: MeshScores | StoredScores | MaskScores, joints: JointSet | None
) -> Sums:
    """A metric's sums.

    Args:
        metric: of `METRICS`.
        scores: of every sample.
        joints: which the columns of `joint_error_mm` are.

    Raises:
        KeyError: there is no such metric.
    """
    if isinstance(scores, MaskScores):
        masks = scores.mask_confusion if metric in _OF_MASK else scores.parts_confusion
        return Sums(masks.reshape(len(masks), -1), (_OF_MASK | _OF_PARTS)[metric])
    if metric in _OF_ERRORS:
        values = _OF_ERRORS[metric](benchmark_errors(scores, joints))
    else:
        values = scores.values(metric)
    known = np.isfinite(values)
    return Sums(np.stack([np.where(known, values, 0), known], 1), ratio)


def benchmark_errors(scores: MeshScores | StoredScores, joints: JointSet) -> np.ndarray:
    """(N, 14) millimetres, of the joints that MPI-INF-3DHP counts."""
    return scores.joint_error_mm[:, joints.rows(names_in(joints, J14))]


def _masks(sums: np.ndarray) -> np.ndarray:
    return sums.reshape(*sums.shape[:-1], 2, 2)


def _parts(sums: np.ndarray) -> np.ndarray:
    return sums.reshape(*sums.shape[:-1], CLASSES + 1, CLASSES)


_OF_ERRORS = {"pck_percent": pck_percent, "auc_percent": auc_percent}
_OF_MASK: dict[str, Measure] = {
    "mask_accuracy_percent": lambda sums: 100 * accuracy(_masks(sums)),
    "mask_f1": lambda sums: mean_f1(_masks(sums)),
    "person_f1": lambda sums: f1_of_classes(_masks(sums))[..., 1],
}
_OF_PARTS: dict[str, Measure] = {
    "parts_accuracy_percent": lambda sums: 100 * accuracy(_parts(sums)),
    "parts_f1": lambda sums: mean_f1(_parts(sums)),
}
