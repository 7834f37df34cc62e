"""A model's errors against true bodies, a row for each person: the one place that computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from hmrlab.bodies import Body, BodyOutput, SMPLParams
from hmrlab.bodies.joints import ANNOTATED, SMPL_JOINTS
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.data.batch import Batch, in_the_boxes
from hmrlab.evaluation import metrics
from hmrlab.evaluation.joint_sets import H36M_17, J14, Joints, JointSet
from hmrlab.geometry import bone_axes, project_normalised
from hmrlab.models import HMR
from hmrlab.models.hmr import MEAN_CAMERA, crop_factor_of
from hmrlab.tensors import TensorRecord

MILLIMETRES = 1000.0
PELVIS = "pelvis"  # among Human3.6M's joints, on which bodies are centred
ELBOWS = [SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")]
Predict = Callable[[Batch], SMPLParams]


@dataclass(frozen=True)
class ArrayRecord:
    """A dataclass of arrays (N, ...)."""

    @classmethod
    def of(cls, **values: Tensor) -> Self:
        """From tensors on any device."""
        return cls(**{name: value.cpu().numpy() for name, value in values.items()})

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """From `arrays()`, among which there may be others; ValueError where one is missing."""
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
        """(N,) a metric of each person; NaN where a person has none. KeyError: no such metric."""
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
class TriangulatedScores(StoredScores):
    """The same of keypoints, and how far they are off in the picture."""

    keypoint_error_percent: np.ndarray  # (N,) in percent of the crop's side


@dataclass(frozen=True)
class MaskScores(ArrayRecord):
    """Pixels by true (row) and predicted class."""

    mask_confusion: np.ndarray  # (N, 2, 2) background and person
    parts_confusion: np.ndarray  # (N, 8, 7) background and six parts; the last row is left open


@dataclass(frozen=True)
class KeypointScores(ArrayRecord):
    """Errors in the picture, of people of whom nothing is known but keypoints there."""

    index: np.ndarray  # (N,) the sample's place in its set
    keypoint_error_percent: np.ndarray  # (N,) as of `Scores`; NaN without any keypoint
    pck_2d_percent: np.ndarray  # (N,)

    def values(self, metric: str) -> np.ndarray:
        """(N,) a metric of each person; NaN where a person has none."""
        return self.arrays()[metric]

    def to_dict(self) -> dict[str, float]:
        """The means over the people for a table or the ledger, named as in `METRICS`."""
        return {name: float(np.nanmean(self.values(name))) for name in _IN_THE_PICTURE}


SampleScores = MeshScores | StoredScores | TriangulatedScores | MaskScores | KeypointScores
"""What a protocol keeps of each sample, as its truth is."""

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

_IN_THE_PICTURE = ("keypoint_error_percent", "pck_2d_percent")


@dataclass(frozen=True)
class JointErrors(TensorRecord):
    """Errors of centred joints."""

    joint_error_mm: Tensor  # (B, J)
    pa_mpjpe_mm: Tensor  # (B,) after Procrustes alignment

    @property
    def mpjpe_mm(self) -> Tensor:
        """(B,) mean over the joints."""
        return self.joint_error_mm.mean(1)


@dataclass(frozen=True)
class RotationErrors(TensorRecord):
    """Errors of SMPL's 24 joint rotations, degrees."""

    rotation_error_deg: Tensor  # (B, 24) geodesic, joint 0 is the root
    twist_deg: Tensor  # (B, 24) about each joint's bone, -180 to 180
    true_twist_deg: Tensor  # (B, 24)
    beyond_limits: Tensor  # (B, 24) bool, twisted further than a person can; the root never


@dataclass(frozen=True)
class TwistFrame:
    """What twists of a body's joints are measured by."""

    axes: Tensor  # (24, 3) unit bone axes at rest
    limits: Tensor  # (24,) degrees, the largest twist either way

    @classmethod
    def of(cls, body: Body) -> TwistFrame:
        """Of the mean shape, on the body's device."""
        rest = body.rest_joints(body.v_template.new_zeros(1, 10))[0]
        axes = bone_axes(rest, body.parents)
        return cls(axes, torch.tensor(TWIST_LIMITS_DEG, dtype=axes.dtype, device=axes.device))


def joint_errors(predicted: Joints, true: Joints) -> JointErrors:
    """Of joints that are centred alike; JointSetError where they are of different sets."""
    return JointErrors(MILLIMETRES * predicted.errors(true), MILLIMETRES * predicted.pa_mpjpe(true))


def rotation_errors(predicted: Tensor, true: Tensor, twist: TwistFrame) -> RotationErrors:
    """Of joint rotations (B, 24, 3, 3), each relative to its parent."""
    beyond = metrics.beyond_twist_limits(predicted, twist.axes, twist.limits)
    beyond[:, 0] = False  # the root has no limit: a person may face any way
    return RotationErrors(
        metrics.rotation_error(predicted, true),
        metrics.twist_angle(predicted, twist.axes),
        metrics.twist_angle(true, twist.axes),
        beyond,
    )


