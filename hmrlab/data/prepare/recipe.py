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
from pathlib import Path
from typing import Any

import numpy as np

from hmrlab.files import resolve


@dataclass(frozen=True)
class Needed:
    """Files of a download that must be there before the work begins."""

    pattern: str  # below ROOT, with / on any system; may hold * ? [] as `Path.glob` reads them
    what: str  # in words: "joint annotations"
    download: str  # the archive that holds it: "sequenceFiles.zip"
    count: int = 1  # so many files or folders at least


@dataclass(frozen=True)
class Converted:
    """Samples of one job; those left out are counted by reason."""

    arrays: dict[str, np.ndarray]  # (n, ...) by key of SPIN's vocabulary; others are kept as well
    skipped: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(
        cls, samples: Sequence[Mapping[str, Any]], skipped: Mapping[str, int] | None = None
    ) -> Converted:
        """From samples one by one; all must have the same keys.

        Raises:
            ValueError: they have not.
        """
        keys = tuple(samples[0]) if samples else ()
        if any(set(sample) != set(keys) for sample in samples):
            raise ValueError("samples of one job must have the same keys")
        arrays = {key: np.stack([np.asarray(sample[key]) for sample in samples]) for key in keys}
        return cls(arrays, Counter(skipped or {}))

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values()), ()))


@dataclass(frozen=True)
class Job:
    """A piece of work that is done whole or not at all, in any process.

    `read` must be picklable: a function at the top level of a module, or `functools.partial` of
    one. It raises `FileProblem` where a file that was there cannot be used at all.
    """

    name: str  # different for each job of a set; letters, digits, - _ .
    read: Callable[[], Converted]


@dataclass(frozen=True)
class Recipe:
    """One data set.

    `needed` and `jobs` are called with ROOT and the split; `jobs` only once all that is needed is
    there. Jobs are joined in the order of the list, which must not depend on the machine.
    """

    name: str  # as in the command: "3dpw"
    splits: tuple[str, ...]
    title: str
    registration: str  # web address
    licence: str  # in words
    disk: str  # in words: what is downloaded, and what it takes unpacked
    box_factor: float  # the box's side is so many times the longer side of the keypoints' own box
    needed: Callable[[Path, str], list[Needed]]
    jobs: Callable[[Path, str], list[Job]]
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
