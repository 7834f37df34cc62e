"""Single frames of a video as pictures, each exactly the frame whose number it carries.

Frames are counted from 0 in the order in which they are shown, as all tools that read a video from
its beginning do, and as annotations by row mean it. Seeking by time is quicker and, in files whose
frames lean on later ones, now and then one frame off: so nothing here seeks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hmrlab.files import FileProblem, write_whole

QUALITY = 95
_FEW = 10  # frames that a whole file may have fewer than its header says
_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True)
class Extraction:
    """What became of the frames wanted of a video."""

    written: int
    absent: frozenset[int]  # the video ends before them
    damaged: frozenset[int]  # the decoder filled holes in them


def extract_frames(
    video: str | Path, wanted: Mapping[int, Path], *, may_be_short: bool = False
) -> Extraction:
    """Write single frames of a video as JPEG files, each whole or not at all.

    Pictures that are there and whole are left alone, so that a run that was stopped goes on. Where
    all are, the video is not opened and need not be there; nor where the most are, and then the
    others stay missing.

    Args:
        video: the file, in any format that FFmpeg reads.
        wanted: where each frame goes, by its number from 0.
        may_be_short: take it as it is if the file holds fewer frames than its header says.

    Raises:
        FileProblem: the video is missing, damaged or cut short, or a picture cannot be written.
    """
    video = Path(video)
    todo = {frame: path for frame, path in wanted.items() if not is_whole_jpeg(path)}
    if not todo:
        return Extraction(0, frozenset(), frozenset())
    if not video.is_file():
        if len(todo) <= len(wanted) / 2:
            return Extraction(0, frozenset(), frozenset())
        some = next(iter(todo.values()))
        raise FileProblem(
            f"{len(todo):,} of {len(wanted):,} pictures are missing or cut short (first: {some}), "
            f"and there is no video to make them from: {video} is missing. Unpack the videos "
            "there, or name the folder that has the pictures."
        )
    return _extract(video, todo, may_be_short)


def is_whole_jpeg(path: str | Path) -> bool:
    """Whether a JPEG file is there and ends as such files end."""
    try:
        with open(path, "rb") as file:
            file.seek(-len(_JPEG_END), 2)
            return file.read() == _JPEG_END
    except OSError:  # missing, or shorter than that
        return False


def picture_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a picture, pixels, from its header alone.

    Raises:
        FileProblem: it is missing or no picture.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError) as error:
        raise FileProblem(
            f"{path} cannot be read as a picture ({error}). Unpack the download again."
        ) from error


def _extract(video: Path, todo: Mapping[int, Path], may_be_short: bool) -> Extraction:
    import av

    damaged, count, last = set(), 0, max(todo)
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise FileProblem(f"{video}: holds no video. Unpack the download again.")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # there is a process for each core already
            said = stream.frames  # 0 where the header does not say
            for frame in container.decode(stream):
                if count in todo:
                    if frame.is_corrupt:
                        damaged.add(count)
                    else:
                        _save(frame.to_image(), todo[count])
                count += 1
                if count > last:
                    break
    except (av.FFmpegError, EOFError) as error:
        raise FileProblem(
            f"{video}: cannot be decoded beyond frame {count} ({error}). It is damaged or cut "
            "short: unpack the archive again, and download it again if that does not help."
        ) from error
    absent = frozenset(frame for frame in todo if frame >= count)
    if absent and not may_be_short and said - count > max(_FEW, said // 100):
        raise FileProblem(
            f"{video}: is cut short. Its header says {said:,} frames, but only {count:,} are there."
            " Unpack the archive again, and download it again if that does not help."
        )
    return Extraction(len(todo) - len(absent) - len(damaged), absent, frozenset(damaged))


def _save(image, path: Path) -> None:
    # 300,000 waits for the disk would be hours, and a picture lost in a power cut is made again
    try:
        write_whole(path, lambda file: image.save(file, "JPEG", quality=QUALITY), durable=False)
    except FileProblem as problem:
        raise FileProblem(f"{problem} Pictures of videos go elsewhere with --images.") from problem


def left_out(extraction: Extraction, frames: Iterable[int]) -> Counter[str]:
    """Of these frames, how many have no picture, by reason; reasons that never occur are absent."""
    frames = set(frames)
    return +Counter(
        {
            "the video ends before this frame": len(frames & extraction.absent),
            "the frame is damaged in the video": len(frames & extraction.damaged),
        }
    )
