import os
import pickle
import shutil
from copy import copy
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import hmrlab.data.prepare.mpi_inf_3dhp as mpi
from hmrlab.bodies.joints import ANNOTATED_TO_J17
from hmrlab.data.prepare.mpi_inf_3dhp import RECIPE, read_calibration
from hmrlab.data.prepare.runner import prepare
from hmrlab.files import FileProblem

# SPIN's own lists: rows of the 28 and of the 17 joints, and where among the 24 each of them goes.
SPIN_TRAIN_ROWS = [4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]
SPIN_PLACES = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]
SIZE = (192, 64)
FRAMES = 47
CAMERAS = (0, 1, 2, 3)  # of the calibration and the annotations; 1 and 3 have no video here
FOCAL = {camera: 150.0 + 7 * camera for camera in CAMERAS}


def write_calibration(path: Path) -> None:
    """As the studio's software writes it, down to the spaces at the ends of lines."""
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in CAMERAS:
        f, (width, height) = FOCAL[camera], SIZE
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            f"  size        {width} {height}",
            "  animated    0",
            f"  intrinsic   {f} 0 {width / 2} 0 0 {f} {height / 2} 0 0 0 1 0 0 0 0 1 ",
            "  extrinsic   0.96 0.005 0.262 -562.8 -0.004 -0.999 0.035 1398.1 "
            "0.262 -0.035 -0.964 3852.6 0 0 0 1 ",
            "  radial      0",
        ]
    path.write_text("\n".join(lines) + "\n")


def cells(values: list[np.ndarray]) -> np.ndarray:
    """A MATLAB cell array, one column."""
    column = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        column[row, 0] = value
    return column


def seen(joints: np.ndarray, camera: int) -> np.ndarray:
    x, y, z = np.moveaxis(joints, -1, 0)
    f = FOCAL[camera]
    return np.stack([f * x / z + SIZE[0] / 2, f * y / z + SIZE[1] / 2], -1)


class OriginalTraining:
    """A small training set, and what was written into it."""

    def __init__(self, root: Path, videos) -> None:
        self.root = root
        self.joints = {}  # (n, 28, 3) mm, by subject, sequence and camera
        rng = np.random.default_rng(6)
        for subject, sequence in ((1, 1), (1, 2), (4, 1), (4, 2)):
            folder = self.folder(subject, sequence)
            folder.mkdir(parents=True)
            write_calibration(folder / "camera.calibration")
            joints = []
            for camera in CAMERAS:
                points = rng.normal([0, 0, 5000], [400, 300, 200], (FRAMES, 28, 3))
                points[:, :, 0] += np.where(np.arange(FRAMES) % 4 == 1, 9000, 0)[:, None]
                points[:, :, :2] = np.clip(points[:, :, :2], -900, None)
                self.joints[subject, sequence, camera] = points
                joints.append(points)
            self.write(subject, sequence, joints)
            for camera in (0, 2):
                videos.write(self.video(subject, sequence, camera), FRAMES, "mpeg4", SIZE)

    def copy(self, root: Path) -> "OriginalTraining":
        other = copy(self)
        other.root = Path(shutil.copytree(self.root, root))
        return other

    def folder(self, subject: int, sequence: int) -> Path:
        return self.root / f"S{subject}" / f"Seq{sequence}"

    def video(self, subject: int, sequence: int, camera: int) -> Path:
        return self.folder(subject, sequence) / "imageSequence" / f"video_{camera}.avi"

    def write(self, subject: int, sequence: int, joints: list[np.ndarray], **more) -> None:
        """`annot.mat`, with the joints as each camera sees them."""
        n = len(joints[0])
        content = {
            "annot2": cells(
                [seen(j, camera).reshape(n, -1) for camera, j in zip(CAMERAS, joints, strict=True)]
            ),
            "annot3": cells([j.reshape(n, -1) for j in joints]),
            "univ_annot3": cells([1.1 * j.reshape(n, -1) for j in joints]),
            "cameras": np.array([CAMERAS], np.uint8),
            "frames": np.arange(n, dtype=np.float64)[:, None],
            **more,
        }
        savemat(self.folder(subject, sequence) / "annot.mat", content, do_compression=True)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Two subjects and two cameras, in a folder of its own."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(mpi, "SUBJECTS", (1, 4))
    monkeypatch.setattr(mpi, "CAMERAS", (0, 2))


