"""MPI-INF-3DHP from its official download: annotations, cameras and videos; the test set.

    ROOT/S1/Seq1/annot.mat                        joints of all cameras, pixels and mm
    ROOT/S1/Seq1/camera.calibration
    ROOT/S1/Seq1/imageSequence/video_0.avi        from vnect_cameras.zip
    ROOT/mpi_inf_3dhp_test_set/TS1/annot_data.mat
    ROOT/mpi_inf_3dhp_test_set/TS1/imageSequence/img_000001.jpg

Samples are SPIN's: eight cameras of which five stand at the chest's height; people with all of 17
joints in the picture, and every tenth of those; the box is 1.2 of the joints'; 17 joints from the
pelvis, of `annot3` for training and of `univ_annot3` (everybody as tall as Human3.6M's skeleton)
for the test, whose invalid frames are left out.

What differs on purpose. SPIN's script matches pictures to annotations in the order in which the
file system lists them, here each carries its frame's number; it counts to ten over all videos, here
each video begins anew; and in frames 3759 to 5852 of S4/Seq2 left and right are reported to be
swapped, so those are left out.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hmrlab.data.prepare.containers import AGAIN, numbers, open_hdf5, read_mat
from hmrlab.data.prepare.recipe import Jobs, Needed, Recipe, Samples, boxes, centred, named
from hmrlab.data.prepare.video import extract_frames, picture_size
from hmrlab.files import FileProblem, read_text

SUBJECTS = tuple(range(1, 9))
SEQUENCES = (1, 2)
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)  # vnect_cameras.zip
TEST_SEQUENCES = tuple(range(1, 7))
EVERY = 10
BOX_FACTOR = 1.2
SWAPPED = {(4, 2): range(3759, 5853)}  # frames by subject and sequence
SHORT_VIDEOS = ((6, 2, 2),)  # subject, sequence, camera: shorter than its annotations, as released
JOINTS_28: tuple[str, ...] = (
    "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top",
    "left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_clavicle", "right_shoulder", "right_elbow", "right_wrist", "right_hand",
    "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe",
    "right_hip", "right_knee", "right_ankle", "right_foot", "right_toe",
)  # fmt: skip
"""Joints of the training annotations."""
JOINTS_17: tuple[str, ...] = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip",
    "left_knee", "left_ankle", "pelvis", "spine", "head",
)  # fmt: skip
"""Joints of the test annotations."""
TO_ANNOTATED: dict[str, str] = {
    **{f"{side}_{joint}": f"{side}_{joint}" for side in ("right", "left")
       for joint in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")},
    "neck": "neck_lsp", "pelvis": "pelvis_mpii", "spine": "spine_h36m", "head": "jaw_h36m",
    "head_top": "head_h36m",
}  # fmt: skip
"""SPIN's 17 of both."""

_TEST = "mpi_inf_3dhp_test_set"
_HEADER = "Skeletool Camera Calibration File"
_MAX_CALIBRATION = 2**20  # bytes
_MAX_SIDE = 65_535  # pixels
_OUTSIDE = "a joint is outside the picture"
_MAX_FRAME = 1_000_000
_SAME_PLACE = 20.0  # pixels of 2048: sound files agree to thousandths


def mpi_inf_3dhp_recipe(images: Path | None = None) -> Recipe:
    """How MPI-INF-3DHP is prepared.

    Training pictures are, or are written to, in `images` or ROOT, as
    S1/Seq1/imageFrames/video_0/frame_000001.jpg.
    """
    return Recipe(
        name="mpi-inf-3dhp",
        splits=("train", "test"),
        title="MPI-INF-3DHP",
        registration="https://vcai.mpi-inf.mpg.de/3dhp-dataset/",
        licence="non-commercial research only; no redistribution",
        disk="train: 10 GB to download and 60 GB of pictures made from it; test: 7 GB, twice that "
        "while it is unpacked",
        box_factor=BOX_FACTOR,
        needed=partial(_needed, images),
        jobs=partial(_jobs, images),
        pictures=partial(_pictures, images),
        expected={"train": 96_507, "test": 2_929},
        elsewhere=mpi_inf_3dhp_recipe,
        folders=("mpi_inf_3dhp",),
    )


