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
from hmrlab.data.prepare.recipe import Found, Job, Needed, Recipe
from hmrlab.data.prepare.samples import boxes, named
from hmrlab.files import FileProblem
from hmrlab.unpickling import load_plain

BOX_FACTOR = 1.2
KEYPOINTS_18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's older order, that of its models trained on COCO."""
_KEYS = ("sequence", "poses", "betas", "genders", "poses2d", "cam_poses", "campose_valid")


def needed(root: Path, split: str) -> list[Needed]:
    """The sequences of a split, and a folder of pictures for each that is there."""
    found = [
        Needed(f"sequenceFiles/{split}/*.pkl", "poses of the sequences", "sequenceFiles.zip"),
        Needed("imageFiles/*/image_*.jpg", "pictures of the sequences", "imageFiles.zip"),
    ]
    return found + [
        Needed(f"imageFiles/{path.stem}/image_*.jpg", "a sequence's pictures", "imageFiles.zip")
        for path in _sequences(root, split)
    ]


def jobs(root: Path, split: str) -> list[Job]:
    """One for each sequence, in the order of their names."""
    return [Job(path.stem, partial(read_sequence, path)) for path in _sequences(root, split)]


def read_sequence(path: Path) -> Found:
    """All people of a sequence in all frames with a valid camera, one after the other.

    Raises:
        FileProblem: the file is damaged, would run code, or is of another layout.
    """
    content = load_plain(path)
    if not isinstance(content, dict) or any(key not in content for key in _KEYS):
        has = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise FileProblem(
            f"{path}: expected a sequence of 3DPW with {', '.join(_KEYS)}; found {has}."
        )
    sequence, cameras = str(content["sequence"]), _numbers(path, content, "cam_poses", (4, 4))
    people = [_person(path, content, k, sequence, cameras) for k in range(len(content["poses"]))]
    arrays = {
        key: np.concatenate([person.arrays[key] for person in people])
        for key in (people[0].arrays if people else ())
    }
    return Found(arrays, sum((person.skipped for person in people), Counter()))


def _person(
    path: Path, content: dict[str, Any], number: int, sequence: str, cameras: np.ndarray
) -> Found:
    """One actor of a sequence."""
    frames = len(cameras)
    poses = _numbers(path, content, "poses", (72,), number, frames)
    seen_2d = _numbers(path, content, "poses2d", (3, len(KEYPOINTS_18)), number, frames)
    valid = _numbers(path, content, "campose_valid", (), number, frames) > 0
    betas = _numbers(path, content, "betas", (), number).reshape(-1)
    gender = str(content["genders"][number])[:1].lower()
    if len(betas) < 10 or gender not in ("m", "f", "n"):
        raise FileProblem(
            f"{path}: person {number} needs 10 betas and a gender m, f or n; found {len(betas)} "
            f"and {content['genders'][number]!r}."
        )
    keypoints = named(seen_2d.transpose(0, 2, 1), KEYPOINTS_18, OPENPOSE_NAMES)
    confident = keypoints[..., 2] > 0
    skipped = Counter({
        "camera pose not valid": int((~valid).sum()),
        "no 2D keypoints": int((valid & ~confident.any(1)).sum()),
    })  # fmt: skip
    keep = valid & confident.any(1)
    keypoints, confident = keypoints[keep], confident[keep]
    center, scale = boxes(keypoints[..., :2], confident, BOX_FACTOR)
    rows = np.flatnonzero(keep)
    arrays = {
        "imgname": np.array([f"imageFiles/{sequence}/image_{row:05d}.jpg" for row in rows], str),
        "center": center,
        "scale": scale,
        "openpose": np.where(confident[..., None], keypoints, 0),
        "pose": seen_by(cameras[rows, :3, :3], poses[rows]),
        "shape": np.tile(betas[:10], (len(rows), 1)),
        "gender": np.full(len(rows), gender),
        "actor": np.full(len(rows), number),
    }
    return Found(arrays, +skipped)


def seen_by(cameras: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Poses with the root in the camera's frame instead of the world's.

    Args:
        cameras: (N, 3, 3) rotations from world to camera.
        poses: (N, 72) axis-angles.

    Returns:
        (N, 72); rows with a number that is not finite have none in the root either.
    """
    from scipy.spatial.transform import Rotation

    turned = poses.copy()
    sane = np.isfinite(poses[:, :3]).all(1) & np.isfinite(cameras).all((1, 2))
    turned[~sane, :3] = np.nan
    if sane.any():
        roots = Rotation.from_rotvec(poses[sane, :3])
        turned[sane, :3] = (Rotation.from_matrix(cameras[sane]) * roots).as_rotvec()
    return turned


def _numbers(
    path: Path,
    content: dict[str, Any],
    key: str,
    shape: tuple[int, ...],
    person: int | None = None,
    frames: int | None = None,
) -> np.ndarray:
    """A checked array of a sequence: (frames, *shape), of one person where one is given."""
    where = key if person is None else f"{key}[{person}]"
    try:
        value = np.asarray(content[key] if person is None else content[key][person], np.float64)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise FileProblem(f"{path}: '{where}' is missing or holds no numbers ({error}).") from error
    if value.ndim == 0 or (key != "betas" and value.shape[1:] != shape):
        wanted = ", ".join(map(str, ("frames", *shape)))
        raise FileProblem(f"{path}: '{where}' must have shape ({wanted}), found {value.shape}.")
    if frames is not None and len(value) != frames:
        raise FileProblem(f"{path}: '{where}' has {len(value)} frames, the cameras have {frames}.")
    return value


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
