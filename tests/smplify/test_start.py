"""Where fits begin."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.geometry import SPIN_FOCAL, axis_angle_to_matrix, rotation_angle_between
from hmrlab.smplify import Points3D, Targets, cold_start, from_camera, start_from_points
from hmrlab.smplify.objective import project
from hmrlab.smplify.start import place

HEADINGS = (0.0, 90.0, 180.0, 270.0, 33.0)


def middle_and_spread(places, confidence):
    weight = (confidence / confidence.sum(1, keepdim=True))[..., None]
    middle = (weight * places).sum(1)
    return middle, (weight * (places - middle[:, None]).square()).sum((1, 2)).sqrt()


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_cold_start_has_its_keypoints_place_and_size(make_people, body, prior, heading):
    """Weighted by confidence; to a pixel, since the camera is far but not infinitely so."""
    targets = make_people(5, seed=1).targets
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(5, 49, generator=generator, dtype=torch.float64)
    confidence[:, ::3] = 0
    shift = torch.tensor([[0.0, 0], [60, 0], [-60, 40], [0, -80], [10, 10]], dtype=torch.float64)
    targets = Targets.of(
        torch.cat([targets.keypoints_2d + shift[:, None], confidence[..., None]], -1)
    )
    guess = cold_start(body, prior, targets, heading)
    seen = project(body.keypoints(guess.rotations, guess.betas), guess.translation)
    middle, spread = middle_and_spread(seen, confidence)
    wanted_middle, wanted_spread = middle_and_spread(targets.keypoints_2d, confidence)
    torch.testing.assert_close(middle, wanted_middle, atol=1.0, rtol=0)
    torch.testing.assert_close(spread, wanted_spread, atol=0, rtol=0.02)


@pytest.mark.parametrize(
    ("heading", "direction"),
    [(0.0, (0, 0, -1)), (180.0, (0, 0, 1)), (90.0, (1, 0, 0)), (270.0, (-1, 0, 0))],
)
def test_headings_turn_an_upright_body_about_its_axis(make_people, body, prior, heading, direction):
    guess = cold_start(body, prior, make_people(2).targets, heading)
    root = guess.rotations[:, 0]
    up, forwards = root[:, :, 1], root[:, :, 2]  # in the camera's frame, whose y points down
    torch.testing.assert_close(up, up.new_tensor([[0, -1, 0]]).expand(2, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(forwards, up.new_tensor([direction]).expand(2, 3), atol=1e-6, rtol=0)


def test_it_has_the_mean_pose_and_the_mean_shape(make_people, body, prior):
    guess = cold_start(body, prior, make_people(3).targets, 90)
    pose = axis_angle_to_matrix(prior.mean_pose().view(23, 3))
    torch.testing.assert_close(guess.rotations[:, 1:], pose.expand(3, 23, 3, 3))
    assert not guess.betas.any()


@given(
    seed=st.integers(0, 1000),
    size=st.floats(3, 1000),
    offset=st.floats(-500, 500),
    heading=st.sampled_from(HEADINGS),
)
def test_nobody_is_placed_behind_the_camera(body, prior, seed, size, offset, heading):
    """Wherever the keypoints are, however small or large they make the person, whatever is seen."""
    generator = torch.Generator().manual_seed(seed)
    places = size * torch.rand(3, 49, 2, generator=generator, dtype=torch.float64) + offset
    confidence = torch.rand(3, 49, 1, generator=generator, dtype=torch.float64)
    confidence = torch.where(confidence > 0.6, confidence, 0)
    guess = cold_start(body, prior, Targets.of(torch.cat([places, confidence], -1)), heading)
    points = body.keypoints(guess.rotations, guess.betas) + guess.translation[:, None]
    assert points[..., 2].min() > 1
    assert points.isfinite().all()


def test_who_cannot_be_fitted_stands_in_the_middle(body, prior):
    targets = Targets.of(torch.full((2, 49, 3), math.nan, dtype=torch.float64))
    guess = cold_start(body, prior, targets)
    seen = project(body.keypoints(guess.rotations, guess.betas), guess.translation)
    torch.testing.assert_close(seen.mean(1), torch.full_like(seen[:, 0], 112.0), atol=1, rtol=0)
    assert (seen > 0).all()
    assert (seen < 224).all()


def test_a_person_is_placed_where_others_in_the_batch_do_not_matter(make_people, body, prior):
    targets = make_people(3).targets
    whole = cold_start(body, prior, targets)
    for k in range(3):
        alone = cold_start(body, prior, targets[torch.tensor([k])])
        torch.testing.assert_close(alone.translation[0], whole.translation[k])


def test_the_right_pose_is_placed_where_it_was(make_people, body):
    people = make_people(5, seed=2)
    keypoints = body.keypoints(people.truth.rotations, people.truth.betas)
    found = place(keypoints, people.targets)
    torch.testing.assert_close(found[:, :2], people.truth.translation[:, :2], atol=0.02, rtol=0)
    torch.testing.assert_close(found[:, 2], people.truth.translation[:, 2], atol=0, rtol=0.02)


def test_a_networks_answer_is_a_start(make_people):
    truth = make_people(2).truth
    camera = torch.tensor([[0.9, 0.1, -0.2], [0.5, 0.0, 0.3]], dtype=torch.float64)
    guess = from_camera(truth.rotations.clone().requires_grad_(), truth.betas, camera)
    depth = 2 * SPIN_FOCAL / (224 * camera[:, 0])
    torch.testing.assert_close(guess.translation[:, 2], depth, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(guess.translation[:, :2], camera[:, 1:])
    assert not guess.rotations.requires_grad


@pytest.mark.parametrize("heading", [0.0, 130.0, 180.0])
def test_points_in_space_say_how_the_torso_is_turned(make_people, body, prior, heading):
    people = make_people(6, seed=3, heading=heading)
    keypoints = body.keypoints(people.truth.rotations, people.truth.betas)
    known = torch.zeros(6, 49, dtype=torch.float64)
    known[:, :15] = 1
    points = Points3D(keypoints - keypoints[:, 8:9], known)
    start = start_from_points(body, prior, people.targets, points)
    away = rotation_angle_between(start.rotations[:, 0], people.truth.rotations[:, 0])
    assert torch.rad2deg(away).max() < 35  # the spine bends, too
    torso = (body.keypoints(start.rotations, start.betas) + start.translation[:, None])[:, [8]]
    truth = (keypoints + people.truth.translation[:, None])[:, [8]]
    off = (torso - truth)[:, 0]
    assert off[:, :2].abs().max() < 0.05
    assert off[:, 2].abs().max() < 0.01 * 45
