"""Metrics on batches of bodies, and scores of a model on a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.evaluation.evaluate import evaluate_on, evaluate_predictions
    from hmrlab.evaluation.fits import fitted, mean_body
    from hmrlab.evaluation.intervals import bootstrap, ratio
    from hmrlab.evaluation.joint_sets import (
        ANNOTATED_24,
        H36M_17,
        J14,
        J17,
        OPENPOSE_13,
        SMPL_24,
        Joints,
        JointSetError,
    )
    from hmrlab.evaluation.metric_table import METRICS, Metric
    from hmrlab.evaluation.metrics import mpjpe, pa_mpjpe, rotation_error
    from hmrlab.evaluation.protocols import PROTOCOLS, GroundTruth, get_protocol
    from hmrlab.evaluation.result import (
        Evaluation,
        auc_percent,
        format_estimate,
        pck_curve,
        pck_percent,
    )
    from hmrlab.evaluation.scores import Scores, constant_predictor_scores, evaluate_model
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

__getattr__ = lazy_names(__name__)
