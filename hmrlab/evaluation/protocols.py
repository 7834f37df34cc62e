"""How each test set is evaluated: which joints, which truth, centred on what, and every metric.

Figures are comparable only when all of that is the same, so each protocol can say it in words
(`Protocol.definitions`), and evaluations print it. The protocols are SPIN's (its `eval.py`;
Kolotouros et al., ICCV 2019); what goes beyond SPIN says where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from hmrlab.evaluation.joint_sets import J14, J17, JointSet

TWIN = "twin:"  # before the name of a protocol: the same on a synthetic twin of the set


class Truth(Enum):
    """What a prediction is compared with."""

    MESH = "mesh"  # true pose and shape, made into a mesh by the body of the person's gender
    STORED = "stored"  # annotated joints in 3D, `S` of the records
    MASKS = "masks"  # pictures of the person and of six parts


@dataclass(frozen=True)
class Metric:
    """A figure, and what it means."""

    name: str  # as in the ledger, with its unit
    label: str  # for a table's head
    unit: str
    definition: str  # in words; which joints, and where they are centred, says the protocol
    source: str  # the paper, or what else defines it
    more_is_better: bool = False

    def __str__(self) -> str:
        unit = f", {self.unit}" if self.unit else ""
        return f"{self.label}{unit}: {self.definition}. Source: {self.source}."


_PCK_SOURCE = (
    "Mehta et al., Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision, "
    "3DV 2017, and the evaluation that comes with its test set (mpii_compute_3d_pck.m)"
)
_MASK_SOURCE = (
    "Lassner et al., Unite the People, CVPR 2017, as counted in SPIN's eval.py "
    "(Kolotouros et al., ICCV 2019)"
)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "mpjpe_mm",
            "MPJPE",
            "mm",
            "mean distance of the joints from their truth, both centred",
            "Ionescu et al., Human3.6M, PAMI 2014",
        ),
        Metric(
            "pa_mpjpe_mm",
            "PA-MPJPE",
            "mm",
            "the same after each person's own best scale, rotation and translation (Procrustes), "
            "which forgives size and the way that the person faces",
            "Zhou et al., Sparseness Meets Deepness, CVPR 2016",
        ),
        Metric(
            "pve_mm",
            "PVE",
            "mm",
            "mean distance of the mesh's vertices from the true mesh's, both centred as the joints",
            "Pavlakos et al., Learning to Estimate 3D Human Pose and Shape from a Single Color "
            "Image, CVPR 2018",
        ),
        Metric(
            "pck_percent",
            "PCK@150",
            "%",
            "share of the joints that are less than 150 mm from their truth, both centred; of the "
            "14 of J14, since the benchmark leaves out pelvis, spine and jaw; all frames count "
            "alike",
            _PCK_SOURCE,
            more_is_better=True,
        ),
        Metric(
            "auc_percent",
            "AUC",
            "%",
            "mean of the PCK at the 31 thresholds 0, 5, ..., 150 mm, same joints; at most 30/31, "
            "since nothing is less than 0 mm off",
            _PCK_SOURCE,
            more_is_better=True,
        ),
        Metric(
            "rotation_error_deg",
            "rotation error",
            "°",
            "mean angle between predicted and true rotation of SMPL's 24 joints, each relative to "
            "its parent",
            "the geodesic distance, Huynh, Metrics for 3D Rotations, JMIV 2009",
        ),
        Metric(
            "elbow_twist_error_deg",
            "elbow twist error",
            "°",
            "mean difference of the turn about the bone, at both elbows: what no joint's place "
            "shows",
            "hmrlab.geometry.swing_twist",
        ),
        Metric(
            "beyond_limits_percent",
            "beyond limits",
            "%",
            "share of the 23 joints below the root that are twisted further than a person can",
            "hmrlab.bodies.limits",
        ),
        Metric(
            "keypoint_error_percent",
            "2D error",
            "%",
            "mean distance in the picture of the annotated keypoints that are seen, in percent of "
            "the crop's side",
            "hmrlab.evaluation.metrics.keypoint_error",
        ),
        Metric(
            "mask_accuracy_percent",
            "mask accuracy",
            "%",
            "share of all pixels of all pictures that are told right as person or background",
            _MASK_SOURCE,
            more_is_better=True,
        ),
        Metric(
            "mask_f1",
            "mask F1",
            "",
            "2 TP / (2 TP + FP + FN), counted over all pixels of the set: once for the person, "
            "once for the background, and the mean of the two",
            _MASK_SOURCE,
            more_is_better=True,
        ),
        Metric(
            "person_f1",
            "person F1",
            "",
            "the F1 of the person alone, without the background's",
            "the same count",
            more_is_better=True,
        ),
        Metric(
            "parts_accuracy_percent",
            "parts accuracy",
            "%",
            "share of all pixels that are told right as background or one of six parts; pixels "
            "marked 255, which the annotation leaves open, are taken for background",
            _MASK_SOURCE,
            more_is_better=True,
        ),
        Metric(
            "parts_f1",
            "parts F1",
            "",
            "F1 of the background and of each of six parts (head, torso, arms, legs), counted over "
            "all pixels of the set, pixels marked 255 left out; the mean of the seven",
            _MASK_SOURCE,
            more_is_better=True,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """How one test set is evaluated."""

    name: str  # as in the command
    title: str
    data: str  # of the prepared set, or of the synthetic one
    split: str
    truth: Truth
    truth_in_words: str
    metrics: tuple[str, ...]  # in METRICS
    joints: JointSet | None = None
    centre: str = ""  # in words
    video: bool = False  # neighbouring frames show nearly the same
    synthetic: bool = False

    @property
    def plain_name(self) -> str:
        """Without what says that it is a twin's."""
        return self.name.removeprefix(TWIN)

    @property
    def ranked_by(self) -> Metric:
        """The metric by which the worst samples are found: the first."""
        return METRICS[self.metrics[0]]

    def twin(self) -> Protocol:
        """The same protocol for the set's synthetic twin, and called so."""
        if self.synthetic:
            return self
        return replace(
            self,
            name=f"{TWIN}{self.name}",
            title=f"synthetic twin of {self.title}",
            truth_in_words=f"made-up people's, in the place of {self.truth_in_words}",
            video=False,
            synthetic=True,
        )

    def setting(self) -> str:
        """What is compared with what, to print."""
        lines = [f"{self.name}: {self.title}.", f"Truth: {self.truth_in_words}."]
        if self.joints:
            lines += [
                "Prediction: the neutral body's mesh times J_regressor_h36m.",
                f"Joints: {self.joints} ({', '.join(self.joints.names)}), {self.centre}.",
            ]
        return "\n".join(lines)

    def definitions(self) -> str:
        """The setting, and every metric in words with its source, to print."""
        return "\n".join([self.setting(), *(str(METRICS[name]) for name in self.metrics)])


