"""What is compiled is traced here with PyTorch's own kernels ("aot_eager"), 3 seconds instead of
40 for generated code, whose values and gradients `benchmarks/keypoint_body.py` checks as it runs.
"""

import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.compiled import compile_keypoints, own_results
from hmrlab.geometry import axis_angle_to_matrix

BATCH = 3


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def compiled(body):
    return compile_keypoints(body, BATCH, backend="aot_eager")


def inputs(batch=BATCH, seed=0, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    pose = 0.5 * torch.randn(batch, 72, generator=generator)
    betas = torch.randn(batch, 10, generator=generator)
    return pose.to(device).requires_grad_(), betas.to(device).requires_grad_()


def with_gradients(function, pose, betas):
    points = function(pose, betas)
    weights = torch.linspace(-1, 1, points.numel(), device=points.device).view_as(points)
    return points, *torch.autograd.grad((points * weights).sum(), (pose, betas))


@pytest.mark.parametrize("batch", [BATCH, BATCH + 1])
def test_the_compiled_body_gives_the_plain_ones_points_and_gradients(body, compiled, batch):
    given = inputs(batch)
    for ours, plain in zip(
        with_gradients(compiled, *given), with_gradients(body.keypoints, *given), strict=True
    ):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_matrices_and_calls_without_gradients_are_compiled_too(body, compiled):
    pose, betas = (value.detach() for value in inputs())
    matrices = axis_angle_to_matrix(pose.view(BATCH, 24, 3))
    torch.testing.assert_close(compiled(matrices, betas), body.keypoints(pose, betas))


@pytest.mark.usefixtures("shapes_unchecked")
def test_the_keypoint_body_is_traced_without_a_break(body):
    explained = torch._dynamo.explain(body.keypoints)(*inputs())
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)


def test_where_compiling_fails_the_plain_way_is_taken_and_said(body, monkeypatch):
    def broken(function, **_):
        def call(*_):
            raise RuntimeError("InvalidCxxCompiler: no working compiler found\nand more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"C\+\+ compiler.*no working compiler found$"):
        assert compile_keypoints(body, BATCH) == body.keypoints


def test_an_empty_batch_is_refused(body):
    with pytest.raises(ValueError, match="at least one body"):
        compile_keypoints(body, 0)


class OneMemory(torch.autograd.Function):
    """Doubles, as a CUDA graph would: each time into the same memory, the gradient too."""

    points, gradient = torch.zeros(2, 2), torch.zeros(2, 2)

    @staticmethod
    def forward(ctx, values):
        return OneMemory.points.copy_(2 * values.detach()).detach()

    @staticmethod
    def backward(ctx, gradient):
        return OneMemory.gradient.copy_(2 * gradient).detach()


def test_results_outlive_the_next_call_of_what_writes_to_one_memory():
    function = own_results(lambda rotations, betas: OneMemory.apply(rotations) + 0 * betas)
    results = []
    for factor in (1.0, 3.0):
        values = torch.full((2, 2), factor, requires_grad=True)
        points = function(values, torch.zeros(2, 2))
        results.append((points, *torch.autograd.grad((factor * points).sum(), values)))
    (points, gradient), _ = results
    assert points.unique().tolist() == [2.0]
    assert gradient.unique().tolist() == [2.0]


def test_graph_results_leave_the_callers_tensors_without_hooks():
    values = torch.ones(2, 2, requires_grad=True)
    own_results(lambda rotations, betas: rotations + betas)(values, torch.zeros(2, 2))
    assert not values._backward_hooks


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_cuda_graph_gives_the_plain_bodys_points_and_gradients(body):
    on_gpu = load_body("free", "light").to("cuda")
    compiled = compile_keypoints(on_gpu, BATCH)
    assert compiled != on_gpu.keypoints, "compiling fell back to the plain way"
    seeds = range(3)
    results = [with_gradients(compiled, *inputs(seed=seed, device="cuda")) for seed in seeds]
    for seed, result in zip(seeds, results, strict=True):  # all held until all are there
        plain = with_gradients(body.keypoints, *inputs(seed=seed))
        for ours, theirs in zip(result, plain, strict=True):
            torch.testing.assert_close(ours.cpu(), theirs, atol=1e-5, rtol=1e-4)
