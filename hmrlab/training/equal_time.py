"""As many steps as a training can take in a given time: what each network does with equal time."""

from __future__ import annotations

import copy
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from hmrlab.trainer import Trainer
from hmrlab.training.kept import keep_number, kept_number

STEPS = "steps.txt"
FEWEST = 2  # steps, however little time there is
_MOST = 10**9  # steps that a file may speak of
# A GPU's first steps choose algorithms and fill the loader; its clock wants some seconds.
_WARM_UP = {"cuda": 5}
_TIMED_STEPS = {"cuda": 20}
_TIMED_SECONDS = {"cuda": 3.0}


def twin_of(model: nn.Module) -> nn.Module:
    """A copy of a model, also of one with masks.

    A masked weight is the product of two tensors, made anew whenever the model is asked. As part of
    the last answer's graph it could not be copied.
    """
    for module in model.modules():
        made = {k: v for k, v in vars(module).items() if isinstance(v, Tensor) and v.grad_fn}
        for name, value in made.items():
            setattr(module, name, value.detach())
    return copy.deepcopy(model)


def steps_in(seconds: float, twin: Trainer) -> int:
    """How many steps a training takes in so many seconds, by timing some; at least 2.

    Timed is all that a step waits for, the making of its batch included.

    Args:
        seconds: of training.
        twin: trains copies of model, objective and loader, since its steps move their weights and
            places. Its own step counter stays at 0, where the learning rate is next to nothing.

    Raises:
        TrainingDivergedError: a loss is not finite at once.
    """
    on = twin.device.type
    twin.model.train()
    batches = twin.batches()
    with torch.random.fork_rng(devices=[twin.device] if on == "cuda" else []):
        try:
            for _ in range(_WARM_UP.get(on, 1)):
                twin.train_step(batches)
            began, count = _now(twin.device), 0
            while count < _TIMED_STEPS.get(on, 1) or (
                time.monotonic() - began < _TIMED_SECONDS.get(on, 0.0)
            ):
                twin.train_step(batches)
                count += 1
            taken = _now(twin.device) - began
        finally:
            batches.close()
    return max(FEWEST, round(seconds * count / max(taken, 1e-9)))


def speed(pictures: int, seconds: float, device: torch.device) -> dict[str, float]:
    """What a training's record says of it: pictures a second, and the GPU's memory at most.

    Args:
        pictures: trained on.
        seconds: of training; with none there is no speed.
        device: whose largest use since the last `reset_peak_memory_stats` counts.
    """
    found = {"images_per_second": pictures / seconds} if seconds else {}
    if device.type == "cuda":
        found["peak_memory_gigabytes"] = torch.cuda.max_memory_allocated(device) / 1e9
    return found


def keep_steps(folder: Path, count: int) -> None:
    """Write down what was found, for a training that goes on later.

    With other steps its learning rates would be others, too.
    """
    keep_number(folder / STEPS, count)


def kept_steps(folder: Path) -> int:
    """What `keep_steps` wrote.

    Raises:
        FileProblem: the file does not hold a number of steps.
    """
    return kept_number(folder / STEPS, "steps", _MOST)


def _now(device: torch.device) -> float:
    """The clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
