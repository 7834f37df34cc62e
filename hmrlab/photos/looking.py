"""The people of a clip or of a folder of photographs, each cropped and labelled, kept by source.

    KEY.jpegs   their crops
    KEY.npz     what is known of them, and what was left out; written last

KEY is a digest of the source's files and of all settings. So whoever is stopped goes on at the
source where they were, and a set that grows looks at its new sources alone.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from hmrlab.bodies.joints import ANNOTATED_NAMES, OPENPOSE_NAMES
from hmrlab.data.images import MARGIN, crop_box
from hmrlab.data.prepare.recipe import Samples, joined, named
from hmrlab.data.shards import to_jpeg, write_jpeg_shard
from hmrlab.files import (
    Count,
    FileProblem,
    check_shapes,
    parse_json,
    printable,
    read_npz,
    save_npz_whole,
)
from hmrlab.files.clips import read_frames, read_header
from hmrlab.geometry import apply_affine, crop_matrix
from hmrlab.geometry.crops import REFERENCE_SIDE
from hmrlab.photos.boxes import read_photo
from hmrlab.photos.finding import Finder, FoundPeople, NobodyError
from hmrlab.photos.sources import Source

VERSION = 1  # raise it when the same files would come out differently
QUALITY = 95  # of the crops' jpegs
LOOKS_A_SECOND = 3.0  # of a clip: between two of them a moving person has another pose
USUAL_RATE = 30.0  # frames a second, of clips that do not say
CERTAIN = 0.5  # confidence below which a keypoint is no label: what is hidden is only guessed
LEAST_SIDE = 64.0  # pixels of a person's box
LIMBS = tuple(
    OPENPOSE_NAMES.index(f"{side}_{joint}")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
LEAST_LIMBS = 8  # of these twelve; of a portrait a fit would invent the rest
# Where both conventions mean the same place; by hips annotators mean another than the eyes do.
SHARED = tuple(name for name in ANNOTATED_NAMES if name in OPENPOSE_NAMES and "hip" not in name)
_ABOUT = "about__"  # key of what is not an array, as JSON
_SHAPES = {
    "imgname": ("N",), "origin": ("N",), "center": ("N", 2), "scale": ("N",),
    "openpose": ("N", 25, 3), "part": ("N", 24, 3),
}  # fmt: skip


@dataclass(frozen=True)
class OwnSettings:
    """What decides how a source's people are made into samples."""

    every: int | None = None  # of a clip's frames; None: some each second, by its own rate
    resolution: int = 256  # side of the crops that trainings are to cut out, pixels

    @property
    def size(self) -> int:
        """Side of a stored crop, pixels."""
        return round(MARGIN * self.resolution)

    def step(self, source: Source) -> int:
        """Of a clip, how many frames lead from one look to the next; FileProblem if it is none."""
        if self.every is not None:
            return self.every
        rate = read_header(source.path).rate
        return max(1, round((rate if 1 <= rate <= 1000 else USUAL_RATE) / LOOKS_A_SECOND))


@dataclass(frozen=True)
class About:
    """What became of a source's pictures."""

    pictures: Count = 0  # looked at
    skipped: dict[str, Count] = field(default_factory=dict)  # people and pictures, by reason
    problems: dict[str, str] = field(
        default_factory=dict
    )  # files that cannot be used, a sentence each
    size: int = 0  # bytes of the crops


@dataclass(frozen=True)
class Seen:
    """The people of a source."""

    source: Source
    samples: Samples
    about: About


def pictures_in(source: Source, settings: OwnSettings) -> int:
    """How many there are to look at, as far as headers tell."""
    if source.photos:
        return len(source.photos)
    with suppress(FileProblem):
        return -(-read_header(source.path).frames // settings.step(source))
    return 0


def key_of(source: Source, finder: Finder, settings: OwnSettings) -> str:
    """16 hexadecimal digits of all that decides what is found in a source."""
    every = 0
    if not source.photos:
        with suppress(FileProblem):  # which is told when it is looked at
            every = settings.step(source)
    made_by = (VERSION, finder.key(source.path), every, settings.resolution, source.digest)
    return hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:16]


