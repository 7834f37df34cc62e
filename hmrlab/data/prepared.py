"""Real data sets once they are prepared: where they lie, what they are, how to open them.

A set's folder `data/real/NAME/SPLIT/` holds `records.npz` (SPIN's vocabulary) and `set.json`; the
pictures stay where the official download was unpacked. A packed form of them (`hmrlab data pack`)
lies in its folder `packed`.
"""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote_to_bytes

from hmrlab import __version__, paths
from hmrlab.data.images import ImageSource
from hmrlab.data.packed import open_packed, packed_folder, packed_problem
from hmrlab.data.records import Records
from hmrlab.files import Count, FileProblem, Positive, read_json, sha256_of, write_text_whole

if TYPE_CHECKING:
    from hmrlab.data.dataset import PoseDataset

FORMAT = "hmrlab-set-1"
OWN = "own pictures"  # begins the `source` of sets that no recipe made


@dataclass(frozen=True)
class _Note:
    """The layout of `set.json`; see `PreparedSet`."""

    format: Literal["hmrlab-set-1"]
    name: str
    split: str
    images: str
    count: Count
    skipped: dict[str, Count]
    box_factor: Positive
    made_by: str
    records_sha256: str
    source: str = ""


@dataclass(frozen=True)
class PreparedSet:
    """What `set.json` says."""

    name: str
    split: str
    folder: Path  # of records.npz
    images: Path  # that imgname, maskname and partname are relative to
    count: int
    skipped: Counter[str]  # samples left out, by reason
    box_factor: float
    made_by: str
    records_sha256: str
    source: str = ""  # digest of the annotation files that it was made from; or see `own`

    @property
    def own(self) -> bool:
        """Whether it is of the reader's own pictures, with 2D keypoints alone."""
        return self.source.startswith(OWN)

    def summary(self) -> str:
        """Some lines for people: samples, where from, how many were left out and why."""
        lines = [f"{self.name} {self.split}: {self.count:,} samples, pictures in {self.images}"]
        left_out = sum(self.skipped.values())
        if left_out:
            lines.append(f"left out: {left_out:,}")
            lines += [f"  {count:,} {reason}" for reason, count in self.skipped.most_common()]
        lines.append(str(self.folder / "records.npz"))
        return "\n".join(lines)


def prepared_folder(name: str, split: str) -> Path:
    """Where a real set's split lies or would lie."""
    return paths.data_dir() / "real" / name / split


def open_prepared(
    name: str, split: str, *, packed: bool = True, resolution: int | None = None
) -> PoseDataset:
    """A prepared real set: its packed form if there is a good one, else the official pictures.

    A packed form that cannot be used gives a warning.

    Args:
        name, split: of the set.
        packed: whether the packed form will do; it has no whole frames.
        resolution: side of the crops that will be cut out, pixels, if known; a packed form that was
            made for smaller ones is of no use.

    Raises:
        FileProblem: it is not prepared (the message has the command), damaged, or its pictures
            are no longer where they were.
    """
    prepared = require_set(name, split)
    folder = prepared.folder
    if packed and _has_packed(prepared, resolution):
        return open_packed(packed_folder(folder), name)
    if not os.path.isdir(prepared.images):
        raise FileProblem(
            f"{name} {split}: its pictures were in {prepared.images}, which is not there. Is a "
            f"disk not mounted? If they have moved, make it anew. {_commands(name)}"
        )
    from hmrlab.data.dataset import PoseDataset  # to look at a set takes no torch

    return PoseDataset(Records.open(folder / "records.npz"), ImageSource(prepared.images), name)


def require_set(name: str, split: str) -> PreparedSet:
    """What a prepared set says of itself; `FileProblem`, with the command, where there is none."""
    folder = prepared_folder(name, split)
    if not os.path.exists(folder / "set.json"):
        raise FileProblem(
            f"{name} {split} is not prepared: there is no {folder / 'set.json'}. {_commands(name)} "
            "(hmrlab data status says which sets there are, and where to register for them)."
        )
    problem = set_problem(folder)
    if problem is not None:
        raise FileProblem(
            f"{folder}: {problem}. Make it anew. {_commands(name, f' --split {split}')}"
        )
    return read_set(folder)


def _commands(name: str, split: str = "") -> str:
    """What makes a set; where it comes in splits, that one."""
    return (
        f"From an official download: hmrlab data prepare {name}{split} --root DIR; from your own "
        f"photographs and clips: hmrlab data people FOLDER --name {name}"
    )


def _has_packed(prepared: PreparedSet, resolution: int | None) -> bool:
    name, split = prepared.name, prepared.split
    packed = packed_folder(prepared.folder)
    if not packed.is_dir():
        return False
    problem = packed_problem(packed, prepared.records_sha256, resolution)
    if problem is not None:
        warnings.warn(
            f"{name} {split}: its packed form {problem}. Its official pictures are read, which is "
            f"slow; hmrlab data pack {name} --split {split} packs it.",
            stacklevel=3,
        )
    return problem is None


def prepared_sets() -> list[PreparedSet]:
    """All prepared sets whose `set.json` can be read, by name and split."""
    sets = []
    for note in sorted((paths.data_dir() / "real").glob("*/*/set.json")):
        try:
            sets.append(read_set(note.parent))
        except FileProblem:  # `set_problem` tells of it
            continue
    return sets


def set_problem(folder: Path) -> str | None:
    """Why a set's folder cannot be used, in words; None if it can."""
    path = folder / "records.npz"
    try:
        expected = read_set(folder).records_sha256
        if not os.path.exists(path):
            return "records.npz is missing"
        if sha256_of(path) != expected:
            return "records.npz is not the one that set.json speaks of"
    except FileProblem as problem:
        return str(problem).rstrip(".")
    return None


def read_set(folder: Path) -> PreparedSet:
    """What a set's folder says of itself; `FileProblem` where `set.json` is not whole."""
    path = folder / "set.json"
    note = read_json(path, _Note, remedy="", missing=f"{path} is missing.")
    return PreparedSet(
        note.name, note.split, folder, _path_of(note.images), note.count, Counter(note.skipped),
        note.box_factor, note.made_by, note.records_sha256, note.source,
    )  # fmt: skip


def note_set(
    folder: Path,
    *,
    name: str,
    split: str,
    images: Path,
    count: int,
    skipped: Mapping[str, int],
    box_factor: float,
    source: str = "",
) -> None:
    """Write `set.json` for the `records.npz` that lies in a folder."""
    note = _Note(
        FORMAT, name, split, _in_json(images), count, dict(skipped), box_factor,
        f"hmrlab {__version__}", sha256_of(folder / "records.npz"), source,
    )  # fmt: skip
    write_text_whole(folder / "set.json", json.dumps(asdict(note), indent=1) + "\n")


def _in_json(path: Path) -> str:
    """A path as text; as a `file:` URI where its name is in no encoding that JSON can hold."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return Path(os.path.abspath(path)).as_uri()
    return text


def _path_of(text: str) -> Path:
    """The inverse of `_in_json`."""
    if text.startswith("file:///"):
        return Path(os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))))
    return Path(text)
