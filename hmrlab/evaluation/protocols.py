"""How each test set is evaluated: which joints, which truth, centred on what, and every metric.

Figures are comparable only when all of that is the same, so each protocol can say it in words
(`Protocol.definitions`), and evaluations print it. The protocols are SPIN's (its `eval.py`;
Kolotouros et al., ICCV 2019); what goes beyond SPIN says where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from hmrlab.data.prepared import prepared_sets
from hmrlab.evaluation.joint_sets import J14, J17, OPENPOSE_13, JointSet
from hmrlab.evaluation.metric_table import METRICS, Metric

TWIN = "twin:"  # before the name of a protocol: the same on a synthetic twin of the set


class GroundTruth(Enum):
    """What a prediction is compared with."""

    MESH = "mesh"  # true pose and shape, made into a mesh by the body of the person's gender
    STORED = "stored"  # annotated joints in 3D, `S` of the records
    TRIANGULATED = "triangulated"  # keypoints that several cameras agree on, `S` of the records
    MASKS = "masks"  # pictures of the person and of six parts
    KEYPOINTS = "keypoints"  # in the picture alone


@dataclass(frozen=True)
class Protocol:
    """How one test set is evaluated."""

    name: str  # as in the command
    title: str
    data: str  # of the prepared set, or of the synthetic one
    split: str
    truth: GroundTruth
    truth_in_words: str
    metrics: tuple[str, ...]  # in METRICS
    joints: JointSet | None = None
    centre: str = ""  # in words
    limits: str = ""  # what the figures do not say, in words
    by: str = ""  # what the sequences are, if figures of each are told: "camera"
    video: bool = False  # neighbouring frames show nearly the same
    synthetic: bool = False

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
                "Prediction: the body's own keypoints."
                if self.truth is GroundTruth.TRIANGULATED
                else "Prediction: the neutral body's mesh times J_regressor_h36m.",
                f"Joints: {self.joints} ({', '.join(self.joints.names)}), {self.centre}.",
            ]
        if self.limits:
            lines.append(f"Limits: {self.limits}.")
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
        truth=GroundTruth.MESH,
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
        truth=GroundTruth.STORED,
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
            truth=GroundTruth.MESH,
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
            truth=GroundTruth.STORED,
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
            truth=GroundTruth.MASKS,
            truth_in_words=(
                "UPi-S1h's masks of the person and of six parts (Lassner et al., CVPR 2017); the "
                "predicted body is drawn by the network's camera in the whole picture"
            ),
            metrics=_OF_MASKS,
        ),
        Protocol(
            name="balance",
            title="a man on a balance beam, pose2sim's demonstration (Pagnon et al., JOSS 2022)",
            data="balance",
            split="test",
            truth=GroundTruth.TRIANGULATED,
            truth_in_words=(
                "BlazePose's keypoints, triangulated from the four cameras where at least three "
                "agree; hmrlab data capture says how well they do"
            ),
            metrics=("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_percent"),
            joints=OPENPOSE_13,
            centre="centred on the middle of their own hips",
            limits=(
                "one man, one room, under two seconds, four cameras' views of one motion; a pseudo "
                "truth made of BlazePose's points, wrong where it is wrong in all cameras, and "
                "kinder to it and to fits to its points than to others; its hips are not SMPL's; "
                "differences below 2 cm mean little"
            ),
            by="camera",
            video=True,
        ),
        _synthetic("studio"),
        _synthetic("wild"),
    )
}  # fmt: skip


def own_protocol(name: str) -> Protocol:
    """How the held-out part of a set of one's own is evaluated: nobody knows it in 3D."""
    return Protocol(
        name=name,
        title="the reader's own pictures, held out",
        data=name,
        split="test",
        truth=GroundTruth.KEYPOINTS,
        truth_in_words="the 2D keypoints that BlazePose saw; nothing is known in 3D",
        metrics=("keypoint_error_percent", "pck_2d_percent"),
        video=True,
    )


def get_protocol(name: str) -> Protocol:
    """The protocol of that name, "twin:" before it for the synthetic twin; ValueError if none.

    A set of one's own (`hmrlab data people`) with a test part is a protocol, too.
    """
    plain = name.removeprefix(TWIN)
    if plain not in PROTOCOLS:
        own = [one.name for one in prepared_sets() if one.own and one.split == "test"]
        if name in own:
            return own_protocol(name)
        raise ValueError(
            f"no evaluation protocol {name!r}; there are {', '.join((*PROTOCOLS, *own))}, and the "
            f"synthetic twins of the real ones, as {TWIN}3dpw"
        )
    protocol = PROTOCOLS[plain]
    return protocol.twin() if plain != name else protocol
