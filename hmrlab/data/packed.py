"""The packed form of a real set: every person cropped once, so that no frame is decoded again.

It lies in the folder `packed` of a prepared set:

    packed.json      what it was made of and how; written last, so that it speaks of whole files
    records.npz      row by row the set's records, in the crops' pixels, without masks
    frames.npz       where each crop comes from: imgname, center, scale in the official pictures
    crops-00000.*    some hundreds of crops each: see `hmrlab.data.shards`

A row whose picture was damaged stays, so that rows keep their numbers: its crop is black, and
`packed.json` says what was wrong. A set with masks is not packed: masks are compared in the whole
pictures, so such a set is evaluated on those.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hmrlab.data.images import MARGIN, ImageSource
from hmrlab.data.pack_shards import Frames, PackPlan
from hmrlab.data.records import Records
from hmrlab.files import Count, FileProblem, read_json

if TYPE_CHECKING:
    from torch import Tensor

    from hmrlab.data.dataset import PoseDataset

FORMAT = "hmrlab-packed-1"


@dataclass(frozen=True)
class PackedNote:
    """What `packed.json` says."""

    plan: PackPlan
    count: Count
    damaged: dict[Count, str]  # row -> what was wrong
    files: dict[str, int]  # name -> bytes
    format: Literal["hmrlab-packed-1"]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def packed_folder(folder: Path) -> Path:
    """Where the packed form of the set in `folder` lies or would lie."""
    return folder / "packed"


def read_note(packed: Path) -> PackedNote:
    """What a packed form says of itself.

    Raises:
        FileProblem: `packed.json` is missing or damaged, or of another version.
    """
    path = packed / "packed.json"
    return read_json(path, PackedNote, remedy="", missing=f"{path} is missing.")


def packed_problem(packed: Path, records_sha256: str, resolution: int | None = None) -> str | None:
    """Why a packed form cannot stand for a set's pictures, in words; None if it can.

    Args:
        packed: its folder.
        records_sha256: of the set's records now.
        resolution: of the crops that are wanted, pixels; None for whatever there is.
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
    """The packed form as a data set.

    Raises:
        FileProblem: a file of it cannot be used.
    """
    from hmrlab.data.dataset import PoseDataset  # to look at a note takes no torch

    note = read_note(packed)
    records = Records.open(packed / "records.npz")
    return PoseDataset(records, ImageSource(packed), name, note.damaged)


def matrix_to_crops(frames: Frames, plan: PackPlan) -> Tensor:
    """(N, 3, 3) from pixels of the official pictures to those of the crops."""
    import torch

    from hmrlab.geometry import crop_matrix

    center, scale = torch.from_numpy(frames.center), torch.from_numpy(frames.scale)
    return crop_matrix(center, scale * plan.margin, plan.size)
