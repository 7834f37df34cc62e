"""Pack a prepared set: crop every person once, in processes, and go on after a kill.

What a stopped run leaves are whole shards, and the next one makes those that are not there. Torch
is imported last of all, so that processes start soon.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hmrlab.data.images import DamagedImageError, crop_box, is_packed_name, read_image
from hmrlab.data.packed import (
    FORMAT,
    PackedNote,
    PackPlan,
    packed_folder,
    packed_problem,
    read_note,
)
from hmrlab.data.prepared import PreparedSet, read_set, set_problem
from hmrlab.data.records import Records
from hmrlab.data.shards import to_jpeg, write_jpeg_shard, write_raw_shard
from hmrlab.files import FileProblem, printable, read_json, sweep, write_text_whole
from hmrlab.ledger.machine import usable_cores
from hmrlab.processes import work_in_processes

PLAN = "plan.json"  # of a packed form that is not finished
DAMAGED = "damaged-{:05d}.json"  # what was wrong with a shard's pictures, until the set is whole
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
        how, about = "raw pixels", ""
        if self.plan.store == "jpeg":
            how, about = f"jpegs of quality {self.plan.quality}", "about "
        done = f", {_in_words(self.bytes_done)} of it there already" if self.bytes_done else ""
        return (
            f"{self.prepared.name} {self.prepared.split}: {self.count:,} people in crops of "
            f"{self.plan.size} px, {how}: {about}{_in_words(self.bytes_needed)}{done}; "
            f"{_in_words(self.bytes_free)} are free in {self.prepared.folder}"
        )


def is_packed(folder: Path, plan: PackPlan) -> bool:
    """Whether a set's packed form is there, whole; `FileProblem` if it is, but by another plan."""
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
    """Look at the prepared set in `folder` and at the disk, before the work.

    Raises:
        FileProblem: the set is damaged, has masks, its pictures are gone or none of those tried can
            be read, or the disk has not enough room.
    """
    prepared, records = _open(folder)
    size = _mean_jpeg(prepared, records, plan) if plan.store == "jpeg" else plan.size**2 * 3
    needed = len(records) * (size + LABELS)
    packed = packed_folder(folder)
    done = 0
    if read_plan(packed) == plan:
        done = sum(path.stat().st_size for path in packed.glob("crops-*"))
    free = shutil.disk_usage(folder).free
    result = Estimate(prepared, plan, len(records), needed, done, free)
    if free + done < needed + BYTES_TO_SPARE:
        hint = "--store jpeg takes less, or" if plan.store == "raw" else "A lower --resolution, or"
        raise FileProblem(
            f"not enough room. {result}. {hint} point HMRLAB_HOME at another disk, or free some."
        )
    return result


