"""Frames of videos by number, upright, and what is said of files that cannot be read."""

import av
import numpy as np
import pytest

from hmrlab.files import FileProblem
from hmrlab.files.clips import ClipHeader, read_frames, read_header


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avi", "a.mkv", "a.ts"])
@pytest.mark.parametrize("every", [1, 7])
def test_every_nth_frame_comes_with_its_number(tmp_path, numbered_video, name, every):
    video = numbered_video.write(tmp_path / name, 30)
    frames = list(read_frames(video, every))
    assert [number for number, _ in frames] == list(range(0, 30, every))
    assert [numbered_video.number_in(picture) for _, picture in frames] == [n for n, _ in frames]
    assert all(picture.shape == (64, 192, 3) for _, picture in frames)


def test_frames_of_a_camera_that_was_turned_come_upright(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.mp4", 6)
    before = [picture for _, picture in read_frames(video)]
    numbered_video.hold_upright(video)
    after = [picture for _, picture in read_frames(video)]
    for lying, standing in zip(before, after, strict=True):
        assert standing.shape == (192, 64, 3)
        assert np.array_equal(standing, np.rot90(lying, -1))


def test_whoever_stops_early_needs_no_more_of_the_file(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.avi", 100, "mjpeg")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    frames = read_frames(video, 10)
    assert [next(frames)[0] for _ in range(3)] == [0, 10, 20]
    with pytest.raises(
        FileProblem, match=r"a\.avi: cannot be decoded beyond frame 4\d .*Copy it anew"
    ):
        list(frames)


def test_frames_in_which_holes_were_filled_are_left_out(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.avi", 24, "mpeg4")
    with av.open(str(video)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.pos]
    place, size = packets[12]
    data = bytearray(video.read_bytes())
    data[place + size // 2 : place + size] = bytes(size - size // 2)
    video.write_bytes(data)
    numbers = [number for number, _ in read_frames(video)]
    assert 11 in numbers
    assert 12 not in numbers


@pytest.mark.parametrize("content", [b"", b"<html>404</html>" * 100, b"\0" * 5000])
def test_what_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(FileProblem, match=r"a\.mp4: cannot be decoded beyond frame 0"):
        next(read_frames(path))


def test_a_header_says_how_many_frames_there_are_and_how_quick(tmp_path, numbered_video):
    assert read_header(numbered_video.write(tmp_path / "a.mp4", 30)) == ClipHeader(30, 50)
    assert read_header(numbered_video.write(tmp_path / "a.mkv", 30)) == ClipHeader(0, 50)
    (tmp_path / "b.mp4").write_text("no video")
    with pytest.raises(FileProblem, match=r"b\.mp4: cannot be read as a video"):
        read_header(tmp_path / "b.mp4")


def test_a_video_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"no file at .*a\.mp4"):
        next(read_frames(tmp_path / "a.mp4"))
