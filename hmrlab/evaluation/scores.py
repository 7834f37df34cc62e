"""The result of an evaluation: one row for each person, and what the tables show of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from hmrlab.bodies.joints import SMPL_JOINTS

ELBOWS = [SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")]


@dataclass(frozen=True)
class Scores:
    """Errors of every evaluated person; means by sample and by joint follow from them."""

    index: np.ndarray  # (N,) the sample's place in its set
    joint_error_mm: np.ndarray  # (N, 14) of Human3.6M's joints, both bodies centred on the pelvis
    pa_mpjpe_mm: np.ndarray  # (N,) the same joints after Procrustes alignment
    pve_mm: np.ndarray  # (N,) of the vertices, centred on the same pelvis
    rotation_error_deg: np.ndarray  # (N, 24) geodesic, joint 0 is the root
    twist_deg: np.ndarray  # (N, 24) predicted twist about each joint's bone, -180 to 180
    true_twist_deg: np.ndarray  # (N, 24)
    beyond_limits: np.ndarray  # (N, 24) bool, twisted further than a person can; the root never
    betas: np.ndarray  # (N, 10) predicted
    true_betas: np.ndarray  # (N, 10)
    keypoint_error_percent: np.ndarray  # (N,) of the annotated ones, in percent of the crop's side

    @property
    def count(self) -> int:
        """How many people were evaluated."""
        return len(self.index)

    @property
    def mpjpe_mm(self) -> np.ndarray:
        """(N,) mean per joint position error of each person."""
        return self.joint_error_mm.mean(axis=1)

    @property
    def twist_error_deg(self) -> np.ndarray:
        """(N, 24) difference of predicted and true twist, the short way round."""
        return np.abs((self.twist_deg - self.true_twist_deg + 180) % 360 - 180)

    @property
    def joint_error_mm_by_joint(self) -> np.ndarray:
        """(14,) means over the people, in the order of `H36M_TO_J14`."""
        return self.joint_error_mm.mean(axis=0)

    @property
    def rotation_error_deg_by_joint(self) -> np.ndarray:
        """(24,) means over the people."""
        return self.rotation_error_deg.mean(axis=0)

    @property
    def twist_error_deg_by_joint(self) -> np.ndarray:
        """(24,) means over the people."""
        return self.twist_error_deg.mean(axis=0)

    @property
    def beyond_limits_share_by_joint(self) -> np.ndarray:
        """(24,) share of the people."""
        return self.beyond_limits.mean(axis=0)

    def to_dict(self) -> dict[str, float]:
        """The means for a table or the ledger, units in the names.

        Rotation error is the mean over all 24 joints; twist error and the share beyond the limits
        leave out the root, whose turn about the spine is the way that the person faces.
        """
        return {
            "count": float(self.count),
            "mpjpe_mm": float(self.joint_error_mm.mean()),
            "pa_mpjpe_mm": float(self.pa_mpjpe_mm.mean()),
            "pve_mm": float(self.pve_mm.mean()),
            "rotation_error_deg": float(self.rotation_error_deg.mean()),
            "root_error_deg": float(self.rotation_error_deg[:, 0].mean()),
            "twist_error_deg": float(self.twist_error_deg[:, 1:].mean()),
            "elbow_twist_error_deg": float(self.twist_error_deg[:, ELBOWS].mean()),
            "beyond_limits_share": float(self.beyond_limits[:, 1:].mean()),
            "betas_error": float(np.abs(self.betas - self.true_betas).mean()),
            "mean_abs_beta": float(np.abs(self.betas).mean()),
            "keypoint_error_percent": _mean_of_known(self.keypoint_error_percent),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Every field by name, as kept in a `.npz`; `Scores(**arrays)` is the way back."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _mean_of_known(values: np.ndarray) -> float:
    """The mean of what is not NaN; NaN if nothing is known."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
