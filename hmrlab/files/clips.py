"""One reader for videos: their frames from the first on, each with its number.

Frames are counted from 0 in the order in which they are shown, as all tools that read a video from
its beginning do, and as annotations by row mean it. Seeking by time is quicker and, in files whose
frames lean on later ones, now and then one frame off: so nothing here seeks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hmrlab.files.opening import FileProblem, open_regular

if TYPE_CHECKING:
    from av import VideoFrame

MAX_FRAME_PIXELS = 2**24
"""Of a frame of a video: four times those of MPI-INF-3DHP's, and twice 4K."""
_FEW = 10  # frames that a whole file may have fewer than its header says
# A list for players could name any other file.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpegts"
_REMEDY = "Copy it anew from where it came."


@dataclass(frozen=True)
class ClipHeader:
    """What a video says of itself; 0 for what it does not say."""

    frames: int
    rate: float  # frames a second


def read_frames(path: str | Path, every: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Every n-th frame of a video: its number and its picture (H, W, 3) uint8 RGB, upright.

    Frames in which the decoder had to fill holes are left out.

    Args:
        path: an MP4, MOV, AVI, MKV, WebM or TS file.
        every: n, at least 1; frames 0, n, 2n, ... are read.

    Raises:
        FileProblem: see `decode`. In a file that was cut short, it comes after the last frame.
    """
    for number, frame in enumerate(decode(path)):
        if number % every == 0 and not frame.is_corrupt:
            yield number, upright(frame)


def read_header(path: str | Path) -> ClipHeader:
    """What a video says of itself, without decoding it.

    Raises:
        FileProblem: it is missing, or no video that can be read.
    """
    import av

    with open_regular(path) as file:
        try:
            with av.open(file, options=_limits()) as container:
                stream = container.streams.video[0]
                return ClipHeader(stream.frames, float(stream.average_rate or 0))
        except Exception as error:  # a damaged video may raise anything
            raise FileProblem(
                f"{path}: cannot be read as a video ({error}). It is damaged, cut short, or of "
                f"another kind. {_REMEDY}"
            ) from error


def upright(frame: VideoFrame) -> np.ndarray:
    """A frame's picture (H, W, 3) uint8 RGB, turned as its file says that the camera was held."""
    return np.ascontiguousarray(
        np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    )


def decode(
    path: str | Path, *, missing: str = "", remedy: str = _REMEDY, may_be_short: bool = False
) -> Iterator[VideoFrame]:
    """All frames of a video's first picture stream, on one core.

    Args:
        path: of the video.
        missing: the message where nothing is there; by default "no file at PATH.".
        remedy: what to do about a damaged file, the end of a message.
        may_be_short: take it as it is if the file holds fewer frames than its header says.

    Raises:
        FileProblem: the video is missing, damaged, cut short, or its frames are too large.
    """
    import av

    count = 0
    with open_regular(path, missing) as file:
        try:
            with av.open(file, options=_limits()) as container:
                if not container.streams.video:
                    raise FileProblem(f"{path}: holds no video. {remedy}")
                stream = container.streams.video[0]
                stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
                stream.codec_context.thread_count = 1  # callers have a process for each core
                announced = stream.frames  # 0 where the header does not say
                for frame in container.decode(stream):
                    yield frame
                    count += 1
        except FileProblem:
            raise
        except Exception as error:  # a damaged video may raise anything
            raise FileProblem(
                f"{path}: cannot be decoded beyond frame {count} ({error}). It is damaged or cut "
                f"short, or its frames have more than {MAX_FRAME_PIXELS:,} pixels. {remedy}"
            ) from error
    if not may_be_short and announced - count > max(_FEW, announced // 100):
        raise FileProblem(
            f"{path}: is cut short. Its header says {announced:,} frames, but only {count:,} are "
            f"there. {remedy}"
        )


def _limits() -> dict[str, str]:
    """Options for opening a file."""
    return {"format_whitelist": _FORMATS, "max_pixels": str(MAX_FRAME_PIXELS)}
