"""Levenberg-Marquardt: its derivatives against autograd's, and what it does with whole batches."""

import dataclasses
import math

import pytest
import torch
from fit_derivatives import as_function, derivatives
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.geometry import axis_angle_to_matrix, rotation_angle_between
from hmrlab.smplify import (
    NewtonSettings,
    ObjectiveWeights,
    Targets,
    cold_start,
    fit_with_newton,
    load_prior,
)
from hmrlab.smplify.newton import _BodyStage, left_jacobian
from hmrlab.smplify.objective import body_objective, camera_objective, project, reprojection_terms

FEW = NewtonSettings(camera_steps=4, steps=6, tolerance=0)  # no early end: it depends on the batch
PARTS = ("pose", "betas", "translation", "objective", "reprojection")


@pytest.fixture(scope="module")
def people(make_people):
    return make_people(6, noise=3)


@pytest.fixture(scope="module")
def start(people, body, prior):
    return cold_start(body, prior, people.targets)


@pytest.fixture(scope="module")
def fitted(people, body, prior, start):
    return fit_with_newton(body, prior, people.targets, start, FEW)


def assert_same(some, others, tolerance=1e-9):
    for name in PARTS:
        one, other = getattr(some, name), getattr(others, name)
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance, msg=name)
    assert some.valid.tolist() == others.valid.tolist()


@pytest.mark.parametrize(
    "weights",
    [
        ObjectiveWeights(),
        ObjectiveWeights(pose_prior=0, angle=0, shape=0),
        ObjectiveWeights(pose_prior=0, angle=0, shape=0, sigma=math.inf),
        ObjectiveWeights(sigma=5.0),
    ],
    ids=["all terms", "keypoints only", "keypoints, not robust", "very robust"],
)
def test_the_gradient_is_autograds(people, nudged, body, prior, weights):
    stage = _BodyStage(body, prior, people.targets, nudged(people.truth, 0.2), weights)
    _, gradient = derivatives(stage)
    for number in range(2):
        zero = torch.zeros(82, dtype=torch.float64, requires_grad=True)
        (expected,) = torch.autograd.grad(as_function(stage, number)(zero), zero)
        torch.testing.assert_close(gradient[number], expected, rtol=1e-5, atol=1e-4)


def test_at_a_perfect_fit_the_curvature_is_the_whole_second_derivative(people, nudged, body, prior):
    """Without an error, what Gauss and Newton leave out of the keypoints' term vanishes."""
    guess = nudged(people.truth, 0.2)
    places = project(body.keypoints(guess.rotations, guess.betas), guess.translation)
    targets = dataclasses.replace(people.targets, keypoints_2d=places)
    stage = _BodyStage(body, prior, targets, guess, ObjectiveWeights())
    hessian, _ = derivatives(stage)
    zero = torch.zeros(82, dtype=torch.float64)
    expected = torch.autograd.functional.hessian(as_function(stage, 0), zero)
    torch.testing.assert_close(hessian[0], expected, rtol=1e-4, atol=1e-2)


def test_with_errors_the_curvature_is_still_positive(people, nudged, body, prior):
    stage = _BodyStage(body, prior, people.targets, nudged(people.truth, 0.5), ObjectiveWeights())
    hessian, _ = derivatives(stage)
    torch.testing.assert_close(hessian, hessian.mT)
    assert torch.linalg.eigvalsh(hessian).min() > 0


@given(
    direction=st.tuples(*[st.floats(-1, 1)] * 3),
    length=st.sampled_from([0, 1e-9, 1e-5, 9.9e-4, 1.1e-3, 0.1, 1.0, 3.0, 3.14159, 3.2, 6.0, 7.0]),
)
def test_the_left_jacobian_is_how_a_rotation_turns(direction, length):
    """Against central differences, from no turn at all to more than a whole one."""
    axis = torch.tensor(direction, dtype=torch.float64)
    angles = length * axis / axis.norm().clamp_min(1e-12)
    size, steps = 1e-5, torch.eye(3, dtype=torch.float64)
    ahead, behind = (
        axis_angle_to_matrix(angles + sign * size * steps) for sign in (1, -1)
    )  # by each number
    turned = ahead @ behind.mT
    turned = (turned - turned.mT) / (4 * size)
    found = torch.stack([turned[:, 2, 1], turned[:, 0, 2], turned[:, 1, 0]])
    torch.testing.assert_close(left_jacobian(angles), found, atol=1e-6, rtol=0)