def read_video(root: Path, images: Path, subject: int, sequence: int, camera: int) -> Samples:
    """The training samples of one video; `FileProblem` where its files are not whole or fitting."""
    place = f"S{subject}/Seq{sequence}"
    annotations = root / place / "annot.mat"
    frames, points, joints = read_annotations(annotations, camera)
    calibration = root / place / "camera.calibration"
    cameras = read_calibration(calibration)
    if camera not in cameras:
        raise FileProblem(f"{calibration}: has no camera {camera}. Download it again.")
    studio = cameras[camera]
    points = _chosen(points, JOINTS_28)
    _must_agree(annotations, studio, points, _chosen(joints, JOINTS_28))
    inside = _inside(points, studio.width, studio.height)
    rows = np.flatnonzero(inside)[::EVERY]
    skipped = Counter({_OUTSIDE: int((~inside).sum())})
    swapped = np.isin(frames[rows], np.array(SWAPPED.get((subject, sequence), ())))
    if swapped.any():
        skipped["left and right are swapped"] = int(swapped.sum())
        rows = rows[~swapped]
    names = [f"{place}/imageFrames/video_{camera}/frame_{frame + 1:06d}.jpg"
             for frame in frames[rows]]  # fmt: skip
    paths = {int(frame): images / name for frame, name in zip(frames[rows], names, strict=True)}
    video = root / place / "imageSequence" / f"video_{camera}.avi"
    short = (subject, sequence, camera) in SHORT_VIDEOS
    extraction = extract_frames(video, paths, may_be_short=short)
    keep = ~extraction.lacks(frames[rows])
    rows, names = rows[keep], np.array(names)[keep]
    if len(names):
        _must_have_size(studio, images / names[0])
    metres = centred(joints[rows], JOINTS_28.index("pelvis"))
    skipped += extraction.skipped
    return _samples(names, points[rows], _chosen(metres, JOINTS_28), skipped)


def read_test_sequence(root: Path, number: int) -> Samples:
    """The test samples of one sequence; `FileProblem` where a file or a picture is not there."""
    place = f"{_TEST}/TS{number}"
    path = root / place / "annot_data.mat"
    with open_hdf5(path) as file:
        valid = numbers(path, "valid_frame", file.read("valid_frame").reshape(-1), (None,)) != 0
        points, joints = file.read("annot2"), file.read("univ_annot3")
    points = numbers(path, "annot2", points, (len(valid), 1, len(JOINTS_17), 2))[:, 0]
    joints = numbers(path, "univ_annot3", joints, (len(valid), 1, len(JOINTS_17), 3))[:, 0]
    frames = np.flatnonzero(valid)
    names = np.array([f"{place}/imageSequence/img_{frame + 1:06d}.jpg" for frame in frames])
    missing = [name for name in names if not os.path.isfile(root / name)]
    if missing:
        raise FileProblem(
            f"{root}: {len(missing):,} of {len(names):,} pictures of valid frames are missing "
            f"(first: {missing[0]}). {AGAIN}"
        )
    points = _chosen(points[frames], JOINTS_17)
    metres = _chosen(centred(joints[frames], JOINTS_17.index("pelvis")), JOINTS_17)
    sizes = [_size_of(root / name) for name in names]
    inside = np.array([_inside(one[None], *size)[0]
                       for one, size in zip(points, sizes, strict=True)], bool)  # fmt: skip
    invalid = int((~valid).sum())
    skipped = Counter({"the frame is not valid": invalid, _OUTSIDE: int((~inside).sum())})
    return _samples(names[inside], points[inside], metres[inside], skipped)


