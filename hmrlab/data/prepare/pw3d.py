"""3DPW: people in the wild, their bodies known from IMUs and the camera's own pose.

Layout of the official download (`imageFiles.zip`, `sequenceFiles.zip`):

    imageFiles/<sequence>/image_00000.jpg ...
    sequenceFiles/{train,validation,test}/<sequence>.pkl

Each pickle (Python 2) holds for I frames and P people: `poses` P x (I, 72), `betas` P x (10 or
more), `genders` P x "m" or "f", `poses2d` P x (I, 3, 18) x, y and confidence in OpenPose's order
of 18, `cam_poses` (I, 4, 4) from world to camera, `campose_valid` P x (I,).

As SPIN's `preprocess/pw3d.py`: frames with a valid camera, the root turned into the camera's
frame, a box 1.2 times that of the 2D keypoints that were seen. `pose` and `shape` are those of
the gendered bodies.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.data.prepare.containers import numbers
from hmrlab.data.prepare.recipe import (
    Jobs,
    Needed,
    Recipe,
    Samples,
    boxes,
    joined,
    named,
    picture_names,
)
from hmrlab.files import FileProblem, listed
from hmrlab.unpickling import load_plain

BOX_FACTOR = 1.2
KEYPOINTS_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's older order, that of its models trained on COCO."""
MAX_PEOPLE = 20  # in a sequence; it shows two at most
_MAX_ANGLE = 1e6  # radians: an axis-angle beyond is damage
_OFF = 0.05  # by which a rotation times its transpose may miss the identity
_KEYS = ("sequence", "poses", "betas", "genders", "poses2d", "cam_poses", "campose_valid")


def needed(root: Path, split: str) -> list[Needed]:
    """The sequences of a split, and a folder of pictures for each that is there."""
    needed = [
        Needed(f"sequenceFiles/{split}/*.pkl", "poses of the sequences", "sequenceFiles.zip"),
        Needed("imageFiles/*/image_*.jpg", "pictures of the sequences", "imageFiles.zip"),
    ]
    return needed + [
        Needed(f"imageFiles/{path.stem}/image_*.jpg", "a sequence's pictures", "imageFiles.zip")
        for path in _sequences(root, split)
    ]


def jobs(root: Path, split: str) -> Jobs:
    """One for each sequence, in the order of their names."""
    return {path.stem: partial(read_sequence, path) for path in _sequences(root, split)}


