"""Lighter networks: single weights masked, or whole channels cut out."""

from hmrlab.models.pruning.apply import prune, settle
from hmrlab.models.pruning.plan import PrunePlan
from hmrlab.models.pruning.sensitivity import Sensitivity, measure_sensitivity

__all__ = ["PrunePlan", "Sensitivity", "measure_sensitivity", "prune", "settle"]
