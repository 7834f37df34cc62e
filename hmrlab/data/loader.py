"""The loader that makes batches of a data set: seeded, resumable, in the background."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import numpy as np
import torch

from hmrlab.data.augment import Augmentation, AugmentationSettings, RawLabels, draw
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.images import MARGIN
from hmrlab.files import FileProblem
from hmrlab.ledger.machine import usable_cores

MAKERS_FOR_A_GPU = 4  # one thread fills some hundreds of pictures a second from jpegs
CORES_OF_A_MAKER = 4  # pictures are decoded in several threads (`hmrlab.data.shards`)

Made = TypeVar("Made")


class BatchLoader:
    """Batches of a data set, one epoch at a time.

    `iter(loader)` gives what is left of the current epoch and then moves on to the next one. The
    order comes from (seed, epoch) and each batch's augmentation from (seed, epoch, batch), so the
    batches after `restore(state)` are those that would have come without a break. How many threads
    make them changes nothing.

    Args:
        dataset: what samples come from.
        batch_size: samples a batch.
        resolution: side of the crops, pixels.
        seed: of order and augmentations.
        augmentation: None for pictures as they are.
        device: where the batches are made, pictures warped and coloured included.
        shuffle: draw the order anew each epoch.
        drop_last: leave out an epoch's last batch if it is not full.
        prefetch: batches made ahead, in the background; 0 makes each when it is asked for.
        makers: threads that make batches; by default 1 on a CPU, which has to train as well, and up
            to 4 for a GPU.

    Raises:
        ValueError: there is not one batch in the set, or a mix of sets is not to be shuffled.
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
        makers: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.resolution = resolution
        self.seed = seed
        self.augmentation = augmentation
        self.device = torch.device(device)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.makers = makers or _makers_for(self.device)
        self.prefetch = max(prefetch, self.makers) if prefetch else 0
        self._own = threading.local()  # a stream for each thread that makes batches for a GPU
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
        epoch, numbers = self._epoch, range(self._batch, len(self))

        def make(number: int) -> Batch | None:
            return self._make(epoch, number)

        with closing(_made_ahead(make, numbers, self.prefetch, self.makers)) as batches:
            for number, batch in zip(numbers, batches, strict=True):
                self._batch = number + 1
                if number + 1 == len(self):
                    self._epoch, self._batch = epoch + 1, 0
                if batch is not None:
                    yield self._handed_over(batch)

    def first_samples(self, count: int) -> list[RawLabels]:
        """What the first epoch's first samples are given as, by set, before augmentation."""
        return self.dataset.gather_by_set(self._order(0)[:count], round(MARGIN * self.resolution))

    def _make(self, epoch: int, number: int) -> Batch | None:
        if self.device.type != "cuda":
            return self._assembled(epoch, number)
        # On the training's stream each copy would wait for all steps that are queued there.
        if not hasattr(self._own, "stream"):
            self._own.stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(self._own.stream):
            batch = self._assembled(epoch, number)
        self._own.stream.synchronize()
        return batch

    def _handed_over(self, batch: Batch) -> Batch:
        """The batch; its memory is not given to another before the stream that asks is done."""
        if self.device.type == "cuda":
            for value in vars(batch).values():
                value.record_stream(torch.cuda.current_stream(self.device))
        return batch

    def _assembled(self, epoch: int, number: int) -> Batch | None:
        rows = self._order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]
        parts = self.dataset.gather_by_set(rows, round(MARGIN * self.resolution))
        if not parts:
            return None
        counts = [len(part) for part in parts]
        draws = self._draw(sum(counts), epoch, number).split(counts)
        return Batch.cat(
            [
                part.to(self.device).augmented(drawn, self.resolution)
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


def load_rows(dataset: PoseDataset, rows: Sequence[int] | np.ndarray, resolution: int) -> Batch:
    """The people of these rows, undistorted, in this order.

    Args:
        dataset: whose people they are.
        rows: of the set; where a picture cannot be read, that person is left out.
        resolution: side of the crops, pixels.

    Raises:
        FileProblem: none of the pictures can be read.
    """
    raw = dataset.gather(np.asarray(rows), round(MARGIN * resolution))
    if raw is None:
        raise FileProblem(f"{dataset.name}: none of the pictures asked for can be read.")
    batch = raw.augmented(Augmentation.none(len(raw)), resolution)
    place = {row: k for k, row in enumerate(batch.index.tolist())}
    return batch[[place[row] for row in map(int, rows) if row in place]]


def _made_ahead(
    make: Callable[[int], Made], numbers: Iterable[int], ahead: int, makers: int
) -> Iterator[Made]:
    """`make(number)` of each, in order; threads work at most `ahead` of what was taken.

    An error is raised in its turn, after the work that was under way has ended.
    """
    if ahead == 0:
        yield from map(make, numbers)
        return
    # In these threads alone one core each: two pools of OpenMP threads on the same cores wait for
    # each other.
    pool = ThreadPoolExecutor(makers, "loader", initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Made]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _makers_for(device: torch.device) -> int:
    if device.type != "cuda":
        return 1
    return max(1, min(MAKERS_FOR_A_GPU, usable_cores() // CORES_OF_A_MAKER))
