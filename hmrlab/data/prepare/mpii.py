"""MPII Human Pose: everyday activities, up to 16 joints of each person.

Layout of the official download (`mpii_human_pose_v1.tar.gz`, `mpii_human_pose_v1_u12_2.zip`):

    images/000001163.jpg ...
    mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat

SPIN reads `train.h5` instead, which the authors of the stacked hourglass network made from it
(keys imgname, center, scale, part); where it lies in ROOT or in ROOT/annot it is preferred. It
holds only those training people that their own validation does not use, so SPIN's file is shorter
than what comes of the `.mat`.

As SPIN: people with all 16 joints, in a square of 1.25 times the annotated height about the
annotated middle, which is moved down by 15 pixels for each 200 of height.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from hmrlab.data.prepare.containers import numbers, open_hdf5, read_mat
from hmrlab.data.prepare.recipe import Jobs, Needed, Recipe, jobs_of, named, picture_names
from hmrlab.files import FileProblem, listed

BOX_FACTOR = 1.25  # of the annotated height, not of the keypoints' box
MOVED_DOWN = 15.0  # pixels for each 200 of height
JOINTS_16 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "pelvis_mpii", "thorax_mpii", "neck_lsp", "top_of_head_lsp",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
"""By their numbers in the files; MPII's upper neck and head top are LSP's."""
_H5 = ("annot/train.h5", "train.h5")
_MAT = tuple(
    f"{folder}mpii_human_pose_v1_u12_1.mat"
    for folder in ("mpii_human_pose_v1_u12_2/", "mpii_human_pose_v1_u12_1/", "annot/", "")
)


def needed(root: Path, split: str) -> list[Needed]:
    """One file of annotations, and pictures."""
    return [
        Needed(_annotations(root), "annotations", "mpii_human_pose_v1_u12_2.zip"),
        Needed("images/*.jpg", "pictures", "mpii_human_pose_v1.tar.gz"),
    ]


def jobs(root: Path, split: str) -> Jobs:
    """All people for training, some hundreds in a job."""
    path = root / _annotations(root)
    people = read_h5(path) if path.suffix == ".h5" else read_release(path)
    known = (people["joints"] > 0).all((1, 2))  # unknown ones are at 0
    arrays = {
        "imgname": np.char.add("images/", people["imgname"][known]),
        "center": people["center"][known],
        "scale": people["scale"][known],
        "part": named(people["joints"][known], JOINTS_16),
    }
    return jobs_of(arrays, +Counter({"not all 16 joints annotated": int((~known).sum())}))


def read_h5(path: Path) -> dict[str, np.ndarray]:
    """The people of a `train.h5`, in its order, boxes as it has them.

    Returns:
        imgname (N,) text, center (N, 2) pixels, scale (N,), joints (N, 16, 2) pixels.

    Raises:
        FileProblem: it is damaged, or of another layout.
    """
    shapes = {"center": (2,), "scale": (), "part": (len(JOINTS_16), 2)}
    with open_hdf5(path) as file:
        missing = [key for key in ("imgname", *shapes) if key not in file.names()]
        if missing:
            raise FileProblem(
                f"{path}: has no {', '.join(missing)}; it has {listed(file.names())}. "
                "Expected the stacked hourglass network's annotations of MPII."
            )
        names = _texts(path, file.read("imgname"))
        arrays = {
            key: numbers(path, key, file.read(key), (len(names), *shape))
            for key, shape in shapes.items()
        }
    return {"imgname": names, "joints": arrays.pop("part"), **arrays}


def read_release(path: Path) -> dict[str, np.ndarray]:
    """The training people of the official `.mat`, in its order; see `read_h5`.

    Joints that are not annotated are at 0. People without box or joints are left out: nothing is
    known of them.
    """
    release = read_mat(path, "RELEASE").get("RELEASE")
    names, people = [], []
    try:
        training = _field(release, "img_train").flatten()
        pictures = _field(release, "annolist").flatten()
        for picture, is_training in zip(pictures, training, strict=True):
            rectangles = _field(picture, "annorect") if is_training else None
            for person in () if rectangles is None else rectangles.flatten():
                box_and_joints = _person(person)
                if box_and_joints is not None:
                    names.append(str(_field(_field(picture, "image"), "name").item()))
                    people.append(box_and_joints)
    except Exception as error:  # structs in structs of anything else may raise anything
        raise FileProblem(
            f"{path}: not the layout of mpii_human_pose_v1_u12_1.mat, of whose RELEASE the fields "
            f"img_train and annolist are read ({type(error).__name__}: {error})."
        ) from error
    centers, scales, joints = zip(*people, strict=True) if people else ((), (), ())
    return {
        "imgname": picture_names(path, "annolist.image.name", names),
        "center": np.array(centers, np.float64).reshape(-1, 2),
        "scale": np.array(scales, np.float64),
        "joints": np.array(joints, np.float64).reshape(-1, len(JOINTS_16), 2),
    }


def _person(person: np.void) -> tuple[tuple[float, float], float, np.ndarray] | None:
    """Middle and scale of the square, and joints (16, 2), of a rectangle's person."""
    scale, middle = _field(person, "scale"), _field(person, "objpos")
    points = _field(_field(person, "annopoints"), "point")
    if scale is None or middle is None or points is None:
        return None
    joints = np.zeros((len(JOINTS_16), 2))
    for point in points.flatten():
        x, y, number = (float(_field(point, name).item()) for name in ("x", "y", "id"))
        if number not in range(len(JOINTS_16)):
            raise ValueError(f"a point's id is {number}; expected 0 to {len(JOINTS_16) - 1}")
        joints[int(number)] = x, y
    x, y = (float(_field(middle, name).item()) for name in ("x", "y"))
    size = float(scale.item())
    return (x, y + MOVED_DOWN * size), BOX_FACTOR * size, joints