def pack(
    folder: Path, plan: PackPlan, *, workers: int | None = None, progress: bool = True
) -> PackedNote:
    """Pack the prepared set in `folder`. Whole shards of an earlier run by the same plan are kept.

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
        if read_plan(packed) != plan and packed.is_dir():
            shutil.rmtree(packed)
        sweep(packed)
        write_text_whole(packed / PLAN, json.dumps(asdict(plan)))
        try:
            _write_shards(packed, plan, prepared, records, workers or usable_cores(), progress)
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


def read_plan(packed: Path) -> PackPlan | None:
    """The plan of a packed form that is not finished; None where there is none."""
    try:
        return read_json(packed / PLAN, PackPlan)
    except FileProblem:
        return None


def write_shard(
    packed: Path,
    plan: PackPlan,
    images: Path,
    number: int,
    names: np.ndarray,
    centers: np.ndarray,
    scales: np.ndarray,
) -> None:
    """Crop the people of one shard. It is written whole, after a note of the damaged pictures.

    Args:
        packed: folder of the packed form.
        plan: how.
        images: folder of the official pictures.
        number: of the shard.
        names, centers, scales: `imgname`, `center` and `scale` of its rows.
    """
    crops: list = []
    damaged: dict[int, str] = {}
    for row, crop in enumerate(_cropped(plan, images, names, centers, scales)):
        if isinstance(crop, str):
            # JSON cannot hold every name of a file
            damaged[number * plan.rows_per_shard + row] = printable(crop)
            crop = np.zeros((plan.size, plan.size, 3), np.uint8)
        crops.append(crop if plan.store == "raw" else to_jpeg(crop, plan.quality))
    write_text_whole(packed / DAMAGED.format(number), json.dumps(damaged))
    write = write_raw_shard if plan.store == "raw" else write_jpeg_shard
    write(packed / plan.shard_name(number), crops)


def _cropped(
    plan: PackPlan, images: Path, names: np.ndarray, centers: np.ndarray, scales: np.ndarray
) -> Iterator[np.ndarray | str]:
    """Each row's crop (S, S, 3) uint8, or what is wrong with its picture.

    A picture is decoded once, if its people follow each other.
    """
    last, picture = None, None
    for name, center, scale in zip(names, centers, scales, strict=True):
        if name != last:
            last = name
            try:
                picture = read_image(images / str(name))
            except DamagedImageError as error:
                picture = str(error)
        if isinstance(picture, str):
            yield picture
        else:
            yield crop_box(picture, center, scale * plan.margin, plan.size)


def _open(folder: Path) -> tuple[PreparedSet, Records]:
    problem = set_problem(folder)
    if problem is not None:
        raise FileProblem(f"{folder}: {problem}. Make it anew: hmrlab data prepare")
    prepared, records = read_set(folder), Records.open(folder / "records.npz")
    if is_packed_name(str(records.imgname[0])):
        raise FileProblem(
            f"{prepared.name} {prepared.split} is made of crops already: there is nothing to pack."
        )
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
    columns = (column[rows] for column in (records.imgname, records.center, records.scale))
    crops = list(_cropped(plan, prepared.images, *columns))
    sizes = [len(to_jpeg(crop, plan.quality)) for crop in crops if not isinstance(crop, str)]
    if not sizes:
        raise FileProblem(
            f"{prepared.name} {prepared.split}: of {len(rows)} pictures tried none can be read. "
            f"The first: {crops[0]}"
        )
    return float(np.mean(sizes))


def _write_shards(
    packed: Path, plan: PackPlan, prepared: PreparedSet, records: Records, workers: int, bar: bool
) -> None:
    """Write the shards that are not there."""
    count, each = len(records), plan.rows_per_shard
    work = {}
    for number in range(plan.shards(count)):
        if not (packed / plan.shard_name(number)).is_file():
            rows = slice(number * each, (number + 1) * each)
            columns = (column[rows] for column in (records.imgname, records.center, records.scale))
            work[f"shard {number}"] = partial(
                write_shard, packed, plan, prepared.images, number, *columns
            )
    progress = tqdm(
        total=count,
        initial=min(count, (plan.shards(count) - len(work)) * each),
        desc=f"packing {prepared.name} {prepared.split}",
        unit="person",
        disable=not bar,
        mininterval=1.0,
    )
    with progress:

        def advance() -> None:
            progress.update(min(each, count - progress.n))

        if workers > 1 and len(work) > 1:
            work_in_processes(work, workers, advance, "Fewer of them (--workers 1) need less.")
        else:
            for write in work.values():
                write()
                advance()


def _finish(packed: Path, plan: PackPlan, records: Records) -> PackedNote:
    """Write the records of the crops, and last of all the note that makes the form valid."""
    damaged: dict[int, str] = {}
    remedy = f"Delete {packed} and pack the set again."
    for number in range(plan.shards(len(records))):
        damaged |= read_json(packed / DAMAGED.format(number), dict[int, str], remedy=remedy)
    if len(damaged) == len(records):
        shutil.rmtree(packed)  # pictures may be there the next time
        raise FileProblem(
            f"{packed}: not one picture could be read. The first: {next(iter(damaged.values()))}"
        )
    paths = [_in_pixels_of_crops(records, plan).save(packed / "records.npz")]
    paths += [packed / plan.shard_name(number) for number in range(plan.shards(len(records)))]
    files = {path.name: path.stat().st_size for path in paths}
    note = PackedNote(plan, len(records), damaged, files, FORMAT)
    write_text_whole(packed / "packed.json", json.dumps(asdict(note), indent=1) + "\n")
    for path in (packed / PLAN, *packed.glob("damaged-*.json")):
        path.unlink()
    return note


def _in_pixels_of_crops(records: Records, plan: PackPlan) -> Records:
    """The same people in the pixels of their crops."""
    import torch

    from hmrlab.geometry import apply_affine, crop_matrix

    center, scale = torch.from_numpy(records.center), torch.from_numpy(records.scale)
    matrix = crop_matrix(center, scale * plan.margin, plan.size)
    keypoints = records.keypoints.copy()
    keypoints[..., :2] = apply_affine(matrix, torch.from_numpy(keypoints[..., :2])).numpy()
    return replace(
        records,
        imgname=plan.picture_names(len(records)),
        center=np.full((len(records), 2), plan.size / 2, np.float32),
        scale=np.full(len(records), plan.size / plan.margin / 200, np.float32),
        keypoints=keypoints,
    )


def _in_words(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
