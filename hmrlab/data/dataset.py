"""Data sets: one of them, or several mixed by shares as in SPIN."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hmrlab.data.augment import RawBatch
from hmrlab.data.images import MARGIN, DamagedImageError, ImageSource, crop_box
from hmrlab.data.records import Records
from hmrlab.geometry import apply_affine, crop_matrix

DECODING_THREADS = 4


class PoseDataset:
    """Records and their pictures.

    Pictures that are missing or damaged are named in a warning once, left out of batches, and
    listed in `skipped`.

    Args:
        records: of N people.
        images: where their pictures are.
        name: of the set.
        skipped: rows whose pictures are known to be damaged, and why.

    Raises:
        FileProblem: a packed file of pictures cannot be used.
    """

    def __init__(
        self,
        records: Records,
        images: ImageSource,
        name: str,
        skipped: Mapping[int, str] | None = None,
    ) -> None:
        self.records = records
        self.images = images
        self.name = name
        self.skipped: dict[int, str] = dict(skipped or {})
        self._packed = images.all_packed(records.imgname)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sets that samples come from: this one."""
        return (self.name,)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def people(self) -> int:
        """Rows of the records, which batches' `index` counts."""
        return len(self.records)

    @property
    def parts(self) -> tuple[PoseDataset, ...]:
        """The sets that samples come from: this one."""
        return (self,)

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """(N,) the rows of one epoch: each sample once, shuffled."""
        return rng.permutation(len(self))

    def first(self, count: int) -> PoseDataset:
        """The set of the first `count` samples, with the same pictures."""
        skipped = {row: reason for row, reason in self.skipped.items() if row < count}
        return PoseDataset(self.records.first(count), self.images, self.name, skipped)

    def with_2d_alone(self) -> PoseDataset:
        """The same samples with no label but their 2D keypoints."""
        return PoseDataset(self.records.with_2d_alone(), self.images, self.name, self.skipped)

    def in_larger_crops(self, factor: float) -> PoseDataset:
        """The same samples in boxes that are so many times as large."""
        if factor == 1:
            return self
        records = replace(self.records, scale=self.records.scale * np.float32(factor))
        return PoseDataset(records, self.images, self.name, self.skipped)

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

        Packed pictures come as they are; where they have at least twice `working_size` pixels a
        side, in whole fractions of it. Picture files are each cropped once, generously, to
        `working_size` pixels. The samples come in the order of the files, kind to the disk.
        """
        if self._packed is None:
            return self._gather_files(np.sort(index), working_size)
        index = self._packed.in_file_order(index)
        index = index[[row not in self.skipped for row in index.tolist()]]
        block = self._packed.block(working_size)
        stored, damaged = self._packed.read(index, block)
        for row, reason in damaged.items():
            self._leave_out(row, reason)
        if damaged:
            kept = np.array([row not in damaged for row in index.tolist()])
            index, stored = index[kept], stored[kept]
        if len(index) == 0:
            return None
        records = self.records
        keypoints = records.keypoints[index]
        if block > 1:
            keypoints[..., :2] /= block
        return self._labelled(
            index,
            torch.from_numpy(stored),
            records.center[index] / block,
            records.scale[index] / block,
            keypoints,
        )

    def gather_by_set(self, index: np.ndarray, working_size: int) -> list[RawBatch]:
        """As `gather`, in a list that is empty where nothing can be read."""
        raw = self.gather(index, working_size)
        return [] if raw is None else [raw]

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
            self._leave_out(row, str(error))
            return None
        center, scale = records.center[row], records.scale[row] * MARGIN
        matrix = crop_matrix(torch.from_numpy(center), torch.tensor(scale), size)
        keypoints = records.keypoints[row].copy()
        keypoints[:, :2] = apply_affine(matrix, torch.from_numpy(keypoints[:, :2])).numpy()
        return torch.from_numpy(crop_box(picture, center, scale, size).copy()), keypoints

    def _leave_out(self, row: int, reason: str) -> None:
        self.skipped[row] = reason
        warnings.warn(f"{self.name}: left out: {reason}", stacklevel=2)

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


class MixedDataset:
    """Several sets in one: each sample is drawn from a set by shares, then by its number.

    As SPIN's `datasets/mixed_dataset.py`: an epoch has the length of the largest set, and sample i
    of a smaller one is its row i modulo its length. Rows are numbered through, set after set; each
    sample is gathered by its own set, from which all of it comes, picture and labels.

    Args:
        parts: the sets, with different names.
        shares: how often each is drawn; they sum to 1.

    Raises:
        ValueError: no set, an empty one, equal names, or shares that are negative or not 1 in all.
    """

    def __init__(self, parts: Sequence[PoseDataset], shares: Sequence[float]) -> None:
        self.parts = tuple(parts)
        self.shares = np.array(shares, dtype=np.float64)
        lengths = [len(part) for part in self.parts]
        if not self.parts or 0 in lengths or len(set(self.names)) < len(self.parts):
            given = ", ".join(f"{part.name} ({len(part)} samples)" for part in self.parts)
            raise ValueError(f"a mix needs sets with samples and different names, got {given}")
        if (
            self.shares.shape != (len(self.parts),)
            or self.shares.min() < 0
            or abs(self.shares.sum() - 1) > 1e-6
        ):
            raise ValueError(
                f"{len(self.parts)} sets need as many shares that sum to 1, got {list(shares)}"
            )
        self.shares /= self.shares.sum()
        self._lengths = np.array(lengths)
        self._first = np.concatenate([[0], np.cumsum(lengths)])

    @property
    def name(self) -> str:
        """All of them, for messages."""
        return " + ".join(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sets, in the order of their numbers."""
        return tuple(part.name for part in self.parts)

    def __len__(self) -> int:
        """Samples in an epoch: as many as the largest set has."""
        return int(self._lengths.max())

    def epoch(self, rng: np.random.Generator) -> np.ndarray:
        """(N,) the rows of one epoch, numbered through all sets."""
        which = rng.choice(len(self.parts), size=len(self), p=self.shares)
        return self._first[which] + rng.permutation(len(self)) % self._lengths[which]

    def gather_by_set(self, index: np.ndarray, working_size: int) -> list[RawBatch]:
        """The samples of these rows, those of each set together."""
        which = np.searchsorted(self._first, index, side="right") - 1
        found = []
        for number, part in enumerate(self.parts):
            rows = index[which == number] - self._first[number]
            raw = part.gather(rows, working_size) if len(rows) else None
            if raw is not None:
                found.append(replace(raw, source=number))
        return found