_ON_PELVIS = "centred on their own pelvis (joint 0 of J_regressor_h36m)"
_ON_ROOT = (
    "centred on their own pelvis (the prediction's joint 0 of J_regressor_h36m, the annotated one)"
)
_OF_BODIES = (
    "mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "pck_percent", "auc_percent", "rotation_error_deg",
    "elbow_twist_error_deg", "beyond_limits_percent", "keypoint_error_percent",
)  # fmt: skip
_OF_MASKS = (
    "parts_f1", "parts_accuracy_percent", "mask_f1", "mask_accuracy_percent", "person_f1",
)  # fmt: skip


def _synthetic(data: str) -> Protocol:
    return Protocol(
        name=f"{data}-test",
        title=f"hmrlab's synthetic people, {data}, test split",
        data=data,
        split="test",
        truth=Truth.MESH,
        truth_in_words="the synthetic person's own mesh times J_regressor_h36m",
        metrics=_OF_BODIES,
        joints=J14,
        centre=_ON_PELVIS,
        synthetic=True,
    )


def _h36m(number: int, cameras: str) -> Protocol:
    return Protocol(
        name=f"h36m-p{number}",
        title=f"Human3.6M, protocol {number}: subjects 9 and 11, every fifth frame, {cameras}",
        data="h36m",
        split=f"p{number}",
        truth=Truth.STORED,
        truth_in_words="the stored 3D joints of the motion capture",
        metrics=("mpjpe_mm", "pa_mpjpe_mm"),
        joints=J14,
        centre=_ON_ROOT,
        video=True,
    )


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="3dpw",
            title="3DPW, test split (von Marcard et al., ECCV 2018)",
            data="3dpw",
            split="test",
            truth=Truth.MESH,
            truth_in_words=(
                "true pose and shape on the SMPL model of the person's gender, its mesh times "
                "J_regressor_h36m"
            ),
            metrics=(
                "mpjpe_mm", "pa_mpjpe_mm", "pve_mm", "rotation_error_deg", "elbow_twist_error_deg",
            ),
            joints=J14,
            centre=_ON_PELVIS,
            video=True,
        ),
        Protocol(
            name="mpi-inf-3dhp",
            title="MPI-INF-3DHP, test set, valid frames (Mehta et al., 3DV 2017)",
            data="mpi-inf-3dhp",
            split="test",
            truth=Truth.STORED,
            truth_in_words="the stored 3D joints (univ_annot3)",
            metrics=("mpjpe_mm", "pa_mpjpe_mm", "pck_percent", "auc_percent"),
            joints=J17,
            centre=_ON_ROOT,
            video=True,
        ),
        _h36m(1, "all four cameras"),
        _h36m(2, "camera 60457274 alone"),
        Protocol(
            name="lsp",
            title="LSP, test split (Johnson and Everingham, BMVC 2010), masks of UPi-S1h",
            data="lsp",
            split="test",
            truth=Truth.MASKS,
            truth_in_words=(
                "UPi-S1h's masks of the person and of six parts (Lassner et al., CVPR 2017); the "
                "predicted body is drawn by the network's camera in the whole picture"
            ),
            metrics=_OF_MASKS,
        ),
        _synthetic("studio"),
        _synthetic("wild"),
    )
}  # fmt: skip


def get_protocol(name: str) -> Protocol:
    """The protocol of that name; with "twin:" before it, for the set's synthetic twin.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    plain = name.removeprefix(TWIN)
    if plain not in PROTOCOLS:
        raise ValueError(
            f"no evaluation protocol {name!r}; there are {', '.join(PROTOCOLS)}, and the synthetic "
            f"twins of the real ones, as {TWIN}3dpw"
        )
    protocol = PROTOCOLS[plain]
    return protocol.twin() if plain != name else protocol
