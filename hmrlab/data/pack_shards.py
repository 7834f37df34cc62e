"""One shard of a packed set, in a process of its own or in this one.

Without torch, so that processes start soon. A shard is written whole, after a note of the pictures
in it that were damaged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.data.images import MARGIN, DamagedImageError, crop_box, read_image
from hmrlab.data.records import Records
from hmrlab.data.shards import to_jpeg, write_jpeg_shard, write_raw_shard
from hmrlab.files import FileProblem, printable, read_json, write_text_whole

STORES = ("jpeg", "raw")
ROWS_PER_SHARD = 256  # raw, 120 MB
PLAN = "plan.json"  # of a packed form that is not finished


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
    rows_per_shard: int = ROWS_PER_SHARD

    def __post_init__(self) -> None:
        if self.store not in STORES:
            raise ValueError(f"unknown store {self.store!r}; choose {' or '.join(STORES)}")
        if not 16 <= self.resolution <= 2048:
            raise ValueError(f"a resolution is 16 to 2048 pixels, not {self.resolution}")
        if not 1 <= self.margin <= 2 or not 1 <= self.quality <= 100:
            raise ValueError(
                f"a margin is 1 to 2 boxes and a quality 1 to 100, not {self.margin} and "
                f"{self.quality}"
            )
        if not 1 <= self.rows_per_shard <= 10**5:
            raise ValueError(f"a shard has 1 to 100,000 rows, not {self.rows_per_shard}")

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
        rows = range(count)
        each = self.rows_per_shard
        return np.array([f"{self.shard_name(row // each)}#{row % each}" for row in rows])


@dataclass(frozen=True)
class Frames:
    """Where the N crops of a packed set come from, in the pixels of the official pictures."""

    imgname: np.ndarray  # (N,) str
    center: np.ndarray  # (N, 2) float32, of the person's box
    scale: np.ndarray  # (N,) float32, box side / 200 pixels


def write_shard(packed: Path, plan: PackPlan, images: Path, number: int) -> None:
    """Crop the people of one shard. Each picture is decoded once, if its people follow each other.

    Args:
        packed: folder with `frames.npz`.
        plan: how.
        images: folder of the official pictures.
        number: of the shard.

    Raises:
        FileProblem: the shard cannot be written.
    """
    frames = _frames_at(packed)
    first = number * plan.rows_per_shard
    rows = np.arange(first, min(first + plan.rows_per_shard, len(frames.imgname)))
    crops: list[np.ndarray] = []
    damaged: dict[int, str] = {}
    for row, found in cropped(frames, rows, images, plan.size, plan.margin):
        if isinstance(found, str):
            damaged[row] = printable(found)  # JSON cannot hold every name of a file
            found = np.zeros((plan.size, plan.size, 3), np.uint8)
        crops.append(found if plan.store == "raw" else to_jpeg(found, plan.quality))
    write_text_whole(damage_note(packed, number), json.dumps(damaged))
    write = write_raw_shard if plan.store == "raw" else write_jpeg_shard
    write(packed / plan.shard_name(number), crops)


def cropped(
    frames: Frames, rows: np.ndarray, images: Path, size: int, margin: float
) -> Iterator[tuple[int, np.ndarray | str]]:
    """Each row's crop (S, S, 3) uint8, or what is wrong with its picture."""
    name, picture = None, None
    for row in rows.tolist():
        if frames.imgname[row] != name:
            name = frames.imgname[row]
            try:
                picture = read_image(images / str(name))
            except DamagedImageError as error:
                picture = str(error)
        if not isinstance(picture, str):
            yield row, crop_box(picture, frames.center[row], frames.scale[row] * margin, size)
        else:
            yield row, picture


def read_frames(packed: Path) -> Frames:
    """Where the crops come from.

    Raises:
        FileProblem: `frames.npz` cannot be used.
    """
    records = Records.open(packed / "frames.npz")
    return Frames(records.imgname, records.center, records.scale)


def read_plan(packed: Path) -> PackPlan | None:
    """The plan of a packed form that is not finished; None where there is none."""
    try:
        return read_json(packed / PLAN, PackPlan)
    except FileProblem:
        return None


def damage_note(packed: Path, number: int) -> Path:
    """Where what was wrong with a shard's pictures is kept until the set is whole."""
    return packed / f"damaged-{number:05d}.json"


_frames: dict[Path, tuple[int, Frames]] = {}  # as last read, and when the file was written


def _frames_at(packed: Path) -> Frames:
    """`frames.npz`, read once a process."""
    path = packed / "frames.npz"
    written = path.stat().st_mtime_ns
    if _frames.get(path, (None,))[0] != written:
        _frames[path] = (written, read_frames(packed))
    return _frames[path][1]
