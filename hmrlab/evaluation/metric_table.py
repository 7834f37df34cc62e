"""The one table of metrics: what each is called, in which unit, and what it means."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric, and what it means."""

    name: str  # as in the ledger, with its unit
    label: str  # for a table's head
    unit: str
    definition: str  # in words; which joints, and where they are centred, says the protocol
    source: str  # the paper, or what else defines it
    digits: int = 1  # after the point
    lower_is_better: bool = True

    @property
    def heading(self) -> str:
        """Label and unit, for a table's head: `MPJPE, mm`."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def __str__(self) -> str:
        return f"{self.heading}: {self.definition}. Source: {self.source}."

    def format(self, value: float) -> str:
        """A value with its unit: `57.3 mm`."""
        return f"{value:.{self.digits}f}{self.mark}"

    @property
    def mark(self) -> str:
        """The unit as it stands after a number."""
        return self.unit if self.unit in ("", "°") else f" {self.unit}"


def _higher(name: str, label: str, unit: str, definition: str, source: str) -> Metric:
    """A metric of which more is better; those without a unit lie between 0 and 1."""
    digits = 1 if unit else 3
    return Metric(name, label, unit, definition, source, digits, lower_is_better=False)


_PCK_SOURCE = (
    "Mehta et al., Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision, "
    "3DV 2017, and the evaluation that comes with its test set (mpii_compute_3d_pck.m)"
)
_MASK_SOURCE = (
    "Lassner et al., Unite the People, CVPR 2017, as counted in SPIN's eval.py "
    "(Kolotouros et al., ICCV 2019)"
)
_GEODESIC = "the geodesic distance, Huynh, Metrics for 3D Rotations, JMIV 2009"
_TWIST = "hmrlab.geometry.swing_twist"
_SHAPE = "SMPL's shape space, Loper et al., SMPL, SIGGRAPH Asia 2015"

_ALL = (
    Metric(
        "mpjpe_mm", "MPJPE", "mm",
        "mean distance of the joints from their truth, both centred",
        "Ionescu et al., Human3.6M, PAMI 2014",
    ),
    Metric(
        "pa_mpjpe_mm", "PA-MPJPE", "mm",
        "the same after each person's own best scale, rotation and translation (Procrustes), "
        "which forgives size and the way that the person faces",
        "Zhou et al., Sparseness Meets Deepness, CVPR 2016",
    ),
    Metric(
        "pve_mm", "PVE", "mm",
        "mean distance of the mesh's vertices from the true mesh's, both centred as the joints",
        "Pavlakos et al., Learning to Estimate 3D Human Pose and Shape from a Single Color "
        "Image, CVPR 2018",
    ),
    _higher(
        "pck_percent", "PCK@150", "%",
        "share of the joints that are less than 150 mm from their truth, both centred; of the 14 "
        "of J14, since the benchmark leaves out pelvis, spine and jaw; all frames count alike",
        _PCK_SOURCE,
    ),
    _higher(
        "auc_percent", "AUC", "%",
        "mean of the PCK at the 31 thresholds 0, 5, ..., 150 mm, same joints; at most 30/31, "
        "since nothing is less than 0 mm off",
        _PCK_SOURCE,
    ),
    Metric(
        "rotation_error_deg", "rotation error", "°",
        "mean angle between predicted and true rotation of SMPL's 24 joints, each relative to "
        "its parent",
        _GEODESIC,
    ),
    Metric(
        "root_error_deg", "root's rotation error", "°",
        "angle between predicted and true rotation of the root: the way that the person faces",
        _GEODESIC,
    ),
    Metric(
        "twist_error_deg", "twist error", "°",
        "mean difference of the turn about the bone, at the 23 joints below the root",
        _TWIST,
    ),
    Metric(
        "elbow_twist_error_deg", "elbow twist error", "°",
        "mean difference of the turn about the bone, at both elbows: what no joint's place shows",
        _TWIST,
    ),
    Metric(
        "beyond_limits_percent", "beyond limits", "%",
        "share of the 23 joints below the root that are twisted further than a person can",
        "hmrlab.bodies.limits",
    ),
    Metric(
        "betas_error", "error of betas", "SD",
        "mean absolute difference of the 10 shape coefficients, in standard deviations",
        _SHAPE, 2,
    ),
    Metric(
        "mean_abs_beta", "mean of abs(beta)", "SD",
        "mean size of the predicted shape coefficients, in standard deviations: no error, but "
        "far above people's 0.8 a sign of bodies that nobody has",
        _SHAPE, 2,
    ),
    Metric(
        "keypoint_error_percent", "2D error", "%",
        "mean distance in the picture of the annotated keypoints that are seen, in percent of "
        "the crop's side",
        "hmrlab.evaluation.metrics.keypoint_error",
    ),
    _higher(
        "pck_2d_percent", "2D PCK@0.1", "%",
        "share of the annotated keypoints that are seen to which the body comes nearer, in the "
        "picture, than a tenth of the longer side of the person's box",
        "Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013",
    ),
    _higher(
        "mask_accuracy_percent", "mask accuracy", "%",
        "share of all pixels of all pictures that are told right as person or background",
        _MASK_SOURCE,
    ),
    _higher(
        "mask_f1", "mask F1", "",
        "2 TP / (2 TP + FP + FN), counted over all pixels of the set: once for the person, once "
        "for the background, and the mean of the two",
        _MASK_SOURCE,
    ),
    _higher(
        "person_f1", "person F1", "",
        "the F1 of the person alone, without the background's",
        "the same count",
    ),
    _higher(
        "parts_accuracy_percent", "parts accuracy", "%",
        "share of all pixels that are told right as background or one of six parts; pixels marked "
        "255, which the annotation leaves open, are taken for background",
        _MASK_SOURCE,
    ),
    _higher(
        "parts_f1", "parts F1", "",
        "F1 of the background and of each of six parts (head, torso, arms, legs), counted over all "
        "pixels of the set, pixels marked 255 left out; the mean of the seven",
        _MASK_SOURCE,
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