def read_sequence(path: Path) -> Samples:
    """All people of a sequence in all frames with a valid camera, one after the other.

    Raises:
        FileProblem: the file is damaged, would run code, or is of another layout.
    """
    content = load_plain(path)
    if not isinstance(content, dict) or any(key not in content for key in _KEYS):
        has = listed(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise FileProblem(
            f"{path}: expected a sequence of 3DPW with {', '.join(_KEYS)}; found {has}."
        )
    cameras = numbers(path, "cam_poses", content["cam_poses"], (None, 4, 4))
    names = [f"imageFiles/{content['sequence']}/image_{row:05d}.jpg" for row in range(len(cameras))]
    pictures = picture_names(path, "sequence", names)
    _of(path, content, "poses", 0)
    n_people = len(content["poses"])
    if n_people > MAX_PEOPLE:
        raise FileProblem(f"{path}: 'poses' has {n_people:,} people; two or so are expected.")
    return joined([_person(path, content, k, pictures, cameras) for k in range(n_people)])


def _person(
    path: Path, content: dict[str, Any], number: int, pictures: np.ndarray, cameras: np.ndarray
) -> Samples:
    """One actor of a sequence."""

    def array(key: str, *shape: int) -> np.ndarray:
        value = numbers(path, f"{key}[{number}]", _of(path, content, key, number), (None, *shape))
        if key != "betas" and len(value) != len(cameras):
            raise FileProblem(
                f"{path}: '{key}[{number}]' has {len(value)} frames, the cameras have "
                f"{len(cameras)}."
            )
        return value

    poses = array("poses", 72)
    seen_2d = array("poses2d", 3, len(KEYPOINTS_18))
    valid = array("campose_valid") > 0
    betas = array("betas")
    text = _of(path, content, "genders", number)
    gender = text[:1].lower() if isinstance(text, str) else ""
    if len(betas) < 10 or gender not in ("m", "f", "n"):
        raise FileProblem(
            f"{path}: person {number} needs 10 betas and a gender m, f or n; found {len(betas)} "
            f"and {text!r:.40}."
        )
    points = seen_2d.transpose(0, 2, 1)
    keypoints = named(points[..., :2], KEYPOINTS_18, OPENPOSE_NAMES, points[..., 2])
    confident = keypoints[..., 2] > 0
    skipped = Counter({
        "camera pose not valid": int((~valid).sum()),
        "no 2D keypoints": int((valid & ~confident.any(1)).sum()),
    })  # fmt: skip
    keep = valid & confident.any(1)
    keypoints, confident = keypoints[keep], confident[keep]
    center, scale = boxes(keypoints[..., :2], BOX_FACTOR, confident)
    rows = np.flatnonzero(keep)
    _must_be_rotations(path, number, rows, cameras, poses)
    arrays = {
        "imgname": pictures[rows],
        "center": center,
        "scale": scale,
        "openpose": np.where(confident[..., None], keypoints, 0),
        "pose": seen_by(cameras[rows, :3, :3], poses[rows]),
        "shape": np.tile(betas[:10], (len(rows), 1)),
        "gender": np.full(len(rows), gender),
        "actor": np.full(len(rows), number),
    }
    return Samples(arrays, +skipped)


def seen_by(cameras: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Poses (N, 72) with the root in the camera's frame instead of the world's.

    By rotations (N, 3, 3) from world to camera. Rows with a number that is not finite have none in
    the root either.
    """
    from scipy.spatial.transform import Rotation

    turned = poses.copy()
    sane = np.isfinite(poses[:, :3]).all(1) & np.isfinite(cameras).all((1, 2))
    turned[~sane, :3] = np.nan
    if sane.any():
        roots = Rotation.from_rotvec(poses[sane, :3])
        turned[sane, :3] = (Rotation.from_matrix(cameras[sane]) * roots).as_rotvec()
    return turned


def _must_be_rotations(
    path: Path, number: int, rows: np.ndarray, cameras: np.ndarray, poses: np.ndarray
) -> None:
    """Refuse poses and cameras in these rows that are no turns, whatever is not finite aside."""
    largest = np.abs(poses[rows, :3]).max(1)
    wild = rows[np.isfinite(largest) & (largest > _MAX_ANGLE)]
    if len(wild):
        raise FileProblem(
            f"{path}: 'poses[{number}]' has no angles in row {wild[0]}: {poses[wild[0], :3]}."
        )
    turns = cameras[rows, :3, :3]
    finite = np.isfinite(turns).all((1, 2))
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
        none = rows[finite & ~((off < _OFF) & (np.linalg.det(turns) > 0))]
    if len(none):
        raise FileProblem(
            f"{path}: 'cam_poses' is no rotation in row {none[0]}, where 'campose_valid' says that "
            f"it is: {cameras[none[0], :3, :3].tolist()}."
        )


def _of(path: Path, content: dict[str, Any], key: str, number: int) -> Any:
    """What a sequence's list has for a person; `FileProblem` where it has nothing."""
    values = content[key]
    if not isinstance(values, list | tuple | np.ndarray) or getattr(values, "ndim", 1) == 0:
        raise FileProblem(
            f"{path}: '{key}' must be a list with an entry for each person, found "
            f"{type(values).__name__}."
        )
    if number >= len(values):
        raise FileProblem(f"{path}: '{key}[{number}]' is missing: '{key}' has {len(values)}.")
    return values[number]


def _sequences(root: Path, split: str) -> list[Path]:
    return sorted((root / "sequenceFiles" / split).glob("*.pkl"))


RECIPE = Recipe(
    name="3dpw",
    splits=("train", "validation", "test"),
    title="3D Poses in the Wild (3DPW)",
    registration="https://virtualhumans.mpi-inf.mpg.de/3DPW/",
    licence="for non-commercial scientific research; accept the licence on the page",
    disk="about 5 GB of zips, as much again unpacked",
    box_factor=BOX_FACTOR,
    needed=needed,
    jobs=jobs,
    expected={"test": 35_515},
    folders=("3DPW",),
)
