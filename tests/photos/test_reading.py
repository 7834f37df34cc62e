import json
import os

import numpy as np
import pytest
from PIL import Image

from hmrlab.files import FileProblem
from hmrlab.photos import read_openpose, read_photo
from hmrlab.photos.finding import openpose_digest

PERSON = [float(k) for k in range(75)]


def written(tmp_path, content):
    path = tmp_path / "keypoints.json"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("field", ["pose_keypoints_2d", "pose_keypoints"])
def test_each_persons_25_keypoints_are_read_in_order(tmp_path, field):
    people = [{field: PERSON}, {field: PERSON[::-1]}]
    read = read_openpose(written(tmp_path, {"version": 1.1, "people": people}))
    assert read.shape == (2, 25, 3)
    np.testing.assert_array_equal(read[0, 1], [3, 4, 5])
    np.testing.assert_array_equal(read[1, 0], [74, 73, 72])


def person(numbers):
    return {"people": [{"pose_keypoints_2d": PERSON}, {"pose_keypoints_2d": numbers}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not readable as JSON"),
        (json.dumps(person(PERSON))[:200], "not readable as JSON.* write it anew"),
        ("\x00\x01", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        (b'{"people": "\xff"}', "not readable as JSON"),
        ([1, 2], "its content: .* found \\[1, 2\\].*--write_json"),
        ({"version": 1.3, "bodies": []}, "people: Field required"),
        ({"people": {"a": 1}}, "people: .* valid array, found {'a': 1}"),
        ({"people": []}, "found nobody"),
        ({"people": [{"face_keypoints_2d": []}]}, "person 0 has no pose_keypoints_2d"),
        ({"people": [7]}, r"people\[0\]: .* found 7"),
        ({"people": [{"pose_keypoints_2d": PERSON}] * 101}, "101 people; at most 100"),
        ('{"people": [' + "0," * 1_000_000 + "0]}", r"people\[0\]: .* found 0\."),
        (" " * 17_000_000, "17,000,000 bytes; at most 16,777,216"),
        (person([0.0] * 54), "person 1: expected 75 .*18 keypoints of OpenPose's COCO model"),
        (person([0.0] * 45), "15 keypoints of OpenPose's MPI model"),
        (person([0.0] * 55), "expected 75 .* found 55"),
        (person([]), "expected 75 .* found 0"),
        (person([[0.0] * 3] * 25), r"people\[1\].pose_keypoints_2d\[0\]: .* found \[0.0"),
        (person([*PERSON[:-1], "left"]), r"people\[1\].pose_keypoints_2d\[74\]: .* 'left'"),
        (person([*PERSON[:-1], None]), r"people\[1\].pose_keypoints_2d\[74\]: .* None"),
        (person([*PERSON[:-1], True]), r"people\[1\].pose_keypoints_2d\[74\]: .* True"),
        (person([float("nan"), *PERSON[1:]]), "person 1: the nose's keypoint is nan"),
        (person([*PERSON[:3], float("inf"), *PERSON[4:]]), "the neck's keypoint is inf"),
        (person([*PERSON[:3], -1e30, *PERSON[4:]]), "the neck's keypoint is -1e.30, no number"),
        (person([10**400, *PERSON[1:]]), "the nose's keypoint is inf"),
    ],
)
def test_what_is_no_openpose_file_is_named_with_the_reason(tmp_path, content, message):
    with pytest.raises(FileProblem, match=f"keypoints.json.*{message}"):
        read_openpose(written(tmp_path, content))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileProblem, match=r"gone\.json is missing.*--write_json"):
        read_openpose(tmp_path / "gone.json")
    with pytest.raises(FileProblem, match="is a folder; a file is expected"):
        read_openpose(tmp_path)


@pytest.mark.parametrize("read", [read_openpose, openpose_digest, read_photo])
def test_nobody_waits_for_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileProblem, match=r"pipe is a pipe \(fifo\); a file is expected"):
        read(tmp_path / "pipe")


def test_a_photo_lying_on_its_side_is_turned_upright(tmp_path):
    picture = Image.new("RGB", (8, 6))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_photo(tmp_path / "a.jpg").shape == (8, 6, 3)


@pytest.mark.parametrize("grey", [np.full((4, 5), 90, np.uint8), np.full((4, 5), 9000, np.uint16)])
def test_grey_photos_become_rgb(tmp_path, grey):
    Image.fromarray(grey).save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    assert photo.shape == (4, 5, 3)
    assert photo.dtype == np.uint8


def test_what_is_no_photo_is_named(tmp_path):
    (tmp_path / "note.jpg").write_text("not a picture")
    with pytest.raises(FileProblem, match=r"note\.jpg cannot be read as a picture"):
        read_photo(tmp_path / "note.jpg")
    with pytest.raises(FileProblem, match=r"gone\.jpg is missing"):
        read_photo(tmp_path / "gone.jpg")
