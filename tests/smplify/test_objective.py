"""SMPLify's terms against SPIN's own numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.smplify.objective import (
    ANNOTATED_TORSO,
    HINGE_SIGNS,
    HINGES,
    OPENPOSE_TORSO,
    ObjectiveWeights,
    angle_prior,
    body_objective,
    camera_objective,
    geman_mcclure,
    project,
    reprojection_terms,
    torso_of,
)
from hmrlab.smplify.problem import Points3D, Targets

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


@given(error=st.floats(-1e4, 1e4), sigma=st.floats(1, 1e3))
def test_the_robust_error_lies_below_the_square_and_below_its_ceiling(error, sigma):
    value = geman_mcclure(torch.tensor(error, dtype=torch.float64), sigma)
    assert value <= min(error**2, sigma**2)
    assert geman_mcclure(torch.tensor(sigma), sigma) == pytest.approx(sigma**2 / 2)


def test_an_infinite_sigma_is_the_plain_square():
    error = torch.tensor([0.0, -3.0, 1e4])
    torch.testing.assert_close(geman_mcclure(error, math.inf), error.square())


def test_projection_is_spins_far_camera():
    point, translation = torch.tensor([[[1.0, -2.0, 3.0]]]), torch.tensor([[0.5, 0.0, 47.0]])
    expected = [[[112 + 5000 * 1.5 / 50, 112 - 5000 * 2 / 50]]]
    torch.testing.assert_close(project(point, translation), torch.tensor(expected))


def test_bending_the_way_that_nobody_can_costs_and_the_other_way_does_not():
    forwards, backwards = torch.zeros(1, 72), torch.zeros(1, 72)
    backwards[0, list(HINGES)] = torch.tensor(HINGE_SIGNS)
    forwards[0, list(HINGES)] = -torch.tensor(HINGE_SIGNS)
    for pose, value in ((torch.zeros(1, 72), 1.0), (backwards, math.e**2), (forwards, math.e**-2)):
        torch.testing.assert_close(angle_prior(pose), torch.full((1, 4), value))


def test_bent_hinges_bend_where_people_bend(make_people):
    """Most of the sampler's elbows and knees are bent, and to the side that costs nothing."""
    pose = make_people(50).truth.pose.flatten(1)
    assert (pose[:, list(HINGES)].mean(0) * pose.new_tensor(HINGE_SIGNS) < 0).all()
    assert (angle_prior(pose).mean(0) < 1).all()


@pytest.fixture
def terms(make_people, nudged, body):
    """The arguments of `body_objective` but its prior and weights, for three people."""
    people = make_people(3, noise=2)
    guess = nudged(people.truth, 0.2)
    keypoints = body.keypoints(guess.rotations, guess.betas)
    return (
        keypoints, guess.pose.flatten(1), guess.betas, guess.translation, people.targets.counted()
    )  # fmt: skip


@pytest.mark.parametrize("left_out", ["pose_prior", "angle", "shape"])
def test_a_term_without_weight_is_left_out(terms, prior, left_out):
    keypoints, pose, betas, translation, targets = terms
    whole = body_objective(*terms, prior, ObjectiveWeights())
    less = body_objective(*terms, prior, ObjectiveWeights(**{left_out: 0.0}))
    term = {
        "pose_prior": 4.78**2 * prior(pose[:, 3:]),
        "angle": 15.2**2 * angle_prior(pose).sum(1),
        "shape": 5.0**2 * betas.square().sum(1),
    }[left_out]
    torch.testing.assert_close(whole - less, term)
    nothing = ObjectiveWeights(pose_prior=0, angle=0, shape=0)
    bare = reprojection_terms(keypoints, translation, targets, 100.0).sum(1)
    torch.testing.assert_close(body_objective(*terms, None, nothing), bare)
    torch.testing.assert_close(
        body_objective(*terms, None, ObjectiveWeights()),
        body_objective(*terms, prior, ObjectiveWeights(pose_prior=0)),
    )


