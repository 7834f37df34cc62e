"""The training loop: steps, checkpoints that are whole, and a guard against NaN."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from hmrlab.data.batch import Batch
from hmrlab.data.loader import BatchLoader
from hmrlab.files import FileProblem, write_whole
from hmrlab.models.safe_load import read_torch, shown

BATCH_DUMP = "diverged_batch.pt"
CHECKPOINT = "checkpoint.pt"
TOTAL_PICTURES = 10


class Objective(Protocol):
    """What a training is to bring down."""

    def __call__(
        self, model: nn.Module, batch: Batch, precision: str = "fp32"
    ) -> dict[str, Tensor]:
        """Scalars by name; "total" is minimised. The network runs in the chosen precision."""

    def state(self) -> dict[str, Tensor]:
        """What it has gathered along the training, for a checkpoint; mostly nothing."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state`."""


class Log(Protocol):
    """Where a training writes what it measures, such as TensorBoard."""

    def scalars(self, values: dict[str, float], step: int) -> None: ...
    def picture(self, name: str, make: Callable[[], np.ndarray], step: int) -> None: ...


PictureMaker = Callable[[Batch, nn.Module], Callable[[], np.ndarray]]


class TrainingDivergedError(RuntimeError):
    """A loss became NaN or infinite; the message says where the batch was saved."""


class TrainingStoppedError(RuntimeError):
    """The time that was given is over; a checkpoint holds what was reached."""


@dataclass(frozen=True)
class TrainerSettings:
    """How to train, apart from the model and the data."""

    steps: int
    lr: float  # peak of the schedule
    lr_schedule: str = "warm_cosine"
    head_lr_factor: float = 1.0  # the regressor's learning rate over the encoder's
    weight_decay: float = 1e-4
    clip_norm: float = 0.0  # largest norm of all gradients together; 0 leaves them
    accumulate: int = 1
    precision: str = "fp32"
    checks: int = 10  # how often the scores so far are taken along the way
    checkpoint_seconds: float = 60.0
    fingerprint: str = ""  # a checkpoint of other settings is refused


@dataclass(frozen=True)
class History:
    """What was measured along the way: `values[name][k]` belongs to optimiser step `steps[k]`."""

    steps: np.ndarray
    values: dict[str, np.ndarray]  # losses
    seconds: float  # of training, over all sittings
    check_steps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    checks: dict[str, np.ndarray] = field(default_factory=dict)  # scores at `check_steps`


