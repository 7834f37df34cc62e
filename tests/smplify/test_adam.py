"""SPIN's own two stages of Adam."""

import math
from dataclasses import replace

import pytest
import torch

from hmrlab.bodies import read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.joints import KEYPOINT_ROWS
from hmrlab.bodies.smplx_adapter import smplx_model
from hmrlab.smplify import (
    AdamSettings,
    NewtonSettings,
    ObjectiveWeights,
    Targets,
    cold_start,
    fit_with_adam,
    fit_with_newton,
)
from hmrlab.smplify.objective import body_objective, camera_objective

FEW = AdamSettings(steps=5)


@pytest.fixture(scope="module")
def people(make_people):
    return make_people(4, noise=3)


@pytest.fixture(scope="module")
def start(people, body, prior):
    return cold_start(body, prior, people.targets)


@pytest.fixture(scope="module")
def fitted(people, body, prior, start):
    return fit_with_adam(body, prior, people.targets, start, FEW)


class SmplxBody:
    """The genuine class, with SPIN's 49 keypoints as its own code puts them together."""

    def __init__(self):
        arrays = read_body_file(ASSETS / "free_body_light.npz")
        self.model = smplx_model(arrays, torch.float64)
        self.extra = torch.as_tensor(arrays.extra_regressor, dtype=torch.float64)

    def keypoints(self, rotations, betas):
        out = self.model(
            betas=betas, body_pose=rotations[:, 3:], global_orient=rotations[:, :3],
            return_verts=True,
        )  # fmt: skip
        extra = self.extra @ out.vertices
        return torch.cat([out.joints, extra], 1)[:, list(KEYPOINT_ROWS)]


def adam_by_hand(objective, values, steps, rate):
    """Kingma and Ba 2015, algorithm 1."""
    first, second = ([torch.zeros_like(v) for v in values] for _ in range(2))
    for t in range(1, steps + 1):
        values = [v.detach().requires_grad_() for v in values]
        gradients = torch.autograd.grad(objective(*values).sum(), values)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g**2 for v, g in zip(second, gradients, strict=True)]
        values = [
            x - rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            for x, m, v in zip(values, first, second, strict=True)
        ]
    return [v.detach() for v in values]


