"""Whole evaluations of models whose errors are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.bodies.joints import H36M_TO_J14, SMPL_JOINTS
from hmrlab.data.batch import Batch
from hmrlab.evaluation import Scores, constant_predictor_scores, evaluate_model, metrics
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, project_normalised
from hmrlab.models import HMR, create_encoder

PEOPLE, BATCH = 10, 4
ELBOW = SMPL_JOINTS.index("left_elbow")


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def truth() -> SMPLParams:
    """Ten people in small random poses before the camera."""
    generator = torch.Generator().manual_seed(0)
    axis_angle = 0.06 * torch.randn(PEOPLE, 24, 3, generator=generator)
    axis_angle[:, 0] += torch.tensor([math.pi, 0.0, 0.0])
    betas = torch.randn(PEOPLE, 10, generator=generator)
    camera = torch.tensor([0.9, 0.0, 0.1]).expand(PEOPLE, 3)
    return SMPLParams(axis_angle_to_matrix(axis_angle), betas, camera)


@pytest.fixture(scope="module")
def batches(truth, body) -> list[Batch]:
    """The people in batches of 4, 4 and 2; a picture's first pixel is the person's number."""
    keypoints = body.keypoints(truth.rotations, truth.betas)
    labelled = torch.ones(PEOPLE, 49, 3)
    labelled[..., :2] = project_normalised(keypoints, truth.camera)
    return [
        Batch(
            images=torch.arange(PEOPLE)[part].float()[:, None, None, None].expand(-1, 3, 8, 8),
            keypoints_2d=labelled[part],
            keypoints_3d=torch.zeros(len(range(PEOPLE)[part]), 24, 4),
            rotations=truth.rotations[part],
            betas=truth.betas[part],
            has_smpl=torch.ones(len(range(PEOPLE)[part]), dtype=torch.bool),
            has_pose_3d=torch.zeros(len(range(PEOPLE)[part]), dtype=torch.bool),
            index=100 + torch.arange(PEOPLE)[part],
            source=torch.zeros(len(range(PEOPLE)[part]), dtype=torch.long),
            is_flipped=torch.zeros(len(range(PEOPLE)[part]), dtype=torch.bool),
            rot_angle=torch.zeros(len(range(PEOPLE)[part])),
        )
        for part in (slice(start, start + BATCH) for start in range(0, PEOPLE, BATCH))
    ]


class Oracle(nn.Module):
    """Looks up its bodies by the number in the picture."""

    def __init__(self, bodies: SMPLParams) -> None:
        super().__init__()
        self.bodies = bodies
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, images: torch.Tensor) -> SMPLParams:
        self.seen.append((self.training, torch.is_inference_mode_enabled()))
        return self.bodies[images[:, 0, 0, 0].long()]


def evaluate(bodies, batches, body) -> Scores:
    return evaluate_model(Oracle(bodies), batches, body)


def test_the_truth_has_no_error(truth, batches, body):
    scores = evaluate(truth, batches, body)
    means = scores.to_dict()
    assert means["count"] == scores.count == PEOPLE
    assert scores.index.tolist() == list(range(100, 110))
    for name in ("mpjpe_mm", "pve_mm", "betas_error", "keypoint_error_percent"):
        assert means[name] == pytest.approx(0.0, abs=1e-4)
    assert means["pa_mpjpe_mm"] < 0.01
    for name in ("rotation_error_deg", "twist_error_deg", "root_error_deg"):
        assert means[name] == pytest.approx(0.0, abs=0.05)


def test_a_forearm_twisted_by_40_degrees_has_40_degrees_of_error(truth, batches, body):
    axes = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)
    turn = axis_angle_to_matrix(math.radians(40) * axes[ELBOW])
    rotations = truth.rotations.clone()
    rotations[:, ELBOW] = rotations[:, ELBOW] @ turn
    scores = evaluate(SMPLParams(rotations, truth.betas, truth.camera), batches, body)
    expected = np.zeros(24)
    expected[ELBOW] = 40.0
    np.testing.assert_allclose(scores.twist_error_deg.mean(0), expected, atol=0.05)
    np.testing.assert_allclose(scores.rotation_error_deg_by_joint, expected, atol=0.05)
    means = scores.to_dict()
    assert means["elbow_twist_error_deg"] == pytest.approx(20.0, abs=0.05)
    assert means["twist_error_deg"] == pytest.approx(40 / 23, abs=0.05)
    assert means["mpjpe_mm"] < 15  # which is why joints do not teach the twist
    assert means["pve_mm"] > 0.1


def test_turning_the_whole_body_is_an_error_that_procrustes_forgives(truth, batches, body):
    rotations = truth.rotations.clone()
    rotations[:, 0] = axis_angle_to_matrix(torch.tensor([0.0, math.pi / 2, 0.0])) @ rotations[:, 0]
    scores = evaluate(SMPLParams(rotations, truth.betas, truth.camera), batches, body)
    means = scores.to_dict()
    assert means["root_error_deg"] == pytest.approx(90.0, abs=0.05)
    assert means["rotation_error_deg"] == pytest.approx(90 / 24, abs=0.05)
    assert means["mpjpe_mm"] > 100
    assert means["pa_mpjpe_mm"] < 0.01


def test_errors_are_those_of_the_metrics_on_the_14_joints(truth, batches, body):
    wrong = SMPLParams(truth.rotations.roll(1, 0), truth.betas.roll(1, 0), truth.camera)
    scores = evaluate(wrong, batches, body)
    predicted, true = body(wrong.rotations, wrong.betas), body(truth.rotations, truth.betas)
    joints, true_joints = (
        (out.h36m - out.h36m[:, :1])[:, list(H36M_TO_J14)] for out in (predicted, true)
    )
    expected = 1000 * metrics.mpjpe(joints, true_joints)
    np.testing.assert_allclose(scores.mpjpe_mm, expected, rtol=1e-4)
    np.testing.assert_allclose(
        scores.pa_mpjpe_mm, 1000 * metrics.pa_mpjpe(joints, true_joints), rtol=1e-3
    )
    vertices = predicted.vertices - predicted.h36m[:, :1]
    true_vertices = true.vertices - true.h36m[:, :1]
    np.testing.assert_allclose(
        scores.pve_mm, 1000 * metrics.pve(vertices, true_vertices), rtol=1e-4
    )
    np.testing.assert_allclose(
        scores.to_dict()["betas_error"], (wrong.betas - truth.betas).abs().mean(), rtol=1e-5
    )


def test_result_does_not_depend_on_the_batches(truth, batches, body):
    wrong = SMPLParams(truth.rotations.roll(1, 0), truth.betas.roll(1, 0), truth.camera)
    whole = evaluate(wrong, batches, body)
    again = evaluate(wrong, batches[::-1], body)
    order = np.argsort(again.index)
    for name, values in whole.arrays().items():
        np.testing.assert_allclose(again.arrays()[name][order], values, rtol=1e-3, atol=1e-3)


def test_a_forearm_turned_right_round_is_beyond_what_a_person_can(truth, batches, body):
    assert not evaluate(truth, batches, body).beyond_limits.any()
    axes = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)
    rotations = truth.rotations.clone()
    rotations[:5, ELBOW] = axis_angle_to_matrix(math.pi * axes[ELBOW])
    scores = evaluate(SMPLParams(rotations, truth.betas, truth.camera), batches, body)
    expected = np.zeros(24)
    expected[ELBOW] = 0.5
    np.testing.assert_allclose(scores.beyond_limits.mean(0), expected)
    assert scores.to_dict()["beyond_limits_percent"] == pytest.approx(100 * 0.5 / 23)
    assert scores.values("beyond_limits_percent").tolist() == pytest.approx(
        [100 / 23] * 5 + [0] * 5
    )


def test_samples_without_truth_are_left_out(truth, batches, body):
    known = torch.tensor([True, False, False, True])
    partly = replace(
        batches[0],
        has_smpl=known,
        rotations=torch.where(known[:, None, None, None], batches[0].rotations, torch.nan),
    )
    none = replace(batches[1], has_smpl=torch.zeros(4, dtype=torch.bool))
    scores = evaluate(truth, [partly, none, batches[2]], body)
    assert scores.index.tolist() == [100, 103, 108, 109]
    assert np.isfinite(scores.joint_error_mm).all()
    with pytest.raises(ValueError, match="no sample of this set"):
        evaluate(truth, [none], body)


def test_a_prediction_that_is_not_finite_is_named(truth, batches, body):
    betas = truth.betas.clone()
    betas[5, 2] = torch.nan
    with pytest.raises(ValueError, match=r"sample\(s\) \[105\] is not finite"):
        evaluate(SMPLParams(truth.rotations, betas, truth.camera), batches, body)


def test_model_predicts_in_evaluation_mode_and_comes_back_as_it_was(truth, batches, body):
    model = Oracle(truth).train()
    evaluate_model(model, batches, body)
    assert model.seen == [(False, True)] * 3
    assert model.training
    model.eval()
    evaluate_model(model, batches, body)
    assert not model.training


def test_a_real_network_is_scored(batches, body):
    scores = evaluate_model(HMR(create_encoder("small")), _pictures(batches), body)
    assert scores.count == PEOPLE
    assert all(math.isfinite(value) for value in scores.to_dict().values())


def _pictures(batches):
    for batch in batches:
        yield replace(batch, images=torch.zeros(len(batch.index), 3, 64, 64))


def test_constant_prediction_is_right_where_the_person_stands_like_that(truth, batches, body):
    scores = constant_predictor_scores(
        batches, body, truth.rotations[3], truth.betas[3], truth.camera[3]
    )
    assert scores.mpjpe_mm[3] == pytest.approx(0.0, abs=1e-3)
    assert scores.keypoint_error_percent[3] == pytest.approx(0.0, abs=1e-3)
    assert (np.delete(scores.mpjpe_mm, 3) > 1).all()
    neutral = constant_predictor_scores(batches, body, truth.rotations[3])
    assert not neutral.betas.any()


def test_scores_survive_a_file(truth, batches, body, tmp_path):
    scores = evaluate(truth, batches, body)
    np.savez(tmp_path / "scores.npz", **scores.arrays())
    with np.load(tmp_path / "scores.npz", allow_pickle=False) as arrays:
        again = Scores.read(arrays)
    assert again.to_dict() == scores.to_dict()


def test_scores_without_any_labelled_keypoint_say_so(truth, batches, body):
    bare = [replace(batch, keypoints_2d=torch.zeros_like(batch.keypoints_2d)) for batch in batches]
    scores = evaluate(truth, bare, body)
    assert math.isnan(scores.to_dict()["keypoint_error_percent"])
    assert_close(torch.from_numpy(scores.betas), truth.betas)