def test_the_left_jacobian_of_no_turn_is_the_identity():
    found = left_jacobian(torch.zeros(2, 5, 3))
    torch.testing.assert_close(found, torch.eye(3).expand(2, 5, 3, 3), atol=0, rtol=0)


def test_no_step_makes_any_body_worse(people, body, prior, start):
    settings = NewtonSettings(camera_steps=5, steps=12, tolerance=0)
    seen = []
    fits = fit_with_newton(
        body, prior, people.targets, start, settings, callback=lambda *told: seen.append(told)
    )
    assert [number for number, _, _ in seen] == list(range(1, 18))
    values = torch.stack([value for _, _, value in seen])
    for stage in (values[:5], values[5:]):
        assert (stage.diff(dim=0) <= 0).all()
        assert (stage[-1] < stage[0]).all()
    torch.testing.assert_close(values[-1], fits.objective, rtol=1e-6, atol=1e-6)


def test_what_it_reports_is_what_its_bodies_have(people, body, prior, start):
    seen = []
    fits = fit_with_newton(body, prior, people.targets, start, FEW,
                           callback=lambda *told: seen.append(told))  # fmt: skip
    first, last = seen[0], seen[-1]
    keypoints = body.keypoints(first[1].rotations, first[1].betas)
    expected = camera_objective(
        keypoints, first[1].translation, start.translation, people.targets, ObjectiveWeights()
    )
    torch.testing.assert_close(first[2], expected)
    torch.testing.assert_close(last[1].rotations, fits.rotations, atol=1e-6, rtol=0)
    terms = reprojection_terms(
        body.keypoints(fits.pose.flatten(1), fits.betas), fits.translation,
        people.targets.counted(), 100.0,
    )  # fmt: skip
    torch.testing.assert_close(fits.reprojection, terms.mean(1))


def test_a_body_comes_out_of_a_batch_as_it_does_alone(people, body, prior, start, fitted):
    for k in (0, 3):
        row = torch.tensor([k])
        alone = fit_with_newton(body, prior, people.targets[row], start[row], FEW)
        assert_same(alone, fitted[row], 1e-6)


def test_the_end_comes_early_when_nobody_gains(people, body, prior, start):
    seen = []
    fit_with_newton(body, prior, people.targets, start, NewtonSettings(steps=300),
                    callback=lambda *told: seen.append(told))  # fmt: skip
    assert len(seen) < 310
    assert seen[-1][2].sum() > seen[-2][2].sum() * (1 - 1e-4)


def test_a_body_alone_is_not_given_up_at_its_first_vain_step(people, body, prior, start):
    """A step that did not help raises the damping: the next may."""
    for k in range(len(start)):
        row = torch.tensor([k])
        one = people.targets[row], start[row]
        ended = fit_with_newton(body, prior, *one)
        most = fit_with_newton(body, prior, *one, NewtonSettings(tolerance=0))
        torch.testing.assert_close(ended.objective, most.objective, rtol=0.05, atol=0)


def spoiled_targets(targets, kind):
    """The targets with one more person, second in line, who cannot be fitted."""
    keypoints = torch.cat([targets.keypoints_2d, targets.confidence[..., None]], -1)
    bad = keypoints[:1].clone()
    if kind == "NaN":
        bad[0, 3, 0] = math.nan
    elif kind == "empty":
        bad[..., 2] = 0
    elif kind == "three keypoints":
        bad[0, 3:, 2] = 0
    else:
        bad[..., :2] = 100
    return Targets.of(torch.cat([keypoints[:1], bad, keypoints[1:]]))


def with_another(start, row):
    index = torch.tensor([0, row, *range(1, len(start))])
    return start[index]