def read_annotations(path: Path, camera: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `annot.mat` has for one camera.

    Returns:
        numbers of its n frames from 0, joints in pixels (n, 28, 2), in mm before it (n, 28, 3).

    Raises:
        FileProblem: the file is missing or damaged, or lacks the camera.
    """
    content = read_mat(path, "annot2", "annot3", "cameras", "frames")
    for key in ("annot2", "annot3"):
        if key not in content or content[key].dtype != object:
            raise FileProblem(f"{path}: has no cells '{key}', one for each camera. {AGAIN}")
    cells = content["annot2"].size
    there = content.get("cameras", np.arange(cells)).reshape(-1)
    place = np.flatnonzero(there == camera)
    if not len(place) or place[0] >= min(cells, content["annot3"].size):
        raise FileProblem(f"{path}: has no annotations of camera {camera}. {AGAIN}")
    points, joints = (
        numbers(path, key, content[key].reshape(-1)[place[0]], (None, len(JOINTS_28) * d))
        for key, d in (("annot2", 2), ("annot3", 3))
    )
    if len(points) != len(joints):
        raise FileProblem(
            f"{path}: camera {camera} has {len(points):,} rows in annot2, but {len(joints):,} in "
            f"annot3. {AGAIN}"
        )
    frames = content.get("frames", np.arange(len(points))).reshape(-1)
    frames = numbers(path, "frames", frames, (None,))
    if not ((frames >= 0) & (frames <= _MAX_FRAME)).all():
        raise FileProblem(f"{path}: 'frames' must hold numbers of frames, from 0. {AGAIN}")
    if len(frames) != len(points):
        raise FileProblem(
            f"{path}: numbers {len(frames):,} frames, but camera {camera} has {len(points):,} "
            f"rows. {AGAIN}"
        )
    shape = (len(points), len(JOINTS_28))
    return frames.astype(int), points.reshape(*shape, 2), joints.reshape(*shape, 3)


@dataclass(frozen=True)
class StudioCamera:
    """One camera without distortion."""

    width: int  # pixels
    height: int
    intrinsic: np.ndarray  # (3, 3)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) in the camera's frame, in any unit -> (..., 2) pixels."""
        image = points @ self.intrinsic.T
        return image[..., :2] / image[..., 2:]


def read_calibration(path: Path) -> dict[int, StudioCamera]:
    """All cameras of a file, by their number.

    The text has a block for each camera: `name 0`, then `sensor`, `size` (pixels), `animated`,
    `intrinsic` and `extrinsic` (4 x 4, row by row), `radial`.

    Raises:
        FileProblem: it is missing or no such text, or lacks something of a camera.
    """
    lines = read_text(path, _MAX_CALIBRATION, f"{path} is missing. Download it again.").splitlines()
    if not lines or not lines[0].startswith(_HEADER):
        raise FileProblem(f"{path}: does not begin with '{_HEADER}'. Download it again.")
    blocks: dict[int, dict[str, list[float]]] = {}
    block: dict[str, list[float]] = {}
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            if words[0] == "name":
                block = blocks.setdefault(int(words[1]), {})
            else:
                block[words[0]] = [float(word) for word in words[1:]]
        except (ValueError, IndexError) as error:
            raise FileProblem(f"{path}, line {number}: cannot be read ({error}): {line}") from error
    return {name: _camera(path, name, block) for name, block in blocks.items()}


def _camera(path: Path, name: int, block: dict[str, list[float]]) -> StudioCamera:
    for key, count in (("size", 2), ("intrinsic", 16)):
        if len(block.get(key, ())) != count:
            raise FileProblem(
                f"{path}: camera {name} must have {count} numbers for '{key}', found "
                f"{len(block.get(key, ()))}. The text may be cut short: download it again."
            )
    if not all(0 < side <= _MAX_SIDE for side in block["size"]):
        raise FileProblem(
            f"{path}: camera {name} must have a 'size' of 1 to {_MAX_SIDE:,} pixels, found "
            f"{block['size']}. Download it again."
        )
    width, height = (int(side) for side in block["size"])
    return StudioCamera(width, height, np.reshape(block["intrinsic"], (4, 4))[:3, :3])


def _inside(points: np.ndarray, width: float, height: float) -> np.ndarray:
    """(n, J, 2) -> (n,): whether all joints are in the picture."""
    return ((points >= 0) & (points < np.array([width, height]))).all((1, 2))


def _samples(
    names: np.ndarray, points: np.ndarray, metres: np.ndarray, skipped: Counter[str]
) -> Samples:
    """SPIN's arrays of n people, from 17 joints in pixels and in metres from the root."""
    center, scale = boxes(points, BOX_FACTOR)
    among_24 = tuple(TO_ANNOTATED.values())
    arrays = {
        "imgname": names,
        "center": center,
        "scale": scale,
        "part": named(points, among_24).astype(np.float32),
        "S": named(metres, among_24).astype(np.float32),
    }
    return Samples(arrays, +skipped)


def _chosen(points: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """(n, J, d) -> (n, 17, d): the joints that have a place among the 24."""
    return points[:, [names.index(name) for name in TO_ANNOTATED]]


def _must_agree(path: Path, camera: StudioCamera, points: np.ndarray, joints: np.ndarray) -> None:
    """The camera must see the joints where the annotations say that it does."""
    apart = np.linalg.norm(camera.project(joints) - points, axis=-1)
    if len(apart) and not np.median(apart) < _SAME_PLACE:
        raise FileProblem(
            f"{path}: annot3, seen by the camera of camera.calibration, is {np.median(apart):.0f} "
            "pixels beside annot2. One of the two files belongs to another sequence: download both "
            "again."
        )


def _must_have_size(camera: StudioCamera, path: Path) -> None:
    """A picture must be as large as those that the joints were annotated in."""
    if path.is_file() and picture_size(path) != (camera.width, camera.height):
        width, height = picture_size(path)
        raise FileProblem(
            f"{path}: is {width} x {height}, but the joints are in pixels of "
            f"{camera.width} x {camera.height}. Make the pictures from the videos as they are."
        )


def _size_of(path: Path) -> tuple[float, float]:
    try:
        return picture_size(path)
    except FileProblem:  # the runner leaves it out, and says why
        return np.inf, np.inf


def _pictures(images: Path | None, root: Path, split: str) -> Path:
    return root if images is None or split == "test" else images


def _needed(images: Path | None, root: Path, split: str) -> list[Needed]:
    if split == "test":
        folders = [f"{_TEST}/TS{number}" for number in TEST_SEQUENCES]
        download = "mpi_inf_3dhp_test_set.zip (get_testset.sh)"
        items = (("annot_data.mat", "annotations"), ("imageSequence/img_*.jpg", "pictures"))
        return [Needed(f"{folder}/{name}", what, download)
                for name, what in items for folder in folders]  # fmt: skip
    needed = []
    for place in (f"S{subject}/Seq{sequence}" for subject in SUBJECTS for sequence in SEQUENCES):
        needed += [
            Needed(f"{place}/annot.mat", "annotations", "annot.mat (get_dataset.sh)"),
            Needed(f"{place}/camera.calibration", "cameras", "camera.calibration"),
        ]
        for camera in CAMERAS:
            video = f"{place}/imageSequence/video_{camera}.avi"
            made = _pictures(images, root, split) / place / "imageFrames" / f"video_{camera}"
            if (root / video).is_file() or not any(made.glob("frame_*.jpg")):
                needed.append(Needed(video, "a video", f"{place}/imageSequence/vnect_cameras.zip"))
    return needed


def _jobs(images: Path | None, root: Path, split: str) -> Jobs:
    if split == "test":
        return {f"TS{n}": partial(read_test_sequence, root, n) for n in TEST_SEQUENCES}
    folder = _pictures(images, root, split)
    return {
        f"S{s}_Seq{q}_video_{camera}": partial(read_video, root, folder, s, q, camera)
        for s in SUBJECTS
        for q in SEQUENCES
        for camera in CAMERAS
    }


RECIPE = mpi_inf_3dhp_recipe()
