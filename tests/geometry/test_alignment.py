"""Procrustes against SPIN's numbers, scipy, roma, and what it must not depend on."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from torch.autograd import gradcheck
from torch.testing import assert_close

from hmrlab.geometry import axis_angle_to_matrix, procrustes_align, procrustes_fit

seeds = st.integers(0, 2**31 - 1)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_similarity(points: torch.Tensor, seed: int) -> torch.Tensor:
    batch = points.shape[0]
    scale = random(batch, 1, 1, seed=seed).exp()
    rotation = axis_angle_to_matrix(random(batch, 3, seed=seed + 1))
    return scale * points @ rotation.transpose(-1, -2) + random(batch, 1, 3, seed=seed + 2)


def test_equals_spin(golden):
    aligned = procrustes_align(golden["pa_pred"], golden["pa_gt"])
    assert_close(aligned, golden["pa_hat"], rtol=1e-4, atol=1e-6)
    error = (aligned - golden["pa_gt"]).norm(dim=-1).mean(-1)
    assert_close(error, golden["pa_err"], rtol=1e-4, atol=0)


def test_float32_is_good_to_a_micrometre(golden):
    source, target = golden["pa_pred"], golden["pa_gt"]
    single = procrustes_align(source.float(), target.float())
    assert_close(single.double(), procrustes_align(source, target), rtol=0, atol=2e-6)


@given(seeds)
def test_recovers_an_exact_similarity(seed):
    source = random(3, 14, 3, seed=seed)
    target = random_similarity(source, seed + 7)
    assert_close(procrustes_align(source, target), target, rtol=1e-9, atol=1e-9)


@given(seeds)
def test_does_not_depend_on_the_sources_pose_and_scale(seed):
    source, target = random(2, 14, 3, seed=seed), random(2, 14, 3, seed=seed + 1)
    moved = random_similarity(source, seed + 7)
    assert_close(
        procrustes_align(moved, target), procrustes_align(source, target), rtol=1e-8, atol=1e-8
    )


@given(seeds)
def test_no_small_change_of_the_transform_is_better(seed):
    source, target = random(1, 14, 3, seed=seed), random(1, 14, 3, seed=seed + 1)
    aligned = procrustes_align(source, target)
    best = (aligned - target).square().sum()
    nudge = axis_angle_to_matrix(0.01 * random(1, 3, seed=seed + 2))
    centre = aligned.mean(-2, keepdim=True)
    for other in (
        (aligned - centre) @ nudge + centre,
        1.01 * (aligned - centre) + centre,
        0.99 * (aligned - centre) + centre,
        aligned + 0.01,
    ):
        assert (other - target).square().sum() > best


def test_agrees_with_scipy_where_the_best_orthogonal_map_is_a_rotation():
    source = random(20, 14, 3)
    target = random_similarity(source, 5) + 0.1 * random(20, 14, 3, seed=9)
    fit = procrustes_fit(source, target)
    for i in range(20):
        a = (source[i] - source[i].mean(0)).numpy()
        b = (target[i] - target[i].mean(0)).numpy()
        rotation, scale_sum = orthogonal_procrustes(a, b)
        np.testing.assert_allclose(fit.rotation[i].T, rotation, atol=1e-9)
        np.testing.assert_allclose(fit.scale[i], scale_sum / (a**2).sum(), rtol=1e-9)


def test_agrees_with_roma_and_never_mirrors():
    source = random(20, 14, 3)
    target = source * torch.tensor([-1.0, 1.0, 1.0]).double()  # a mirror image
    fit = procrustes_fit(source, target)
    rotation, translation, scale = roma.rigid_points_registration(
        source, target, compute_scaling=True
    )
    assert_close(fit.rotation, rotation)
    assert_close(fit.translation, translation)
    assert_close(fit.scale, scale)
    assert_close(torch.linalg.det(fit.rotation), torch.ones(20).double())


def test_batch_equals_loop():
    source, target = random(2, 5, 14, 3), random(2, 5, 14, 3, seed=1)
    batched = procrustes_align(source, target)
    for i in range(2):
        for j in range(5):
            assert_close(batched[i, j], procrustes_align(source[i, j], target[i, j]))


def test_coinciding_points_go_to_the_targets_mean():
    target = random(1, 14, 3)
    aligned = procrustes_align(torch.ones(1, 14, 3).double(), target)
    assert_close(aligned, target.mean(1, keepdim=True).expand(1, 14, 3))


def test_gradients():
    source, target = random(2, 6, 3).requires_grad_(), random(2, 6, 3, seed=1).requires_grad_()
    assert gradcheck(procrustes_align, (source, target))


@pytest.mark.usefixtures("shapes_unchecked")
def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        procrustes_align(torch.zeros(2, 14, 3), torch.zeros(2, 17, 3))