def look_at(
    source: Source,
    finder: Finder,
    settings: OwnSettings,
    path: Path,
    done: Callable[[], object],
) -> Seen:
    """Find the people of a source, and keep them as `path`; `done` is called after each picture."""
    problems: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    people: list[_People] = []
    pictures = 0
    for label, image in _pictures_of(source, settings, problems):
        try:
            found = finder.find(source.path, image)
            skipped["people of whom the eyes were not sure"] += len(found.left_out)
            people.append(_people_of(image, found, label, settings.size, skipped))
        except NobodyError:
            skipped["pictures in which nobody was seen"] += 1
        pictures += 1
        done()
    if printable(source.path) in problems:  # a clip is used whole or not at all
        people.clear()
    jpegs = [jpeg for one in people for jpeg in one.jpegs]
    arrays = joined([one.samples for one in people]).arrays
    size = 0
    if jpegs:
        shard = path.with_suffix(".jpegs")
        size = write_jpeg_shard(shard, jpegs).stat().st_size
        arrays["imgname"] = np.array([f"{shard.name}#{row}" for row in range(len(jpegs))])
    about = About(pictures, dict(+skipped), problems, size)
    save_npz_whole(path, **arrays, **{_ABOUT: np.array(json.dumps(asdict(about)))})
    return Seen(source, Samples(arrays, Counter(about.skipped)), about)


def _pictures_of(
    source: Source, settings: OwnSettings, problems: dict[str, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each picture (H, W, 3) uint8 with a name; what cannot be read is noted."""
    if not source.photos:
        try:
            for number, image in read_frames(source.path, settings.step(source)):
                yield f"{_label(source.path)}/frame {number}", image
        except FileProblem as problem:
            problems[printable(source.path)] = printable(problem)
    for photo in source.photos:
        try:
            yield _label(photo), read_photo(photo)
        except FileProblem as problem:
            problems[printable(photo)] = printable(problem)


def _label(path: Path) -> str:
    """A file's name, and its folder's: clips of several cameras are often called alike."""
    return printable(f"{path.parent.name}/{path.name}")


@dataclass(frozen=True)
class _People:
    """Those of one picture."""

    jpegs: list[bytes]  # their crops
    samples: Samples


def _people_of(
    image: np.ndarray, found: FoundPeople, label: str, size: int, skipped: Counter[str]
) -> _People:
    """The people of a picture who can be learned from; the others are counted."""
    certain = found.keypoints[..., 2] >= CERTAIN
    small = found.boxes.side.numpy() < LEAST_SIDE
    cut = certain[:, LIMBS].sum(1) < LEAST_LIMBS
    skipped[f"people of fewer than {LEAST_SIDE:g} pixels"] += int(small.sum())
    skipped[f"people of whom fewer than {LEAST_LIMBS} of 12 joints are seen"] += int(
        (cut & ~small).sum()
    )
    found = found.rows(torch.from_numpy(np.flatnonzero(~small & ~cut)))
    center, scale = found.boxes.center, found.boxes.side / REFERENCE_SIDE * MARGIN
    jpegs = [
        to_jpeg(crop_box(image, middle.numpy(), float(one), size), QUALITY)
        for middle, one in zip(center, scale, strict=True)
    ]
    keypoints = torch.from_numpy(found.keypoints).float()
    places = apply_affine(crop_matrix(center, scale, size), keypoints[..., :2])
    n = len(found)
    arrays = {
        "center": np.full((n, 2), size / 2),
        "scale": np.full(n, size / MARGIN / REFERENCE_SIDE),
        **labels_of(places.numpy(), found.keypoints[..., 2]),
        "origin": np.full(n, label),
    }
    return _People(jpegs, Samples(arrays))


def labels_of(points: np.ndarray, confidence: np.ndarray) -> dict[str, np.ndarray]:
    """What the eyes are certain of, as both kinds of keypoints that records have.

    SPIN's 2D loss is of the annotated ones, and its fits are to both.

    Args:
        points: (N, 25, 2) OpenPose's, pixels.
        confidence: (N, 25).

    Returns:
        `openpose` (N, 25, 3) and `part` (N, 24, 3); 0, 0, 0 for what is not known.
    """
    confidence = np.where(confidence >= CERTAIN, confidence, 0)
    points = np.where(confidence[..., None] > 0, points, 0)
    columns = [OPENPOSE_NAMES.index(name) for name in SHARED]
    return {
        "openpose": np.concatenate([points, confidence[..., None]], 2),
        "part": named(points[:, columns], SHARED, confidence=confidence[:, columns]),
    }


def read_kept(path: Path, source: Source) -> Seen | None:
    """The people of a source that was looked at before; None where not all of it is there."""
    try:
        arrays = read_npz(path)
        about = parse_json(str(arrays.pop(_ABOUT, "")), About)
        if about.size:
            check_shapes({key: value.shape for key, value in arrays.items()}, _SHAPES)
            if path.with_suffix(".jpegs").stat().st_size != about.size:
                return None
    except (FileProblem, ValueError, OSError):
        return None
    return Seen(source, Samples(arrays, Counter(about.skipped)), about)
