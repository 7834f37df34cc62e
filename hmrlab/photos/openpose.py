"""OpenPose's files: the keypoints of all people in one picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.files import FileProblem

N_KEYPOINTS = len(OPENPOSE_NAMES)
_FIELDS = ("pose_keypoints_2d", "pose_keypoints")  # since version 1.2, and before
_OTHER_MODELS = {18: "COCO", 15: "MPI"}


def read_openpose(path: str | Path) -> np.ndarray:
    """The people in a file that OpenPose wrote with `--write_json`, its BODY_25 model.

    Both of its version 1's spellings are read, `pose_keypoints_2d` and the older `pose_keypoints`.

    Returns:
        (N, 25, 3) x and y in pixels of the picture (for OpenPose's default `--keypoint_scale 0`)
        and confidence; 0, 0, 0 where a keypoint was not found. N is at least 1.

    Raises:
        FileProblem: it is missing or not such a file, a person has other than 25 keypoints or a
            number that is none, or nobody is in it.
    """
    path = Path(path)
    people = _people(path, _content(path))
    return np.stack([_keypoints(path, number, person) for number, person in enumerate(people)])


def _content(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileProblem(
            f"{path} is missing. OpenPose writes one such file a picture: "
            "openpose --image_dir FOLDER --write_json FOLDER"
        ) from error
    except OSError as error:
        raise FileProblem(f"{path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:  # also of the decoding
        raise FileProblem(
            f"{path} is not JSON, or cut short ({error}). Expected what OpenPose writes with "
            "--write_json; write it anew."
        ) from error


def _people(path: Path, content: object) -> list:
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        found = ", ".join(content) if isinstance(content, dict) else type(content).__name__
        raise FileProblem(
            f'{path}: expected OpenPose\'s JSON with a list "people", found {found or "nothing"}.'
        )
    if not people:
        raise FileProblem(f"{path}: OpenPose found nobody in this picture. Try another one.")
    return people


def _keypoints(path: Path, number: int, person: object) -> np.ndarray:
    where = f"{path}: person {number}"
    fields = [name for name in _FIELDS if isinstance(person, dict) and name in person]
    if not fields:
        raise FileProblem(f"{where} has no {_FIELDS[0]}.")
    try:
        values = np.asarray(person[fields[0]], dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise FileProblem(f"{where}: {fields[0]} is not a list of numbers ({error}).") from error
    if values.shape != (3 * N_KEYPOINTS,):
        raise FileProblem(f"{where}: {_wrong_count(values)}")
    if not np.isfinite(values).all():
        first = int((~np.isfinite(values)).argmax())
        raise FileProblem(
            f"{where}: the {OPENPOSE_NAMES[first // 3]}'s keypoint is {values[first]}, no number. "
            "OpenPose writes 0, 0, 0 for what it did not find."
        )
    return values.reshape(N_KEYPOINTS, 3)


def _wrong_count(values: np.ndarray) -> str:
    expected = f"expected {3 * N_KEYPOINTS} numbers (x, y, confidence of BODY_25's 25 keypoints)"
    model = _OTHER_MODELS.get(values.size // 3) if values.ndim == 1 else None
    if model and values.size % 3 == 0:
        return (
            f"{expected}, found {values.size}: the {values.size // 3} keypoints of OpenPose's "
            f"{model} model. Run it with --model_pose BODY_25."
        )
    return f"{expected}, found {values.size}."
