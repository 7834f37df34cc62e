"""How good the fits are that a network starts: measured where the truth is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.config import FitConfig
from hmrlab.data.batch import Batch
from hmrlab.evaluation.metrics import rotation_error
from hmrlab.evaluation.scores import centred_joints, evaluation_mode, joint_errors
from hmrlab.models import HMR
from hmrlab.smplify import Fits, PosePrior, Targets, fit_with_newton, from_camera
from hmrlab.spin import warm_settings
from hmrlab.tensors import TensorRecord


@dataclass(frozen=True)
class FitErrors(TensorRecord):
    """Errors of N fits, (N,) each."""

    mpjpe_mm: Tensor  # of the 14 joints
    pa_mpjpe_mm: Tensor
    rotation_error_deg: Tensor
    reprojection: Tensor  # the fit's own 2D error, pixels squared


def warm_fit_scores(
    model: HMR, batches: Iterable[Batch], body: Body, prior: PosePrior, plan: FitConfig
) -> dict[str, float]:
    """Fit labelled people from the network's guesses and compare with the truth.

    Args:
        model: the network, used in evaluation mode and left in the mode that it was in.
        batches: of people whose true bodies are known; these are not shown to the fits.
        body: on the model's device.
        prior: on the same device.
        plan: of which the fits in the loop are taken.

    Returns:
        the means of `FitErrors`, by name.
    """
    parts = []
    with evaluation_mode(model) as device:
        for batch in batches:
            batch = batch.to(device)
            output = model(batch.images).float()
            guess = from_camera(output.rotations, output.betas, output.camera)
            targets = Targets.from_normalised(batch.keypoints_2d)
            fits = fit_with_newton(body, prior, targets, guess, warm_settings(plan))
            parts.append(errors_of(fits, batch, body))
    errors = FitErrors.cat(parts)
    return {name: float(values.mean()) for name, values in vars(errors).items()}


def errors_of(fits: Fits, batch: Batch, body: Body) -> FitErrors:
    """Of the fits that are valid, of people whose true body is known."""
    sure = fits.valid & batch.has_smpl
    fits, truth = fits[sure], batch[sure]
    posed, true = (
        centred_joints(body.h36m(bodies.rotations, bodies.betas)) for bodies in (fits, truth)
    )
    errors = joint_errors(posed, true)
    rotations = rotation_error(fits.rotations, truth.rotations).mean(1)
    return FitErrors(errors.mpjpe_mm, errors.pa_mpjpe_mm, rotations, fits.reprojection)
