"""From keypoints alone to bodies."""

import math

import pytest
import torch

from hmrlab.geometry import rotation_angle_between
from hmrlab.smplify import (
    AdamSettings,
    NewtonSettings,
    Points3D,
    Targets,
    cold_start,
    fit,
    fit_cold,
    fit_with_newton,
    start_from_points,
)

FEW = NewtonSettings(camera_steps=5, steps=8, tolerance=0)


@pytest.fixture(scope="module")
def people(make_people):
    return make_people(5, seed=4, noise=2)


@pytest.fixture(scope="module")
def by_heading(people, body, prior):
    """The fits from each heading."""
    return {
        heading: fit_with_newton(
            body, prior, people.targets, cold_start(body, prior, people.targets, heading), FEW
        )
        for heading in fit.HEADINGS
    }


@pytest.fixture(scope="module")
def fitted(people, body, prior):
    return fit_cold(body, prior, people.targets, settings=FEW)


def test_each_person_gets_the_best_of_all_headings(by_heading, fitted):
    objectives = torch.stack([fits.objective for fits in by_heading.values()])
    best = objectives.min(0)
    torch.testing.assert_close(fitted.objective, best.values)
    assert len(best.indices.unique()) > 1  # no single heading would have done
    for k, which in enumerate(best.indices.tolist()):
        chosen = list(by_heading.values())[which]
        torch.testing.assert_close(fitted.pose[k], chosen.pose[k])
        torch.testing.assert_close(fitted.translation[k], chosen.translation[k])


def test_one_heading_is_one_fit(people, body, prior, by_heading):
    fits = fit_cold(body, prior, people.targets, headings=(90.0,), settings=FEW)
    torch.testing.assert_close(fits.pose, by_heading[90.0].pose)


def test_no_heading_is_refused(people, body, prior):
    with pytest.raises(ValueError, match="at least one heading, or starts"):
        fit_cold(body, prior, people.targets, headings=())


@pytest.mark.parametrize("heading", [180.0, 0.0, 90.0])
def test_a_person_is_found_from_whichever_side_they_are_seen(make_people, body, prior, heading):
    people = make_people(6, seed=11, heading=heading)
    fits = fit_cold(body, prior, people.targets)
    error = rotation_angle_between(fits.rotations[:, 0], people.truth.rotations[:, 0])
    assert torch.rad2deg(error).median() < 15
    assert fits.reprojection.median() < 20


def test_one_start_from_the_front_finds_those_seen_from_behind_less_well(make_people, body, prior):
    """Which is why there are several."""
    people = make_people(6, seed=11, heading=180.0)
    settings = NewtonSettings(tolerance=0)
    one = fit_cold(body, prior, people.targets, headings=(0.0,), settings=settings)
    several = fit_cold(body, prior, people.targets, settings=settings)
    assert (several.objective <= one.objective).all()
    assert several.objective.sum() < 0.95 * one.objective.sum()


def test_a_start_that_is_given_is_one_more(people, body, prior, nudged, fitted):
    near = nudged(people.truth, 0.05)
    alone = fit_with_newton(body, prior, people.targets, near, FEW)
    assert (alone.objective < fitted.objective).any()
    fits = fit_cold(body, prior, people.targets, starts=[near], settings=FEW)
    best = torch.minimum(alone.objective, fitted.objective)
    torch.testing.assert_close(fits.objective, best)


@pytest.mark.parametrize("by", [NewtonSettings(), AdamSettings(steps=40)], ids=["newton", "adam"])
def test_everybodys_own_points_in_space_are_met(people, body, prior, monkeypatch, by):
    monkeypatch.setattr(fit, "TOGETHER", 2)
    truth = body.keypoints(people.truth.rotations, people.truth.betas)
    everything = Points3D(truth, torch.ones_like(truth[..., 0]))

    def fit_to(points):
        start = start_from_points(body, prior, people.targets, everything)
        fits = fit_cold(
            body, prior, people.targets, headings=(), starts=[start], points=points, settings=by
        )
        return everything.away(body.keypoints(fits.pose, fits.betas)).norm(dim=1).mean(1)

    assert (fit_to(everything) < 0.8 * fit_to(None)).all()


def test_many_people_are_fitted_some_at_a_time(people, body, prior, fitted, monkeypatch):
    monkeypatch.setattr(fit, "TOGETHER", 2)
    fits = fit_cold(body, prior, people.targets, settings=FEW)
    torch.testing.assert_close(fits.pose, fitted.pose, atol=1e-6, rtol=0)
    torch.testing.assert_close(fits.objective, fitted.objective)


def test_who_cannot_be_fitted_spoils_nobody(people, body, prior, fitted):
    keypoints = torch.cat([people.targets.keypoints_2d, people.targets.confidence[..., None]], -1)
    keypoints[2] = math.nan
    fits = fit_cold(body, prior, Targets.of(keypoints), settings=FEW)
    assert fits.valid.tolist() == [True, True, False, True, True]
    others = torch.tensor([0, 1, 3, 4])
    torch.testing.assert_close(fits[others].pose, fitted[others].pose, atol=1e-6, rtol=0)
    assert fits.pose[2].isfinite().all()
    assert fits.objective[2] == math.inf


def test_nobody_at_all(body, prior):
    targets = Targets.of(torch.zeros(0, 49, 3, dtype=torch.float64))
    assert len(fit_cold(body, prior, targets, settings=FEW)) == 0


def test_a_fit_goes_on_from_a_fit(people, body, prior, fitted):
    """Without the first stage, whose objective is another and would undo some of it."""
    settings = NewtonSettings(camera_steps=0, steps=5)
    again = fit_with_newton(body, prior, people.targets, fitted.params, settings)
    assert (again.objective <= fitted.objective * (1 + 1e-9)).all()
    assert again.objective.sum() < fitted.objective.sum()
