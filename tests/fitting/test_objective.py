"""SMPLify's terms against SPIN's own numbers."""

import math

import pytest
import torch

from hmrlab.fitting.objective import (
    ANNOTATED_TORSO,
    OPENPOSE_TORSO,
    ObjectiveWeights,
    angle_prior,
    body_objective,
    camera_objective,
    geman_mcclure,
    reprojection_terms,
    torso_of,
)
from hmrlab.fitting.problem import IGNORED, Targets

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture
def targets(golden):
    """Not through `Targets.of`: the goldens' confidences are used as they are."""
    valid = torch.ones(len(golden["fit_conf"]), dtype=torch.bool)
    return Targets(golden["fit_joints2d"], golden["fit_conf"], valid)


def test_the_angle_prior_is_spins(golden):
    pose = torch.cat([torch.zeros(8, 3), golden["fit_body_pose"]], 1)
    torch.testing.assert_close(angle_prior(pose), golden["fit_angle_prior"], **CLOSE)


def test_the_robust_error_is_spins(golden):
    ours = geman_mcclure(golden["fit_joints2d"], 100.0)
    torch.testing.assert_close(ours, golden["fit_gmof_100"], **CLOSE)


def test_the_reprojection_error_of_each_keypoint_is_spins(golden, targets):
    ours = reprojection_terms(golden["fit_model_joints"], golden["fit_cam_t"], targets, 100.0)
    torch.testing.assert_close(ours, golden["fit_reprojection"], **CLOSE)


def test_the_sum_of_all_terms_but_the_prior_is_spins(golden):
    confidence = golden["fit_conf"]
    targets = Targets(golden["fit_joints2d"], confidence, torch.ones(8, dtype=torch.bool))
    pose = torch.cat([torch.zeros(8, 3), golden["fit_body_pose"]], 1)
    ours = body_objective(
        golden["fit_model_joints"], pose, golden["fit_betas"], golden["fit_cam_t"], targets, None,
        ObjectiveWeights(),
    )  # fmt: skip
    torch.testing.assert_close(ours.sum(), golden["fit_total_without_pose_prior"], **CLOSE)


def test_the_first_stages_objective_is_spins(golden, targets):
    ours = camera_objective(
        golden["fit_model_joints"], golden["fit_cam_t"], golden["fit_t_est"], targets,
        ObjectiveWeights(),
    )  # fmt: skip
    torch.testing.assert_close(ours.sum(), golden["fit_camera_loss"], **CLOSE)
