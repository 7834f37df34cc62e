"""Scores of a model on a labelled set, and of the baseline that always answers the same body."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from hmrlab.bodies import Body, BodyOutput
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.data.batch import Batch
from hmrlab.evaluation import metrics
from hmrlab.evaluation.joint_sets import H36M_17, J14, Joints
from hmrlab.evaluation.scores import Scores
from hmrlab.geometry import bone_axes, project_normalised
from hmrlab.models import HMR, Prediction
from hmrlab.models.regressor import MEAN_CAMERA

MILLIMETRES = 1000.0
PELVIS = "pelvis"  # among Human3.6M's joints, on which bodies are centred


def evaluate_model(
    model: HMR,
    batches: Iterable[Batch],
    body: Body,
    n_iter: int = 3,
    *,
    progress: bool = False,
) -> Scores:
    """Score a model's bodies against the true ones, on the 14 joints of SPIN's protocol.

    Both bodies' joints are regressed from their meshes by Human3.6M's regressor and centred on its
    pelvis. Samples without true SMPL parameters are left out.

    Args:
        model: used in evaluation mode, and left in the mode that it was in.
        batches: not augmented, in any order.
        body: on the model's device.
        n_iter: corrections of the regressor.
        progress: show a bar.

    Raises:
        ValueError: no sample has true parameters, or the model's answer for one is not finite.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        return _evaluate(
            lambda batch: model(batch.images, n_iter=n_iter).float(),
            batches,
            body,
            device,
            progress,
        )
    finally:
        model.train(was_training)


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
        rotations: (24, 3, 3) the answer, for example the training set's mean pose, root in the
            camera's frame.
        betas: (10,) default 0.
        camera: (3,) default the regressor's mean camera.
        progress: show a bar.

    Raises:
        ValueError: see `evaluate_model`.
    """
    device = body.faces.device
    betas = torch.zeros(10) if betas is None else betas
    camera = torch.tensor(MEAN_CAMERA) if camera is None else camera
    answer = [torch.as_tensor(value).to(device).float() for value in (rotations, betas, camera)]

    def predict(batch: Batch) -> Prediction:
        count = len(batch.index)
        return Prediction(*(value.expand(count, *value.shape) for value in answer))

    return _evaluate(predict, batches, body, device, progress)


def _evaluate(
    predict: Callable[[Batch], Prediction],
    batches: Iterable[Batch],
    body: Body,
    device: torch.device,
    progress: bool,
) -> Scores:
    parts: list[dict[str, np.ndarray]] = []
    with torch.inference_mode():
        twist = TwistFrame.of(body)
        for batch in tqdm(batches, desc="evaluating", unit="batch", disable=not progress):
            batch = batch.to(device)
            known = batch.has_smpl.bool()
            if bool(known.any()):
                truth = body(batch.rotations[known], batch.betas[known])
                scored = score_bodies(predict(batch), batch, body, truth, twist)
                parts.append({name: value.cpu().numpy() for name, value in scored.items()})
    if not parts:
        raise ValueError("no sample of this set has true SMPL parameters to evaluate against")
    return Scores(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


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


def score_bodies(
    prediction: Prediction, batch: Batch, body: Body, truth: BodyOutput, twist: TwistFrame
) -> dict[str, Tensor]:
    """The fields of `Scores` for the samples of one batch that have true parameters.

    Args:
        prediction: for the whole batch.
        batch: of which the samples with `has_smpl` count.
        body: that is predicted.
        truth: the true bodies of those samples; they may be of another body model, of the person's
            gender for one, with the same vertices.
        twist: see `TwistFrame`.

    Raises:
        ValueError: a prediction is not finite; the message names the samples.
    """
    known = batch.has_smpl.bool()
    rotations, betas = prediction.rotations[known], prediction.betas[known]
    camera, index = prediction.camera[known], batch.index[known]
    check_finite(index, rotations, betas, camera)
    true_rotations, true_betas = batch.rotations[known], batch.betas[known]

    posed = body(rotations, betas)
    joints, true_joints = (centred_joints(out.h36m).to(J14) for out in (posed, truth))
    pelvis = H36M_17.index(PELVIS)
    vertices, true_vertices = (out.vertices - out.h36m[:, pelvis, None] for out in (posed, truth))
    projected = project_normalised(posed.keypoints[:, ANNOTATED], camera)
    beyond = metrics.beyond_twist_limits(rotations, twist.axes, twist.limits)
    beyond[:, 0] = False  # the root has no limit: a person may face any way
    return {
        "index": index,
        "joint_error_mm": MILLIMETRES * joints.errors(true_joints),
        "pa_mpjpe_mm": MILLIMETRES * joints.pa_mpjpe(true_joints),
        "pve_mm": MILLIMETRES * metrics.pve(vertices, true_vertices),
        "rotation_error_deg": metrics.rotation_error(rotations, true_rotations),
        "twist_deg": metrics.twist_angle(rotations, twist.axes),
        "true_twist_deg": metrics.twist_angle(true_rotations, twist.axes),
        "beyond_limits": beyond,
        "betas": betas,
        "true_betas": true_betas,
        "keypoint_error_percent": metrics.keypoint_error(
            projected, batch.keypoints_2d[known][:, ANNOTATED]
        ),
    }


def centred_joints(h36m: Tensor) -> Joints:
    """Joints of a mesh (B, 17, 3), regressed by Human3.6M's regressor, about their pelvis."""
    return Joints(h36m, H36M_17).centred_on(PELVIS)


def check_finite(index: Tensor, *values: Tensor) -> None:
    """Raise unless all numbers of all samples are finite.

    Raises:
        ValueError: they are not; the message names the samples.
    """
    finite = torch.stack([value.flatten(1).isfinite().all(1) for value in values]).all(0)
    if not bool(finite.all()):
        bad = index[~finite].tolist()
        raise ValueError(
            f"the prediction for sample(s) {bad[:8]} is not finite ({len(bad)} in this batch); "
            "the model's weights or these pictures hold NaN or infinity"
        )
