import os
import shutil
from contextlib import suppress

import av
import numpy as np
import pytest
from PIL import Image

import hmrlab.data.prepare.video as video_module
from hmrlab.data.prepare.video import extract_frames, is_whole_jpeg, picture_size
from hmrlab.files import FileProblem, clips


def wanted(folder, frames):
    return {frame: folder / f"{frame:06d}.jpg" for frame in frames}


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),  # with frames that lean on later ones, as Human3.6M's
        ("a.mp4", "mpeg4"),
        ("a.avi", "mpeg4"),  # as MPI-INF-3DHP's
        ("a.avi", "mjpeg"),
    ],
)
def test_each_picture_is_exactly_the_frame_of_its_number(tmp_path, numbered_video, name, codec):
    video = numbered_video.write(tmp_path / name, 310, codec)
    places = wanted(tmp_path / "pictures", [0, 5, 6, 255, 300, 309])
    extraction = extract_frames(video, places)
    assert extraction.written == 6
    assert {frame: numbered_video.number(path) for frame, path in places.items()} == {
        frame: frame for frame in places
    }
    assert extraction.absent == extraction.damaged == frozenset()


def test_pictures_that_are_there_are_left_alone_and_half_ones_made_anew(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.mp4", 30)
    places = wanted(tmp_path / "pictures", range(0, 30, 5))
    extract_frames(video, places)
    before = {frame: path.stat().st_ino for frame, path in places.items()}
    whole = places[10].read_bytes()
    places[10].write_bytes(whole[: len(whole) // 2])
    places[15].write_bytes(b"")
    places[20].unlink()
    assert extract_frames(video, places).written == 3
    after = {frame: path.stat().st_ino for frame, path in places.items()}
    assert [frame for frame in (0, 5, 25) if before[frame] != after[frame]] == []
    assert places[10].read_bytes() == whole
    assert [numbered_video.number(places[frame]) for frame in (15, 20)] == [15, 20]


def test_a_video_whose_pictures_are_all_there_is_not_needed(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.mp4", 12)
    places = wanted(tmp_path / "pictures", (0, 5, 10))
    extract_frames(video, places)
    video.unlink()
    assert extract_frames(video, places).written == 0
    places[5].unlink()
    assert extract_frames(video, places).written == 0, "one of three missing is left missing"
    places[0].unlink()
    with pytest.raises(FileProblem, match=r"2 of 3 pictures .*000000\.jpg.*a\.mp4 is missing"):
        extract_frames(video, places)


def test_frames_beyond_the_end_are_told_of_not_invented(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.avi", 20, "mpeg4")
    places = wanted(tmp_path / "pictures", range(0, 40, 5))
    extraction = extract_frames(video, places)
    assert extraction.absent == {20, 25, 30, 35}
    assert extraction.written == 4
    assert extraction.skipped == {"the video ends before this frame": 4}
    assert extraction.lacks(np.array([0, 5, 20])).tolist() == [False, False, True]
    assert not places[20].exists()


def test_a_video_that_was_cut_short_is_refused_unless_it_is_known_to_be(tmp_path, numbered_video):
    whole = numbered_video.write(tmp_path / "whole.avi", 100, "mjpeg")
    with av.open(str(whole)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos]
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: places[50]])  # in between two frames
    frames = wanted(tmp_path / "pictures", range(0, 100, 10))
    with pytest.raises(FileProblem, match=r"cut\.avi: is cut short.*100 frames, but only 50 are"):
        extract_frames(cut, frames)
    extraction = extract_frames(cut, frames, may_be_short=True)
    assert extraction.absent == {50, 60, 70, 80, 90}


def test_a_damaged_video_is_named_with_what_to_do(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.mp4", 60)
    data = video.read_bytes()
    video.write_bytes(data[: len(data) // 2])  # an MP4 has its index at the end
    with pytest.raises(FileProblem, match=r"a\.mp4: cannot be decoded.*download it again"):
        extract_frames(video, wanted(tmp_path, [0]))
    video.write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(FileProblem, match=r"a\.mp4"):
        extract_frames(video, wanted(tmp_path, [0]))


def test_a_pipe_in_the_place_of_a_video_or_a_picture_keeps_nobody_waiting(tmp_path, numbered_video):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(FileProblem, match=r"a\.mp4 is a pipe"):
        extract_frames(tmp_path / "a.mp4", wanted(tmp_path, [0]))
    video = numbered_video.write(tmp_path / "b.mp4", 3)
    os.mkfifo(tmp_path / "000001.jpg")
    assert extract_frames(video, wanted(tmp_path, [1])).written == 1
    assert numbered_video.number(tmp_path / "000001.jpg") == 1


@pytest.mark.parametrize("seed", range(12))
def test_bytes_that_fell_over_are_told_of_or_damage_frames_alone(tmp_path, numbered_video, seed):
    video = numbered_video.write(tmp_path / "a.mp4", 30)
    rng = np.random.default_rng(seed)
    data = bytearray(video.read_bytes())
    for place in rng.integers(0, len(data), 20):
        data[place] ^= 1 << rng.integers(0, 8)
    video.write_bytes(data)
    with suppress(FileProblem):
        extraction = extract_frames(video, wanted(tmp_path / "pictures", range(0, 30, 3)))
        assert extraction.written + len(extraction.absent) + len(extraction.damaged) == 10


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_frames_of_more_pixels_than_any_camera_has_are_refused(
    tmp_path, numbered_video, monkeypatch, name
):
    video = numbered_video.write(tmp_path / name, 3, "mpeg4", (640, 480))
    monkeypatch.setattr(clips, "MAX_FRAME_PIXELS", 640 * 400)
    with pytest.raises(FileProblem, match=rf"{name}: cannot be decoded.*more than 256,000 pixels"):
        extract_frames(video, wanted(tmp_path / "pictures", [0]))
    assert not (tmp_path / "pictures").exists()


def test_a_list_for_players_is_no_video(tmp_path, numbered_video):
    """Such a list names other files, on this machine or another, that would be read."""
    numbered_video.write(tmp_path / "secret.avi", 3, "mpeg4")
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.avi\n")
    (tmp_path / "b.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nsecret.avi\n#EXT-X-ENDLIST\n"
    )
    for name in ("a.mp4", "b.mp4"):
        with pytest.raises(FileProblem, match=f"{name}: cannot be decoded"):
            extract_frames(tmp_path / name, wanted(tmp_path, [0]))


def test_a_file_without_a_video_is_named(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with pytest.raises(FileProblem, match=r"sound\.mp4: holds no video"):
        extract_frames(path, wanted(tmp_path, [0]))


def test_a_frame_in_which_the_decoder_filled_holes_is_left_out(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.avi", 24, "mpeg4")
    with av.open(str(video)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.pos]
    place, size = packets[12]  # one that begins a group: those after it lean on it
    data = bytearray(video.read_bytes())
    data[place + size // 2 : place + size] = bytes(size - size // 2)
    video.write_bytes(data)
    extraction = extract_frames(video, wanted(tmp_path / "pictures", range(24)))
    assert 12 in extraction.damaged
    count = len(extraction.damaged)
    assert extraction.skipped == {"the frame is damaged in the video": count}
    assert extraction.lacks(np.array([3, 12])).tolist() == [False, True]
    assert not (tmp_path / "pictures" / "000012.jpg").exists()


def test_a_stop_in_the_middle_leaves_whole_pictures_and_the_next_run_goes_on(
    tmp_path, numbered_video, monkeypatch
):
    video = numbered_video.write(tmp_path / "a.mp4", 40)
    places = wanted(tmp_path / "pictures", range(0, 40, 10))
    save, saved = video_module._save, []

    def stopping(image, path):
        if len(saved) == 2:
            raise KeyboardInterrupt
        saved.append(path)
        save(image, path)

    monkeypatch.setattr(video_module, "_save", stopping)
    with pytest.raises(KeyboardInterrupt):
        extract_frames(video, places)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "000000.jpg",
        "000010.jpg",
    ]
    monkeypatch.setattr(video_module, "_save", save)
    assert extract_frames(video, places).written == 2
    assert [numbered_video.number(path) for path in places.values()] == [0, 10, 20, 30]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.mp4", 3)
    (tmp_path / "pictures").write_text("a file where the folder should be")
    with pytest.raises(FileProblem, match=r"could not write .*pictures.*--images"):
        extract_frames(video, wanted(tmp_path / "pictures", [0]))


def test_a_picture_is_whole_if_it_ends_as_jpeg_files_do(tmp_path):
    path = tmp_path / "a.jpg"
    assert not is_whole_jpeg(path)
    Image.new("RGB", (40, 30), "red").save(path)
    assert is_whole_jpeg(path)
    assert picture_size(path) == (40, 30)
    data = path.read_bytes()
    for count in (0, 1, 100, len(data) - 1):
        path.write_bytes(data[:count])
        assert not is_whole_jpeg(path)
    path.write_bytes(b"no picture")
    with pytest.raises(FileProblem, match=r"a\.jpg cannot be read as a picture"):
        picture_size(path)
    shutil.rmtree(tmp_path)
