"""The packed form of a real set: every person cropped once, so that no frame is decoded again.

It lies in the folder `packed` of a prepared set:

    packed.json      what it was made of and how; written last, so that it speaks of whole files
    records.npz      row by row the set's records, in the crops' pixels
    crops-00000.*    some hundreds of crops each: see `hmrlab.data.shards`

A row whose picture was damaged stays, so that rows keep their numbers: its crop is black, and
`packed.json` says what was wrong. A set with masks is not packed: masks are compared in the whole
pictures, so such a set is evaluated on those.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hmrlab.data.images import MARGIN, ImageSource
from hmrlab.data.records import Records
from hmrlab.files import Count, FileProblem, read_json

if TYPE_CHECKING:
    from hmrlab.data.dataset import PoseDataset

FORMAT = "hmrlab-packed-1"
STORES = ("jpeg", "raw")
_RANGES = {
    "resolution": (16, 2048), "margin": (1, 2), "quality": (1, 100), "rows_per_shard": (1, 10**5),
}  # fmt: skip


@dataclass(frozen=True)
class PackPlan:
    """How a set is packed; another plan makes other files.

    Args:
        store: "jpeg", or "raw" for pixels as they are, several times as large.
        resolution: side of the crops that trainings are to cut out of these, pixels.

    Raises:
        ValueError: no such store, or a number that is out of its range.
    """

    records_sha256: str  # of the records that it is made of
    store: str = "jpeg"
    resolution: int = 224
    margin: float = MARGIN  # boxes that a crop shows
    quality: int = 95  # of jpegs; their chroma is halved
    rows_per_shard: int = 256  # raw, 120 MB

    def __post_init__(self) -> None:
        if self.store not in STORES:
            raise ValueError(f"unknown store {self.store!r}; choose {' or '.join(STORES)}")
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {low:,} to {high:,}, not {getattr(self, name)}")

    @property
    def size(self) -> int:
        """Side of a stored crop, pixels."""
        return round(self.margin * self.resolution)

    def shards(self, count: int) -> int:
        """How many files hold `count` crops."""
        return -(-count // self.rows_per_shard)

    def shard_name(self, number: int) -> str:
        return f"crops-{number:05d}.{'npy' if self.store == 'raw' else 'jpegs'}"

    def picture_names(self, count: int) -> np.ndarray:
        """(N,) `imgname` of each row."""
        each = self.rows_per_shard
        return np.array([f"{self.shard_name(row // each)}#{row % each}" for row in range(count)])


@dataclass(frozen=True)
class PackedNote:
    """The layout of `packed.json`."""

    plan: PackPlan
    count: Count
    damaged: dict[Count, str]  # row -> what was wrong
    files: dict[str, int]  # name -> bytes
    format: Literal["hmrlab-packed-1"]


def packed_folder(folder: Path) -> Path:
    """Where the packed form of the set in `folder` lies or would lie."""
    return folder / "packed"


def read_note(packed: Path) -> PackedNote:
    """What a packed form says of itself; `FileProblem` where `packed.json` is not whole."""
    path = packed / "packed.json"
    return read_json(path, PackedNote, remedy="", missing=f"{path} is missing.")


def packed_problem(packed: Path, records_sha256: str, resolution: int | None = None) -> str | None:
    """Why a packed form cannot stand for the pictures of these records; None if it can.

    A resolution, pixels, is that of the crops to be cut out of it; None for whatever there is.
    """
    if not (packed / "packed.json").is_file():
        return "is not finished" if packed.is_dir() else "is not there"
    try:
        note = read_note(packed)
    except FileProblem as problem:
        return f"is damaged: {str(problem).rstrip('.')}"
    if note.plan.records_sha256 != records_sha256:
        return "is of other records: the set was prepared again since"
    if note.plan.margin != MARGIN:
        return f"shows {note.plan.margin} boxes, {MARGIN} are needed"
    if resolution is not None and note.plan.resolution < resolution:
        return f"is for {note.plan.resolution} px, {resolution} px are wanted"
    for name, size in note.files.items():
        path = str(packed / name)
        if not os.path.isfile(path) or os.path.getsize(path) != size:
            return f"lacks a file: {name} is missing or cut short"
    return None


def open_packed(packed: Path, name: str) -> PoseDataset:
    """The packed form as a data set; `FileProblem` where a file of it cannot be used."""
    from hmrlab.data.dataset import PoseDataset  # to look at a note takes no torch

    note = read_note(packed)
    records = Records.open(packed / "records.npz")
    return PoseDataset(records, ImageSource(packed), name, note.damaged)
