"""Who is in a photo: boxes that were given, OpenPose's keypoints, a detector, or just one person.

Each way is a `Finder`; its `key` tells what decides the result, by which a photo that is done is
known again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from hmrlab.files import FileProblem
from hmrlab.photos.boxes import BOX_FACTOR, Boxes, why_no_box
from hmrlab.photos.detect import Detector, people_among
from hmrlab.photos.openpose import openpose_digest, read_openpose

KEYPOINT_NAMES = ("{stem}_keypoints.json", "{stem}.json")  # OpenPose's own name first


class NobodyFoundError(ValueError):
    """There is nobody to show in a photo; the message says why."""


@dataclass(frozen=True)
class FoundPeople:
    """N people of a photo."""

    boxes: Boxes
    numbers: tuple[int, ...]  # which person of the input each is
    left_out: dict[int, str] = field(default_factory=dict)  # the others' numbers, and why
    keypoints: np.ndarray | None = None  # (N, 25, 3) OpenPose's: pixels of the photo, confidence
    score: np.ndarray | None = None  # (N,) a detector's
    coco_keypoints: np.ndarray | None = None  # (N, 17, 3) a detector's: pixels of the photo, score

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, index: Tensor) -> FoundPeople:
        """Some of the people, by position."""
        places = index.numpy()
        some = {
            name: None if values is None else values[places]
            for name, values in (
                ("keypoints", self.keypoints),
                ("score", self.score),
                ("coco_keypoints", self.coco_keypoints),
            )
        }
        numbers = tuple(self.numbers[k] for k in places)
        return FoundPeople(self.boxes.rows(index), numbers, self.left_out, **some)


class Finder(Protocol):
    """A way to find the people of photos."""

    def key(self, photo: Path) -> str:
        """What decides who is found in a photo, besides the photo itself."""
        ...

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        """The people of a photo.

        Raises:
            NobodyFoundError: there are none.
            FileProblem: a file that tells them cannot be used.
        """
        ...


@dataclass(frozen=True)
class InBoxes:
    """Everybody has a box that was given."""

    rectangles: np.ndarray  # (N, 4) left, top, width, height, pixels
    factor: float = 1.0  # of the box's side

    def key(self, photo: Path) -> str:
        return f"boxes {self.rectangles.tolist()} x {self.factor:g}"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        try:
            boxes = Boxes.of(self.rectangles, image.shape[:2], self.factor)
        except ValueError as error:
            raise NobodyFoundError(str(error)) from error
        return FoundPeople(boxes, tuple(range(len(boxes))))


@dataclass(frozen=True)
class Whole:
    """Each photo shows one person and little else."""

    def key(self, photo: Path) -> str:
        return "whole"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        try:
            return FoundPeople(Boxes.whole(image.shape[:2]), (0,))
        except ValueError as error:
            raise NobodyFoundError(str(error)) from error


@dataclass(frozen=True)
class ByKeypoints:
    """OpenPose has seen the photo: its JSON file, or a folder with one for each photo."""

    where: Path

    def key(self, photo: Path) -> str:
        return f"keypoints {openpose_digest(self.file(photo))}"

    def file(self, photo: Path) -> Path:
        """The file of one photo's keypoints.

        Raises:
            FileProblem: there is none in the folder.
        """
        if not self.where.is_dir():
            return self.where
        names = [name.format(stem=photo.stem) for name in KEYPOINT_NAMES]
        for name in names:
            if (self.where / name).is_file():
                return self.where / name
        raise FileProblem(f"{self.where} has no keypoints of {photo.name}: no {' or '.join(names)}")

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        people = read_openpose(self.file(photo))
        size = image.shape[:2]
        reasons = {k: why for k, one in enumerate(people) if (why := why_no_box(one, size))}
        kept = [k for k in range(len(people)) if k not in reasons]
        if not kept:
            listed = "; ".join(f"person {k}: {why}" for k, why in reasons.items())
            raise NobodyFoundError(f"nobody to show ({listed})")
        return FoundPeople(Boxes.around(people[kept]), tuple(kept), reasons, keypoints=people[kept])


@dataclass(frozen=True)
class ByDetector:
    """A detector looks for people; those who are surely people are numbered by its score."""

    detector: Detector
    least_score: float

    def key(self, photo: Path) -> str:
        return f"detected at {self.least_score:g} or more"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        seen = self.detector(image)
        people = people_among(seen, self.least_score)
        if not len(people.scores):
            best = f"the best guess is {seen.scores.max():.0%}" if len(seen.scores) else "no guess"
            raise NobodyFoundError(
                f"the detector saw nobody with {self.least_score:.0%} or more ({best}). "
                "Give a box (--box), or ask for less (--least-score)"
            )
        corners = people.boxes
        rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        try:
            boxes = Boxes.of(rectangles, image.shape[:2], BOX_FACTOR)
        except ValueError as error:
            raise NobodyFoundError(f"the detector's {error}") from error
        return FoundPeople(
            boxes,
            tuple(range(len(boxes))),
            score=people.scores,
            coco_keypoints=people.keypoints,
        )
