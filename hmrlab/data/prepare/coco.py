"""COCO 2014: people in photographs from everywhere, 17 keypoints each.

Layout of the official download (`train2014.zip`, `annotations_trainval2014.zip`):

    annotations/person_keypoints_train2014.json
    train2014/COCO_train2014_000000000009.jpg ...

As SPIN: people whose 12 joints of the limbs are all annotated, in a square 1.2 times the longer
side of the annotated box; a keypoint that is annotated counts, visible or not.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.data.prepare.recipe import Jobs, Needed, Recipe, jobs_of, named, picture_names
from hmrlab.files import FileProblem, listed, parse_json, read_bytes

BOX_FACTOR = 1.2
ANNOTATIONS = "annotations/person_keypoints_train2014.json"
MAX_BYTES = 2**28  # of the annotations: half as much again as they have
MAX_LISTS = 10**7  # and objects, each of which takes hundreds of bytes: they have a million
_REMEDY = "Unpack annotations_trainval2014.zip again."
LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)


def needed(root: Path, split: str) -> list[Needed]:
    """Annotations and pictures."""
    return [
        Needed(ANNOTATIONS, "keypoints", "annotations_trainval2014.zip"),
        Needed("train2014/COCO_train2014_*.jpg", "pictures", "train2014.zip"),
    ]


def jobs(root: Path, split: str) -> Jobs:
    """All people with whole limbs, some hundreds in a job."""
    return jobs_of(*read_annotations(root / ANNOTATIONS))


@dataclass(frozen=True)
class _Picture:
    id: int
    file_name: str


@dataclass(frozen=True)
class _Category:
    keypoints: list[str]


@dataclass(frozen=True)
class _Person:
    image_id: int
    bbox: tuple[float, float, float, float]  # left, top, width, height: pixels
    keypoints: list[float] = field(default_factory=list)  # x, y, flag of each
    iscrowd: int = 0


@dataclass(frozen=True)
class _Annotations:
    """The layout of a file of keypoints."""

    categories: list[_Category]
    images: list[_Picture]
    annotations: list[_Person]


def read_annotations(path: Path) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """The people of a file of keypoints, in its order, and those left out by reason.

    Raises:
        FileProblem: it is damaged, or of another layout.
    """
    content = read_bytes(path, MAX_BYTES, f"{path} is missing. {_REMEDY}")
    if content.count(b"[") + content.count(b"{") > MAX_LISTS:
        raise _another_layout(path, f"it has more than {MAX_LISTS:,} lists and objects")
    try:
        file = parse_json(content, _Annotations)
    except ValueError as error:
        raise FileProblem(f"{path}: {error}. {_REMEDY}") from error
    names = file.categories[0].keypoints if file.categories else []
    if not set(LIMBS) <= set(names) <= set(ANNOTATED_NAMES) or len(set(names)) < len(names):
        raise _another_layout(path, f"the keypoints are {listed(names)}")
    limbs = [3 * names.index(name) + 2 for name in LIMBS]
    pictures = {picture.id: picture.file_name for picture in file.images}
    images, numbers, skipped = [], array("d"), Counter()
    for row, person in enumerate(file.annotations):
        points = person.keypoints or [0.0] * (3 * len(names))
        where = f"annotations[{row}]"
        if len(points) != 3 * len(names) or not all(map(isfinite, (*points, *person.bbox))):
            raise _another_layout(
                path,
                f"{where}: expected {3 * len(names)} finite numbers in 'keypoints' and 4 in "
                f"'bbox', found {len(points)} and {person.bbox}",
            )
        if person.image_id not in pictures:
            number = str(person.image_id)[:40]
            raise _another_layout(path, f"{where}.image_id: there is no picture {number}")
        reason = _why_not(person, points, limbs)
        if reason:
            skipped[reason] += 1
        else:
            images.append(pictures[person.image_id])
            numbers.extend((*person.bbox, *points))
    rows = np.frombuffer(numbers).reshape(len(images), 4 + 3 * len(names))
    box, points = rows[:, :4], rows[:, 4:].reshape(-1, len(names), 3)
    annotated = points[:, :, 2] > 0
    arrays = {
        "imgname": np.char.add("train2014/", picture_names(path, "file_name", images)),
        "center": box[:, :2] + box[:, 2:] / 2,
        "scale": BOX_FACTOR * box[:, 2:].max(1) / 200,
        "part": named(points[:, :, :2] * annotated[..., None], names, confidence=annotated),
    }
    return arrays, skipped


def _another_layout(path: Path, why: str) -> FileProblem:
    return FileProblem(f"{path} is of another layout: {why}. {_REMEDY}")


def _why_not(person: _Person, points: list[float], limbs: list[int]) -> str:
    """Why somebody is left out, by the flags of the limbs, whose places these are; empty if not."""
    if person.iscrowd:
        return "a crowd"
    if not any(flag > 0 for flag in points[2::3]):
        return "no keypoints annotated"
    if not all(points[limb] > 0 for limb in limbs):
        return "not all 12 joints of the limbs annotated"
    return ""


RECIPE = Recipe(
    name="coco",
    splits=("train",),
    title="COCO 2014 keypoints",
    registration="https://cocodataset.org/#download",
    licence="annotations CC BY 4.0, pictures under Flickr's terms of use; no registration",
    disk="train2014.zip, 13 GB, as much again unpacked; annotations_trainval2014.zip, 241 MB",
    box_factor=BOX_FACTOR,
    needed=needed,
    jobs=jobs,
    folders=("COCO", "coco2014"),
)
