"""The set balance: made once, whole or not at all, of the files and settings that are wanted."""

from dataclasses import replace

import numpy as np
import pytest
from miniature_capture import NAMES, Miniature, wheel
from numbered_video import NumberedVideo

from hmrlab.captures.balance import (
    CaptureSettings,
    balance_folder,
    blazepose_errors,
    open_balance,
    read_truth,
)
from hmrlab.files import FileProblem

FRAMES, EVERY = 10, 4  # frames 0, 4 and 8
SETTINGS = CaptureSettings(every=EVERY)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def small():
    return Miniature.of(3)


@pytest.fixture(scope="module")
def capture(small, tmp_path_factory):
    return small.write(tmp_path_factory.mktemp("capture") / "Demo_SinglePerson", FRAMES)


@pytest.fixture
def find(small):
    return small.finder(EVERY)


def never(path, image):
    raise AssertionError(f"{path} is looked at though the set is there")


def make(capture, find, settings=SETTINGS):
    return open_balance(capture, settings, find=find, progress=False)


def test_pictures_and_truth_are_of_the_same_frame(capture, find, small, home):
    dataset = make(capture, find)
    assert dataset.images.folder == home / "data/captures/balance"
    names = dataset.records.imgname.tolist()
    assert names == [f"{camera}_{frame:05d}.jpg" for camera in NAMES for frame in (0, 4, 8)]
    numbers = [NumberedVideo().number(balance_folder() / name) for name in names]
    assert numbers == [0, 4, 8] * 4
    off = read_truth().points - small.points.numpy()
    assert np.nanmax(np.abs(off)) < 1e-4  # and the bystander, who is smaller, has no say
    assert not read_truth().agrees[1, :, 2].any()  # where nobody was seen
    assert not dataset.records.keypoints[7, :25].any()


def test_it_is_made_once(capture, find, tmp_path):
    first = make(capture, find).records
    for source in (None, capture, wheel(capture, tmp_path / "pose2sim.whl")):
        again = open_balance(source, SETTINGS, find=never).records
        np.testing.assert_array_equal(again.joints_3d, first.joints_3d)


def test_other_settings_files_or_damage_make_it_anew(capture, find, small, tmp_path, capsys):
    make(capture, find)
    wider = replace(SETTINGS, every=8)
    assert len(make(capture, small.finder(8), wider)) == 4 * 2
    assert "made with other settings" in capsys.readouterr().err
    assert len(make(capture, find)) == 4 * 3
    other = small.write(tmp_path / "other", FRAMES - 4)
    assert len(make(other, find)) == 4 * 2
    assert "made of other files" in capsys.readouterr().err
    picture = balance_folder() / "cam02_00004.jpg"
    picture.write_bytes(picture.read_bytes()[:-10])
    with pytest.raises(
        FileProblem, match="pip download pose2sim"
    ):  # there is nothing to make it of
        open_balance(None, SETTINGS, find=find)
    assert len(make(other, find)) == 4 * 2
    assert "cam02_00004.jpg is missing or cut short" in capsys.readouterr().err


def test_whoever_is_stopped_leaves_what_was_there(capture, find, small, tmp_path):
    def stops(path, image):
        if path.name == "cam03_00000.jpg":
            raise KeyboardInterrupt
        return find(path, image)

    with pytest.raises(KeyboardInterrupt):
        make(capture, stops)
    assert [p.name for p in balance_folder().parent.glob("[!.]*")] == []
    first = make(capture, find).records
    with pytest.raises(KeyboardInterrupt):
        make(small.write(tmp_path / "other", FRAMES - 4), stops)
    np.testing.assert_array_equal(
        open_balance(None, SETTINGS, find=never).records.joints_3d, first.joints_3d
    )


def test_cameras_that_do_not_agree_are_told_of(capture, find):
    def elsewhere(path, image):
        found = find(path, image)
        shift = 400 * NAMES.index(path.stem[:5]) * (-1) ** NAMES.index(path.stem[:5])
        return replace(found, keypoints=found.keypoints + np.array([0, shift, 0]))

    with pytest.raises(FileProblem, match="in none of 3 frames do three cameras agree"):
        make(capture, elsewhere)
    assert not balance_folder().exists()


def test_a_video_that_is_missing_or_cut_short_is_named(small, find, tmp_path):
    source = small.write(tmp_path / "short", FRAMES)
    video = source / "videos/cam04.mp4"
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileProblem, match=r"cam04\.mp4"):
        make(source, find)
    video.unlink()
    with pytest.raises(FileProblem, match=r"cam04\.mp4"):
        make(source, find)


def test_blazeposes_own_joints_are_scored_as_a_network_would_be(capture, find, small):
    """They are a tenth too large: Procrustes forgives it, and the distance from the hips tells."""
    dataset = make(capture, find)
    errors = blazepose_errors(dataset)
    assert len(errors.mpjpe_mm) == 11  # in one picture it saw nobody
    assert errors.pa_mpjpe_mm.max() < 0.1
    local = small.cameras.in_frames(small.points)[0, :, 0]
    reach = 1000 * (local[7] - (local[9] + local[12]) / 2).norm()  # the left wrist
    assert float(errors.joint_error_mm[0, 5]) == pytest.approx(0.1 * float(reach), rel=1e-2)
    assert len(blazepose_errors(dataset.first(5)).mpjpe_mm) == 5
