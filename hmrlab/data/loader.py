"""The loader that makes batches of a data set: seeded, resumable, in the background."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import numpy as np
import torch

from hmrlab.data.augment import Augmentation, AugmentationSettings, RawBatch, augment, draw
from hmrlab.data.batch import Batch
from hmrlab.data.boxes import MARGIN
from hmrlab.data.dataset import MixedDataset, PoseDataset


class BatchLoader:
    """Batches of a data set, one epoch at a time.

    `iter(loader)` gives what is left of the current epoch and then moves on to the next one. The
    order comes from (seed, epoch) and each batch's augmentation from (seed, epoch, batch), so the
    batches after `restore(state)` are those that would have come without a break.
    """

    def __init__(
        self,
        dataset: PoseDataset | MixedDataset,
        *,
        batch_size: int,
        resolution: int,
        seed: int = 0,
        augmentation: AugmentationSettings | None = None,
        device: torch.device | str = "cpu",
        shuffle: bool = False,
        drop_last: bool = False,
        prefetch: int = 2,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.resolution = resolution
        self.seed = seed
        self.augmentation = augmentation
        self.device = torch.device(device)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.prefetch = prefetch
        self._epoch = 0
        self._batch = 0
        if not shuffle and isinstance(dataset, MixedDataset):
            raise ValueError(f"{dataset.name}: a mix is drawn at random; it needs shuffle=True")
        if len(self) == 0:
            raise ValueError(
                f"{dataset.name}: {len(dataset)} samples are not enough for one batch of "
                f"{batch_size}"
            )

    def __len__(self) -> int:
        """Batches in an epoch."""
        n = len(self.dataset)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def state(self) -> dict[str, int]:
        """Where the loader stands, counting the batches that were handed out."""
        return {"epoch": self._epoch, "batch": self._batch}

    def restore(self, state: dict[str, int]) -> None:
        """Go on from a `state`."""
        self._epoch, self._batch = int(state["epoch"]), int(state["batch"])

    def __iter__(self) -> Iterator[Batch]:
        epoch, first = self._epoch, self._batch
        for number, batch in _in_background(
            lambda: ((k, self._make(epoch, k)) for k in range(first, len(self))), self.prefetch
        ):
            self._batch = number + 1
            if number + 1 == len(self):
                self._epoch, self._batch = epoch + 1, 0
            if batch is not None:
                yield batch

    def first_samples(self, count: int) -> list[RawBatch]:
        """What the first epoch's first samples are given as, by set, before augmentation."""
        return self.dataset.gather_by_set(self._order(0)[:count], round(MARGIN * self.resolution))

    def _make(self, epoch: int, number: int) -> Batch | None:
        rows = self._order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]
        parts = self.dataset.gather_by_set(rows, round(MARGIN * self.resolution))
        if not parts:
            return None
        counts = [len(part) for part in parts]
        draws = self._draw(sum(counts), epoch, number).split(counts)
        return Batch.joined(
            [
                augment(part.to(self.device), drawn, self.resolution)
                for part, drawn in zip(parts, draws, strict=True)
            ]
        )

    def _draw(self, count: int, epoch: int, number: int) -> Augmentation:
        if self.augmentation is None:
            return Augmentation.none(count)
        seed = np.random.SeedSequence([self.seed, epoch, number]).generate_state(1)[0]
        return draw(self.augmentation, count, torch.Generator().manual_seed(int(seed)))

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.dataset))
        return self.dataset.epoch(np.random.default_rng([self.seed, epoch]))


def _in_background(make, capacity: int) -> Iterator:
    """Run an iterator in a thread, at most `capacity` items ahead; its errors come through."""
    if capacity == 0:
        yield from make()
        return
    ready: queue.Queue = queue.Queue(capacity)
    stop = threading.Event()
    end = object()

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        # For this thread alone: two pools of OpenMP threads on the same cores wait for each other.
        torch.set_num_threads(1)
        try:
            for item in make():
                if not put((item, None)):
                    return
            put((end, None))
        except BaseException as error:
            put((end, error))

    thread = threading.Thread(target=work, name="loader", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()
