"""Single frames of a video as pictures, each exactly the frame whose number it carries."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.files import FileProblem, open_picture, open_regular, write_whole
from hmrlab.files.clips import decode

QUALITY = 95
_JPEG_END = b"\xff\xd9"
_REMEDY = "Unpack the archive again, and download it again if that does not help."


@dataclass(frozen=True)
class Extraction:
    """What became of the frames wanted of a video."""

    written: int
    absent: frozenset[int]  # the video ends before them
    damaged: frozenset[int]  # the decoder filled holes in them

    def lacks(self, frames: np.ndarray) -> np.ndarray:
        """Which of these have no picture, (n,) bool."""
        return np.isin(frames, [*self.absent, *self.damaged])

    @property
    def skipped(self) -> Counter[str]:
        """How many have no picture, by reason; reasons that never occur are absent."""
        return +Counter({
            "the video ends before this frame": len(self.absent),
            "the frame is damaged in the video": len(self.damaged),
        })  # fmt: skip


def extract_frames(
    video: str | Path, paths: Mapping[int, Path], *, may_be_short: bool = False
) -> Extraction:
    """Write single frames of a video as JPEG files, each whole or not at all.

    Pictures that are there and whole are left alone, so that a run that was stopped goes on. Where
    all are, the video is not opened and need not be there; nor where the most are, and then the
    others stay missing.

    Args:
        video: the file, an MP4 or AVI.
        paths: where each frame goes, by its number from 0.
        may_be_short: take it as it is if the file holds fewer frames than its header says.

    Raises:
        FileProblem: the video is missing, damaged or cut short, or a picture cannot be written.
    """
    video = Path(video)
    todo = {frame: path for frame, path in paths.items() if not is_whole_jpeg(path)}
    most_are_there = len(todo) <= len(paths) / 2
    if not todo or (most_are_there and not os.path.lexists(video)):
        return Extraction(0, frozenset(), frozenset())
    missing = (
        f"{len(todo):,} of {len(paths):,} pictures are missing or cut short (first: "
        f"{next(iter(todo.values()))}), and there is no video to make them from: {video} is "
        "missing. Unpack the videos there, or name the folder that has the pictures."
    )
    return _extract(video, todo, missing, may_be_short)


def is_whole_jpeg(path: str | Path) -> bool:
    """Whether a JPEG file is there and ends as such files end."""
    try:
        with open_regular(path) as file:
            file.seek(-len(_JPEG_END), os.SEEK_END)
            return file.read() == _JPEG_END
    except (FileProblem, OSError):  # missing, or shorter than that
        return False


def picture_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a picture, pixels, from its header; `FileProblem` where it is none."""
    with open_picture(path) as picture:
        return picture.size


def _extract(video: Path, todo: Mapping[int, Path], missing: str, may_be_short: bool) -> Extraction:
    damaged, count, last = set(), 0, max(todo)
    for frame in decode(video, missing=missing, remedy=_REMEDY, may_be_short=may_be_short):
        if count in todo:
            if frame.is_corrupt:
                damaged.add(count)
            else:
                _save(frame.to_image(), todo[count])
        count += 1
        if count > last:
            break
    absent = frozenset(frame for frame in todo if frame >= count)
    return Extraction(len(todo) - len(absent) - len(damaged), absent, frozenset(damaged))


def _save(image, path: Path) -> None:
    # 300,000 waits for the disk would be hours, and a picture lost in a power cut is made again
    try:
        write_whole(path, lambda file: image.save(file, "JPEG", quality=QUALITY), durable=False)
    except FileProblem as problem:
        raise FileProblem(f"{problem} Pictures of videos go elsewhere with --images.") from problem
