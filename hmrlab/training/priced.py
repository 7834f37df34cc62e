"""A batch and its losses, for a look at them once the device has come so far."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hmrlab.data.batch import Batch


@dataclass(frozen=True)
class Priced:
    """What a step asked for; its numbers may still be on their way."""

    step: int
    batch: Batch
    losses: dict[str, Tensor]  # scalars, without their gradients' history
    _finite: Tensor  # () bool, on the CPU
    _arrived: torch.cuda.Event | None  # when it is there; None: it is

    @classmethod
    def of(cls, step: int, batch: Batch, losses: dict[str, Tensor]) -> Priced:
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