@pytest.fixture(scope="module")
def original(tmp_path_factory, numbered_video) -> OriginalTraining:
    return OriginalTraining(tmp_path_factory.mktemp("original") / "3dhp", numbered_video)


@pytest.fixture
def train(tmp_path, original) -> OriginalTraining:
    return original.copy(tmp_path / "3dhp")


def run(root: Path, split: str, recipe=RECIPE, **options):
    made, _ = prepare(recipe, root, split, workers=1, progress=False, **options)
    return made, dict(np.load(made.folder / "records.npz"))


def placed(points: np.ndarray, rows: list[int]) -> np.ndarray:
    """SPIN's 24 from joints of one person, (J, d)."""
    result = np.zeros((24, points.shape[1] + 1))
    result[SPIN_PLACES] = np.c_[points[rows], np.ones(17)]
    return result


def visible_tenths(points: np.ndarray, rows: list[int]) -> list[int]:
    """SPIN's choice within one video, counting as it does."""
    kept, counter = [], 0
    for frame, joints in enumerate(points[:, rows]):
        x, y = joints.T
        if np.sum((x >= 0) & (x < SIZE[0]) & (y >= 0) & (y < SIZE[1])) < 17:
            continue
        counter += 1
        if counter % 10 == 1:
            kept.append(frame)
    return kept


def test_training_samples_are_spins(train):
    made, arrays = run(train.root, "train")
    names, part, joints, center, scale, outside = [], [], [], [], [], 0
    for (s, q, camera), in_mm in train.joints.items():
        if camera not in (0, 2):
            continue
        points = seen(in_mm, camera)
        frames = visible_tenths(points, SPIN_TRAIN_ROWS)
        seventeen = points[:, SPIN_TRAIN_ROWS]
        outside += FRAMES - int(((seventeen >= 0) & (seventeen < SIZE)).all((1, 2)).sum())
        for frame in frames:
            names.append(f"S{s}/Seq{q}/imageFrames/video_{camera}/frame_{frame + 1:06d}.jpg")
            part.append(placed(points[frame], SPIN_TRAIN_ROWS))
            metres = (in_mm[frame] - in_mm[frame][4]) / 1000
            joints.append(placed(metres, SPIN_TRAIN_ROWS))
            low, high = seventeen[frame].min(0), seventeen[frame].max(0)
            center.append((low + high) / 2)
            scale.append(1.2 * max(high - low) / 200)
    assert len(names) > 16, "some of each video"
    assert arrays["imgname"].tolist() == names
    np.testing.assert_allclose(arrays["part"], part, atol=1e-4)
    np.testing.assert_allclose(arrays["S"], joints, atol=1e-6)
    np.testing.assert_allclose(arrays["center"], center, atol=1e-4)
    np.testing.assert_allclose(arrays["scale"], scale, rtol=1e-5)
    assert made.skipped == {"a joint is outside the picture": outside}
    assert outside >= 4 * 2 * FRAMES // 4 - 8
    assert (arrays["S"][:, ANNOTATED_TO_J17, 3] == 1).all()
    assert made.images == train.root


def test_each_picture_is_the_frame_that_its_joints_belong_to(train, numbered_video):
    made, arrays = run(train.root, "train")
    for name in arrays["imgname"].tolist():
        assert numbered_video.number(made.images / name) == int(name[-10:-4]) - 1
    assert len(list(train.root.glob("S*/Seq*/imageFrames/*/*"))) == made.count