# In SPIN's `mixed_dataset.py`; the synthetic sets stand in for real ones of their kind. SPIN has
# no set of the reader's own; by its length alone it would hardly ever come.
_GROUPS = (
    (0.3, ("h36m", "studio")),
    (0.6, ("lsp-orig", "mpii", "lspet", "coco", "wild")),
    (0.1, ("mpi-inf-3dhp",)),
)
_OTHERS_SHARE = 1 / 3


def spin_shares(lengths: Mapping[str, int]) -> dict[str, float]:
    """How often SPIN draws from each set.

    30 % from Human3.6M (or `studio`), 60 % from the in-the-wild sets, each in proportion to its
    length, and 10 % from MPI-INF-3DHP. Where a kind is not there, the others keep their ratios.
    All others, such as the reader's own, are a quarter of the whole where all kinds are there.

    Args:
        lengths: samples by name of set.

    Raises:
        ValueError: there is no set.
    """
    if not lengths:
        raise ValueError("a mix needs a set at least")
    known = {name for _, names in _GROUPS for name in names}
    others = tuple(name for name in lengths if name not in known)
    weights: dict[str, float] = {}
    for share, names in (*_GROUPS, (_OTHERS_SHARE, others)):
        present = {name: lengths[name] for name in names if name in lengths}
        for name, length in present.items():
            weights[name] = share * length / sum(present.values())
    return {name: weights[name] / sum(weights.values()) for name in lengths}


def open_set(folder: str | Path, name: str | None = None) -> PoseDataset:
    """Open a folder with `records.npz` and the pictures that it names.

    Raises:
        FileProblem: the records or a packed array cannot be used.
    """
    folder = Path(folder)
    return PoseDataset(
        Records.open(folder / "records.npz"), ImageSource(folder), name or folder.name
    )
