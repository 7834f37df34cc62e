"""SMPLify: bodies from keypoints, by SPIN's objective."""

from hmrlab.smplify.adam import AdamSettings, finalize_fits, fit_with_adam
from hmrlab.smplify.fit import fit_cold
from hmrlab.smplify.newton import NewtonSettings, fit_with_newton, left_jacobian
from hmrlab.smplify.objective import (
    OPENPOSE_TORSO,
    ObjectiveWeights,
    reprojection_terms,
    torso_of,
)
from hmrlab.smplify.prior import PosePrior, load_prior
from hmrlab.smplify.problem import Fits, Points3D, Targets
from hmrlab.smplify.start import cold_start, from_camera, start_from_points

__all__ = [
    "OPENPOSE_TORSO",
    "AdamSettings",
    "Fits",
    "NewtonSettings",
    "ObjectiveWeights",
    "Points3D",
    "PosePrior",
    "Targets",
    "cold_start",
    "finalize_fits",
    "fit_cold",
    "fit_with_adam",
    "fit_with_newton",
    "from_camera",
    "left_jacobian",
    "load_prior",
    "reprojection_terms",
    "start_from_points",
    "torso_of",
]
