"""Errors of bodies against the true ones, person by person: the one place that computes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hmrlab.bodies import Body, BodyOutput, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.data.batch import Batch
from hmrlab.evaluation import metrics
from hmrlab.evaluation.joint_sets import H36M_17, J14, Joints, JointSet
from hmrlab.evaluation.scores import ELBOWS, Scores
from hmrlab.geometry import bone_axes, project_normalised
from hmrlab.tensors import TensorRecord

MILLIMETRES = 1000.0
PELVIS = "pelvis"  # among Human3.6M's joints, on which bodies are centred


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

    @property
    def elbow_twist_error_deg(self) -> Tensor:
        """(B,) mean difference of the twists at both elbows."""
        twists = (twist[:, ELBOWS] for twist in (self.twist_deg, self.true_twist_deg))
        return metrics.wrapped_difference(*twists).mean(1)

    @property
    def beyond_limits_percent(self) -> Tensor:
        """(B,) percent of the 23 joints below the root."""
        return 100 * self.beyond_limits[:, 1:].float().mean(1)


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
    """Of joints that are centred alike.

    Raises:
        JointSetError: they are of different sets.
    """
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
        truth: the true bodies; they may be of another body model, of the person's gender for one,
            with the same vertices.
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
    """Raise unless all numbers of all samples are finite.

    Raises:
        ValueError: they are not; the message names the samples, by their (B,) index.
    """
    values = (predicted.rotations, predicted.betas, predicted.camera)
    finite = torch.stack([value.flatten(1).isfinite().all(1) for value in values]).all(0)
    if not bool(finite.all()):
        bad = index[~finite].tolist()
        raise ValueError(
            f"the prediction for sample(s) {bad[:8]} is not finite ({len(bad)} in this batch); "
            "the model's weights or these pictures hold NaN or infinity"
        )