def test_its_steps_are_adams_on_spins_two_stages(people, body, prior, start, fitted):
    """Camera and orientation first, then pose, shape and orientation; written out by hand."""
    pose, targets, weights = start.pose.flatten(1), people.targets, ObjectiveWeights()

    def camera(root, translation):
        keypoints = body.keypoints(torch.cat([root, pose[:, 3:]], 1), start.betas)
        return camera_objective(keypoints, translation, start.translation, targets, weights)

    root, translation = adam_by_hand(camera, [pose[:, :3], start.translation], 5, 1e-2)

    def whole(limbs, betas, root):
        pose = torch.cat([root, limbs], 1)
        keypoints = body.keypoints(pose, betas)
        return body_objective(
            keypoints, pose, betas, translation, targets.counted(), prior, weights
        )

    limbs, betas, root = adam_by_hand(whole, [pose[:, 3:], start.betas, root], 5, 1e-2)
    expected = torch.cat([root, limbs], 1)
    torch.testing.assert_close(fitted.pose.flatten(1), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(fitted.betas, betas, atol=1e-6, rtol=0)
    torch.testing.assert_close(fitted.translation, translation, atol=1e-6, rtol=0)
    torch.testing.assert_close(fitted.objective, whole(limbs, betas, root))


def test_genuine_smplx_is_fitted_alike(people, prior, start, fitted):
    fits = fit_with_adam(SmplxBody(), prior, people.targets, start, FEW)
    torch.testing.assert_close(fits.pose, fitted.pose, atol=1e-5, rtol=0)
    torch.testing.assert_close(fits.betas, fitted.betas, atol=1e-5, rtol=0)
    torch.testing.assert_close(fits.translation, fitted.translation, atol=1e-5, rtol=0)


def test_two_hundred_steps_lower_the_objective_and_the_second_order_lowers_it_as_far(
    make_people, body, prior
):
    people = make_people(16, seed=3, noise=3)
    start = cold_start(body, prior, people.targets)
    seen = []
    adam = fit_with_adam(body, prior, people.targets, start,
                         callback=lambda number, guess, value: seen.append(value))  # fmt: skip
    assert len(seen) == 200
    assert (seen[99] < seen[0]).all()
    assert (adam.objective < seen[100]).all()
    newton = fit_with_newton(
        body, prior, people.targets, start, NewtonSettings(steps=40, tolerance=0)
    )
    assert newton.objective.mean() < adam.objective.mean()
    assert newton.objective.median() < adam.objective.median()
    # Each may end in another dip of its own, so not each body's need be lower.
    assert (newton.objective < adam.objective * 1.01).double().mean() > 0.75


def test_the_watcher_is_told_of_each_step(people, body, prior, start, fitted):
    seen = []
    fit_with_adam(body, prior, people.targets, start, FEW, callback=lambda *told: seen.append(told))
    assert [number for number, _, _ in seen] == list(range(1, 11))
    first, last = seen[0][1], seen[-1][1]
    torch.testing.assert_close(first.rotations[:, 1:], start.rotations[:, 1:])  # the camera's stage
    torch.testing.assert_close(first.betas, start.betas)
    assert (first.translation != start.translation).any()
    torch.testing.assert_close(last.translation, seen[4][1].translation)
    torch.testing.assert_close(last.rotations, fitted.rotations)
    assert not last.rotations.requires_grad


def test_the_start_is_left_as_it_was(people, body, prior, start):
    names = ("rotations", "betas", "translation")
    before = [getattr(start, name).clone() for name in names]
    fit_with_adam(body, prior, people.targets, start, FEW)
    for value, old in zip((getattr(start, name) for name in names), before, strict=True):
        assert torch.equal(value, old)
        assert not value.requires_grad


def test_gradients_may_be_switched_off_around_it(people, body, prior, start, fitted):
    with torch.no_grad():
        fits = fit_with_adam(body, prior, people.targets, start, FEW)
    torch.testing.assert_close(fits.pose, fitted.pose)


@pytest.mark.parametrize("kind", ["NaN", "empty", "one place"])
def test_who_cannot_be_fitted_comes_back_as_placed_and_spoils_nobody(
    people, body, prior, start, fitted, kind
):
    targets = people.targets
    keypoints = torch.cat([targets.keypoints_2d, targets.confidence[..., None]], -1)
    keypoints[1] = {"NaN": math.nan, "empty": 0.0, "one place": 1.0}[kind]
    fits = fit_with_adam(body, prior, Targets.of(keypoints), start, FEW)
    assert fits.valid.tolist() == [True, False, True, True]
    assert fits.objective[1] == fits.reprojection[1] == math.inf
    torch.testing.assert_close(fits.rotations[1], start.rotations[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(fits.betas[1], start.betas[1])
    torch.testing.assert_close(fits.translation[1], start.translation[1])
    others = torch.tensor([0, 2, 3])
    torch.testing.assert_close(fits[others].pose, fitted[others].pose)
    torch.testing.assert_close(fits[others].objective, fitted[others].objective)


def test_a_start_that_is_no_number_spoils_nobody(people, body, prior, start, fitted):
    betas = start.betas.clone()
    betas[1] = math.nan
    broken = replace(start, betas=betas)
    fits = fit_with_adam(body, prior, people.targets, broken, FEW)
    assert fits.valid.tolist() == [True, False, True, True]
    others = torch.tensor([0, 2, 3])
    torch.testing.assert_close(fits[others].pose, fitted[others].pose)


@pytest.mark.parametrize("bad", [True, False], ids=["nobody who can be", "nobody at all"])
def test_nobody_to_fit(body, prior, bad):
    keypoints = torch.full((2 if bad else 0, 49, 3), math.nan, dtype=torch.float64)
    targets = Targets.of(keypoints)
    fits = fit_with_adam(body, prior, targets, cold_start(body, prior, targets), FEW)
    assert len(fits) == len(keypoints)
    assert not fits.valid.any()


def test_without_a_prior_the_pose_is_free(people, body, prior, start):
    settings = AdamSettings(steps=3, weights=ObjectiveWeights(pose_prior=0))
    without = fit_with_adam(body, None, people.targets, start, settings)
    switched_off = fit_with_adam(body, prior, people.targets, start, settings)
    torch.testing.assert_close(without.pose, switched_off.pose)
