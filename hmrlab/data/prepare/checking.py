"""Looks before and after the work: is every file there, can every picture and number be used?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from hmrlab.data.prepare.recipe import Converted, Needed, Recipe
from hmrlab.data.records import NUMBERS
from hmrlab.files import FileProblem, open_picture, open_regular

FOLDERS_TO_TRY = 200  # when ROOT is wrong: so many below it are looked at for the right one
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_TAIL = 64  # bytes: what follows the end of a whole picture in practice is shorter


def check_needed(recipe: Recipe, root: Path, split: str) -> None:
    """Make sure that all files of a split are there.

    Raises:
        FileProblem: some are missing; the message names all of them, and the folder to give
            instead where ROOT is a level too high or too low.
    """
    if not os.path.isdir(root):
        raise FileProblem(
            f"{recipe.name}: there is no folder {root}. --root is the folder with the unpacked "
            f"download of {recipe.title}; to register for it: {recipe.registration}"
        )
    needed = recipe.needed(root, split)
    lacking = [(item, lack) for item in needed if (lack := _lack(root, item))]
    if not lacking:
        return
    lines = [f"  {item.pattern}: {item.what}, {lack}; in {item.download}" for item, lack in lacking]
    there = len(needed) - len(lacking)
    raise FileProblem(
        f"{recipe.name} {split}: {len(lacking)} of {len(needed)} things needed are not below "
        f"{root}:\n" + "\n".join(lines) + _hint(recipe, root, split, there / len(needed))
    )


def check_all(plans: Iterable[tuple[Recipe, Path, str]]) -> None:
    """`check_needed` for several sets and splits, before the first of them is begun.

    Raises:
        FileProblem: with what is missing of all of them.
    """
    problems = []
    for recipe, root, split in plans:
        try:
            check_needed(recipe, root, split)
        except FileProblem as problem:
            if str(problem) not in problems:
                problems.append(str(problem))
    if problems:
        raise FileProblem("\n".join(problems))


def _lack(root: Path, item: Needed) -> str:
    """What is missing of an item, in words; empty if nothing is."""
    single = not any(mark in item.pattern for mark in "*?[")
    if single:
        path = root / item.pattern
        if not os.path.exists(path):
            return "not there"
        if not os.path.isfile(path):
            return "not a file, but something else of that name"
        return "empty" if os.path.getsize(path) == 0 else ""
    found = 0
    for _ in root.glob(item.pattern):
        found += 1
        if found >= item.count:
            return ""
    return f"{found} there, at least {item.count} needed"


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


def usable(found: Converted, folder: Path) -> Converted:
    """Without the samples that nobody could train on, each counted by its reason.

    Args:
        found: of a job.
        folder: that the names of its pictures and masks are relative to.
    """
    if len(found) == 0:
        return found
    keep = np.ones(len(found), bool)
    reasons: Counter[str] = Counter()

    def drop(bad: np.ndarray, reason: str) -> None:
        bad = bad & keep
        if bad.any():
            reasons[reason] += int(bad.sum())
            keep[bad] = False

    with np.errstate(over="ignore"):  # records are kept as float32, whose largest is 3e38
        numbers = {key: value.astype(np.float32) for key, value in found.arrays.items()
                   if key in NUMBERS}  # fmt: skip
    for key, value in numbers.items():
        sane = np.isfinite(value.reshape(len(found), -1)).all(1)
        drop(~sane, f"NaN or infinite numbers in '{key}'")
    drop(~(numbers["scale"] > 0), "a box without size")

    @cache
    def problem(name: str) -> str | None:
        return picture_problem(folder / name)

    for key, what in (("imgname", "picture"), ("maskname", "mask"), ("partname", "part mask")):
        if key in found.arrays:
            problems = [problem(str(name)) if ok else None
                        for name, ok in zip(found.arrays[key], keep, strict=True)]  # fmt: skip
            for word in ("missing", "unreadable", "damaged"):
                drop(np.array([p == word for p in problems]), f"{what} {word}")
    arrays = {key: value[keep] for key, value in found.arrays.items()}
    return replace(found, arrays=arrays, skipped=found.skipped + reasons)


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