def test_keypoints_count_by_the_square_of_their_confidence(terms):
    keypoints, _, _, translation, targets = terms
    half = Targets(targets.keypoints_2d, targets.confidence / 2, targets.valid)
    whole = reprojection_terms(keypoints, translation, targets, 100.0)
    torch.testing.assert_close(reprojection_terms(keypoints, translation, half, 100.0) * 4, whole)


def with_torso(openpose, annotated):
    """One person's targets with these confidences of the four hips and shoulders."""
    confidence = torch.ones(1, 49)
    confidence[0, OPENPOSE_TORSO] = torch.tensor(openpose)
    confidence[0, ANNOTATED_TORSO] = torch.tensor(annotated)
    return Targets(torch.zeros(1, 49, 2), confidence, torch.ones(1, dtype=torch.bool))


@pytest.mark.parametrize(
    ("openpose", "annotated", "index", "counts"),
    [
        ((1.0, 1.0, 0.1, 1.0), (1.0, 1.0, 1.0, 1.0), OPENPOSE_TORSO, (1, 1, 1, 1)),
        ((1.0, 1.0, 0.1, 1.0), (0.0, 0.0, 0.0, 0.0), OPENPOSE_TORSO, (1, 1, 1, 1)),
        ((1.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), ANNOTATED_TORSO, (1, 1, 1, 1)),
        ((1.0, 0.0, 1.0, 1.0), (1.0, 0.0, 0.2, 0.0), ANNOTATED_TORSO, (1, 0, 1, 0)),
        ((1.0, 1.0, 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), ANNOTATED_TORSO, (0, 0, 0, 0)),
    ],
)
def test_the_torso_is_openposes_where_all_of_it_is_seen(openpose, annotated, index, counts):
    found, which = torso_of(with_torso(openpose, annotated))
    assert found.tolist() == [index]
    assert which.tolist() == [[bool(c) for c in counts]]


def test_each_person_of_a_batch_has_a_torso_of_their_own():
    one, other = with_torso((1.0,) * 4, (1.0,) * 4), with_torso((0.0,) * 4, (1.0,) * 4)
    both = Targets(
        *(torch.cat(parts) for parts in zip(vars(one).values(), vars(other).values(), strict=True))
    )
    assert torso_of(both)[0].tolist() == [OPENPOSE_TORSO, ANNOTATED_TORSO]


def test_the_first_stage_sees_the_seen_torso_and_the_way_in_depth():
    """Whose confidences count by being there, not by their size; by hand."""
    targets = with_torso((0.0,) * 4, (1.0, 0.3, 0.0, 0.0))
    start = torch.tensor([[0.0, 0.0, 50.0]])
    keypoints = torch.zeros(1, 49, 3)  # all at the middle of the picture, 112 px from the targets
    keypoints[0, ANNOTATED_TORSO[2]] = 1e3  # not seen
    for depth, way in ((100.0, 0.5), (10.0, 0.5), (0.0, 0.5), (100.0, 0.0)):
        moved = start + torch.tensor([0.0, 0.0, way])
        value = camera_objective(keypoints, moved, start, targets, ObjectiveWeights(depth=depth))
        torch.testing.assert_close(value, torch.tensor([4 * 112.0**2 + (depth * way) ** 2]))


def test_points_in_space_count_by_their_distance_once_laid_together(terms):
    """Two of three are known, one of them a third as surely; by hand, for one is 0.4 m off."""
    points, confidence = terms[0].clone(), torch.zeros_like(terms[0][..., 0])
    confidence[:, 3], confidence[:, 4] = 0.9, 0.3
    points[:, 4, 2] += 0.4
    points[:, 7] += 5
    weights = ObjectiveWeights()
    for shift in (0.0, 3.0):
        moved = Points3D(points + shift, confidence, weight=20)
        term = body_objective(*terms, None, weights, moved) - body_objective(*terms, None, weights)
        # the mean is 0.1 m off: 0.9 * 0.1 ** 2 + 0.3 * 0.3 ** 2
        torch.testing.assert_close(term, torch.full_like(term, 20**2 * 0.036))
