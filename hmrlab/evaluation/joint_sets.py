"""Joints that know their names, so that the wrong fourteen are not compared by accident.

Points are never compared by their place in an array: both sides carry a named set of joints, and
two different sets are an error. From one set to another the way leads by name:

    H36M_17 (regressed from a mesh) --> J17 --> J14
    KEYPOINTS_49 --> ANNOTATED_24   --> J17 --> J14

There are no other ways but `openpose_13`, for joints that a detector of keypoints gave. SMPL's own
joints (its hips, its head) lie elsewhere than the joints of the same name that Human3.6M's
regressor gives, and "top of head" is not "Head (H36M)": J14 takes the latter. Whoever wants to
compare such joints in spite of that renames them, and says so in code (`Joints.renamed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hmrlab.bodies.joints import (
    ANNOTATED_NAMES,
    H36M_JOINTS,
    KEYPOINT_NAMES,
    SMPL_JOINTS,
)
from hmrlab.evaluation import metrics


class JointSetError(ValueError):
    """Joints of different sets were to be compared, or a set does not hold what was asked of it."""


@dataclass(frozen=True)
class JointSet:
    """Names of joints in a fixed order; JointSetError where one comes twice."""

    name: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise JointSetError(f"the joint set {self.name!r} names {', '.join(twice)} twice")

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        return self.name

    def index(self, name: str) -> int:
        """The place of a joint; else JointSetError, which names those that sound like it."""
        if name not in self.names:
            words = set(name.split("_"))
            alike = [other for other in self.names if words & set(other.split("_"))]
            raise JointSetError(
                f"the joint set {self.name!r} has no {name!r}; it has "
                f"{', '.join(alike or self.names)}"
            )
        return self.names.index(name)

    def rows(self, names: Sequence[str]) -> list[int]:
        """The places of several joints, see `index`."""
        return [self.index(name) for name in names]

    def only(self, names: Sequence[str], called: str) -> JointSet:
        """A new set of some of these joints, in the order given."""
        self.rows(names)
        return JointSet(called, tuple(names))


SMPL_24 = JointSet("SMPL's 24 joints", SMPL_JOINTS)
KEYPOINTS_49 = JointSet("49 keypoints", KEYPOINT_NAMES)
ANNOTATED_24 = JointSet("24 annotated joints", ANNOTATED_NAMES)
H36M_17 = JointSet("17 joints of J_regressor_h36m, in its order", H36M_JOINTS)
J17 = JointSet(
    "J17",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist", "neck", "head_h36m", "pelvis", "spine", "jaw",
    ),
)  # fmt: skip
"""The 17 in which MPI-INF-3DHP is evaluated; both kinds of truth can be brought to it."""
J14 = J17.only(J17.names[:14], "J14")
"""The 14 in which 3DPW and Human3.6M are evaluated: J17 without pelvis, spine and jaw."""
OPENPOSE_13 = JointSet(
    "13 of OpenPose's",
    (
        "nose", *(
            f"{side}_{joint}"
            for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
            for side in ("left", "right")
        ),
    ),
)  # fmt: skip
"""What detectors of keypoints agree on: the nose, and the joints of the limbs."""

# What a joint of J17 is called elsewhere, where that is not its own name.
_IN_ANNOTATED = {
    "neck": "neck_lsp",
    "pelvis": "pelvis_mpii",
    "spine": "spine_h36m",
    "jaw": "jaw_h36m",
}
_NAMES_OF_J17 = {
    H36M_17: {"head_h36m": "head"},
    ANNOTATED_24: _IN_ANNOTATED,
    KEYPOINTS_49: _IN_ANNOTATED,
}


@dataclass(frozen=True)
class Joints:
    """A batch of points with names; JointSetError where there are not as many points."""

    points: Tensor  # (B, J, 3) metres
    joint_set: JointSet

    def __post_init__(self) -> None:
        if self.points.ndim < 2 or self.points.shape[-2] != len(self.joint_set):
            raise JointSetError(
                f"{self.joint_set} needs points (B, {len(self.joint_set)}, 3), got "
                f"{tuple(self.points.shape)}"
            )

    def __len__(self) -> int:
        return len(self.points)

    def select(self, names: Sequence[str], called: str) -> Joints:
        """Some of the joints, by name, as a set of their own."""
        chosen = self.joint_set.only(names, called)
        return Joints(self.points[..., self.joint_set.rows(names), :], chosen)

    def to(self, target: JointSet) -> Joints:
        """The same people's joints as another set has them, see `names_in`."""
        rows = self.joint_set.rows(names_in(self.joint_set, target))
        return Joints(self.points[..., rows, :], target)

    def centred(self, point: Tensor) -> Joints:
        """Moved so that a point (B, 3) of each person's comes to the origin."""
        return Joints(self.points - point[..., None, :], self.joint_set)

    def centred_on(self, *names: str) -> Joints:
        """Moved so that one of the joints, or the middle of several, comes to the origin."""
        return self.centred(self.points[..., self.joint_set.rows(names), :].mean(-2))

    def renamed(self, joint_set: JointSet) -> Joints:
        """The same points, called otherwise on purpose: nobody checks that the names are true."""
        return Joints(self.points, joint_set)

    def errors(self, true: Joints) -> Tensor:
        """Distance of each joint from its truth: (B, J) metres, see `check_same`."""
        check_same(self, true)
        return metrics.joint_errors(self.points, true.points)

    def pa_mpjpe(self, true: Joints) -> Tensor:
        """Their mean after the best scale, rotation and translation of each person: (B,) metres."""
        check_same(self, true)
        return metrics.pa_mpjpe(self.points, true.points)


def check_same(predicted: Joints, true: Joints) -> None:
    """Raise JointSetError, which names both, where they are of different joint sets."""
    ours, theirs = predicted.joint_set, true.joint_set
    if ours == theirs:
        return
    pairs = zip(ours.names, theirs.names, strict=False)
    differing = next(
        (f"; the first that differs is {a} against {b}" for a, b in pairs if a != b), ""
    )
    raise JointSetError(
        f"joints of different sets cannot be compared: {ours.name!r} ({len(ours)}) predicted, "
        f"{theirs.name!r} ({len(theirs)}) true{differing}. Bring both to one set by "
        "`Joints.to`."
    )


def names_in(source: JointSet, target: JointSet) -> tuple[str, ...]:
    """What the joints of `target` are called in `source`; JointSetError without a way there."""
    if source == target or (source, target) in ((KEYPOINTS_49, ANNOTATED_24), (J17, J14)):
        return target.names  # of the 49, OpenPose's have a prefix, and the annotated ones none
    if target in (J17, J14) and source in _NAMES_OF_J17:
        return tuple(_NAMES_OF_J17[source].get(name, name) for name in target.names)
    raise JointSetError(
        f"no way leads from {source.name!r} to {target.name!r}: joints of the same name lie "
        "elsewhere in the two. See hmrlab/evaluation/joint_sets.py for those that there are."
    )


def openpose_13(joints: Joints) -> Joints:
    """Keypoints as a detector means them, about the middle of the hips.

    Of the 49 they are OpenPose's. Of any other set they are those of the same names: it is for the
    caller to know that a detector gave them. Detectors differ, too: BlazePose's hips lie some
    centimetres lower and farther out than those of SMPL's, which stand for OpenPose's.
    """
    prefix = "openpose_" if joints.joint_set == KEYPOINTS_49 else ""
    rows = joints.joint_set.rows([prefix + name for name in OPENPOSE_13.names])
    return Joints(joints.points[..., rows, :], OPENPOSE_13).centred_on("left_hip", "right_hip")
