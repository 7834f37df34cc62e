"""How good the fits are that a network starts: measured where the truth is known."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from hmrlab.bodies import Body
from hmrlab.bodies.joints import H36M_TO_J14
from hmrlab.data.batch import Batch
from hmrlab.evaluation.metrics import joint_errors, pa_mpjpe, rotation_error
from hmrlab.fitting import Fits, Targets, fit_with_newton, from_camera, load_prior
from hmrlab.models import HMR
from hmrlab.training.teacher import FitPlan

MILLIMETRES = 1000.0


def warm_fit_scores(
    model: HMR, batches: Iterable[Batch], body: Body, plan: FitPlan, n_iter: int
) -> dict[str, float]:
    """Fit labelled people from the network's guesses and compare with the truth.

    Args:
        model: the network, used in evaluation mode and left in the mode that it was in.
        batches: of people whose true bodies are known; these are not shown to the fits.
        body: on the model's device.
        plan: of which the fits in the loop are taken.
        n_iter: of the regressor.

    Returns:
        as `fit_errors`.
    """
    device = body.faces.device
    prior = load_prior().to(device)
    was_training = model.training
    model.eval()
    found = []
    with torch.inference_mode():
        for batch in batches:
            batch = batch.to(device)
            answer = model(batch.images, n_iter=n_iter).float()
            guess = from_camera(answer.rotations, answer.betas, answer.camera)
            targets = Targets.from_normalised(batch.keypoints_2d)
            fits = fit_with_newton(body, prior, targets, guess, plan.warm)
            found.append(errors_of(fits, batch, body))
    model.train(was_training)
    errors = torch.cat(found)
    names = ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "reprojection")
    return dict(zip(names, errors.mean(0).tolist(), strict=True))


def errors_of(fits: Fits, batch: Batch, body: Body) -> torch.Tensor:
    """Of the fits that are valid, of people whose true body is known.

    Returns:
        (N, 4): error of 14 joints and the same after Procrustes alignment, millimetres; error of
        the rotations, degrees; the fit's own 2D error, pixels squared.
    """
    sure = fits.valid & batch.has_smpl
    fits = fits.rows(sure)
    truth = batch.rotations[sure]
    chosen = list(H36M_TO_J14)
    posed = body.h36m(fits.rotations, fits.betas)
    true = body.h36m(truth, batch.betas[sure])
    joints, true_joints = posed[:, chosen] - posed[:, :1], true[:, chosen] - true[:, :1]
    columns = (
        MILLIMETRES * joint_errors(joints, true_joints).mean(1),
        MILLIMETRES * pa_mpjpe(joints, true_joints),
        rotation_error(fits.rotations, truth).mean(1),
        fits.reprojection,
    )
    return torch.stack(columns, 1)
