from dataclasses import replace

import numpy as np
import pytest
import torch

from checks.fits import (
    Recorder,
    aside,
    far_cameras,
    fit_errors,
    means,
    over,
    pixel_errors,
)
from hmrlab.bodies import SMPLParams, load_body
from hmrlab.geometry import axis_angle_to_matrix, project_normalised
from hmrlab.smplify import NewtonSettings, Targets, cold_start, fit_with_newton, load_prior
from hmrlab.smplify.objective import project


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def guess():
    pose = 0.1 * torch.randn(2, 24, 3, generator=torch.Generator().manual_seed(0))
    pose[:, 0, 0] += np.pi
    return SMPLParams(
        axis_angle_to_matrix(pose),
        torch.zeros(2, 10),
        translation=torch.tensor([[0.0, 0.1, 45.0]]).repeat(2, 1),
    )


def targets_of(body, guess):
    points = body.keypoints(guess.rotations, guess.betas)
    places = project(points, guess.translation)
    return Targets.of(torch.cat([places, torch.ones(2, 49, 1)], -1))


def test_the_weak_camera_of_a_fit_sees_what_its_translation_says(body, guess):
    points = body.keypoints(guess.rotations, guess.betas)
    seen = 112 * (project_normalised(points, far_cameras(guess)) + 1)
    torch.testing.assert_close(seen, project(points, guess.translation), atol=1e-2, rtol=0)


def test_the_truth_has_no_errors(body, guess):
    errors = means(fit_errors(guess, guess, targets_of(body, guess), body))
    names = (
        "pixels", "mpjpe_mm", "pa_mpjpe_mm", "elbow_twist_error_deg", "across_mm", "depth_mm",
    )  # fmt: skip
    for name in names:
        assert errors[name] == pytest.approx(0, abs=0.05), name


def test_a_shift_along_the_picture_is_an_error_in_pixels_only(body, guess):
    aside_of_it = replace(guess, translation=guess.translation + torch.tensor([0.09, 0, 0]))
    targets = targets_of(body, guess)
    away = pixel_errors(aside_of_it, targets, body)
    torch.testing.assert_close(away, torch.full((2,), 10.0), atol=0.2, rtol=0)
    assert means(fit_errors(aside_of_it, guess, targets, body))["mpjpe_mm"] < 0.01


def test_a_turn_about_the_vertical_is_an_error_in_depth_most_of_all(body, guess):
    turn = axis_angle_to_matrix(torch.tensor([0.0, 0.2, 0.0]))
    rotations = guess.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    turned = replace(guess, rotations=rotations)
    errors = means(fit_errors(turned, guess, targets_of(body, guess), body))
    assert errors["depth_mm"] > 3 * errors["across_mm"] > 0


def test_an_elbow_bent_backwards_is_counted(body, guess):
    pose = guess.pose.clone()
    pose[:, 18] = torch.tensor([0.0, 0.8, 0.0])  # the left elbow: positive is backwards
    bent = replace(guess, rotations=axis_angle_to_matrix(pose))
    errors = fit_errors(bent, guess, targets_of(body, guess), body)["backwards"]
    before = fit_errors(guess, guess, targets_of(body, guess), body)["backwards"]
    assert ((errors - before) >= 0).all()
    assert errors.min() >= 0.25


def test_fits_are_drawn_over_pictures_and_from_the_side(body, guess):
    blank = np.full((2, 48, 48, 3), 255, np.uint8)
    for pictures in (over(blank, guess, body), aside(guess, body, size=48)):
        assert pictures.shape == (2, 48, 48, 3)
        assert (pictures < 200).any((1, 2, 3)).all()


def test_a_recorder_keeps_every_step_of_a_fit(body, guess):
    targets, prior = targets_of(body, guess), load_prior()
    recorder = Recorder()
    settings = NewtonSettings(camera_steps=2, steps=3, tolerance=0.0)
    fits = fit_with_newton(
        body, prior, targets, cold_start(body, prior, targets), settings, callback=recorder
    )
    assert len(recorder.guesses) == len(recorder.seconds) == 5
    assert recorder.seconds == sorted(recorder.seconds)
    torch.testing.assert_close(recorder.guesses[-1].rotations, fits.rotations, atol=1e-4, rtol=0)
