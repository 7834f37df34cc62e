"""OpenPose's files: the keypoints of all people in one picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.files import FileProblem, read_bytes, read_json
from hmrlab.photos.boxes import FARTHEST

N_KEYPOINTS = len(OPENPOSE_NAMES)
MOST_PEOPLE = 100  # of one picture: each takes about a second to draw
_MAX_BYTES = 16 * 2**20  # 100 people with hands and face take 1
_OTHER_MODELS = {18: "COCO", 15: "MPI"}
_REMEDY = "Expected what OpenPose writes with --write_json; write it anew."


@dataclass(frozen=True)
class _Person:
    """In both of OpenPose's spellings: since version 1.2, and before."""

    pose_keypoints_2d: list[float] | None = None
    pose_keypoints: list[float] | None = None


@dataclass(frozen=True)
class _Picture:
    people: list[_Person]


def read_openpose(path: str | Path) -> np.ndarray:
    """The people in a file that OpenPose wrote with `--write_json`, its BODY_25 model.

    Both of its version 1's spellings are read, `pose_keypoints_2d` and the older `pose_keypoints`.

    Returns:
        (N, 25, 3) x and y in pixels of the picture (for OpenPose's default `--keypoint_scale 0`)
        and confidence; 0, 0, 0 where a keypoint was not found. N is 1 to 100.

    Raises:
        FileProblem: it is missing or not such a file, a person has other than 25 keypoints or a
            number that is none, or nobody is in it, or more than 100 are.
    """
    people = read_json(
        path, _Picture, max_bytes=_MAX_BYTES, remedy=_REMEDY, missing=_missing(path)
    ).people
    if not people:
        raise FileProblem(f"{path}: OpenPose found nobody in this picture. Try another one.")
    if len(people) > MOST_PEOPLE:
        raise FileProblem(
            f"{path}: {len(people):,} people; at most {MOST_PEOPLE} are taken at a time. Write "
            'some of the list "people" into a file of its own.'
        )
    return np.stack([_keypoints(path, number, person) for number, person in enumerate(people)])


def openpose_digest(path: str | Path) -> str:
    """The SHA-256 of such a file, hexadecimal.

    Raises:
        FileProblem: it is missing, no regular file, or too large for one.
    """
    return hashlib.sha256(read_bytes(path, _MAX_BYTES, _missing(path))).hexdigest()


def _missing(path: str | Path) -> str:
    return (
        f"{path} is missing. OpenPose writes one such file a picture: "
        "openpose --image_dir FOLDER --write_json FOLDER"
    )


def _keypoints(path: str | Path, number: int, person: _Person) -> np.ndarray:
    where = f"{path}: person {number}"
    numbers = (
        person.pose_keypoints if person.pose_keypoints_2d is None else person.pose_keypoints_2d
    )
    if numbers is None:
        raise FileProblem(f"{where} has no pose_keypoints_2d. {_REMEDY}")
    if len(numbers) != 3 * N_KEYPOINTS:
        raise FileProblem(f"{where}: {_wrong_count(len(numbers))}")
    values = np.array(numbers)
    usable = np.abs(values) <= FARTHEST
    if not usable.all():
        first = int((~usable).argmax())
        raise FileProblem(
            f"{where}: the {OPENPOSE_NAMES[first // 3]}'s keypoint is {values[first]}, no number "
            "of a pixel. OpenPose writes 0, 0, 0 for what it did not find."
        )
    return values.reshape(N_KEYPOINTS, 3)


def _wrong_count(found: int) -> str:
    expected = f"expected {3 * N_KEYPOINTS} numbers (x, y, confidence of BODY_25's 25 keypoints)"
    model = _OTHER_MODELS.get(found // 3) if found % 3 == 0 else None
    if model is None:
        return f"{expected}, found {found}."
    return (
        f"{expected}, found {found}: the {found // 3} keypoints of OpenPose's {model} model. Run "
        "it with --model_pose BODY_25."
    )
