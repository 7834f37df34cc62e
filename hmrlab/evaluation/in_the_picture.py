"""A model's errors in the picture, of people of whom nobody knows more than their keypoints."""

from __future__ import annotations

from collections.abc import Iterable

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.batch import Batch, in_the_boxes
from hmrlab.evaluation import metrics
from hmrlab.evaluation.scores import KeypointScores, check_finite, evaluation_mode
from hmrlab.geometry import project_normalised
from hmrlab.models import HMR
from hmrlab.models.hmr import crop_factor_of


def evaluate_keypoints(model: HMR, batches: Iterable[Batch], body: Body) -> KeypointScores:
    """Score a model's bodies in the picture, of people with 2D keypoints; as `evaluate_model`."""
    with evaluation_mode(model) as device:
        factor = crop_factor_of(model)
        return KeypointScores.cat([
            score_keypoints(*in_the_boxes(model(batch.images).float(), batch, factor), body)
            for batch in (batch.to(device) for batch in batches)
        ])  # fmt: skip


def score_keypoints(predicted: SMPLParams, batch: Batch, body: Body) -> KeypointScores:
    """Score a batch in the picture; arguments and errors as of `score_bodies`."""
    check_finite(batch.index, predicted)
    keypoints = body.keypoints(predicted.rotations, predicted.betas)[:, ANNOTATED]
    projected = project_normalised(keypoints, predicted.camera)
    labelled = batch.keypoints_2d[:, ANNOTATED]
    return KeypointScores.of(
        index=batch.index,
        keypoint_error_percent=metrics.keypoint_error(projected, labelled),
        pck_2d_percent=metrics.pck_2d(projected, labelled),
    )
