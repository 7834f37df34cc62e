"""Metrics on batches of bodies, and scores of a model on a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.evaluation.evaluate import constant_predictor_scores, evaluate_model
    from hmrlab.evaluation.intervals import bootstrap, ratio
    from hmrlab.evaluation.joint_sets import (
        ANNOTATED_24,
        H36M_17,
        J14,
        J17,
        SMPL_24,
        Joints,
        JointSetError,
    )
    from hmrlab.evaluation.metric_table import METRICS, Metric
    from hmrlab.evaluation.metrics import mpjpe, pa_mpjpe, rotation_error
    from hmrlab.evaluation.pck import auc_percent, pck_curve, pck_percent
    from hmrlab.evaluation.protocols import PROTOCOLS, GroundTruth, get_protocol
    from hmrlab.evaluation.result import Evaluation, format_estimate
    from hmrlab.evaluation.run import evaluate_on, evaluate_predictions
    from hmrlab.evaluation.scores import Scores
    from hmrlab.evaluation.segmentation import (
        accuracy,
        f1_of_classes,
        mask_confusion,
        mean_f1,
        parts_confusion,
        predicted_parts,
        read_mask,
    )
    from hmrlab.evaluation.worst import worst_gallery

__all__ = [
    "ANNOTATED_24",
    "H36M_17",
    "J14",
    "J17",
    "METRICS",
    "PROTOCOLS",
    "SMPL_24",
    "Evaluation",
    "GroundTruth",
    "JointSetError",
    "Joints",
    "Metric",
    "Scores",
    "accuracy",
    "auc_percent",
    "bootstrap",
    "constant_predictor_scores",
    "evaluate_model",
    "evaluate_on",
    "evaluate_predictions",
    "f1_of_classes",
    "format_estimate",
    "get_protocol",
    "mask_confusion",
    "mean_f1",
    "mpjpe",
    "pa_mpjpe",
    "parts_confusion",
    "pck_curve",
    "pck_percent",
    "predicted_parts",
    "ratio",
    "read_mask",
    "rotation_error",
    "worst_gallery",
]

__getattr__ = lazy_names(
    __name__,
    {
        "evaluate": "constant_predictor_scores evaluate_model",
        "intervals": "bootstrap ratio",
        "joint_sets": "ANNOTATED_24 H36M_17 J14 J17 SMPL_24 JointSetError Joints",
        "metric_table": "METRICS Metric",
        "metrics": "mpjpe pa_mpjpe rotation_error",
        "pck": "auc_percent pck_curve pck_percent",
        "protocols": "PROTOCOLS GroundTruth get_protocol",
        "result": "Evaluation format_estimate",
        "run": "evaluate_predictions evaluate_on",
        "scores": "Scores",
        "segmentation": "accuracy f1_of_classes mask_confusion mean_f1 parts_confusion "
        "predicted_parts read_mask",
        "worst": "worst_gallery",
    },
)
