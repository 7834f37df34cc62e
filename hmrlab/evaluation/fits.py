"""What is evaluated in the place of a network, or after one: SMPLify's fits, the mean body."""

from __future__ import annotations

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.batch import Batch
from hmrlab.evaluation.scores import Predict
from hmrlab.geometry import translation_to_weak_perspective
from hmrlab.smplify import PosePrior, Targets, fit_cold, fit_with_newton
from hmrlab.smplify.start import cold_start, from_camera


def fitted(body: Body, prior: PosePrior, start: Predict | None = None) -> Predict:
    """Fits to the keypoints that a detector found; what the annotators say is kept from them.

    Args:
        body, prior: of the fits, on the batches' device.
        start: gives the bodies that fits begin with; without it they begin cold, on four sides.
            Whose keypoints are too few is given as the fit began.
    """

    def predict(batch: Batch) -> SMPLParams:
        targets = _detected(batch)
        if start is None:
            fits = fit_cold(body, prior, targets)
        else:
            begun = start(batch)
            guess = from_camera(begun.rotations, begun.betas, begun.camera)
            fits = fit_with_newton(body, prior, targets, guess)
        return _with_camera(fits.params)

    return predict


def mean_body(body: Body, prior: PosePrior) -> Predict:
    """The prior's mean pose for everybody, upright, where the detected keypoints are.

    What looking is worth is the difference from it. It faces the camera.
    """
    return lambda batch: _with_camera(cold_start(body, prior, _detected(batch)))


def _detected(batch: Batch) -> Targets:
    keypoints = batch.keypoints_2d.clone()
    keypoints[:, ANNOTATED] = 0
    return Targets.from_normalised(keypoints)


def _with_camera(posed: SMPLParams) -> SMPLParams:
    camera = translation_to_weak_perspective(posed.translation)
    return SMPLParams(posed.rotations, posed.betas, camera)
