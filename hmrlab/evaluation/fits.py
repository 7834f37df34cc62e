"""SMPLify in the place of a network, or after one: what is evaluated is the fit."""

from __future__ import annotations

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.batch import Batch
from hmrlab.evaluation.scores import Predict
from hmrlab.geometry import translation_to_weak_perspective
from hmrlab.smplify import PosePrior, Targets, fit_cold, fit_with_newton
from hmrlab.smplify.start import from_camera


def fitted(body: Body, prior: PosePrior, start: Predict | None = None) -> Predict:
    """Fits to the keypoints that a detector found; what the annotators say is kept from them.

    Args:
        body, prior: of the fits, on the batches' device.
        start: gives the bodies that fits begin with; without it they begin cold, on four sides.
            Whose keypoints are too few is given as the fit began.
    """

    def predict(batch: Batch) -> SMPLParams:
        keypoints = batch.keypoints_2d.clone()
        keypoints[:, ANNOTATED] = 0
        targets = Targets.from_normalised(keypoints)
        if start is None:
            fits = fit_cold(body, prior, targets)
        else:
            begun = start(batch)
            guess = from_camera(begun.rotations, begun.betas, begun.camera)
            fits = fit_with_newton(body, prior, targets, guess)
        camera = translation_to_weak_perspective(fits.translation)
        return SMPLParams(fits.rotations, fits.betas, camera)

    return predict