class Trainer:
    """Trains one model; goes on from the folder's checkpoint if it finds one.

    After a kill at any moment the next `fit` continues from the last whole checkpoint with the
    same batches, the same random numbers and, on the CPU, bit for bit the same result.

    Args:
        late: look whether a step's loss is finite only once the next step is under way, so that
            the host need not wait for a GPU; by default so on a GPU. Before anything is saved or
            scored, it is looked at in any case.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        loader: BatchLoader,
        settings: TrainerSettings,
        folder: Path,
        device: torch.device,
        writer: Log | None = None,
        pictures: PictureMaker | None = None,
        check: Callable[[], dict[str, float]] | None = None,
        late: bool | None = None,
    ) -> None:
        self.model = model.to(device, memory_format=torch.channels_last)
        self.objective = objective
        self.loader = loader
        self.settings = settings
        self.folder = folder
        self.device = device
        self.writer = writer
        self.pictures = pictures
        self.check = check
        self.late = device.type == "cuda" if late is None else late
        self._pending: deque[PendingLosses] = deque()  # not checked for NaN yet
        # A step of Adam's moves a sum of 1,024 inputs a thousand times as far as one weight. At
        # the encoder's rate the regressor's camera is thrown through zero early in training.
        self.optimizer = torch.optim.AdamW(
            _parameter_groups(self.model, settings.head_lr_factor),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.step = 0
        self._seconds = 0.0
        self._logged: list[tuple[int, dict[str, float]]] = []
        self._checked: list[tuple[int, dict[str, float]]] = []

    def fit(self, progress: bool = True, deadline: float | None = None) -> History:
        """Train to the last step and leave a checkpoint there.

        Args:
            progress: show a bar.
            deadline: of `time.monotonic()`; the first step that ends after it is the last one.

        Raises:
            TrainingDivergedError: a loss is not finite.
            TrainingStoppedError: the deadline came before the last step; the checkpoint is saved.
            FileProblem: a checkpoint in the folder does not belong to this run or is damaged, or
                the disk is full.
        """
        self._restore_if_there()
        self.model.train()
        saved = time.monotonic()
        bar = tqdm(
            total=self.settings.steps, initial=self.step, desc="training", unit="step",
            disable=not progress, mininterval=1.0,
        )  # fmt: skip
        batches = self.batches()
        with bar:
            while self.step < self.settings.steps:
                started = time.monotonic()
                losses, batch = self.train_step(batches)
                self.step += 1
                self._seconds += time.monotonic() - started
                bar.update()
                self._report(losses, batch, bar)
                self._check_if_due()
                if time.monotonic() - saved > self.settings.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if deadline is not None and time.monotonic() > deadline:
                    break
        self.save()
        if self.step < self.settings.steps:
            raise TrainingStoppedError(
                f"the time is over at step {self.step:,} of {self.settings.steps:,}; run the same "
                f"again, and it goes on from {self.folder / CHECKPOINT}"
            )
        return self.history()

    def history(self) -> History:
        """What was logged so far."""
        return History(*_columns(self._logged), self._seconds, *_columns(self._checked))

    def save(self) -> Path:
        """Write the checkpoint, whole or not at all.

        Raises:
            TrainingDivergedError: a loss that led to these weights is not finite.
        """
        self._check_finite()
        state = {
            "fingerprint": self.settings.fingerprint,
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loader": self.loader.state(),
            "objective": self.objective.state(),
            "random": torch.get_rng_state(),
            "cuda_random": (
                torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
            ),
            "seconds": self._seconds,
            "logged": self._logged,
            "checked": self._checked,
        }
        return write_whole(self.folder / CHECKPOINT, lambda file: torch.save(state, file))

    def _restore_if_there(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        try:
            state = read_torch(path)
        except FileProblem as error:
            raise FileProblem(_not_whole(path, error)) from error
        if not isinstance(state, dict):
            raise FileProblem(_not_whole(path, f"it is a {type(state).__name__}"))
        fingerprint = state.get("fingerprint")
        if not isinstance(fingerprint, str) or fingerprint != self.settings.fingerprint:
            raise FileProblem(
                f"{path} belongs to a training with other settings "
                f"('{shown(fingerprint)}', expected {self.settings.fingerprint!r}). "
                "Use another folder, or delete it to train from the start."
            )
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            what = f"{type(error).__name__}: {shown(error)}"
            raise FileProblem(_not_whole(path, what)) from error

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on from what `save` wrote; entries that are missing or others raise whatever."""
        self._pending.clear()
        self.model.load_state_dict(state["model"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.loader.restore(state["loader"])
        self.objective.restore(state["objective"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"], self.device)
        self.step, self._seconds = int(state["step"]), float(state["seconds"])
        self._logged = list(state["logged"])
        self._checked = list(state["checked"])

    def batches(self) -> Iterator[Batch]:
        """The loader's batches, epoch after epoch."""
        while True:
            yield from self.loader

    def train_step(self, batches: Iterator[Batch]) -> tuple[dict[str, torch.Tensor], Batch]:
        """Forward and backward over the micro-batches, then one move of the weights.

        Returns:
            the losses by name, and the last micro-batch.

        Raises:
            TrainingDivergedError: a loss is not finite.
        """
        settings = self.settings
        rate = learning_rate(self.step, settings.steps, settings.lr, settings.lr_schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.zero_grad(set_to_none=True)
        mean: dict[str, torch.Tensor] = {}
        for _ in range(settings.accumulate):
            batch = next(batches).to(self.device)
            losses = self.objective(self.model, batch, settings.precision)
            pending = PendingLosses.of(self.step, batch, losses)
            if self.late:
                self._pending.append(pending)
            elif not pending.finite():
                self._stop_diverged(pending)
            (losses["total"] / settings.accumulate).backward()
            for name, value in losses.items():
                mean[name] = mean.get(name, 0) + value.detach() / settings.accumulate
        if settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        self._check_finite(leaving=settings.accumulate)
        return mean, batch

    def _check_if_due(self) -> None:
        """Take the scores so far; the random numbers of the training are left alone."""
        settings = self.settings
        due = {settings.steps * k // settings.checks for k in range(1, settings.checks + 1)}
        if self.check is None or self.step not in due:
            return
        devices = [self.device] if self.device.type == "cuda" else []
        self._check_finite()
        with torch.random.fork_rng(devices=devices):
            scores = self.check()
        self._checked.append((self.step, scores))
        if self.writer is not None:
            self.writer.scalars({f"check/{k}": v for k, v in scores.items()}, self.step)

    def _check_finite(self, leaving: int = 0) -> None:
        """End the training where a loss is not finite, but for that many of the last ones."""
        while len(self._pending) > leaving:
            if not self._pending[0].finite():
                self._stop_diverged(self._pending[0])
            self._pending.popleft()

    def _stop_diverged(self, pending: PendingLosses) -> None:
        values = {name: float(value) for name, value in pending.losses.items()}
        content = {"step": pending.step, "losses": values, "index": pending.batch.index.cpu()}
        content["images"] = pending.batch.images.cpu()
        path = write_whole(self.folder / BATCH_DUMP, lambda file: torch.save(content, file))
        worst = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
        raise TrainingDivergedError(
            f"the loss is not finite at step {pending.step} ({worst}). The batch (sample indices "
            f"and images) is in {path}. Try a smaller learning rate; if it happens at once, look "
            "for NaN in the data."
        )

    def _report(self, losses: dict[str, torch.Tensor], batch: Batch, bar: tqdm) -> None:
        every = max(1, self.settings.steps // 200)
        if self.step % every and self.step != self.settings.steps:
            return
        self._check_finite()
        values = {name: float(value) for name, value in losses.items()}
        self._logged.append((self.step, values))
        bar.set_postfix({name: f"{value:.3g}" for name, value in values.items()}, refresh=False)
        if self.writer is None:
            return
        self.writer.scalars({f"loss/{name}": value for name, value in values.items()}, self.step)
        pictures_every = max(1, self.settings.steps // TOTAL_PICTURES)
        if self.pictures is not None and self.step % pictures_every == 0:
            self.writer.picture("people", self.pictures(batch, self.model), self.step)


def learning_rate(step: int, steps: int, peak: float, schedule: str) -> float:
    """The learning rate of optimiser step `step` (from 0) of `steps`.

    Args:
        schedule: "constant" is SPIN's (Adam at one rate to the end); "warm_cosine" rises linearly
            over the first 5 % and falls as half a cosine to 1 % of the peak, which makes
            trainings of minutes end well.

    Raises:
        ValueError: the schedule is neither.
    """
    if schedule == "constant":
        return peak
    if schedule != "warm_cosine":
        raise ValueError(f"unknown schedule {schedule!r}; choose constant or warm_cosine")
    warm = max(1, round(0.05 * steps))
    if step < warm:
        return peak * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass(frozen=True)
class PendingLosses:
    """A step's losses, which a GPU may still be computing."""

    step: int
    batch: Batch
    losses: dict[str, Tensor]  # scalars, without their gradients' history
    _finite: Tensor  # () bool, on the CPU
    _arrived: torch.cuda.Event | None  # when it is there; None: it is

    @classmethod
    def of(cls, step: int, batch: Batch, losses: dict[str, Tensor]) -> PendingLosses:
        """Ask whether the total is finite, without waiting for the answer."""
        total = losses["total"].detach()
        finite = torch.isfinite(total).to("cpu", non_blocking=True)
        arrived = None
        if total.device.type == "cuda":
            arrived = torch.cuda.Event()
            arrived.record(torch.cuda.current_stream(total.device))
        return cls(step, batch, {k: v.detach() for k, v in losses.items()}, finite, arrived)

    def finite(self) -> bool:
        """Whether the total is a finite number; waits until it is known, and for nothing later."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return bool(self._finite)


def _not_whole(path: Path, reason: object) -> str:
    return f"{path} is not a whole checkpoint ({reason}). Delete it to train from the start."


def _parameter_groups(model: nn.Module, head_lr_factor: float) -> list[dict[str, Any]]:
    """The regressor's weights and the others', each with its share of the learning rate."""
    named = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    head = [value for name, value in named if name.startswith("regressor.")]
    rest = [value for name, value in named if not name.startswith("regressor.")]
    groups = [{"params": rest, "factor": 1.0}, {"params": head, "factor": head_lr_factor}]
    return [group for group in groups if group["params"]]


def _columns(rows: list[tuple[int, dict[str, float]]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(step, values by name) rows -> steps, and an array for each name."""
    steps = np.array([step for step, _ in rows], dtype=np.int64)
    names = list(rows[0][1]) if rows else []
    return steps, {name: np.array([row[name] for _, row in rows]) for name in names}
