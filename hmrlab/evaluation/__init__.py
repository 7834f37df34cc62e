"""Metrics on batches of bodies, and scores of a model on a set."""

from hmrlab.evaluation.evaluate import constant_predictor_scores, evaluate_model
from hmrlab.evaluation.scores import Scores

__all__ = ["Scores", "constant_predictor_scores", "evaluate_model"]
