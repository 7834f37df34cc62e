"""The set `balance`: a man on a balance beam, seen by four cameras, made once and kept."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from hmrlab import paths
from hmrlab.captures.files import CaptureFiles, find_capture, open_capture
from hmrlab.captures.truth import (
    SEEN,
    THRESHOLD,
    Truth,
    Views,
    find_truth,
    picture_name,
    point_cameras,
    samples_of,
)
from hmrlab.data.dataset import PoseDataset, open_set
from hmrlab.evaluation.joint_sets import ANNOTATED_24, Joints, JointSet, openpose_13
from hmrlab.evaluation.scores import JointErrors, joint_errors
from hmrlab.files import (
    FileProblem,
    one_at_a_time,
    read_json,
    read_npz,
    save_npz_whole,
    whole_folder,
)
from hmrlab.files.clips import read_frames
from hmrlab.files.manifests import MANIFEST, find_damage, write_manifest
from hmrlab.models.blazepose import LANDMARK_NAMES
from hmrlab.photos.finding import FoundPeople, NobodyError
from hmrlab.photos.landmarks import ByEyes

NAME = "balance"
VERSION = 1  # raise it when points or truth would come out differently
QUALITY = 95  # of the pictures, JPEG
RECORDS, TRUTH, EYES = "records.npz", "truth.npz", "eyes.npz"
Find = Callable[[Path, np.ndarray], FoundPeople]


@dataclass(frozen=True)
class CaptureSettings:
    """What decides a capture's truth, beside its files."""

    every: int = 4  # frames: 15 a second of 60
    eyes: str = "full"  # BlazePose's
    least_confidence: float = SEEN
    threshold: float = THRESHOLD
    version: int = VERSION


@dataclass(frozen=True)
class _Note:
    """What is read of the set's manifest."""

    settings: CaptureSettings
    source: str  # digest of the capture's files
    moved: dict[str, list[float]]  # each camera's principal point, pixels; see `point_cameras`


def balance_folder() -> Path:
    """Where the set lies or would lie."""
    return paths.data_dir() / "captures" / NAME


def open_balance(
    source: Path | None = None,
    settings: CaptureSettings = CaptureSettings(),
    *,
    find: Find | None = None,
    progress: bool = True,
) -> PoseDataset:
    """The set; made now, in a minute or two, where it is missing, damaged or of other settings.

    Args:
        source: see `open_capture`. By default the set that is there, of whichever files; where
            there is none, it is made of what `find_capture` finds.
        settings: of the truth.
        find: who is in a picture; by default the eyes that come with hmrlab.
        progress: show a bar.

    Raises:
        FileProblem: there is no capture, it is damaged, or nothing can be written.
    """
    folder = balance_folder()
    if source is None and _why_not(folder, settings) is None:
        return open_set(folder, NAME)
    with open_capture(source or find_capture()) as files, one_at_a_time(folder):
        why = _why_not(folder, settings, files.digest())
        if why is not None:
            if folder.exists():
                print(f"{NAME}: {why}; it is made again.", file=sys.stderr)
            _make(files, settings, find or ByEyes(settings.eyes).find, folder, progress)
    return open_set(folder, NAME)


def read_truth() -> Truth:
    """The truth of the set that is there; FileProblem where there is none."""
    return Truth.read(read_npz(balance_folder() / TRUTH))


def describe_balance() -> str:
    """How well the cameras of the set that is there agree, in words; FileProblem as above."""
    moved = read_json(balance_folder() / MANIFEST, _Note).moved
    words = (f"{name} by ({x:.1f}, {y:.1f})" for name, (x, y) in moved.items())
    return f"{read_truth().describe()}\nprincipal points moved: {', '.join(words)} pixels"


def blazepose_errors(dataset: PoseDataset) -> JointErrors:
    """How far BlazePose's own joints in space are from the truth, of the set's first people.

    They are what it says about one picture, in metres, without a body: what a network or a fit that
    knows no more than that picture is to be held against. Where it saw nobody there is no row.
    """
    world = read_npz(balance_folder() / EYES, shapes={"world": ("N", 33, 3)})["world"]
    world = torch.from_numpy(world[: len(dataset)]).float()
    seen = world.any(2).any(1)
    said = Joints(world[seen], JointSet("BlazePose's landmarks", LANDMARK_NAMES))
    true = Joints(torch.from_numpy(dataset.records.joints_3d[..., :3])[seen], ANNOTATED_24)
    return joint_errors(openpose_13(said), openpose_13(true))


def _why_not(folder: Path, settings: CaptureSettings, source: str | None = None) -> str | None:
    """Why the set in a folder is not the one that is wanted; None if it is."""
    damage = find_damage(folder, (RECORDS, TRUTH, EYES))
    if damage is not None:
        return damage
    try:
        note = read_json(folder / MANIFEST, _Note)
    except FileProblem as problem:
        return str(problem)
    if note.settings != settings:
        return "it was made with other settings"
    return None if source in (None, note.source) else "it was made of other files"


def _make(
    files: CaptureFiles, settings: CaptureSettings, find: Find, folder: Path, progress: bool
) -> None:
    with whole_folder(folder) as new:
        views = look(files, new, settings.every, find, progress)
        cameras = point_cameras(views, files.cameras)
        truth = find_truth(views, cameras)
        samples = samples_of(truth, views, cameras, files.names)
        if not len(samples):
            raise FileProblem(
                f"{files.folder}: in none of {len(views.frame)} frames do three cameras agree on "
                "all joints. Are the videos of these cameras, and of the same time?"
            )
        save_npz_whole(new / EYES, world=samples.arrays.pop("world"))
        save_npz_whole(new / RECORDS, **samples.arrays)
        save_npz_whole(new / TRUTH, **truth.arrays())
        moved = (cameras.intrinsics - files.cameras.intrinsics)[:, :2, 2].tolist()
        note = _Note(settings, files.digest(), dict(zip(files.names, moved, strict=True)))
        write_manifest(new, asdict(note) | {"left_out": samples.skipped})
        shutil.rmtree(folder, ignore_errors=True)  # not before there is a new one


def look(files: CaptureFiles, folder: Path, every: int, find: Find, progress: bool) -> Views:
    """Look at every n-th frame of all cameras, and keep the pictures in a folder.

    The person is the largest in each picture: there is one, and whoever stands by is farther away.
    Frames that a camera lacks are left out.
    """
    found: dict[str, dict[int, FoundPeople | None]] = {}
    with tqdm(unit="picture", desc=f"looking at {NAME}", disable=not progress) as bar:
        for name, video in files.videos.items():
            found[name] = {}
            frames = list(read_frames(video, every))
            bar.total = len(files.names) * len(frames)
            for number, image in frames:
                path = folder / picture_name(name, number)
                Image.fromarray(image).save(path, quality=QUALITY)
                found[name][number] = _largest(find, path, image)
                bar.update()
    common = sorted(set.intersection(*(set(seen) for seen in found.values())))
    shape = (len(common), len(files.names))
    keypoints, world = np.zeros((*shape, 25, 3)), np.zeros((*shape, 33, 3))
    for f, number in enumerate(common):
        for c, name in enumerate(files.names):
            person = found[name][number]
            if person is not None:
                keypoints[f, c] = person.keypoints[0]
                world[f, c] = person.extra["world"][0]
    return Views(np.array(common), keypoints, world)


def _largest(find: Find, path: Path, image: np.ndarray) -> FoundPeople | None:
    try:
        people = find(path, image)
    except NobodyError:
        return None
    return people.rows(people.boxes.side.argmax()[None])
