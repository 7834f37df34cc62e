"""A capture out of a wheel, an installation or a folder."""

from importlib import metadata

import pytest
from miniature_capture import NAMES, Miniature, wheel

from hmrlab.captures import files
from hmrlab.captures.files import INSIDE, find_capture, open_capture
from hmrlab.files import FileProblem


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    folder = tmp_path_factory.mktemp("capture") / INSIDE
    return Miniature.of(2).write(folder, 2)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_wheel_and_folder_hold_the_same(capture, tmp_path):
    packed = wheel(capture, tmp_path / "pose2sim-0.10.49-py3-none-any.whl")
    digests = set()
    for source in (packed, capture, capture.parent, capture.parent.parent):
        with open_capture(source) as found:
            assert found.names == NAMES
            assert [path.stem for path in found.videos.values()] == list(NAMES)
            assert all(path.exists() for path in found.videos.values())
            digests.add(found.digest())
    assert len(digests) == 1
    with open_capture(packed) as found:
        unpacked = found.folder
        (found.videos["cam03"]).write_bytes(b"another")
        assert found.digest() not in digests
        assert sorted(p.name for p in unpacked.parent.glob("escaped*")) == []
    assert not unpacked.exists()


def test_a_wheel_in_data_downloads_is_found_before_an_installation(capture, home, monkeypatch):
    class Distribution:
        def locate_file(self, path):
            return capture.parent.parent / path

    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())
    assert find_capture() == capture
    (home / "data/downloads").mkdir(parents=True)
    packed = wheel(capture, home / "data/downloads/pose2sim-0.10.49-py3-none-any.whl")
    assert find_capture() == packed


def test_without_it_the_command_that_brings_it_is_told(home):
    try:
        metadata.distribution("pose2sim")
    except metadata.PackageNotFoundError:
        with pytest.raises(FileProblem, match=r"pip download pose2sim==0\.10\.49 --no-deps --dest"):
            find_capture()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "other", "missing", "large"])
def test_what_is_no_wheel_of_it_is_refused(capture, tmp_path, damage, monkeypatch):
    packed = wheel(capture, tmp_path / "pose2sim.whl")
    if damage == "cut":
        packed.write_bytes(packed.read_bytes()[:-100])
    elif damage == "text":
        packed.write_text("no wheel")
    elif damage == "empty":
        packed.write_bytes(b"")
    elif damage == "other":
        wheel(tmp_path / "nothing", packed)
    elif damage == "missing":
        packed.unlink()
    else:
        monkeypatch.setattr(files, "MOST_BYTES", 1000)
    with pytest.raises(FileProblem, match=r"pose2sim\.whl"), open_capture(packed):
        pass


def test_a_folder_without_a_capture_is_refused(tmp_path):
    with pytest.raises(FileProblem, match="no calibration of cameras"), open_capture(tmp_path):
        pass
