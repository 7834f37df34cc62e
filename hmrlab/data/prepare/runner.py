"""Prepare a data set: check, work in processes, go on after a kill, join, check again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hmrlab.data.prepare.checking import check_needed
from hmrlab.data.prepare.parts import do_job, part_path, read_part
from hmrlab.data.prepare.recipe import Converted, Job, Recipe
from hmrlab.data.prepared import (
    PreparedSet,
    note_set,
    prepared_folder,
    read_set,
    set_problem,
)
from hmrlab.data.records import Records
from hmrlab.data.static_fits import NAME as FITS
from hmrlab.files import FileProblem, read_text, resolve, save_npz_whole, write_text_whole
from hmrlab.ledger.machine import usable_cores
from hmrlab.processes import work_in_processes

PATIENCE = 3.0  # seconds: a set that is done so quickly is not worth starting processes for
_PICTURES = (".jpg", ".png")


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
    check_needed(recipe, root, split)
    source = _source(recipe, root, split)
    if not force and set_problem(folder) is None and read_set(folder).source == source:
        return read_set(folder), False
    if progress:
        tqdm.write(f"{recipe.name} {split}: reading what {root} holds", file=sys.stderr)
    jobs = recipe.jobs(root, split)
    parts = folder / ".parts"
    _begin(parts, source, jobs, force)
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
    found = _joined([read_part(part_path(parts, job)) for job in jobs])
    if len(found) == 0:
        shutil.rmtree(parts, ignore_errors=True)  # pictures may be there the next time
        reasons = "; ".join(f"{n:,} {reason}" for reason, n in found.skipped.most_common())
        raise FileProblem(
            f"{recipe.name} {split}: nobody below {root} can be used ({reasons or 'no samples'}). "
            "Is the download whole, and unpacked as docs/real-data.md shows?"
        )
    return _finish(recipe, split, folder, pictures, source, found), True


def _source(recipe: Recipe, root: Path, split: str) -> str:
    """A digest that changes with the recipe and with the annotation files that it needs.

    Pictures do not count: there are too many to look at each time.
    """
    files = []
    for item in recipe.needed(root, split):
        if item.pattern.endswith(_PICTURES):
            continue
        for path in sorted(root.glob(item.pattern)):
            if path.is_file():
                status = path.stat()
                files.append((str(path), status.st_size, status.st_mtime_ns))
    pictures = str(recipe.picture_folder(root, split))
    content = (recipe.name, split, recipe.version, recipe.box_factor, str(root), pictures, files)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _begin(parts: Path, source: str, jobs: list[Job], force: bool) -> None:
    """An empty folder for parts, or the one of an earlier run with the same source and jobs."""
    names = [job.name for job in jobs]
    if len(set(names)) < len(names):
        raise ValueError("the jobs of a set must have different names")
    plan = "\n".join([source, *names])
    note = parts / "plan.txt"
    try:
        same = read_text(note) == plan
    except FileProblem:
        same = False
    if parts.exists() and (force or not same):
        shutil.rmtree(parts)
    if not note.exists():
        write_text_whole(note, plan)


def _work(
    jobs: list[Job], parts: Path, pictures: Path, name: str, workers: int, progress: bool
) -> None:
    """Do the jobs whose part is not there or cannot be read."""
    left = [job for job in jobs if read_part(part_path(parts, job)) is None]
    bar = tqdm(
        total=len(jobs), initial=len(jobs) - len(left), desc=name, unit="part", disable=not progress
    )
    begun = time.monotonic()
    with bar:
        while left and (workers == 1 or len(left) == 1 or time.monotonic() - begun < PATIENCE):
            do_job(left.pop(0), parts, pictures)
            bar.update()
        if left:
            work = {job.name: partial(do_job, job, parts, pictures) for job in left}
            work_in_processes(work, workers, bar.update, "Fewer of them (--workers 1) need less.")


def _joined(parts: list[Converted | None]) -> Converted:
    """All jobs' samples, in the order of the jobs."""
    if None in parts:
        raise FileProblem("a part has gone while the others were made: run the command again.")
    some = [part for part in parts if len(part)]
    if any(part.arrays.keys() != some[0].arrays.keys() for part in some):
        raise ValueError("the jobs of a set must find the same keys")
    keys = tuple(some[0].arrays) if some else ()
    arrays = {key: np.concatenate([part.arrays[key] for part in some]) for key in keys}
    return Converted(arrays, sum((part.skipped for part in parts), Counter()))


def _finish(
    recipe: Recipe, split: str, folder: Path, pictures: Path, source: str, found: Converted
) -> PreparedSet:
    """Write the records under another name, check them, put them in place, note what they are."""
    unchecked = save_npz_whole(folder / ".parts" / "records.npz", **found.arrays)
    Records.open(unchecked)
    try:
        (folder / FITS).unlink(missing_ok=True)  # of other rows
        os.replace(unchecked, folder / "records.npz")
        note_set(
            folder,
            name=recipe.name,
            split=split,
            images=pictures,
            count=len(found),
            skipped=found.skipped,
            box_factor=recipe.box_factor,
            source=source,
        )
        shutil.rmtree(folder / ".parts")
    except OSError as error:
        raise FileProblem(
            f"could not write {folder}: {error.strerror or error}. Free some disk space, or point "
            "HMRLAB_HOME at a folder that you may write to, and run the command again."
        ) from error
    return read_set(folder)
