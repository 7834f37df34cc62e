"""Points in space as a term of fits: derivatives against autograd's, and what they bring."""

import dataclasses

import pytest
import torch
from fit_derivatives import as_function, derivatives

from hmrlab.smplify import (
    NewtonSettings,
    ObjectiveWeights,
    Points3D,
    fit_cold,
    fit_with_newton,
    start_from_points,
)
from hmrlab.smplify.newton import _BodyStage
from hmrlab.smplify.objective import project


@pytest.fixture(scope="module")
def people(make_people):
    return make_people(6, noise=3)


@pytest.fixture(scope="module")
def fitted(people, body, prior):
    return fit_cold(body, prior, people.targets)


@pytest.fixture(scope="module")
def points(people, body):
    """Where everybody's keypoints are in space, about their hips, of some more surely."""
    keypoints = body.keypoints(people.truth.rotations, people.truth.betas)
    confidence = torch.linspace(0, 1, 49, dtype=torch.float64).expand(len(keypoints), 49)
    return Points3D(keypoints - keypoints[:, 8:9], confidence)


def test_with_points_in_space_the_derivatives_are_autograds(people, nudged, body, prior, points):
    near = nudged(people.truth, 0.2)
    stage = _BodyStage(body, prior, people.targets, near, ObjectiveWeights(), points)
    _, gradient = derivatives(stage)
    expected = torch.autograd.functional.jacobian(as_function(stage, 1), 0 * gradient[1])
    torch.testing.assert_close(gradient[1], expected, rtol=1e-5, atol=1e-4)
    places = project(body.keypoints(near.rotations, near.betas), near.translation)
    met = dataclasses.replace(people.targets, keypoints_2d=places)
    inside = dataclasses.replace(points, points=body.keypoints(near.rotations, near.betas))
    stage = _BodyStage(body, prior, met, near, ObjectiveWeights(), inside)
    hessian, _ = derivatives(stage)
    expected = torch.autograd.functional.hessian(as_function(stage, 0), 0 * gradient[0])
    torch.testing.assert_close(hessian[0], expected, rtol=1e-4, atol=1e-2)


def test_with_points_in_space_a_wrong_distance_is_mended(people, body, prior, points):
    """Only then: SPIN's second stage leaves the translation alone."""
    near = people.truth.translation * torch.tensor([1, 1, 0.7], dtype=torch.float64)
    start = dataclasses.replace(people.truth, translation=near)
    settings = NewtonSettings(camera_steps=0)
    fits = fit_with_newton(body, prior, people.targets, start, settings, points=points)
    assert (fits.translation / people.truth.translation - 1).abs()[:, 2].max() < 0.1
    without = fit_with_newton(body, prior, people.targets, start, settings)
    assert torch.equal(without.translation, near)


def test_points_in_space_say_how_far_limbs_reach_towards_us(people, body, prior, fitted, points):
    def depth_error(fits):
        keypoints = points.centred(body.keypoints(fits.pose, fits.betas).mT)
        return (keypoints - points.centred(points.points.mT))[:, 2].abs().mean()

    start = start_from_points(body, prior, people.targets, points)
    fits = fit_with_newton(body, prior, people.targets, start, points=points)
    assert depth_error(fits) < 0.3 * depth_error(fitted)


def test_whose_points_are_not_known_is_fitted_all_the_same(people, body, prior, fitted, points):
    confidence = points.confidence.clone()
    confidence[2] = 0
    some = dataclasses.replace(points, confidence=confidence)
    start = start_from_points(body, prior, people.targets, some)
    fits = fit_cold(body, prior, people.targets, starts=[start], points=some)
    assert fits.valid.all()
    assert fits.reprojection[2] < 1.5 * fitted.reprojection[2]


def test_points_that_are_no_numbers_or_anothers_are_refused(people, body, prior, points):
    broken = dataclasses.replace(points, points=points.points.clone())
    broken.points[1, 3, 2] = torch.nan
    with pytest.raises(ValueError, match=r"points: expected finite .*1 not finite"):
        fit_cold(body, prior, people.targets, points=broken)
    with pytest.raises(ValueError, match=r"expected finite \(6, 49, 3\).*got \(4, 49, 3\)"):
        fit_cold(body, prior, people.targets, points=points[:4])
