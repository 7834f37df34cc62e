"""Prepare a data set: check, work in processes, go on after a kill, join, check again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hmrlab.data.prepare.recipe import Jobs, Needed, Recipe, Samples, joined
from hmrlab.data.prepared import PreparedSet, note_set, prepared_folder, read_set, set_problem
from hmrlab.data.records import NUMBERS, Records
from hmrlab.data.static_fits import NAME as FITS
from hmrlab.data.static_fits import read_static_fits, save_static_fits
from hmrlab.files import (
    FileProblem,
    open_picture,
    open_regular,
    parse_json,
    read_npz,
    read_text,
    resolve,
    save_npz_whole,
    write_text_whole,
)
from hmrlab.ledger.machine import usable_cores
from hmrlab.processes import work_in_processes

PATIENCE = 3.0  # seconds: a set that is done so quickly is not worth starting processes for
FOLDERS_TO_TRY = 200  # when ROOT is wrong: so many below it are looked at for the right one
_SKIPPED = "skipped__"  # key of a part's reasons, beside SPIN's
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_TAIL = 64  # bytes: what follows the end of a whole picture in practice is shorter


def prepare(
    recipe: Recipe,
    root: str | Path,
    split: str,
    *,
    workers: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> tuple[PreparedSet, bool]:
    """Turn the official download of one split into records.

    What each job found is kept under the set's folder until all are done, so a run that was
    stopped or killed goes on where it was, unless the files or the recipe have changed since.

    Args:
        recipe: of the data set.
        root: folder with the unpacked download.
        split: of the recipe's.
        workers: processes; by default one for each core. The result does not depend on it.
        force: make it anew even if it is there.
        progress: show a bar.

    Returns:
        the set, and whether it was made now (not so if it was there, from the same pictures).

    Raises:
        FileProblem: files are missing (all are named, before any work), one cannot be used, or
            the set cannot be written.
        ValueError: there is no such split.
    """
    if split not in recipe.splits:
        raise ValueError(f"{recipe.name} has no split {split!r}; it has {', '.join(recipe.splits)}")
    root = resolve(root)
    folder = prepared_folder(recipe.name, split)
    check_needed([(recipe, root, split)])
    source = _source(recipe, root, split)
    if not force and set_problem(folder) is None and read_set(folder).source == source:
        return read_set(folder), False
    if progress:
        tqdm.write(f"{recipe.name} {split}: reading what {root} holds", file=sys.stderr)
    jobs = recipe.jobs(root, split)
    parts = folder / ".parts"
    _begin(parts, "\n".join([source, *jobs]), force)
    pictures = recipe.picture_folder(root, split)
    try:
        _work(jobs, parts, pictures, f"{recipe.name} {split}", workers or usable_cores(), progress)
    except FileProblem as problem:
        if any(parts.glob("*.npz")):
            frames = f", pictures made of videos below {pictures}" if recipe.elsewhere else ""
            raise FileProblem(
                f"{problem} What was done is kept in {parts}{frames}: the next run goes on there."
            ) from problem
        shutil.rmtree(parts, ignore_errors=True)
        raise
    done = [read_part(parts / f"{name}.npz") for name in jobs]
    if None in done:
        raise FileProblem("a part has gone while the others were made: run the command again.")
    samples = joined(done)
    if len(samples) == 0:
        shutil.rmtree(parts, ignore_errors=True)  # pictures may be there the next time
        reasons = "; ".join(f"{n:,} {reason}" for reason, n in samples.skipped.most_common())
        raise FileProblem(
            f"{recipe.name} {split}: nobody below {root} can be used ({reasons or 'no samples'}). "
            "Is the download whole, and unpacked as docs/real-data.md shows?"
        )
    prepared = put_in_place(
        folder, samples.arrays, name=recipe.name, split=split, images=pictures,
        skipped=samples.skipped, box_factor=recipe.box_factor, source=source,
    )  # fmt: skip
    shutil.rmtree(parts, ignore_errors=True)
    return prepared, True


# Before the work: is every file there?


def check_needed(plans: Iterable[tuple[Recipe, Path, str]]) -> None:
    """Make sure that all files are there of these recipes, below these roots, for these splits.

    Raises:
        FileProblem: some are missing; the message names all of them, and the folder to give
            instead where ROOT is a level too high or too low.
    """
    problems = (_needed_problem(recipe, root, split) for recipe, root, split in plans)
    if different := dict.fromkeys(problem for problem in problems if problem):
        raise FileProblem("\n".join(different))


def _needed_problem(recipe: Recipe, root: Path, split: str) -> str:
    if not os.path.isdir(root):
        return (
            f"{recipe.name}: there is no folder {root}. --root is the folder with the unpacked "
            f"download of {recipe.title}; to register for it: {recipe.registration}"
        )
    needed = recipe.needed(root, split)
    lacking = [(item, lack) for item in needed if (lack := _lack(root, item))]
    if not lacking:
        return ""
    lines = [f"  {item.pattern}: {item.what}, {lack}; in {item.download}" for item, lack in lacking]
    there = len(needed) - len(lacking)
    return (
        f"{recipe.name} {split}: {len(lacking)} of {len(needed)} things needed are not below "
        f"{root}:\n" + "\n".join(lines) + _hint(recipe, root, split, there / len(needed))
    )


def _lack(root: Path, item: Needed) -> str:
    """What is missing of an item, in words; empty if nothing is."""
    if not any(mark in item.pattern for mark in "*?["):
        path = root / item.pattern
        if not os.path.exists(path):
            return "not there"
        if not os.path.isfile(path):
            return "not a file, but something else of that name"
        return "empty" if os.path.getsize(path) == 0 else ""
    count = 0
    for _ in root.glob(item.pattern):
        count += 1
        if count >= item.count:
            return ""
    return f"{count} there, at least {item.count} needed"


def _hint(recipe: Recipe, root: Path, split: str, share: float) -> str:
    """Where the files are instead, if they are near; else where to get them."""
    best, best_share = None, share
    own = (recipe.name, *recipe.folders)
    for folder in sorted(near(root), key=lambda folder: folder.name not in own):
        needed = recipe.needed(folder, split)
        there = sum(not _lack(folder, item) for item in needed) / len(needed)
        if there > best_share:
            best, best_share = folder, there
    if best is None:
        return f"\nTo register and download: {recipe.registration}"
    more = "all of them" if best_share == 1 else "more of them"
    return f"\n{best} has {more}. Is it the folder to give? --root {best}"


def near(root: Path) -> Iterator[Path]:
    """The two folders above, and some of those one and two levels below."""
    yield from root.parents[:2]
    children = _folders(root)
    below = [*children, *(inner for child in children for inner in _folders(child))]
    yield from below[:FOLDERS_TO_TRY]


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir())
    except OSError:  # not ours to read
        return []


def _source(recipe: Recipe, root: Path, split: str) -> str:
    """A digest that changes with the recipe and with the annotation files that it needs.

    Pictures do not count: there are too many to look at each time.
    """
    files = []
    for item in recipe.needed(root, split):
        if item.pattern.endswith((".jpg", ".png")):
            continue
        for path in sorted(root.glob(item.pattern)):
            if path.is_file():
                status = path.stat()
                files.append((str(path), status.st_size, status.st_mtime_ns))
    pictures = str(recipe.picture_folder(root, split))
    content = (recipe.name, split, recipe.version, recipe.box_factor, str(root), pictures, files)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


# The work, in parts that are kept until all are there.


def _begin(parts: Path, plan: str, force: bool) -> None:
    """An empty folder for parts, or the one of an earlier run by the same plan."""
    note = parts / "plan.txt"
    try:
        same = read_text(note) == plan
    except FileProblem:
        same = False
    if parts.exists() and (force or not same):
        shutil.rmtree(parts)
    if not note.exists():
        write_text_whole(note, plan)


def _work(jobs: Jobs, parts: Path, pictures: Path, name: str, workers: int, progress: bool) -> None:
    """Do the jobs whose part is not there or cannot be read."""
    files = {job: parts / f"{job}.npz" for job in jobs}
    left = {
        job: partial(do_job, read, files[job], pictures)
        for job, read in jobs.items()
        if read_part(files[job]) is None
    }
    bar = tqdm(
        total=len(jobs), initial=len(jobs) - len(left), desc=name, unit="part", disable=not progress
    )
    begun = time.monotonic()
    with bar:
        while left and (workers == 1 or len(left) == 1 or time.monotonic() - begun < PATIENCE):
            left.pop(next(iter(left)))()
            bar.update()
        work_in_processes(left, workers, bar.update, "Fewer of them (--workers 1) need less.")


def do_job(read: Callable[[], Samples], part: Path, pictures: Path) -> None:
    """One job, from its files to its part, without the samples that cannot be used."""
    samples = _usable(read(), pictures)
    skipped = np.array(json.dumps(samples.skipped))
    save_npz_whole(part, **samples.arrays, **{_SKIPPED: skipped})


def read_part(path: Path) -> Samples | None:
    """What a job found; None where it is still to be done."""
    try:
        arrays = read_npz(path)
        skipped = parse_json(str(arrays.pop(_SKIPPED, "")), dict[str, int])
    except (FileProblem, ValueError):
        return None
    return Samples(arrays, Counter(skipped))


def _usable(samples: Samples, pictures: Path) -> Samples:
    """Without the samples that nobody could train on, each counted by its reason."""
    if len(samples) == 0:
        return samples
    keep = np.ones(len(samples), bool)
    reasons: Counter[str] = Counter()

    def drop(bad: np.ndarray, reason: str) -> None:
        reasons[reason] += int((bad & keep).sum())
        keep[bad] = False

    with np.errstate(over="ignore"):  # records are kept as float32, whose largest is 3e38
        numbers = {key: value.astype(np.float32) for key, value in samples.arrays.items()
                   if key in NUMBERS}  # fmt: skip
    for key, value in numbers.items():
        sane = np.isfinite(value.reshape(len(samples), -1)).all(1)
        drop(~sane, f"NaN or infinite numbers in '{key}'")
    drop(~(numbers["scale"] > 0), "a box without size")

    @cache
    def problem(name: str) -> str | None:
        return picture_problem(pictures / name)

    for key, what in (("imgname", "picture"), ("maskname", "mask"), ("partname", "part mask")):
        if key in samples.arrays:
            problems = [problem(str(name)) if ok else None
                        for name, ok in zip(samples.arrays[key], keep, strict=True)]  # fmt: skip
            for word in ("missing", "unreadable", "damaged"):
                drop(np.array([p == word for p in problems]), f"{what} {word}")
    arrays = {key: value[keep] for key, value in samples.arrays.items()}
    return replace(samples, arrays=arrays, skipped=samples.skipped + reasons)


def picture_problem(path: Path) -> str | None:
    """None for a picture that can be read; else "missing", "unreadable" or "damaged".

    A JPEG or PNG whose head can be read and whose end is there is taken as whole; others are
    decoded to see. One with more pixels than are ever decoded is damaged.
    """
    if not os.path.exists(path):
        return "missing"
    try:
        with open_regular(path) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            tail = file.read()
    except FileProblem:
        return "unreadable"
    try:
        with open_picture(path) as picture:
            end = _ENDS.get(picture.format or "")
            if end is None or end not in tail:
                picture.load()
    except FileProblem:
        return "damaged"
    return None


# After it: one file of records.


def put_in_place(
    folder: Path, arrays: dict[str, np.ndarray], *, fits: Path | None = None, **about: Any
) -> PreparedSet:
    """Write a set's records under another name, check them, put them in place, note what they are.

    Args:
        folder: of the set.
        arrays: of SPIN's vocabulary.
        fits: released fits of these rows, to be kept beside them.
        about: for the set's note, see `note_set`.

    Raises:
        FileProblem: they are no records, the fits cannot be used, or nothing can be written.
    """
    unchecked = save_npz_whole(folder / ".unchecked" / "records.npz", **arrays)
    try:
        records = Records.open(unchecked)
        chosen = None if fits is None else read_static_fits(fits, records)
        (folder / FITS).unlink(missing_ok=True)  # of other rows
        os.replace(unchecked, folder / "records.npz")
        if chosen is not None:
            save_static_fits(chosen, folder)
        note_set(folder, count=len(records), **about)
    except OSError as error:
        raise FileProblem(
            f"could not write {folder}: {error.strerror or error}. Free some disk space, or point "
            "HMRLAB_HOME at a folder that you may write to, and run the command again."
        ) from error
    finally:
        shutil.rmtree(folder / ".unchecked", ignore_errors=True)
    return read_set(folder)
