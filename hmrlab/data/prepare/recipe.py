"""What it takes to turn a data set's official download into records: a recipe for each set.

A recipe says which files it needs and splits the work into jobs: one sequence, or some hundreds of
pictures. `hmrlab.data.prepare.runner` does the rest: it checks all files first, runs the jobs in
processes, keeps what each found, so that a run that is killed goes on, and joins them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.files import FileProblem, resolve

AT_ONCE = 500  # samples in a job, where a set comes with one file of annotations for all
MAX_PEOPLE = 200_000  # in one file of annotations: seven times those of COCO
_MAX_NAME = 100  # characters


@dataclass(frozen=True)
class Needed:
    """Files of a download that must be there before the work begins."""

    pattern: str  # below ROOT, with / on any system; may hold * ? [] as `Path.glob` reads them
    what: str  # in words: "joint annotations"
    download: str  # the archive that holds it: "sequenceFiles.zip"
    count: int = 1  # so many files or folders at least


@dataclass(frozen=True)
class Samples:
    """Samples of one job; those left out are counted by reason."""

    arrays: dict[str, np.ndarray]  # (n, ...) by key of SPIN's vocabulary; others are kept as well
    skipped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values()), ()))


Jobs = dict[str, Callable[[], Samples]]
"""Pieces of work by name (letters, digits, - _ .), each done whole or not at all, in any process.

Each is a function at the top level of a module, or `functools.partial` of one, as pickle can send
them. It raises `FileProblem` where a file that was there cannot be used at all.
"""


@dataclass(frozen=True)
class Recipe:
    """One data set.

    `needed` and `jobs` are called with ROOT and the split; `jobs` only once all that is needed is
    there. Jobs are joined in their order, which must not depend on the machine.
    """

    name: str  # as in the command: "3dpw"
    splits: tuple[str, ...]
    title: str
    registration: str  # web address
    licence: str  # in words
    disk: str  # in words: what is downloaded, and what it takes unpacked
    box_factor: float  # the box's side is so many times the longer side of the keypoints' own box
    needed: Callable[[Path, str], list[Needed]]
    jobs: Callable[[Path, str], Jobs]
    pictures: Callable[[Path, str], Path] | None = None
    """Folder that imgname, maskname and partname are relative to; by default ROOT."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Samples by split of SPIN's own released files, where known."""
    elsewhere: Callable[[Path], Recipe] | None = None
    """For videos: the same recipe with the pictures made of them in another folder (--images)."""
    folders: tuple[str, ...] = ()
    """Names of the folder that the download unpacks to, to be found beside those of other sets."""
    version: int = 1
    """Raise it when the same download would come out differently: unfinished work starts anew."""

    def root_below(self, root: Path) -> Path:
        """This set's own folder where ROOT holds those of several; ROOT itself if there is none."""
        names = (self.name, *self.folders)
        return next((root / name for name in names if os.path.isdir(root / name)), root)

    def picture_folder(self, root: Path, split: str) -> Path:
        """Where this split's pictures lie, absolute."""
        return resolve(self.pictures(root, split) if self.pictures else root)


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of all, one after the other; `ValueError` where they have not the same keys."""
    some = [part for part in parts if len(part)]
    if any(part.arrays.keys() != some[0].arrays.keys() for part in some):
        raise ValueError("the jobs of a set must find the same keys")
    keys = tuple(some[0].arrays) if some else ()
    arrays = {key: np.concatenate([part.arrays[key] for part in some]) for key in keys}
    return Samples(arrays, sum((part.skipped for part in parts), Counter()))


def jobs_of(arrays: dict[str, np.ndarray], skipped: Counter[str] | None = None) -> Jobs:
    """Jobs of samples that are read already, some hundreds in each: their pictures are checked."""
    jobs: Jobs = {}
    for first in range(0, max(len(arrays["imgname"]), 1), AT_ONCE):
        rows = {key: value[first : first + AT_ONCE] for key, value in arrays.items()}
        samples = Samples(rows, Counter() if first else Counter(skipped))
        jobs[f"from-{first:06d}"] = partial(_unchanged, samples)
    return jobs


def _unchanged(samples: Samples) -> Samples:
    return samples


def picture_names(path: Path, key: str, names: Sequence[str]) -> np.ndarray:
    """Names (N,) of a file of annotations; `FileProblem` where one could not be a picture's."""
    if len(names) > MAX_PEOPLE:
        raise FileProblem(
            f"{path}: '{key}' names {len(names):,} pictures; at most {MAX_PEOPLE:,} are expected."
        )
    for row, name in enumerate(names):
        inside = not name.startswith("/") and ".." not in name.split("/")
        if not (name and inside and len(name) <= _MAX_NAME and name.isprintable()):
            raise FileProblem(
                f"{path}: '{key}' of row {row} is no name of a picture: {name[:60]!r}."
            )
    return np.array(names, str)


def named(
    points: np.ndarray,
    names: Sequence[str],
    into: Sequence[str] = ANNOTATED_NAMES,
    confidence: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Keypoints in another order, by name.

    Args:
        points: (N, J, d) places.
        names: of the J, each of them in `into`.
        into: the names in the other order, by default those of the 24 annotated ones.
        confidence: (N, J), or one for all.

    Returns:
        (N, len(into), d + 1) places and confidence; zero where there is no such keypoint.
    """
    n, n_joints, d = points.shape
    if n_joints != len(names):
        raise ValueError(f"{n_joints} keypoints with {len(names)} names")
    result = np.zeros((n, len(into), d + 1))
    columns = [into.index(name) for name in names]
    result[:, columns, :d] = points
    result[:, columns, d] = confidence
    return result


def boxes(
    points: np.ndarray, factor: float, seen: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The square about the middle of each person's keypoints' box.

    Args:
        points: (N, J, 2) pixels.
        factor: the square's side by the longer side of the box.
        seen: (N, J) bool, which of them count; by default all.

    Returns:
        center (N, 2) and scale (N,), the side by 200 pixels; 0 for somebody without keypoints.
    """
    seen = np.ones(points.shape[:2], bool) if seen is None else seen
    high = np.where(seen[..., None], points, -np.inf).max(1)
    low = np.where(seen[..., None], points, np.inf).min(1)
    some = seen.any(1)
    high, low = np.where(some[:, None], high, 0), np.where(some[:, None], low, 0)
    return (low + high) / 2, factor * (high - low).max(1) / 200


def centred(points: np.ndarray, root: int) -> np.ndarray:
    """(n, J, 3) in mm -> in metres from the root joint, by its number."""
    return (points - points[:, [root]]) / 1000.0
