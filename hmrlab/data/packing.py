"""Pack a prepared set: crop every person once, in processes, and go on after a kill.

What a stopped run leaves are whole shards, and the next one makes those that are not there.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from hmrlab.data.pack_shards import (
    PLAN,
    Frames,
    PackPlan,
    cropped,
    damage_note,
    read_frames,
    read_plan,
    write_shard,
)
from hmrlab.data.packed import (
    FORMAT,
    PackedNote,
    matrix_to_crops,
    packed_folder,
    packed_problem,
    read_note,
)
from hmrlab.data.prepared import PreparedSet, read_set, set_problem
from hmrlab.data.records import Records
from hmrlab.data.shards import to_jpeg
from hmrlab.files import FileProblem, read_json, save_npz_whole, sweep, write_text_whole
from hmrlab.geometry import apply_affine
from hmrlab.ledger.machine import usable_cores
from hmrlab.processes import work_in_processes

BYTES_TO_SPARE = 200_000_000
TRIED = 32  # crops that are made to foretell what jpegs will take
LABELS = 1500  # bytes a person: more than their records take


@dataclass(frozen=True)
class Estimate:
    """What packing a set will take."""

    prepared: PreparedSet
    plan: PackPlan
    count: int
    bytes_needed: float
    bytes_done: int  # by an earlier run that was stopped
    bytes_free: int

    def __str__(self) -> str:
        how = f"jpegs of quality {self.plan.quality}" if self.plan.store == "jpeg" else "raw pixels"
        about = "about " if self.plan.store == "jpeg" else ""
        done = f", {_in_words(self.bytes_done)} of it there already" if self.bytes_done else ""
        return (
            f"{self.prepared.name} {self.prepared.split}: {self.count:,} people in crops of "
            f"{self.plan.size} px, {how}: {about}{_in_words(self.bytes_needed)}{done}; "
            f"{_in_words(self.bytes_free)} are free in {self.prepared.folder}"
        )


def is_packed(folder: Path, plan: PackPlan) -> bool:
    """Whether a set's packed form is there, whole, and made by this plan.

    Raises:
        FileProblem: one is there that is good, but made by another plan.
    """
    packed = packed_folder(folder)
    if packed_problem(packed, plan.records_sha256) is not None:
        return False
    there = read_note(packed).plan
    if there != plan:
        raise FileProblem(
            f"{packed} is packed already, as {there.store} for {there.resolution} px. To make it "
            f"anew as {plan.store} for {plan.resolution} px, say --force."
        )
    return True


def estimate(folder: Path, plan: PackPlan) -> Estimate:
    """Look at a prepared set and at the disk, before the work.

    Args:
        folder: of the prepared set.
        plan: how it is to be packed.

    Raises:
        FileProblem: the set is damaged, has masks, its pictures are gone or none of those tried can
            be read, or the disk has not enough room.
    """
    prepared, records = _open(folder)
    size = plan.size**2 * 3
    if plan.store == "jpeg":
        size = _mean_jpeg(prepared, records, plan)
    needed = len(records) * (size + LABELS)
    packed = packed_folder(folder)
    done = 0
    if packed.is_dir() and read_plan(packed) == plan:
        done = sum(path.stat().st_size for path in packed.glob("crops-*"))
    free = shutil.disk_usage(folder).free
    found = Estimate(prepared, plan, len(records), needed, done, free)
    if free + done < needed + BYTES_TO_SPARE:
        hint = "--store jpeg takes less, or" if plan.store == "raw" else "A lower --resolution, or"
        raise FileProblem(
            f"not enough room. {found}. {hint} point HMRLAB_HOME at another disk, or free some."
        )
    return found


def pack(
    folder: Path, plan: PackPlan, *, workers: int | None = None, progress: bool = True
) -> PackedNote:
    """Pack a prepared set. Whole shards of an earlier run by the same plan are kept.

    Args:
        folder: of the prepared set.
        plan: how.
        workers: processes; by default one for each core. The files do not depend on it.
        progress: show a bar.

    Raises:
        FileProblem: the set cannot be used (see `estimate`), or the packed form not be written.
    """
    prepared, records = _open(folder)
    packed = packed_folder(folder)
    try:
        _begin(packed, plan, records)
        try:
            _work(packed, plan, prepared, len(records), workers or usable_cores(), progress)
        except FileProblem as problem:
            if any(packed.glob("crops-*")):
                raise FileProblem(
                    f"{problem} What was done is kept in {packed}: the next run goes on from there."
                ) from problem
            shutil.rmtree(packed)
            raise
        return _finish(packed, plan, records)
    except OSError as error:
        raise FileProblem(
            f"could not write {packed}: {error.strerror or error}. Free some disk space, or point "
            "HMRLAB_HOME at a folder that you may write to, and run the command again."
        ) from error


def _open(folder: Path) -> tuple[PreparedSet, Records]:
    problem = set_problem(folder)
    if problem is not None:
        raise FileProblem(f"{folder}: {problem}. Make it anew: hmrlab data prepare")
    prepared, records = read_set(folder), Records.open(folder / "records.npz")
    if {"maskname", "partname"} & set(records.texts):
        raise FileProblem(
            f"{prepared.name} {prepared.split} has masks, which are compared in the whole "
            "pictures: it is evaluated on those, and not packed."
        )
    if not os.path.isdir(prepared.images):
        raise FileProblem(
            f"{prepared.name} {prepared.split}: its pictures were in {prepared.images}, which is "
            "not there. Is a disk not mounted?"
        )
    return prepared, records


def _mean_jpeg(prepared: PreparedSet, records: Records, plan: PackPlan) -> float:
    """Bytes of a jpeg, from some that are spread evenly over the set."""
    rows = np.unique(np.linspace(0, len(records) - 1, TRIED).astype(int))
    frames = Frames(records.imgname, records.center, records.scale)
    sizes, reasons = [], []
    for _, found in cropped(frames, rows, prepared.images, plan.size, plan.margin):
        if isinstance(found, str):
            reasons.append(found)
        else:
            sizes.append(len(to_jpeg(found, plan.quality)))
    if not sizes:
        raise FileProblem(
            f"{prepared.name} {prepared.split}: of {len(rows)} pictures tried none can be read. "
            f"The first: {reasons[0]}"
        )
    return float(np.mean(sizes))


def _begin(packed: Path, plan: PackPlan, records: Records) -> None:
    """A folder with the plan and the frames in it; shards of another plan are removed."""
    if packed.is_dir() and read_plan(packed) != plan:
        shutil.rmtree(packed)
    sweep(packed)
    if not (packed / PLAN).is_file():
        save_npz_whole(
            packed / "frames.npz",
            imgname=records.imgname,
            center=records.center,
            scale=records.scale,
        )
        write_text_whole(packed / PLAN, json.dumps(asdict(plan)))


def _work(
    packed: Path, plan: PackPlan, prepared: PreparedSet, count: int, workers: int, progress: bool
) -> None:
    """Write the shards that are not there."""
    numbers = range(plan.shards(count))
    left = [number for number in numbers if not (packed / plan.shard_name(number)).is_file()]
    bar = tqdm(
        total=count,
        initial=min(count, (len(numbers) - len(left)) * plan.rows_per_shard),
        desc=f"packing {prepared.name} {prepared.split}",
        unit="person",
        disable=not progress,
        mininterval=1.0,
    )
    with bar:

        def advance() -> None:
            bar.update(min(plan.rows_per_shard, count - bar.n))

        if workers == 1 or len(left) <= 1:
            for number in left:
                write_shard(packed, plan, prepared.images, number)
                advance()
            return
        shards = {
            f"shard {number}": partial(write_shard, packed, plan, prepared.images, number)
            for number in left
        }
        work_in_processes(shards, workers, advance, "Fewer of them (--workers 1) need less.")


def _finish(packed: Path, plan: PackPlan, records: Records) -> PackedNote:
    """Write the records of the crops, and last of all the note that makes the form valid."""
    damaged: dict[int, str] = {}
    remedy = f"Delete {packed} and pack the set again."
    for number in range(plan.shards(len(records))):
        damaged |= read_json(damage_note(packed, number), dict[int, str], remedy=remedy)
    if len(damaged) == len(records):
        shutil.rmtree(packed)  # pictures may be there the next time
        raise FileProblem(
            f"{packed}: not one picture could be read. The first: {next(iter(damaged.values()))}"
        )
    _records_of_crops(packed, plan, records).save(packed / "records.npz")
    kept = sorted([*packed.glob("crops-*.npy"), *packed.glob("crops-*.jpegs")])
    kept += [packed / "records.npz", packed / "frames.npz"]
    files = {path.name: path.stat().st_size for path in kept}
    note = PackedNote(plan, len(records), damaged, files, FORMAT)
    write_text_whole(packed / "packed.json", note.to_json())
    (packed / PLAN).unlink()
    for path in packed.glob("damaged-*.json"):
        path.unlink()
    return note


def _records_of_crops(packed: Path, plan: PackPlan, records: Records) -> Records:
    """The same people in the pixels of their crops."""
    n = len(records)
    matrix = matrix_to_crops(read_frames(packed), plan)
    keypoints = records.keypoints.copy()
    keypoints[..., :2] = apply_affine(matrix, torch.from_numpy(keypoints[..., :2])).numpy()
    return replace(
        records,
        imgname=plan.picture_names(n),
        center=np.full((n, 2), plan.size / 2, np.float32),
        scale=np.full(n, plan.size / plan.margin / 200, np.float32),
        keypoints=keypoints,
    )


def _in_words(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