def _field(struct: np.ndarray | np.void | None, name: str) -> np.ndarray | None:
    """A field of a single MATLAB struct; None where it is not there or empty."""
    if struct is None or struct.size == 0 or name not in (struct.dtype.names or ()):
        return None
    value = np.asarray(struct[name] if struct.ndim == 0 else struct.flatten()[0][name])
    return value if value.size else None


def _texts(path: Path, names: np.ndarray) -> np.ndarray:
    """Pictures' names: texts, or in older files the numbers of their characters, a name a row."""
    if names.ndim == 2 and names.dtype.kind in "fiu":
        codes = numbers(path, "imgname", names, (None, None))
        if not ((codes >= 0) & (codes < 128)).all():
            raise FileProblem(f"{path}: 'imgname' must hold the numbers of ASCII's characters.")
        texts = [bytes(row[row > 0]) for row in codes.astype(np.uint8)]
    elif names.ndim == 1 and names.dtype.kind in "SO":
        texts = names.tolist()
    else:
        raise FileProblem(
            f"{path}: 'imgname' must hold n texts, or n rows of the numbers of characters, found "
            f"{names.dtype} {names.shape}."
        )
    try:
        return picture_names(path, "imgname", [text.decode() for text in texts])
    except UnicodeDecodeError as error:
        raise FileProblem(f"{path}: 'imgname' is no UTF-8 text: {error.object!r:.60}.") from error


def _annotations(root: Path) -> str:
    """The file of annotations that is there, relative to ROOT; else the one to be there."""
    return next((name for name in (*_H5, *_MAT) if os.path.lexists(root / name)), _MAT[0])


RECIPE = Recipe(
    name="mpii",
    splits=("train",),
    title="MPII Human Pose",
    registration="http://human-pose.mpi-inf.mpg.de",
    licence="free for research, no commercial use; no registration",
    disk="mpii_human_pose_v1.tar.gz, 12 GB, as much again unpacked",
    box_factor=BOX_FACTOR,
    needed=needed,
    jobs=jobs,
    folders=("mpii_human_pose_v1", "MPII"),
)
