"""A training set of one's own clips and photographs, found by eyes that know the answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.bodies.joints import ANNOTATED_NAMES, KEYPOINT_NAMES, OPENPOSE_NAMES
from hmrlab.data.prepared import open_prepared, prepared_folder
from hmrlab.files import FileProblem
from hmrlab.photos.boxes import Boxes
from hmrlab.photos.finding import FoundPeople, NobodyError
from hmrlab.photos.looking import LEAST_LIMBS, LIMBS, OwnSettings, labels_of
from hmrlab.photos.own_set import make_own_set
from hmrlab.photos.sources import Source, by_digest, find_sources

SIZE = (240, 320)  # of all pictures: height and width
PLACES = np.random.default_rng(0).uniform((110, 70), (200, 180), (25, 2))  # of the keypoints
WRIST = OPENPOSE_NAMES.index("left_wrist")


class Eyes:
    """Sees one person in every picture but white ones, always in the same place."""

    def __init__(self, confidence: np.ndarray | None = None) -> None:
        self.confidence = np.full(25, 0.9) if confidence is None else confidence
        self.looks: list[Path] = []
        self.stop_at = None

    def key(self, photo: Path) -> str:
        return f"eyes {self.confidence.sum()}"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        if self.stop_at == len(self.looks):
            raise KeyboardInterrupt
        self.looks.append(photo)
        assert image.shape == (*SIZE, 3)
        if image.min() > 250:
            raise NobodyError("it is empty")
        keypoints = np.concatenate([PLACES, self.confidence[:, None]], 1)[None]
        return FoundPeople(Boxes.around(keypoints), (0,), keypoints=keypoints)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))


@pytest.fixture
def pictures(tmp_path, numbered_video):
    """Three clips, an album of three photographs, one of them white, and a file that is none."""
    folder = tmp_path / "mine"
    for k, name in enumerate(("a.mp4", "b.avi", "deep/c.mp4")):
        numbered_video.write(folder / name, 20 + k, "mpeg4", SIZE[::-1])
    (folder / "album").mkdir()
    for k, level in enumerate((255, 120, 150)):
        picture = np.full((*SIZE, 3), level, np.uint8)
        Image.fromarray(picture).save(folder / "album" / f"{k}.png")
    (folder / "album/.hidden.jpg").write_text("not looked at")
    (folder / "notes.txt").write_text("neither photograph nor clip")
    return folder


def made(folder, eyes=None, every=10, **more):
    settings = OwnSettings(every, 64)
    return make_own_set(
        "own", find_sources([folder]), eyes or Eyes(), settings, progress=False, **more
    )


def test_clips_and_albums_become_people_to_train_and_to_test_on(pictures):
    result = made(pictures, test=["c", "album"])
    assert [seen.source.path.name for seen in result.seen] == ["a.mp4", "album", "b.avi", "c.mp4"]
    assert [len(seen.samples) for seen in result.seen] == [2, 2, 3, 3]
    assert (result.train.count, result.test.count) == (5, 5)
    assert result.test.skipped == {"pictures in which nobody was seen": 1}
    assert result.problems == {}
    train, test = open_prepared("own", "train"), open_prepared("own", "test")
    assert not set(train.records.imgname) & set(test.records.imgname)
    assert train.label_shares() == {"keypoints_2d": 1.0, "pose_3d": 0.0, "smpl": 0.0}
    assert len(train.gather(np.arange(5), 0)) == 5
    assert train.skipped == {}
    assert train.records.texts["origin"].tolist() == [
        f"mine/{clip}/frame {number}"
        for clip, numbers in (("a.mp4", (0, 10)), ("b.avi", (0, 10, 20)))
        for number in numbers
    ]
    assert "album/2.png" in test.records.texts["origin"]


def test_keypoints_lie_where_they_were_in_the_picture(tmp_path):
    picture = np.full((*SIZE, 3), 60, np.uint8)
    x, y = PLACES[WRIST].astype(int)
    picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    (tmp_path / "album").mkdir()
    Image.fromarray(picture).save(tmp_path / "album/a.png")
    made(tmp_path / "album")
    raw = open_prepared("own", "train").gather(np.arange(1), 0)
    seen = raw.images[0, ..., 0].float()
    bright = torch.nonzero(seen > 200).float().mean(0).flip(0) + 0.5
    for name in ("openpose_left_wrist", "left_wrist"):
        place = raw.keypoints[0, KEYPOINT_NAMES.index(name)]
        assert torch.allclose(place[:2], bright, atol=1.5)
        assert float(place[2]) == pytest.approx(0.9)
    low, high = PLACES.min(0), PLACES.max(0)
    side = 1.2 * (high - low).max()  # SPIN's box, 113 / 1.77 pixels of the crop
    assert float(raw.scale[0]) * 200 == pytest.approx(113 / 1.77)
    points = raw.keypoints[0, :25, :2].numpy()
    assert np.allclose(points - points[0], (PLACES - PLACES[0]) * 113 / 1.77 / side, atol=1e-3)


def test_what_is_uncertain_or_called_otherwise_is_no_label():
    confidence = np.linspace(0.02, 0.98, 25)[None]
    labels = labels_of(PLACES[None], confidence)
    assert np.array_equal(labels["openpose"][0, :, 2] > 0, confidence[0] >= 0.5)
    assert (labels["openpose"][0, :12] == 0).all()
    known = {ANNOTATED_NAMES[k] for k in np.flatnonzero(labels["part"][0, :, 2])}
    assert {"left_knee", "right_ear"} <= known
    assert not known & {"left_hip", "right_hip", "right_wrist", "neck_lsp", "pelvis_mpii"}


def test_people_cut_off_or_far_away_are_left_out_and_counted(pictures):
    confidence = np.full(25, 0.9)
    confidence[list(LIMBS[LEAST_LIMBS - 1 :])] = 0.4
    with pytest.raises(FileProblem, match="2 people of whom fewer than 8 of 12 joints are seen"):
        made(pictures / "a.mp4", Eyes(confidence))
    confidence[LIMBS[LEAST_LIMBS - 1]] = 0.6
    assert made(pictures / "a.mp4", Eyes(confidence)).train.count == 2


def test_a_run_that_was_stopped_goes_on_at_the_source_where_it_was(pictures):
    eyes = Eyes()
    eyes.stop_at = 6  # a.mp4 has 2, album 3, b.avi 3
    with pytest.raises(KeyboardInterrupt):
        made(pictures, eyes)
    assert not prepared_folder("own", "train").exists()
    later = Eyes()
    whole = made(pictures, later)
    assert [path.name for path in later.looks] == ["b.avi"] * 3 + ["c.mp4"] * 3
    again = Eyes()
    assert made(pictures, again).train.records_sha256 == whole.train.records_sha256
    assert again.looks == []
    assert made(pictures, again, force=True).train.records_sha256 == whole.train.records_sha256
    assert len(again.looks) == 11


def test_a_set_that_grows_looks_at_what_is_new_and_forgets_what_is_gone(pictures):
    made(pictures)
    crops = prepared_folder("own", "train").parent / "sources"
    before = {path.name for path in crops.iterdir()}
    (pictures / "a.mp4").rename(pictures / "renamed.mp4")
    (pictures / "b.avi").unlink()
    Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(pictures / "album/new.png")
    eyes = Eyes()
    made(pictures, eyes)
    assert [path.name for path in eyes.looks] == ["album"] * 4
    after = {path.name for path in crops.iterdir()}
    assert len(before & after) == 4  # a and c, each crops and labels
    assert len(after) == 6


def test_other_settings_or_eyes_look_anew_but_photographs_have_no_frames(pictures):
    made(pictures)
    eyes = Eyes()
    made(pictures, eyes, every=7)
    assert {path.name for path in eyes.looks} == {"a.mp4", "b.avi", "c.mp4"}
    eyes = Eyes(np.full(25, 0.8))
    made(pictures, eyes, every=7)
    assert "album" in {path.name for path in eyes.looks}


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def without_part(path):
    with np.load(path) as arrays:
        kept = {key: arrays[key] for key in arrays.files if key != "part"}
    np.savez(path, **kept)


@pytest.mark.parametrize(
    ("ending", "damage"),
    [(".jpegs", cut), (".npz", cut), (".npz", without_part), (".jpegs", Path.unlink)],
)
def test_a_source_of_which_a_file_is_damaged_is_looked_at_again(pictures, ending, damage):
    whole = made(pictures)
    damage(next((prepared_folder("own", "train").parent / "sources").glob(f"*{ending}")))
    eyes = Eyes()
    assert made(pictures, eyes).train.records_sha256 == whole.train.records_sha256
    assert len({path.name for path in eyes.looks}) == 1


def test_bad_files_are_listed_and_the_others_used(pictures):
    whole = (pictures / "a.mp4").read_bytes()
    (pictures / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (pictures / "album/text.jpg").write_text("no picture")
    (pictures / "copy.mp4").write_bytes(whole)
    result = made(pictures)
    assert (result.train.count + result.test.count) == 10
    said = {Path(file).name: problem for file, problem in result.problems.items()}
    assert set(said) == {"cut.mp4", "text.jpg", "copy.mp4"}
    assert "cut.mp4: cannot be" in said["cut.mp4"]
    assert "cannot be read as a picture" in said["text.jpg"]
    assert "copy.mp4 is the same as" in said["copy.mp4"]
    again = Eyes()
    assert made(pictures, again).problems == result.problems
    assert again.looks == []


def test_a_clip_that_ends_too_early_is_not_used_in_part(tmp_path, numbered_video):
    video = numbered_video.write(tmp_path / "a.avi", 60, "mjpeg", SIZE[::-1])
    numbered_video.write(tmp_path / "b.mp4", 10, "mpeg4", SIZE[::-1])
    video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    result = made(tmp_path, every=5)
    assert result.train.count == 2
    assert [Path(file).name for file in result.problems] == ["a.avi"]


def test_nobody_at_all_is_said_and_an_older_set_stays(pictures, tmp_path):
    before = made(pictures)
    (tmp_path / "white").mkdir()
    Image.new("RGB", SIZE[::-1], "white").save(tmp_path / "white/0.png")
    with pytest.raises(FileProblem, match=r"nobody .* can be used \(1 pictures in which nobody"):
        made(tmp_path / "white")
    assert len(open_prepared("own", "train")) == before.train.count
    assert len(open_prepared("own", "train").gather(np.arange(2), 0)) == 2


def test_looks_are_a_third_of_a_second_apart_by_the_clips_own_rate(pictures):
    eyes = Eyes()
    made(pictures / "a.mp4", eyes, every=None)  # 20 frames, 50 a second: frames 0 and 17
    assert len(eyes.looks) == 2


class TestSplit:
    def test_a_fifth_is_held_out_the_same_each_time_and_never_all(self, tmp_path):
        albums = [Source(tmp_path / f"{k}", (tmp_path / f"{k}/a.jpg",)) for k in range(400)]
        held_out = by_digest(albums)
        assert 50 < len(held_out) < 110
        assert by_digest(albums[::-1]) == held_out
        assert by_digest(albums[:200]) == held_out & set(albums[:200])
        for count in range(2, 8):
            assert 1 <= len(by_digest(albums[:count])) < count
        assert by_digest(albums[:1]) == by_digest([]) == frozenset()

    def test_a_clip_is_known_by_its_content_wherever_it_lies(self, pictures, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        other = tmp_path / "elsewhere/other.mp4"
        other.write_bytes((pictures / "a.mp4").read_bytes())
        (one,), (same,) = find_sources([pictures / "a.mp4"]), find_sources([other])
        assert one.lot == same.lot

    def test_folders_are_names_too_and_all_cannot_be_held_out(self, pictures):
        result = made(pictures, test=["deep"])
        assert [source.path.name for source in result.held_out] == ["c.mp4"]
        assert made(pictures / "a.mp4").test is None
        assert not prepared_folder("own", "test").exists()
        with pytest.raises(FileProblem, match="everybody is held out"):
            made(pictures, test=["mine"])
        with pytest.raises(ValueError, match=r"no clip or folder is called 'd\.mp4'; there are a"):
            made(pictures, test=["d.mp4"])


def test_photographs_named_one_by_one_belong_to_their_folder(pictures):
    album = pictures / "album"
    (source,) = find_sources([album / "2.png", album / "1.png", album / "2.png"])
    assert source == Source(album, (album / "1.png", album / "2.png"))
    (pictures / "empty").mkdir()
    with pytest.raises(FileProblem, match="neither photographs"):
        find_sources([pictures / "empty"])
    with pytest.raises(FileProblem, match=r"gone\.mp4 is missing"):
        find_sources([pictures / "gone.mp4"])


@pytest.mark.parametrize("name", ["coco", "wild", "", "../up", "Mine", "a" * 41])
def test_a_set_may_not_be_called_as_another_or_as_no_folder_can(pictures, name):
    with pytest.raises(ValueError, match="is no name for a set of your own"):
        make_own_set(name, find_sources([pictures]), Eyes(), OwnSettings(), progress=False)


def test_the_command_tells_who_is_where(pictures, monkeypatch, hmrlab):
    monkeypatch.setattr("hmrlab.photos.landmarks.ByEyes", lambda eyes, score: Eyes())
    (pictures / "bad.mp4").write_text("no clip")
    done = hmrlab("data", "people", pictures, "--every", 10, "--test", "c", "--name", "home")
    assert done.code == 0, done.err
    rows = [line.split("|")[1:-1] for line in done.out.splitlines() if line.startswith("|")]
    rows = {name.strip(): [cell.strip() for cell in rest] for name, *rest in rows}
    assert rows["a.mp4"] == ["train", "2", "2"]
    assert rows["deep/c.mp4"] == ["test", "3", "3"]
    assert rows["bad.mp4"] == ["-", "0", "0"]
    assert "home train: 7 samples" in done.out
    assert "not used: " in done.out
    assert "bad.mp4: cannot be decoded" in done.out
    status = hmrlab("data", "status")
    assert [line for line in status.out.splitlines() if "| home " in line and " test " in line]
    packed = hmrlab("data", "pack", "home")
    assert packed.code == 1
    assert "home train is made of crops already" in packed.err
    wrong = hmrlab("data", "people", pictures, "--eyes", "blue")
    assert wrong.code == 2
    assert "--eyes" in wrong.err
