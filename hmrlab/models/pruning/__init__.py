"""Lighter networks: single weights masked, or whole channels cut out."""

from hmrlab.models.pruning.plan import PrunePlan

__all__ = ["PrunePlan"]
