"""Single frames of a video as pictures, each exactly the frame whose number it carries.

Frames are counted from 0 in the order in which they are shown, as all tools that read a video from
its beginning do, and as annotations by row mean it. Seeking by time is quicker and, in files whose
frames lean on later ones, now and then one frame off: so nothing here seeks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from hmrlab.files import FileProblem, open_picture, open_regular, write_whole

QUALITY = 95
MAX_FRAME_PIXELS = 2**24
"""Of a frame of a video: four times those of MPI-INF-3DHP's."""
_FEW = 10  # frames that a whole file may have fewer than its header says
_JPEG_END = b"\xff\xd9"
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi"  # a list for players could name any other file


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
    with open_regular(video, missing) as file:
        return _extract(video, file, todo, may_be_short)


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


def _extract(
    video: Path, file: BinaryIO, todo: Mapping[int, Path], may_be_short: bool
) -> Extraction:
    import av

    damaged, count, last = set(), 0, max(todo)
    limit = {"max_pixels": str(MAX_FRAME_PIXELS)}
    try:
        with av.open(file, options={"format_whitelist": _FORMATS, **limit}) as container:
            if not container.streams.video:
                raise FileProblem(f"{video}: holds no video. Unpack the download again.")
            stream = container.streams.video[0]
            stream.codec_context.options = limit
            stream.codec_context.thread_count = 1  # there is a process for each core already
            announced = stream.frames  # 0 where the header does not say
            for frame in container.decode(stream):
                if count in todo:
                    if frame.is_corrupt:
                        damaged.add(count)
                    else:
                        _save(frame.to_image(), todo[count])
                count += 1
                if count > last:
                    break
    except FileProblem:
        raise
    except Exception as error:  # a damaged video may raise anything
        raise FileProblem(
            f"{video}: cannot be decoded beyond frame {count} ({error}). It is damaged or cut "
            f"short, or its frames have more than {MAX_FRAME_PIXELS:,} pixels: unpack the archive "
            "again, and download it again if that does not help."
        ) from error
    absent = frozenset(frame for frame in todo if frame >= count)
    if absent and not may_be_short and announced - count > max(_FEW, announced // 100):
        raise FileProblem(
            f"{video}: is cut short. Its header says {announced:,} frames, but only {count:,} are "
            "there. Unpack the archive again, and download it again if that does not help."
        )
    return Extraction(len(todo) - len(absent) - len(damaged), absent, frozenset(damaged))


def _save(image, path: Path) -> None:
    # 300,000 waits for the disk would be hours, and a picture lost in a power cut is made again
    try:
        write_whole(path, lambda file: image.save(file, "JPEG", quality=QUALITY), durable=False)
    except FileProblem as problem:
        raise FileProblem(f"{problem} Pictures of videos go elsewhere with --images.") from problem
