"""SMPLify: bodies from keypoints, by SPIN's objective."""

from hmrlab.fitting.adam import AdamSettings, fit_with_adam
from hmrlab.fitting.fit import fit_cold
from hmrlab.fitting.newton import NewtonSettings, fit_with_newton
from hmrlab.fitting.objective import ObjectiveWeights
from hmrlab.fitting.prior import PosePrior, load_prior
from hmrlab.fitting.problem import Fits, Guess, Targets
from hmrlab.fitting.start import cold_start, from_camera

__all__ = [
    "AdamSettings",
    "Fits",
    "Guess",
    "NewtonSettings",
    "ObjectiveWeights",
    "PosePrior",
    "Targets",
    "cold_start",
    "fit_cold",
    "fit_with_adam",
    "fit_with_newton",
    "from_camera",
    "load_prior",
]