def centred_joints(h36m: Tensor, joint_set: JointSet = J14) -> Joints:
    """Joints about their pelvis, of those of a mesh (B, 17, 3) by Human3.6M's regressor, metres."""
    return Joints(h36m, H36M_17).centred_on(PELVIS).to(joint_set)


def score_bodies(
    predicted: SMPLParams, batch: Batch, body: Body, truth: BodyOutput, twist: TwistFrame
) -> Scores:
    """Score a batch, all of whose samples have true parameters.

    Args:
        predicted: with cameras.
        batch: whose rotations, betas and keypoints are the truth.
        body: that is predicted.
        truth: the true bodies; they may be of another body model with the same vertices.
        twist: of the predicted body.

    Raises:
        ValueError: a prediction is not finite; the message names the samples.
    """
    check_finite(batch.index, predicted)
    posed = body(predicted.rotations, predicted.betas)
    pelvis = H36M_17.index(PELVIS)
    vertices, true_vertices = (out.vertices - out.h36m[:, pelvis, None] for out in (posed, truth))
    projected = project_normalised(posed.keypoints[:, ANNOTATED], predicted.camera)
    return Scores.of(
        index=batch.index,
        **vars(joint_errors(centred_joints(posed.h36m), centred_joints(truth.h36m))),
        pve_mm=MILLIMETRES * metrics.pve(vertices, true_vertices),
        **vars(rotation_errors(predicted.rotations, batch.rotations, twist)),
        betas=predicted.betas,
        true_betas=batch.betas,
        keypoint_error_percent=metrics.keypoint_error(projected, batch.keypoints_2d[:, ANNOTATED]),
    )


def check_finite(index: Tensor, predicted: SMPLParams) -> None:
    """Raise ValueError, naming samples by their (B,) index, unless all numbers are finite."""
    values = (predicted.rotations, predicted.betas, predicted.camera)
    finite = torch.stack([value.flatten(1).isfinite().all(1) for value in values]).all(0)
    if not bool(finite.all()):
        bad = index[~finite].tolist()
        raise ValueError(
            f"the prediction for sample(s) {bad[:8]} is not finite ({len(bad)} in this batch); "
            "the model's weights or these pictures hold NaN or infinity"
        )


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[torch.device]:
    """A model in evaluation mode, without gradients, then as it was; gives its device."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield next(model.parameters()).device
    finally:
        model.train(was_training)


def evaluate_model(
    model: HMR, batches: Iterable[Batch], body: Body, *, progress: bool = False
) -> Scores:
    """Score a model's bodies against the true ones, on the 14 joints of SPIN's protocol.

    Both bodies' joints are regressed from their meshes by Human3.6M's regressor and centred on its
    pelvis. Samples without true SMPL parameters are left out.

    Args:
        model: used in evaluation mode, and left in the mode that it was in.
        batches: not augmented, in any order; of crops that the model is made for.
        body: on the model's device.
        progress: show a bar.

    Raises:
        ValueError: no sample has true parameters, or the model's output for one is not finite.
    """
    with evaluation_mode(model) as device:
        return score_batches(
            lambda batch: model(batch.images).float(), batches, body, device, progress,
            crop_factor_of(model),
        )  # fmt: skip


def constant_predictor_scores(
    batches: Iterable[Batch],
    body: Body,
    rotations: Tensor,
    betas: Tensor | None = None,
    camera: Tensor | None = None,
    *,
    progress: bool = False,
) -> Scores:
    """Score the baseline that gives every picture the same body: what looking is worth.

    Args:
        batches: as for `evaluate_model`.
        body: whose device is used.
        rotations: (24, 3, 3) for example the training set's mean pose, root in the camera's frame.
        betas: (10,) default 0.
        camera: (3,) default the regressor's mean camera.
        progress: show a bar.

    Raises:
        ValueError: see `evaluate_model`.
    """
    device = body.faces.device
    betas = torch.zeros(10) if betas is None else betas
    camera = torch.tensor(MEAN_CAMERA) if camera is None else camera
    values = [torch.as_tensor(value).to(device).float() for value in (rotations, betas, camera)]

    def predict(batch: Batch) -> SMPLParams:
        return SMPLParams(*(value.expand(len(batch), *value.shape) for value in values))

    with torch.inference_mode():
        return score_batches(predict, batches, body, device, progress)


def score_batches(
    predict: Predict,
    batches: Iterable[Batch],
    body: Body,
    device: torch.device,
    progress: bool,
    crop_factor: float = 1.0,
) -> Scores:
    """Score whatever predicts a batch's bodies, of the samples with true parameters."""
    parts: list[Scores] = []
    twist = TwistFrame.of(body)
    for batch in tqdm(batches, desc="evaluating", unit="batch", disable=not progress):
        batch = batch.to(device)
        known = batch.has_smpl.bool()
        if bool(known.any()):
            predicted, batch = in_the_boxes(predict(batch)[known], batch[known], crop_factor)
            truth = body(batch.rotations, batch.betas)
            parts.append(score_bodies(predicted, batch, body, truth, twist))
    if not parts:
        raise ValueError("no sample of this set has true SMPL parameters to evaluate against")
    return Scores.cat(parts)
