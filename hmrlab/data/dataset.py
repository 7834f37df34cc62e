"""A data set, and the loader that makes batches of it: seeded, resumable, in the background."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from hmrlab.data.augment import Augmentation, AugmentationSettings, RawBatch, augment, draw
from hmrlab.data.batch import Batch
from hmrlab.data.crops import crop_picture
from hmrlab.data.images import PACKED_MARK, DamagedImageError, ImageSource
from hmrlab.data.records import Records
from hmrlab.geometry import apply_affine, crop_matrix

MARGIN = 1.5  # a stored crop shows this many boxes, so that it can be turned and enlarged
DECODING_THREADS = 4


class PoseDataset:
    """Records and their pictures.

    Pictures that are missing or damaged are named in a warning once, left out of batches, and
    listed in `skipped`.
    """

    def __init__(self, records: Records, images: ImageSource, name: str) -> None:
        self.records = records
        self.images = images
        self.name = name
        self.skipped: dict[int, str] = {}
        self._array, self._rows = self._packed_rows()

    def __len__(self) -> int:
        return len(self.records)

    def label_shares(self) -> dict[str, float]:
        """Which share of the samples has each kind of label, 0 to 1."""
        known = self.records.keypoints[:, 25:, 2] > 0
        shares = {
            "keypoints_2d": known.any(1),
            "pose_3d": self.records.has_pose_3d,
            "smpl": self.records.has_smpl,
        }
        return {name: float(np.mean(flags)) if len(self) else 0.0 for name, flags in shares.items()}

    def gather(self, index: np.ndarray, working_size: int) -> RawBatch | None:
        """The samples of these rows as stored, or None where no picture of theirs can be read.

        Packed pictures come as they are. Picture files are each cropped once, generously, to
        `working_size` pixels.
        """
        if self._array is not None:
            order = np.argsort(self._rows[index])  # in the order of the file, kind to the disk
            index = index[order]
            pictures = torch.from_numpy(self._array[self._rows[index]])
            records = self.records
            return self._labelled(
                index, pictures, records.center[index], records.scale[index],
                records.keypoints[index],
            )  # fmt: skip
        return self._gather_files(index, working_size)

    def _gather_files(self, index: np.ndarray, working_size: int) -> RawBatch | None:
        with ThreadPoolExecutor(DECODING_THREADS) as pool:
            crops = list(pool.map(lambda row: self._read_crop(int(row), working_size), index))
        kept = [k for k, crop in enumerate(crops) if crop is not None]
        if not kept:
            return None
        index = index[kept]
        pictures, keypoints = zip(*(crops[k] for k in kept), strict=True)
        n = len(index)
        return self._labelled(
            index,
            torch.stack(pictures),
            np.full((n, 2), working_size / 2, np.float32),
            np.full(n, working_size / MARGIN / 200, np.float32),
            np.stack(keypoints),
        )

    def _read_crop(self, row: int, size: int) -> tuple[torch.Tensor, np.ndarray] | None:
        """A picture file's generous crop (S, S, 3) uint8, and its keypoints in it."""
        if row in self.skipped:
            return None
        records = self.records
        try:
            picture = self.images.read(str(records.imgname[row]))
        except DamagedImageError as error:
            self.skipped[row] = str(error)
            warnings.warn(f"{self.name}: left out: {error}", stacklevel=2)
            return None
        center = torch.from_numpy(records.center[row])
        matrix = crop_matrix(center, torch.tensor(records.scale[row] * MARGIN), size)
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1).float()
        crop = crop_picture(image, matrix, size).round().clamp(0, 255).to(torch.uint8)
        keypoints = records.keypoints[row].copy()
        keypoints[:, :2] = apply_affine(matrix, torch.from_numpy(keypoints[:, :2])).numpy()
        return crop.permute(1, 2, 0), keypoints

    def _labelled(
        self,
        index: np.ndarray,
        pictures: torch.Tensor,
        center: np.ndarray,
        scale: np.ndarray,
        keypoints: np.ndarray,
    ) -> RawBatch:
        records = self.records
        return RawBatch(
            images=pictures,
            center=torch.from_numpy(center),
            scale=torch.from_numpy(scale),
            keypoints=torch.from_numpy(keypoints),
            joints_3d=torch.from_numpy(records.joints_3d[index]),
            pose=torch.from_numpy(records.pose[index]),
            betas=torch.from_numpy(records.betas[index]),
            has_smpl=torch.from_numpy(records.has_smpl[index]),
            has_pose_3d=torch.from_numpy(records.has_pose_3d[index]),
            index=torch.from_numpy(index.astype(np.int64)),
        )

    def _packed_rows(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The packed array and each record's row in it, where all records share one."""
        names = self.records.imgname
        if len(names) == 0 or PACKED_MARK not in str(names[0]):
            return None, None
        parts = np.char.partition(names, "#")
        if not (parts[:, 0] == parts[0, 0]).all():
            return None, None
        return self.images.packed(str(parts[0, 0])), parts[:, 2].astype(np.int64)


def open_set(folder: str | Path, name: str | None = None) -> PoseDataset:
    """Open a folder with `records.npz` and the pictures that it names.

    Raises:
        FileProblem: the records or a packed array cannot be used.
    """
    folder = Path(folder)
    return PoseDataset(
        Records.open(folder / "records.npz"), ImageSource(folder), name or folder.name
    )


class BatchLoader:
    """Batches of a data set, one epoch at a time.

    `iter(loader)` gives what is left of the current epoch and then moves on to the next one. The
    order comes from (seed, epoch) and each batch's augmentation from (seed, epoch, batch), so the
    batches after `restore(state)` are those that would have come without a break.
    """

    def __init__(
        self,
        dataset: PoseDataset,
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

    def _make(self, epoch: int, number: int) -> Batch | None:
        rows = self._order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]
        raw = self.dataset.gather(rows, round(MARGIN * self.resolution))
        if raw is None:
            return None
        raw = RawBatch(**{key: value.to(self.device) for key, value in vars(raw).items()})
        n = len(raw.index)
        if self.augmentation is None:
            return augment(raw, Augmentation.none(n), self.resolution)
        seed = np.random.SeedSequence([self.seed, epoch, number]).generate_state(1)[0]
        generator = torch.Generator().manual_seed(int(seed))
        return augment(raw, draw(self.augmentation, n, generator), self.resolution)

    def _order(self, epoch: int) -> np.ndarray:
        n = len(self.dataset)
        if not self.shuffle:
            return np.arange(n)
        return np.random.default_rng([self.seed, epoch]).permutation(n)


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
