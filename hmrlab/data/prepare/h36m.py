"""Human3.6M from its official download: CDF files of joints, masks for boxes, videos.

    ROOT/S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf   joints, camera frame, mm
    ROOT/S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf        joints, pixels
    ROOT/S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat      a box's mask for each frame
    ROOT/S1/Videos/Directions 1.54138969.mp4

Samples are SPIN's: every fifth frame from the first; the box is 0.9 of the mask's longer side; 17
joints from the root. One thing differs on purpose: the picture numbered k + 1 shows frame k, the
one that row k of the joints belongs to. SPIN's script for the test subjects read one frame before
it began to count, so that its pictures of them are one frame (20 ms) late.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from hmrlab.data.prepare.cdf import read_cdf
from hmrlab.data.prepare.containers import AGAIN, numbers, open_hdf5, read_mat
from hmrlab.data.prepare.recipe import Jobs, Needed, Recipe, Samples, centred, named
from hmrlab.data.prepare.video import extract_frames
from hmrlab.files import FileProblem

SUBJECTS = {"train": (1, 5, 6, 7, 8), "p1": (9, 11), "p2": (9, 11)}
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
P2_CAMERA = "60457274"
EVERY = 5
BOX_FACTOR = 0.9
SEQUENCES = 30  # of each subject: 15 actions, twice
BROKEN_VIDEOS = (("S11", "Directions.54138969"),)  # damaged as released
JOINTS_32: tuple[str, ...] = (
    "Hips", "RightUpLeg", "RightLeg", "RightFoot", "RightToeBase", "RightToeEnd",
    "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "LeftToeEnd",
    "Spine", "Spine1", "Neck", "Head", "HeadEnd",
    "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "LeftHandThumb", "LeftThumbEnd",
    "LeftWristEnd", "LeftHandEnd",
    "RightShoulder", "RightArm", "RightForeArm", "RightHand", "RightHandThumb", "RightThumbEnd",
    "RightWristEnd", "RightHandEnd",
)  # fmt: skip
"""All joints of the CDF files; names as in its skeleton, the ends of chains named here."""
TO_ANNOTATED: dict[str, str] = {
    "RightFoot": "right_ankle", "RightLeg": "right_knee", "RightUpLeg": "right_hip",
    "LeftUpLeg": "left_hip", "LeftLeg": "left_knee", "LeftFoot": "left_ankle",
    "RightHand": "right_wrist", "RightForeArm": "right_elbow", "RightArm": "right_shoulder",
    "LeftArm": "left_shoulder", "LeftForeArm": "left_elbow", "LeftHand": "left_wrist",
    "RightShoulder": "neck_lsp", "Spine": "pelvis_mpii", "Spine1": "spine_h36m",
    "Head": "jaw_h36m", "HeadEnd": "head_h36m",
}  # fmt: skip
"""SPIN's 17. `Spine` begins where `Hips` is, and `RightShoulder` where `Neck` is."""

_JOINTS_3D = "MyPoseFeatures/D3_Positions_mono"
_JOINTS_2D = "MyPoseFeatures/D2_Positions"
_MASKS = "MySegmentsMat/ground_truth_bb"
_VIDEOS = "Videos"
_STEM = re.compile(r"(?P<stem>[A-Za-z][^.]*\.\d{8})\.cdf(\.mat)?")


def h36m_recipe(images: Path | None = None) -> Recipe:
    """How Human3.6M is prepared; pictures are, or are written to, in `images` or ROOT/images."""
    return Recipe(
        name="h36m",
        splits=("train", "p1", "p2"),
        title="Human3.6M",
        registration="http://vision.imar.ro/human3.6m/",
        licence="academic use only; no redistribution",
        disk="about 35 GB to download and as much unpacked; 50 GB of pictures made from it",
        box_factor=BOX_FACTOR,
        needed=partial(_needed, images),
        jobs=partial(_jobs, images),
        pictures=partial(_pictures, images),
        expected={"train": 312_188},
        elsewhere=h36m_recipe,
        folders=("human36m", "human3.6m", "Human3.6M"),
    )


