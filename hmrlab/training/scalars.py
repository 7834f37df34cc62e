"""TensorBoard off the training thread: the step hands over values and goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np


class EventSink(Protocol):
    """The part of `torch.utils.tensorboard.SummaryWriter` that is used here."""

    def add_scalar(self, tag: str, value: float, step: int) -> None: ...

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None: ...

    def close(self) -> None: ...


class BackgroundWriter:
    """Writes scalars and pictures in a thread of its own.

    The diary saw its GPU idle while TensorBoard was fed. Here a step only puts a small tuple into
    a queue. When the queue is full a picture is dropped, never waited for; scalars are few enough
    to wait for.
    """

    def __init__(self, sink: EventSink, capacity: int = 256) -> None:
        self._sink = sink
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(capacity)
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="tensorboard", daemon=True)
        self._thread.start()

    @classmethod
    def to_folder(cls, folder: str | Path) -> BackgroundWriter:
        """A writer of TensorBoard event files in `folder`."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import, needed only here

        return cls(SummaryWriter(str(folder)))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Queue one value for each tag."""
        for tag, value in values.items():
            self._queue.put(lambda tag=tag, value=value: self._sink.add_scalar(tag, value, step))

    def picture(self, tag: str, make: Callable[[], np.ndarray], step: int) -> bool:
        """Queue a picture; `make` runs in the thread and gives (H, W, 3) uint8.

        Returns:
            Whether there was room for it.
        """

        def work() -> None:
            self._sink.add_image(tag, make(), step, dataformats="HWC")

        try:
            self._queue.put_nowait(work)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Write what is queued, then stop.

        Raises:
            RuntimeError: something could not be written; the training itself is not affected.
        """
        self._queue.put(None)
        self._thread.join()
        self._sink.close()
        if self._failure is not None:
            raise RuntimeError(f"TensorBoard writing failed: {self._failure}") from self._failure

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            if self._failure is None:
                try:
                    work()
                except Exception as error:
                    self._failure = error