def test_frames_and_cameras_are_those_that_the_annotations_number(train):
    """Rows in another order, cells in another order: their numbers say what they are."""
    before = run(train.root, "train")[1]
    for subject, sequence in ((1, 1), (4, 2)):
        joints = [train.joints[subject, sequence, camera] for camera in CAMERAS]
        order = np.arange(FRAMES)[2:]  # the first two frames have no row
        train.write(
            subject,
            sequence,
            [j[order] for j in joints],
            cameras=np.array([CAMERAS[::-1]], np.uint8),
            frames=order[:, None].astype(float),
            annot2=cells([seen(joints[c][order], c).reshape(45, -1) for c in CAMERAS[::-1]]),
            annot3=cells([joints[c][order].reshape(45, -1) for c in CAMERAS[::-1]]),
        )
    after = run(train.root, "train", force=True)[1]
    name = after["imgname"].tolist()[0]
    frame = int(name[-10:-4]) - 1
    in_mm = train.joints[1, 1, 0]
    assert frame == 2 + visible_tenths(seen(in_mm, 0)[2:], SPIN_TRAIN_ROWS)[0]
    metres = (in_mm[frame] - in_mm[frame][4]) / 1000
    np.testing.assert_allclose(after["S"][0], placed(metres, SPIN_TRAIN_ROWS), atol=1e-6)
    untouched = [n.startswith("S1/Seq2") for n in before["imgname"].tolist()]
    still = [n.startswith("S1/Seq2") for n in after["imgname"].tolist()]
    np.testing.assert_array_equal(before["S"][untouched], after["S"][still])


def test_frames_whose_left_and_right_are_swapped_are_left_out_the_others_as_before(
    train, monkeypatch
):
    assert mpi.SWAPPED.keys() == {(4, 2)}
    monkeypatch.setattr(mpi, "SWAPPED", {})
    spins = run(train.root, "train")[1]["imgname"].tolist()
    monkeypatch.setattr(mpi, "SWAPPED", {(4, 2): range(0, 20)})
    made, arrays = run(train.root, "train", force=True)
    swapped = [n for n in spins if n.startswith("S4/Seq2/") and int(n[-10:-4]) - 1 < 20]
    assert swapped
    assert arrays["imgname"].tolist() == [name for name in spins if name not in swapped]
    assert made.skipped["left and right are swapped"] == len(swapped)


def test_annotations_without_a_picture_are_left_out(train, numbered_video, monkeypatch):
    before = run(train.root, "train")[1]["imgname"].tolist()
    shutil.rmtree(train.folder(1, 1) / "imageFrames")
    numbered_video.write(train.video(1, 1, 2), 20, "mpeg4", SIZE)
    made, arrays = run(train.root, "train", force=True)
    gone = [n for n in before if n.startswith("S1/Seq1/imageFrames/video_2/")
            and int(n[-10:-4]) > 20]  # fmt: skip
    assert gone
    assert arrays["imgname"].tolist() == [name for name in before if name not in gone]
    assert made.skipped["the video ends before this frame"] == len(gone)


