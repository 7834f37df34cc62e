"""Many small kernels as one launch: a computation on a GPU recorded once and then repeated.

A fit of a batch is some thousands of kernels of a few microseconds each; to launch them one by one
takes a host longer than the GPU needs to run them. A CUDA graph is launched as a whole.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_UPS = 2  # calls before recording, in which libraries make what they need once
MOST_RECORDINGS = 4  # shapes of inputs; each keeps the memory that its computation needs

Computation = Callable[..., tuple[Tensor, ...]]


class Replayed:
    """A function of tensors that is recorded on a GPU at its first call, and replayed from then on.

    It gives what the function gives, without gradients. On a CPU it simply calls it; on a GPU, too,
    where recording fails, with one warning, and for more kinds of inputs than `MOST_RECORDINGS`.

    Args:
        function: takes tensors and gives a tuple of tensors. For inputs of the same shapes it must
            do the same whatever the numbers are, ask the host for nothing and draw nothing at
            random; what else it reads must stay where it is in memory.
    """

    def __init__(self, function: Computation) -> None:
        self._function = function
        self._recordings: dict[tuple, _Recording] = {}
        self._fails = False

    def __getstate__(self) -> dict[str, Any]:
        """A copy makes its own recordings."""
        return vars(self) | {"_recordings": {}}

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        recording = None if inputs[0].device.type != "cuda" else self._recording_for(inputs)
        return self._function(*inputs) if recording is None else recording.replay(inputs)

    def _recording_for(self, inputs: tuple[Tensor, ...]) -> _Recording | None:
        """The one for such inputs, made now if need be; None where there can be none."""
        kind = tuple((value.shape, value.dtype, value.device) for value in inputs)
        if kind in self._recordings:
            return self._recordings[kind]
        if self._fails or len(self._recordings) == MOST_RECORDINGS:
            return None
        try:
            self._recordings[kind] = _Recording(self._function, inputs)
        except RuntimeError as error:
            self._fails = True
            warnings.warn(
                f"the GPU's work could not be recorded, so it is launched piece by piece, which is "
                f"slower: {error}",
                stacklevel=3,
            )
        return self._recordings.get(kind)


class _Recording:
    """A function's work on inputs of one kind, which lie at one place."""

    def __init__(self, function: Computation, inputs: tuple[Tensor, ...]) -> None:
        device = inputs[0].device
        # Its priority is one that no loader's stream has: torch hands out a few of each in turn,
        # and what another thread put into this one would be recorded, too.
        stream = torch.cuda.Stream(device, priority=-1)
        with torch.inference_mode(False), torch.no_grad():
            self.inputs = tuple(value.clone() for value in inputs)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    function(*self.inputs)
                torch.cuda.synchronize(device)
                self.graph, self.outputs = _captured(function, self.inputs)

    def replay(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The outputs, in memory of their own."""
        for kept, given in zip(self.inputs, inputs, strict=True):
            kept.copy_(given)
        self.graph.replay()
        return tuple(value.clone() for value in self.outputs)


def _captured(
    function: Computation, inputs: tuple[Tensor, ...]
) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]:
    """The function's work in the current stream, and where its results will lie.

    Threads that make batches use the same GPU meanwhile, and may allocate what they need.
    """
    graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
    graph.capture_begin(pool, capture_error_mode="thread_local")
    try:
        outputs = function(*inputs)
        graph.capture_end()
    except BaseException:
        _end_broken_capture(graph, inputs[0].device, pool)
        raise
    return graph, outputs


def _end_broken_capture(
    graph: torch.cuda.CUDAGraph, device: torch.device, pool: tuple[int, int]
) -> None:
    """Let the stream, the allocator and the random numbers go on as before.

    An end that fails leaves the allocator waiting for it: it would not give free again whatever
    several streams have used, such as a loader's batches. And the device's generator draws nothing
    more until a recording has ended well.
    """
    with contextlib.suppress(RuntimeError):
        graph.capture_end()
    with contextlib.suppress(RuntimeError):
        torch._C._cuda_endAllocateToPool(device.index, pool)
    with contextlib.suppress(RuntimeError):
        harmless = torch.cuda.CUDAGraph()
        harmless.capture_begin(capture_error_mode="thread_local")
        torch.zeros(1, device=device)
        harmless.capture_end()
