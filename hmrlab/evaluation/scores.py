"""Errors as arrays, a row for each person; means by person and by joint follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from torch import Tensor

from hmrlab.bodies.joints import SMPL_JOINTS

ELBOWS = [SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")]


@dataclass(frozen=True)
class ArrayRecord:
    """A dataclass of arrays (N, ...)."""

    @classmethod
    def of(cls, **values: Tensor) -> Self:
        """From tensors on any device."""
        return cls(**{name: value.cpu().numpy() for name, value in values.items()})

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """From `arrays()`, among which there may be others.

        Raises:
            ValueError: one is missing.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return cls(**{name: arrays[name] for name in names})

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Several records as one, row after row."""
        columns = [part.arrays() for part in parts]
        return cls(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})

    def __getitem__(self, index: Any) -> Self:
        """Some of the rows: by position, slice or mask."""
        return type(self)(**{name: value[index] for name, value in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """Every field by name, as kept in a `.npz`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class JointScores(ArrayRecord):
    """Errors of joints, both bodies' centred."""

    index: np.ndarray  # (N,) the sample's place in its set
    joint_error_mm: np.ndarray  # (N, J)
    pa_mpjpe_mm: np.ndarray  # (N,) of the same joints after Procrustes alignment

    @property
    def count(self) -> int:
        """How many people were evaluated."""
        return len(self.index)

    @property
    def mpjpe_mm(self) -> np.ndarray:
        """(N,) mean per joint position error of each person."""
        return self.joint_error_mm.mean(axis=1)

    def values(self, metric: str) -> np.ndarray:
        """(N,) a metric of each person; NaN where a person has none.

        Raises:
            KeyError: there is no such metric.
        """
        entries = _ENTRIES[metric](self)
        means = entries.mean(1) if entries.ndim > 1 else entries
        return 100 * means if entries.dtype == bool else means

    def mean(self, metric: str) -> float:
        """A metric over all people that have it; NaN if nobody does."""
        entries = _ENTRIES[metric](self)
        known = ~np.isnan(entries)
        if not known.all():
            entries = entries[known]
        value = float(entries.mean()) if entries.size else float("nan")
        return 100 * value if entries.dtype == bool else value


@dataclass(frozen=True)
class Scores(JointScores):
    """Errors of bodies whose true pose and shape are known."""

    pve_mm: np.ndarray  # (N,) of the vertices, centred on the joints' pelvis
    rotation_error_deg: np.ndarray  # (N, 24) geodesic, joint 0 is the root
    twist_deg: np.ndarray  # (N, 24) predicted twist about each joint's bone, -180 to 180
    true_twist_deg: np.ndarray  # (N, 24)
    beyond_limits: np.ndarray  # (N, 24) bool, twisted further than a person can; the root never
    betas: np.ndarray  # (N, 10) predicted
    true_betas: np.ndarray  # (N, 10)
    keypoint_error_percent: np.ndarray  # (N,) of the annotated ones, in percent of the crop's side

    @property
    def twist_error_deg(self) -> np.ndarray:
        """(N, 24) difference of predicted and true twist, the short way round."""
        return np.abs((self.twist_deg - self.true_twist_deg + 180) % 360 - 180)

    @property
    def rotation_error_deg_by_joint(self) -> np.ndarray:
        """(24,) means over the people."""
        return self.rotation_error_deg.mean(axis=0)

    def to_dict(self) -> dict[str, float]:
        """The means for a table or the ledger, named as in `METRICS`, and the "count"."""
        return {"count": float(self.count)} | {name: self.mean(name) for name in _ENTRIES}


@dataclass(frozen=True)
class MeshScores(Scores):
    """The same with the joints themselves."""

    joints: np.ndarray  # (N, J, 3) predicted, metres, centred
    true_joints: np.ndarray  # (N, J, 3)


@dataclass(frozen=True)
class StoredScores(JointScores):
    """Errors against joints that a set stores, with the joints themselves."""

    joints: np.ndarray  # (N, J, 3) predicted, metres, centred
    true_joints: np.ndarray  # (N, J, 3)


@dataclass(frozen=True)
class MaskScores(ArrayRecord):
    """Pixels by true (row) and predicted class."""

    mask_confusion: np.ndarray  # (N, 2, 2) background and person
    parts_confusion: np.ndarray  # (N, 8, 7) background and six parts; the last row is left open


# Each metric is the mean of these, (N,) or (N, K); of truth values, in percent. What is measured
# below the root leaves it out, since a person may face any way.
_ENTRIES: dict[str, Callable[[Any], np.ndarray]] = {
    "mpjpe_mm": lambda scores: scores.joint_error_mm,
    "pa_mpjpe_mm": lambda scores: scores.pa_mpjpe_mm,
    "pve_mm": lambda scores: scores.pve_mm,
    "rotation_error_deg": lambda scores: scores.rotation_error_deg,
    "root_error_deg": lambda scores: scores.rotation_error_deg[:, 0],
    "twist_error_deg": lambda scores: scores.twist_error_deg[:, 1:],
    "elbow_twist_error_deg": lambda scores: scores.twist_error_deg[:, ELBOWS],
    "beyond_limits_percent": lambda scores: scores.beyond_limits[:, 1:],
    "betas_error": lambda scores: np.abs(scores.betas - scores.true_betas),
    "mean_abs_beta": lambda scores: np.abs(scores.betas),
    "keypoint_error_percent": lambda scores: scores.keypoint_error_percent,
}