def read_sequence(root: Path, images: Path, split: str, subject: str, stem: str) -> Samples:
    """The samples of one video; `FileProblem` where a file of it is missing or damaged.

    Args:
        root: folder with S1, S5, ...
        images: folder for its pictures; those that are there already are used as they are.
        split: p1 and p2 need no joints in 2D.
        subject: S1, ...
        stem: "Directions 1.54138969": action and camera, as its files are called.
    """
    folder = root / subject
    joints = read_joints(folder / _JOINTS_3D, stem, 3)
    frames = np.arange(0, len(joints), EVERY)
    if (subject, stem) in BROKEN_VIDEOS:
        return Samples({}, Counter({"the video is damaged as released": len(frames)}))
    annotations = {"S": _annotated(centred(joints[frames], JOINTS_32.index("Spine")))}
    if split == "train":
        points = read_joints(folder / _JOINTS_2D, stem, 2)
        if len(points) != len(joints):
            raise FileProblem(
                f"{folder}: {stem} has {len(points):,} rows in {_JOINTS_2D}, but {len(joints):,} "
                f"in {_JOINTS_3D}. {AGAIN}"
            )
        annotations["part"] = _annotated(points[frames])
    names = np.array([picture_name(subject, stem, frame) for frame in frames])
    boxes = read_boxes(folder / _MASKS / f"{stem}.mat", frames)
    boxed = np.isfinite(boxes).all(1)
    paths = {int(frame): images / name
              for frame, name in zip(frames[boxed], names[boxed], strict=True)}  # fmt: skip
    extraction = extract_frames(folder / _VIDEOS / f"{stem}.mp4", paths)
    keep = boxed & ~extraction.lacks(frames)
    skipped = extraction.skipped + Counter({"the mask is empty": int((~boxed).sum())})
    x0, y0, x1, y1 = boxes[keep].T
    arrays = {
        "imgname": names[keep],
        "center": np.stack([(x0 + x1) / 2, (y0 + y1) / 2], 1),
        "scale": BOX_FACTOR * np.maximum(x1 - x0, y1 - y0) / 200,
        **{key: value[keep] for key, value in annotations.items()},
    }
    return Samples(arrays, skipped)


def _annotated(points: np.ndarray) -> np.ndarray:
    """(n, 32, d) -> (n, 24, d + 1): those of the 17 at their places among the 24."""
    chosen = points[:, [JOINTS_32.index(name) for name in TO_ANNOTATED]]
    return named(chosen, tuple(TO_ANNOTATED.values())).astype(np.float32)


def picture_name(subject: str, stem: str, frame: int) -> str:
    """SPIN's name for a frame's picture, counted from 1: S1_Directions_1.54138969_000001.jpg"""
    return f"{subject}_{stem.replace(' ', '_')}_{frame + 1:06d}.jpg"


def read_joints(folder: Path, stem: str, d: int) -> np.ndarray:
    """Joints of one sequence, (n, 32, d): mm or pixels.

    From the CDF file of the download, or from a .cdf.mat made of it with MATLAB's cdfread.

    Raises:
        FileProblem: there is neither, or it is damaged, or holds something else.
    """
    path, converted = folder / f"{stem}.cdf", folder / f"{stem}.cdf.mat"
    if path.is_file() or not converted.is_file():
        value = read_cdf(path, "Pose")
        value = value[0] if value.ndim == 3 and len(value) == 1 else value
    else:
        path = converted
        value = read_mat(path, "data").get("data", np.zeros(0))
        value = value.flat[0] if value.dtype == object and value.size == 1 else value
    joints = numbers(path, "Pose", value, (None, len(JOINTS_32) * d))
    if not len(joints):
        raise FileProblem(f"{path}: holds no frame. {AGAIN}")
    return joints.reshape(-1, len(JOINTS_32), d)


