"""Scores of a model on a labelled set, and of the baseline that always predicts the same body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from hmrlab.bodies import Body, SMPLParams
from hmrlab.data.batch import Batch
from hmrlab.evaluation.errors import TwistFrame, score_bodies
from hmrlab.evaluation.scores import Scores
from hmrlab.models import HMR
from hmrlab.models.hmr import MEAN_CAMERA

__all__ = ["Scores", "constant_predictor_scores", "evaluate_model", "evaluation_mode"]

Predict = Callable[[Batch], SMPLParams]


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[torch.device]:
    """A model in evaluation mode, without gradients; gives its device.

    Afterwards the model is in the mode that it was in.
    """
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
        batches: not augmented, in any order.
        body: on the model's device.
        progress: show a bar.

    Raises:
        ValueError: no sample has true parameters, or the model's output for one is not finite.
    """
    with evaluation_mode(model) as device:
        return score_batches(
            lambda batch: model(batch.images).float(), batches, body, device, progress
        )


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
    predict: Predict, batches: Iterable[Batch], body: Body, device: torch.device, progress: bool
) -> Scores:
    """Score whatever predicts a batch's bodies, of the samples with true parameters."""
    parts: list[Scores] = []
    twist = TwistFrame.of(body)
    for batch in tqdm(batches, desc="evaluating", unit="batch", disable=not progress):
        batch = batch.to(device)
        known = batch.has_smpl.bool()
        if bool(known.any()):
            predicted, batch = predict(batch)[known], batch[known]
            truth = body(batch.rotations, batch.betas)
            parts.append(score_bodies(predicted, batch, body, truth, twist))
    if not parts:
        raise ValueError("no sample of this set has true SMPL parameters to evaluate against")
    return Scores.cat(parts)
