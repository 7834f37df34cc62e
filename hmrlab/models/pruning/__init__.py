"""Lighter networks: single weights masked, or whole channels cut out."""

from hmrlab.config import PruneConfig
from hmrlab.models.pruning.apply import prune, settle
from hmrlab.models.pruning.sensitivity import Sensitivity, measure_sensitivity

__all__ = ["PruneConfig", "Sensitivity", "measure_sensitivity", "prune", "settle"]
