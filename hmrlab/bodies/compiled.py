"""The keypoint body through `torch.compile`: the same numbers with fewer, larger kernels.

For batches of some dozens of bodies the keypoint body is so small that PyTorch spends much of its
time on starting one small operation after another. Compiled they are few, and on CUDA a graph of
them is started as one. How much it brings, on which machine, is in `benchmarks/results`, beside
what compiling cost: some 30 seconds for each kind of call, so it is worth while in fits and
trainings of many minutes, and nothing in hmrlab does it unasked.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from hmrlab.bodies.body import Body

KeypointFunction = Callable[[Tensor, Tensor], Tensor]
"""As `Body.keypoints`: rotations and betas to keypoints (B, 49, 3), metres."""


def compile_keypoints(body: Body, batch: int, backend: str = "inductor") -> KeypointFunction:
    """`body.keypoints`, compiled for batches of one size; values and gradients are the same.

    On CUDA the compiled kernels are recorded as a CUDA graph (`mode="reduce-overhead"`). A trial
    run forward and backward on axis-angles is made here, so the waiting is here too. Rotations
    given as matrices, or a call without gradients, are compiled when they first come; batches of
    another size go the plain way.

    Args:
        body: on the device and in the float type that will be used.
        batch: number of bodies in a call.
        backend: of `torch.compile`; "aot_eager" traces without generating code, for tests.

    Returns:
        The compiled function; where compiling fails, for one because there is no C++ compiler,
        `body.keypoints` itself, with a warning.

    Raises:
        ValueError: the batch is empty.
    """
    if batch < 1:
        raise ValueError(f"batch: expected at least one body in a call, got {batch}")
    graphs = body.v_template.is_cuda
    mode = "reduce-overhead" if graphs else None
    compiled = torch.compile(body.keypoints, dynamic=False, backend=backend, mode=mode)
    function = own_results(compiled) if graphs else compiled
    try:
        _try_out(function, body, batch)
    except RuntimeError as error:
        warnings.warn(
            "torch.compile failed, so keypoints are computed the plain way. It needs a C++ "
            "compiler (g++, clang++ or cl, or what $CXX names), and on a GPU triton as well. "
            f"It said: {str(error).strip().splitlines()[0]}",
            stacklevel=2,
        )
        return body.keypoints

    def keypoints(rotations: Tensor, betas: Tensor) -> Tensor:
        return (function if len(betas) == batch else body.keypoints)(rotations, betas)

    return keypoints


def own_results(function: KeypointFunction) -> KeypointFunction:
    """The same function, whose points and gradients stay as they are when it is called again.

    A CUDA graph writes its results to the same memory each time, the gradients too.
    """

    def copied(rotations: Tensor, betas: Tensor) -> Tensor:
        return function(_own_gradient(rotations), _own_gradient(betas)).clone()

    return copied


def _own_gradient(values: Tensor) -> Tensor:
    if not (values.requires_grad and torch.is_grad_enabled()):
        return values
    values = values.view_as(values)  # hooks on the caller's own tensor would pile up
    values.register_hook(torch.clone)
    return values


def _try_out(function: KeypointFunction, body: Body, batch: int) -> None:
    """Compile forward and backward; on CUDA the runs after the first warm up and record."""
    like = body.v_template
    with torch.enable_grad():
        for _ in range(3 if like.is_cuda else 1):
            pose = like.new_zeros(batch, 72).requires_grad_()
            betas = like.new_zeros(batch, 10).requires_grad_()
            torch.autograd.grad(function(pose, betas).sum(), (pose, betas))
