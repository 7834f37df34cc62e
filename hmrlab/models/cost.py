"""What a network costs: parameters, multiply-accumulates, bytes, memory, time."""

from __future__ import annotations

import functools
import gzip
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm.auto import tqdm

from hmrlab.bodies import SMPLParams
from hmrlab.files import scratch_folder
from hmrlab.models.checkpoints import save_weights
from hmrlab.models.encoders import create_encoder
from hmrlab.models.hmr import HMR, HMRConfig
from hmrlab.processes import end_with_parent

PRECISIONS = ("fp32", "bf16")
LATENCY_BATCH, THROUGHPUT_BATCH = 1, 64
_STEPS = 2  # the second finds the optimiser's own memory taken


@dataclass(frozen=True)
class Spread:
    """Of several measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """To four digits; more mean nothing in a time."""
        figures = (statistics.median(values), min(values), max(values))
        return cls(*(float(f"{value:.4g}") for value in figures))


def untrained(encoder: str) -> HMR:
    """A seeded network at its start, in evaluation mode; it costs what a trained one costs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return HMR(create_encoder(encoder), HMRConfig(relu=True, dropout=0.0)).eval()


def ratios(times: Sequence[float], peer: Sequence[float]) -> Spread:
    """Each turn's time over the peer's of the same turn: what the machine does between counts out.

    Raises:
        ValueError: the two have another number of turns.
    """
    return Spread.of([mine / theirs for mine, theirs in zip(times, peer, strict=True)])


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers of a network; buffers are not among them."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_nonzero(model: nn.Module) -> int:
    """Parameters that are not exactly zero, as a mask leaves them once it is removed."""
    return sum(int(torch.count_nonzero(parameter)) for parameter in model.parameters())


def count_macs(model: HMR, resolution: int, n_iter: int = 3) -> int:
    """Multiply-accumulates for one picture of so many pixels a side, all corrections included.

    Those of convolutions, matrix products and attention; what runs over each element once
    (normalisation, activations, pooling) is not counted. A multiplication by zero counts. The model
    is run once, in evaluation mode, and left in the mode that it was in.
    """
    return count_macs_by_module(model, resolution, n_iter)[""]


def count_macs_by_module(model: HMR, resolution: int, n_iter: int = 3) -> dict[str, int]:
    """The same for each module with all that is in it, by its name; "" is the whole model."""
    image = torch.zeros(1, 3, resolution, resolution, device=next(model.parameters()).device)
    was_training = model.training
    fast = torch.backends.mha.get_fastpath_enabled()
    # imports triton, which takes seconds and which few need
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention is one uncounted operation
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            model(image, n_iter)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        model.train(was_training)
    start = f"{type(model).__name__}."
    return {
        name.removeprefix(start): sum(kinds.values()) // 2
        for name, kinds in counter.get_flop_counts().items()
        if name.startswith(start)
    } | {"": counter.get_total_flops() // 2}


def weights_bytes(model: HMR) -> tuple[int, int]:
    """Size of the file that `save_weights` makes, and of the same file compressed by gzip."""
    with scratch_folder() as folder:
        return file_bytes(save_weights(folder / "model.pt", model))


def file_bytes(path: Path) -> tuple[int, int]:
    """Size of a file, and of the same file compressed by gzip."""
    content = path.read_bytes()
    return len(content), len(gzip.compress(content, compresslevel=6))


def step_bytes(
    make: Callable[[], HMR], resolution: int, batch_size: int, device: str = "cpu"
) -> int | None:
    """Most bytes that the network takes in a training step: weights to AdamW's own, float32.

    The loss is the sum of all answers' squares; body and data, the same for every network, are
    left out. On the CPU a fresh process takes the step, and its largest resident memory counts,
    less what it held before the network was made. On a GPU PyTorch's allocator says it. None where
    they are not to be had (on Windows, or the step did not fit). `make`, which gives the network,
    has to be picklable.
    """
    if device == "cuda":
        return _step_bytes_cuda(make, resolution, batch_size)
    if sys.platform == "win32":
        return None
    # Forked from a process that has imported everything and done nothing: its memory is the zero.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
        try:
            return pool.submit(_step_bytes_here, make, resolution, batch_size).result()
        except (BrokenProcessPool, MemoryError):  # the system ends a process that takes too much
            return None


def asker(
    model: Callable[[torch.Tensor], SMPLParams], images: torch.Tensor, precision: str = "fp32"
) -> Callable[[], object]:
    """What to call to time a network's answer to images (B, 3, R, R), as evaluations ask it.

    The model is in evaluation mode and on the images' device.

    Raises:
        ValueError: another precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")

    def ask() -> object:
        with (
            torch.inference_mode(),
            torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bf16"),
        ):
            return model(images)

    return ask


def time_by_turns(
    work: Mapping[str, Callable[[], object]],
    rounds: int,
    turn_seconds: float = 0.05,
    device: str = "cpu",
    progress: str = "",
) -> dict[str, list[float]]:
    """Time several pieces of work by turns, so that what else the machine does falls on all alike.

    A turn calls again and again for about `turn_seconds`, at least once. Each piece has so many
    rounds, after one that warms up; "cuda" waits for the GPU before the clock is read. Gives the
    seconds that a call took in each round.
    """
    calls: dict[str, int] = {}
    taken: dict[str, list[float]] = {name: [] for name in work}
    total = (rounds + 1) * len(work)
    with tqdm(total=total, desc=progress, unit="turn", disable=not progress, mininterval=1) as bar:
        for turn in range(rounds + 1):
            for name, call in work.items():
                if turn == 0:
                    call()  # what is made on the first call is made once
                    single = _seconds(call, 1, device)
                    calls[name] = max(1, math.ceil(turn_seconds / max(single, 1e-9)))
                else:
                    taken[name].append(_seconds(call, calls[name], device) / calls[name])
                bar.update()
    return taken


def _seconds(call: Callable[[], object], count: int, device: str) -> float:
    begin = _clock(device)
    for _ in range(count):
        call()
    return _clock(device) - begin


def _clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _step_bytes_here(make: Callable[[], HMR], resolution: int, batch_size: int) -> int:
    """In a process of its own: a convolution to load the libraries, then the network's step."""
    torch.nn.Conv2d(3, 16, 3)(torch.zeros(1, 3, 8, 8)).sum().backward()
    before = _most_resident()
    _train_steps(make().train(), torch.randn(batch_size, 3, resolution, resolution))
    return _most_resident() - before


def _most_resident() -> int:
    """The most memory that this process ever held, bytes."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _step_bytes_cuda(make: Callable[[], HMR], resolution: int, batch_size: int) -> int | None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    try:
        images = torch.randn(batch_size, 3, resolution, resolution, device="cuda")
        _train_steps(make().cuda().train(), images)
        return torch.cuda.max_memory_allocated() - before
    except torch.cuda.OutOfMemoryError:
        return None


def _train_steps(model: HMR, images: torch.Tensor) -> None:
    model = model.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for _ in range(_STEPS):
        optimizer.zero_grad(set_to_none=True)
        said = model(images)
        answers = (said.rotations, said.betas, said.camera)
        functools.reduce(torch.add, (answer.square().sum() for answer in answers)).backward()
        optimizer.step()