def test_a_video_cut_short_is_refused_except_the_one_that_is_so_as_released(train, monkeypatch):
    video = train.video(1, 2, 0)
    data = video.read_bytes()
    video.write_bytes(data[: data.rindex(b"00dc", 0, len(data) * 2 // 3)])  # between two frames
    with pytest.raises(FileProblem, match=r"video_0\.avi: (is cut short|cannot be decoded)"):
        run(train.root, "train")
    assert mpi.SHORT_VIDEOS == ((6, 2, 2),)


def test_all_that_is_missing_is_named_before_any_work(train):
    (train.folder(1, 2) / "annot.mat").unlink()
    (train.folder(4, 1) / "camera.calibration").unlink()
    train.video(4, 2, 2).unlink()
    with pytest.raises(FileProblem) as problem:
        run(train.root, "train")
    for words in (
        "3 of 16 things",
        "S1/Seq2/annot.mat",
        "S4/Seq1/camera.calibration",
        "S4/Seq2/imageSequence/video_2.avi",
        "vnect_cameras.zip",
    ):
        assert words in str(problem.value)
    assert not list(train.root.glob("**/imageFrames"))


def test_a_root_that_is_a_level_off_is_hinted_at(train):
    for wrong in (train.folder(1, 1), train.root.parent):
        with pytest.raises(FileProblem, match=rf"--root {train.root}\b"):
            run(wrong, "train")


def test_damaged_annotations_are_named_with_what_to_do(train):
    path = train.folder(1, 1) / "annot.mat"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"<html>404</html>", whole[:-20]):
        path.write_bytes(content)
        with pytest.raises(FileProblem, match=r"annot\.mat: .*(?i:download it again)"):
            run(train.root, "train")
    joints = [train.joints[1, 1, camera] for camera in CAMERAS]
    train.write(1, 1, joints, cameras=np.array([[5, 6, 7, 8]]))
    with pytest.raises(FileProblem, match=r"has no annotations of camera 0"):
        run(train.root, "train")
    train.write(1, 1, joints, annot3=cells([j[:, :17].reshape(FRAMES, -1) for j in joints]))
    with pytest.raises(FileProblem, match=r"'annot3' must hold n x 84 numbers"):
        run(train.root, "train")
    train.write(1, 1, joints, frames=np.arange(5)[:, None])
    with pytest.raises(FileProblem, match=r"numbers 5 frames, but camera 0 has 47 rows"):
        run(train.root, "train")
    for number in (np.nan, np.inf, -1, 1e18):
        train.write(1, 1, joints, frames=np.full((FRAMES, 1), number))
        with pytest.raises(FileProblem, match=r"annot\.mat: 'frames' must hold numbers of frames"):
            run(train.root, "train")


def test_annotations_of_other_cameras_are_refused(train):
    moved = [train.joints[1, 1, camera] + [1500, 0, 0] for camera in CAMERAS]
    right = [train.joints[1, 1, camera].reshape(FRAMES, -1) for camera in CAMERAS]
    train.write(1, 1, moved, annot3=cells(right))
    with pytest.raises(FileProblem, match=r"pixels beside annot2.*another sequence"):
        run(train.root, "train")


def test_pictures_of_another_size_are_refused(train, numbered_video):
    numbered_video.write(train.video(1, 1, 0), FRAMES, "mpeg4", (96, 32))
    with pytest.raises(FileProblem, match=r"is 96 x 32, but the joints are in pixels of 192 x 64"):
        run(train.root, "train")


def test_a_calibration_is_read_and_what_is_wrong_with_it_named(tmp_path):
    path = tmp_path / "camera.calibration"
    write_calibration(path)
    cameras = read_calibration(path)
    assert sorted(cameras) == [0, 1, 2, 3]
    assert (cameras[2].width, cameras[2].height) == SIZE
    points = np.array([[100.0, -50.0, 4000.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(cameras[2].project(points), seen(points, 2))
    text = path.read_text()
    for content, message in (
        (text[: text.rindex("intrinsic") + 30], "camera 3 must have 16 numbers"),
        ("<html>404</html>", "does not begin with"),
        ("", "does not begin with"),
        (text.replace("sensor      10 10", "sensor      ten 10"), "line 3: cannot be read"),
        (text.replace("name          0", "name          " + "9" * 5000), "line 2: cannot be read"),
        (text.replace("size        192 64", "size        192 1" + "0" * 400), "camera 0 .*'size'"),
        (text.replace("size        192 64", "size        nan 64"), r"'size' of 1 to .*nan"),
        (text.replace("size        192 64", "size        -192 64"), "'size' of 1 to 65,535"),
        (text + "\n" * 2**20, r"camera\.calibration has [\d,]* bytes; at most"),
    ):
        path.write_text(content)
        with pytest.raises(FileProblem, match=message):
            read_calibration(path)
    path.write_bytes(b"Skeletool \xff")
    with pytest.raises(FileProblem, match=r"camera\.calibration is no UTF-8 text"):
        read_calibration(path)
    path.unlink()
    with pytest.raises(FileProblem, match="is missing"):
        read_calibration(path)
    os.mkfifo(path)
    with pytest.raises(FileProblem, match=r"camera\.calibration is a pipe"):
        read_calibration(path)


def test_pictures_can_lie_elsewhere_and_make_the_videos_unnecessary(train, tmp_path):
    elsewhere = tmp_path / "large disk"
    made, arrays = run(train.root, "train", RECIPE.elsewhere(elsewhere))
    assert made.images == elsewhere
    assert not list(train.root.glob("**/imageFrames"))
    for path in train.root.glob("**/*.avi"):
        path.unlink()
    again = run(train.root, "train", RECIPE.elsewhere(elsewhere), force=True)[1]
    for key in arrays:
        np.testing.assert_array_equal(arrays[key], again[key])
    with pytest.raises(FileProblem, match=r"8 of 16 things"):
        run(train.root, "train", force=True)


def test_jobs_can_be_sent_to_other_processes(train):
    read = RECIPE.jobs(train.root, "train")["S1_Seq1_video_0"]
    assert len(pickle.loads(pickle.dumps(read))()) > 2
