"""The largest micro-batch that a device has memory for, found by trying."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from tqdm.auto import tqdm

from hmrlab.data.batch import Batch
from hmrlab.data.loader import BatchLoader
from hmrlab.trainer import Objective
from hmrlab.training.equal_time import twin_of
from hmrlab.training.kept import keep_number, kept_number

LEAST = 2  # batch normalisation has no variance to divide by with one picture
MICRO_BATCH = "micro_batch.txt"
_MOST = 10**6  # pictures that a file may speak of
# The last is what oneDNN says when it is refused memory.
_CPU_SAYS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "could not create a primitive",
)


class DoesNotFitError(RuntimeError):
    """Not even the smallest micro-batch fits into memory; the message says what would help."""


def find_micro_batch(
    model: nn.Module,
    objective: Objective,
    loader: BatchLoader,
    device: torch.device,
    precision: str,
    progress: bool = False,
) -> int:
    """The largest divisor of the loader's batch with which a training step fits into memory.

    Tried are whole steps, with gradients and the optimiser's moments, on a twin of everything, so
    that the model, its batch statistics, the objective and the random numbers stay as they are.
    Weights are counted twice that way, which leaves the training a margin. On a CPU the operating
    system seldom refuses memory before it ends the process, so there the answer is of little help
    unless a limit (ulimit, a container's) refuses.

    Args:
        model: on the device or not yet.
        objective: on the device.
        loader: of the wanted batch.
        device: to be trained on.
        precision: "fp32" or "bf16".
        progress: say what is tried.

    Raises:
        DoesNotFitError: two pictures are too many.
    """
    stands, batches = loader.state(), iter(loader)
    batch = next(batches)
    batches.close()
    loader.restore(stands)

    def attempt(count: int) -> None:
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                _one_step(model, objective, _some(batch, count).to(device), device, precision)
        finally:
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()

    return largest_that_fits(attempt, len(batch), progress)


def largest_that_fits(attempt: Callable[[int], None], wanted: int, progress: bool = False) -> int:
    """The largest divisor of `wanted`, from 2 up, for which `attempt` does not run out of memory.

    Raises:
        DoesNotFitError: none of them.
    """
    counts = [n for n in range(wanted, LEAST - 1, -1) if wanted % n == 0] or [wanted]
    for count in counts:
        if fits(attempt, count):
            if progress and count < wanted:
                tqdm.write(
                    f"{wanted} pictures at once do not fit into memory: {wanted // count} "
                    f"micro-batches of {count} are added up for each step"
                )
            return count
    raise DoesNotFitError(
        f"not even {counts[-1]} pictures fit into memory. A smaller encoder, smaller pictures "
        "(another scale) or precision bf16 would help; so would whatever else uses this device "
        "ending first."
    )


def fits(attempt: Callable[[int], None], count: int) -> bool:
    """Whether the attempt ends without running out of memory; other errors are passed on."""
    try:
        attempt(count)
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_out_of_memory(error):
            raise
        return False
    return True


def keep_micro_batch(folder: Path, count: int) -> None:
    """Write down what was found, for a training that goes on later, maybe on another machine.

    With other micro-batches its batches would be others, too.
    """
    keep_number(folder / MICRO_BATCH, count)


def kept_micro_batch(folder: Path) -> int:
    """What `keep_micro_batch` wrote.

    Raises:
        FileProblem: the file does not hold a number of pictures.
    """
    return kept_number(folder / MICRO_BATCH, "pictures", _MOST)


def _one_step(
    model: nn.Module, objective: Objective, batch: Batch, device: torch.device, precision: str
) -> None:
    twin = twin_of(model).to(device, memory_format=torch.channels_last).train()
    objective = copy.deepcopy(objective)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.0, fused=True)
    objective(twin, batch, precision)["total"].backward()
    optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # what was asked for may fail only now


def _some(batch: Batch, count: int) -> Batch:
    """Every k-th sample, since those of one data set stand together in a batch."""
    return batch[:: len(batch) // count]


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error).lower() for words in _CPU_SAYS)