def read_boxes(path: Path, frames: np.ndarray) -> np.ndarray:
    """Boxes around the masks of some frames, (n, 4): x0, y0, x1, y1 in pixels; NaN if empty.

    Only these masks are read: those of a sequence are some gigabytes.

    Raises:
        FileProblem: the file is missing or damaged, or has no mask for one of the frames.
    """
    boxes = np.full((len(frames), 4), np.nan)
    with open_hdf5(path) as file:
        masks = file.read("Masks").reshape(-1)  # references to (width, height) arrays
        if len(masks) <= frames.max():
            raise FileProblem(
                f"{path}: has {len(masks):,} masks, but the joints have frame {frames.max():,}. "
                f"{AGAIN}"
            )
        for row, frame in enumerate(frames):
            mask = file.referred(masks[frame], f"Masks[{frame}]") == 1
            if mask.ndim != 2:
                raise FileProblem(f"{path}: 'Masks[{frame}]' is no picture: {mask.shape}. {AGAIN}")
            xs, ys = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(xs):
                boxes[row] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
    return boxes


def _pictures(images: Path | None, root: Path, split: str) -> Path:
    return root / "images" if images is None else images


def _stems(folder: Path, split: str) -> list[str]:
    """Names of the sequences whose 3D joints are there, in SPIN's order."""
    names = (path.name for path in folder.glob("*.cdf*"))
    stems = sorted({match["stem"] for name in names if (match := _STEM.fullmatch(name))})
    return [stem for stem in stems if split != "p2" or stem.endswith(P2_CAMERA)]


def _needed(images: Path | None, root: Path, split: str) -> list[Needed]:
    pictures = _pictures(images, root, split)
    subjects = [f"S{number}" for number in SUBJECTS[split]]
    return [item for subject in subjects for item in _of_subject(subject, pictures, root, split)]


def _of_subject(subject: str, pictures: Path, root: Path, split: str) -> list[Needed]:
    """What is needed of a subject: files for each sequence whose joints in 3D are there."""
    cameras = (P2_CAMERA,) if split == "p2" else CAMERAS
    broken = {stem for name, stem in BROKEN_VIDEOS if name == subject}
    count = SEQUENCES * len(cameras) - sum(stem.endswith(cameras) for stem in broken)
    stems = [stem for stem in _stems(root / subject / _JOINTS_3D, split) if stem not in broken]

    def each(folder: str, ending: str, what: str, archive: str, stems: list[str]) -> list[Needed]:
        """A file for each of these sequences; one line for all where there is none."""
        names = [f"{subject}/{folder}/{stem}{ending}" for stem in stems]
        names = [f"{name}.mat" if ending == ".cdf" and (root / f"{name}.mat").is_file() else name
                 for name in names]  # fmt: skip
        archive = f"{archive}_{subject}.tgz"
        if not any((root / name).is_file() for name in names):
            return [Needed(f"{subject}/{folder}/*{ending}*", what, archive, len(stems) or count)]
        return [Needed(name, what, archive) for name in names]

    camera = P2_CAMERA if split == "p2" else "*"
    pattern = f"{subject}/{_JOINTS_3D}/*.{camera}.cdf*"
    needed = [Needed(pattern, "joints in 3D", f"Poses_D3_Positions_mono_{subject}.tgz", count)]
    if split == "train":
        needed += each(_JOINTS_2D, ".cdf", "joints in 2D", "Poses_D2_Positions", stems)
    needed += each(_MASKS, ".mat", "masks of boxes", "Segments_mat_gt_bb", stems)
    # Where a video's pictures are there, it may have been deleted; where both are, it counts,
    # so that what is needed does not change while pictures are made.
    videos = [
        stem
        for stem in stems
        if (root / subject / _VIDEOS / f"{stem}.mp4").is_file()
        or not (pictures / picture_name(subject, stem, 0)).is_file()
    ]
    if videos or not stems:
        needed += each(_VIDEOS, ".mp4", "videos", "Videos", videos)
    return needed


def _jobs(images: Path | None, root: Path, split: str) -> Jobs:
    folder = _pictures(images, root, split)
    return {
        f"{subject}_{stem.replace(' ', '_')}": partial(
            read_sequence, root, folder, split, subject, stem
        )
        for subject in (f"S{number}" for number in SUBJECTS[split])
        for stem in _stems(root / subject / _JOINTS_3D, split)
    }


RECIPE = h36m_recipe()