@pytest.mark.parametrize("kind", ["NaN", "empty", "three keypoints", "one place"])
def test_who_cannot_be_fitted_comes_back_as_placed_and_spoils_nobody(
    people, body, prior, start, fitted, kind
):
    targets = spoiled_targets(people.targets, kind)
    fits = fit_with_newton(body, prior, targets, with_another(start, 0), FEW)
    assert fits.valid.tolist() == [True, False] + [True] * 5
    assert_same(fits[torch.tensor([0, 2, 3, 4, 5, 6])], fitted, 1e-6)
    torch.testing.assert_close(fits.rotations[1], start.rotations[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(fits.betas[1], start.betas[0])
    torch.testing.assert_close(fits.translation[1], start.translation[0])
    assert fits.objective[1] == fits.reprojection[1] == math.inf


@pytest.mark.parametrize("part", ["rotations", "betas", "translation"])
def test_a_start_that_is_no_number_spoils_nobody(people, body, prior, start, fitted, part):
    values = getattr(start, part).clone()
    values[1] = math.nan
    broken = dataclasses.replace(start, **{part: values})
    fits = fit_with_newton(body, prior, people.targets, broken, FEW)
    assert fits.valid.tolist() == [True, False] + [True] * 4
    others = torch.tensor([0, 2, 3, 4, 5])
    assert_same(fits[others], fitted[others], 1e-6)
    assert fits.objective[1] == math.inf


def test_only_people_who_cannot_be_fitted(body, prior):
    targets = Targets.of(torch.full((2, 49, 3), math.nan, dtype=torch.float64))
    start = cold_start(body, prior, targets)
    fits = fit_with_newton(body, prior, targets, start, FEW)
    assert not fits.valid.any()
    assert fits.pose.isfinite().all()


def test_nobody_at_all(body, prior):
    targets = Targets.of(torch.zeros(0, 49, 3, dtype=torch.float64))
    fits = fit_with_newton(body, prior, targets, cold_start(body, prior, targets), FEW)
    assert len(fits) == 0
    assert fits.pose.shape == (0, 24, 3)


@pytest.mark.parametrize(
    "weights",
    [{"pose_prior": 0.0}, {"angle": 0.0}, {"shape": 0.0}, {"depth": 0.0}, {"sigma": math.inf}],
    ids=str,
)
def test_each_weight_can_be_switched_off(people, body, prior, start, weights):
    weights = ObjectiveWeights(**weights)
    settings = dataclasses.replace(FEW, weights=weights)
    values = []
    used = prior if weights.pose_prior else None
    fits = fit_with_newton(body, used, people.targets, start, settings,
                           callback=lambda number, guess, value: values.append(value))  # fmt: skip
    assert fits.valid.all()
    assert (values[-1] < values[FEW.camera_steps]).all()
    expected = body_objective(
        body.keypoints(fits.pose.flatten(1), fits.betas), fits.pose.flatten(1), fits.betas,
        fits.translation, people.targets.counted(), used, weights,
    )  # fmt: skip
    torch.testing.assert_close(fits.objective, expected, rtol=1e-6, atol=1e-6)


def test_without_its_weight_the_prior_is_not_asked(people, body, prior, start):
    settings = dataclasses.replace(FEW, weights=ObjectiveWeights(pose_prior=0))
    ours = fit_with_newton(body, prior, people.targets, start, settings)
    assert_same(ours, fit_with_newton(body, None, people.targets, start, settings))


def test_a_weight_without_a_prior_is_refused(people, body, start):
    with pytest.raises(ValueError, match="give a prior, or set pose_prior=0"):
        fit_with_newton(body, None, people.targets, start)


def test_a_known_pose_is_found_again_from_nearby(make_people, nudged, body):
    people = make_people(4, seed=5)
    settings = NewtonSettings(
        camera_steps=0, steps=30, weights=ObjectiveWeights(pose_prior=0, angle=0, shape=0.03)
    )
    start = nudged(people.truth, 0.1)
    fits = fit_with_newton(body, None, people.targets, start, settings)
    assert fits.reprojection.max() < 0.1
    before = reprojection_terms(
        body.keypoints(start.rotations, start.betas), start.translation, people.targets, 100.0
    )
    assert before.mean(1).min() > 5


def test_the_first_stage_finds_place_and_orientation(make_people, body, prior):
    people = make_people(4, seed=6)
    turn = axis_angle_to_matrix(torch.tensor([0.3, 0.2, -0.3], dtype=torch.float64))
    rotations = people.truth.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    shift = torch.tensor([0.3, -0.2, 0.0], dtype=torch.float64)
    start = SMPLParams(rotations, people.truth.betas, translation=people.truth.translation + shift)
    fits = fit_with_newton(body, prior, people.targets, start, NewtonSettings(steps=0))
    assert rotation_angle_between(fits.rotations[:, 0], people.truth.rotations[:, 0]).max() < 0.02
    away = fits.translation - people.truth.translation
    assert away.abs().max() < 0.01
    torch.testing.assert_close(fits.rotations[:, 1:], people.truth.rotations[:, 1:])
    torch.testing.assert_close(fits.betas, people.truth.betas)


def test_the_first_stage_moves_in_depth_only_as_far_as_it_is_let(make_people, body, prior):
    people = make_people(3, seed=6)
    further = torch.tensor([0.0, 0.0, 2.0], dtype=torch.float64)
    start = dataclasses.replace(people.truth, translation=people.truth.translation + further)
    moved = {}
    for depth in (1e4, 100.0, 0.0):
        settings = NewtonSettings(steps=0, weights=ObjectiveWeights(depth=depth))
        fits = fit_with_newton(body, prior, people.targets, start, settings)
        moved[depth] = (start.translation - fits.translation)[:, 2]
    assert moved[1e4].abs().max() < 1e-3
    assert (moved[0.0] > moved[100.0]).all()
    torch.testing.assert_close(moved[0.0], further[2].expand(3), atol=0.05, rtol=0)


def test_the_first_stage_ends_where_its_objective_is_flat(make_people, body, prior):
    people = make_people(3, seed=6)
    further = torch.tensor([0.2, 0.1, 2.0], dtype=torch.float64)
    start = dataclasses.replace(people.truth, translation=people.truth.translation + further)
    settings = NewtonSettings(camera_steps=30, steps=0)
    fits = fit_with_newton(body, prior, people.targets, start, settings)
    turn = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    moved = fits.translation.clone().requires_grad_()
    root, limbs = fits.rotations.split([1, 23], 1)
    rotations = torch.cat([axis_angle_to_matrix(turn)[:, None] @ root, limbs], 1)
    value = camera_objective(
        body.keypoints(rotations, fits.betas), moved, start.translation, people.targets,
        ObjectiveWeights(),
    )  # fmt: skip
    for slope in torch.autograd.grad(value.sum(), (turn, moved)):
        assert slope.abs().max() < 0.1  # square pixels a radian or metre


def test_single_precision_reaches_the_same_objective(people, start, fitted):
    targets = Targets(people.targets.keypoints_2d.float(), people.targets.confidence.float(),
                      people.targets.valid)  # fmt: skip
    single = start.float()
    fits = fit_with_newton(load_body("free", "light"), load_prior(), targets, single, FEW)
    assert fits.objective.dtype == torch.float32
    torch.testing.assert_close(fits.objective.double(), fitted.objective, rtol=0.01, atol=0)


def test_gradients_switched_on_or_not_make_no_difference(people, body, prior, start, fitted):
    wanting = dataclasses.replace(start, rotations=start.rotations.clone().requires_grad_())
    fits = fit_with_newton(body, prior, people.targets, wanting, FEW)
    assert not fits.pose.requires_grad
    assert_same(fits, fitted)


@pytest.mark.parametrize("steps", [(25, 0), (0, 25)], ids=["first stage", "second stage"])
def test_a_heavy_damping_is_soon_got_rid_of(people, nudged, body, prior, steps):
    """Each step that helps takes three quarters of it away: after ten, 1e4 is less than 1e-2."""

    def values(damping):
        settings, seen = NewtonSettings(*steps, damping=damping, tolerance=0), []
        fit_with_newton(body, prior, people.targets, nudged(people.truth, 0.05), settings,
                        callback=lambda *told: seen.append(told[2]))  # fmt: skip
        return seen

    light, heavy = values(1e-2), values(1e4)
    assert (heavy[0] > 1.2 * light[-1]).all()
    torch.testing.assert_close(heavy[-1], light[-1], rtol=0.02, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0.0, 1e-6, 1e-4, 9.9e-4, 0.03, 0.29, 1.0, 3.1, 6.0])
def test_the_left_jacobian_is_its_power_series(length, dtype):
    """The sum of [a]x^n / (n + 1)!; to rounding, where a small angle's own series is used, too."""
    angles = length * torch.tensor([0.48, -0.6, 0.64], dtype=torch.float64)
    skew = torch.linalg.cross(angles.expand(3, 3), torch.eye(3, dtype=torch.float64)).mT
    powers = (torch.linalg.matrix_power(skew, n) / float(math.factorial(n + 1)) for n in range(40))
    found = left_jacobian(angles.to(dtype))
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    torch.testing.assert_close(found.double(), sum(powers), atol=tolerance, rtol=0)


def test_the_gradient_is_autograds_where_keypoints_are_half_believed(people, nudged, body, prior):
    """A confidence weighs by its square, as in the objective; 0 and 1 do not tell."""
    confidence = torch.linspace(0, 1, 49, dtype=torch.float64).expand(len(people.targets), 49)
    targets = dataclasses.replace(people.targets, confidence=confidence)
    stage = _BodyStage(body, prior, targets, nudged(people.truth, 0.2), ObjectiveWeights())
    _, gradient = derivatives(stage)
    expected = torch.autograd.functional.jacobian(as_function(stage, 1), 0 * gradient[1])
    torch.testing.assert_close(gradient[1], expected, rtol=1e-5, atol=1e-4)
