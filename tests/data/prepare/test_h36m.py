import json
import pickle
import shutil
import warnings
from copy import copy
from pathlib import Path

import h5py
import numpy as np
import pytest
from cdflib.cdfwrite import CDF
from scipy.io import savemat

import hmrlab.data.prepare.h36m as h36m
from hmrlab.bodies.joints import ANNOTATED_TO_J17
from hmrlab.data.prepare.h36m import RECIPE, picture_name, read_boxes, read_joints
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

# SPIN's own lists: rows of Human3.6M's 32 joints, and where among the 24 each of them goes.
SPIN_ROWS = [11, 6, 7, 8, 1, 2, 3, 12, 24, 14, 15, 17, 18, 19, 25, 26, 27]
SPIN_PLACES = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]
SIZE = (192, 64)
FRAMES = 23


def write_cdf(path: Path, poses: np.ndarray) -> None:
    """(n, 32, d) as in the download: one record of `Pose`, (n, 32 * d) floats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = poses.reshape(1, len(poses), -1).astype(np.float32)
    file = CDF(path, cdf_spec={"Majority": "row_major"}, delete=True)
    spec = {
        "Variable": "Pose",
        "Data_Type": CDF.CDF_FLOAT,
        "Num_Elements": 1,
        "Rec_Vary": True,
        "Dim_Sizes": list(values.shape[1:]),
        "Var_Type": "zVariable",
    }
    file.write_var(spec, var_data=values)
    file.close()


def write_masks(path: Path, masks: np.ndarray) -> None:
    """(n, height, width) as MATLAB 7.3 writes a 1 x n cell of logical matrices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_group("#refs#")
        masked = file.create_dataset("Masks", (len(masks), 1), h5py.ref_dtype)
        masked.attrs["MATLAB_class"] = np.bytes_("cell")
        for row, mask in enumerate(masks):
            cell = cells.create_dataset(f"cell{row}", data=mask.T.astype(np.uint8), chunks=True,
                                        compression="gzip")  # fmt: skip
            cell.attrs["MATLAB_class"] = np.bytes_("logical")
            masked[row, 0] = cell.ref
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def box_of(frame: int) -> tuple[int, int, int, int]:
    return 10 + frame, 5, 40 + 2 * frame, 50  # x0, y0, x1, y1


class Original:
    """A small Human3.6M with two sequences of each subject, and what was written into it."""

    def __init__(self, root: Path, videos, subjects, stems) -> None:
        self.root = root
        self.joints, self.points = {}, {}
        rng = np.random.default_rng(4)
        for subject in subjects:
            for stem in stems:
                joints = rng.normal([0, 0, 5000], 400, (FRAMES, 32, 3)).astype(np.float32)
                points = rng.uniform(0, 60, (FRAMES, 32, 2)).astype(np.float32)
                self.joints[subject, stem], self.points[subject, stem] = joints, points
                poses = root / subject / "MyPoseFeatures"
                write_cdf(poses / "D3_Positions_mono" / f"{stem}.cdf", joints)
                write_cdf(poses / "D2_Positions" / f"{stem}.cdf", points)
                masks = np.zeros((FRAMES, SIZE[1], SIZE[0]))
                for frame in range(FRAMES):
                    x0, y0, x1, y1 = box_of(frame)
                    masks[frame, y0:y1, x0:x1] = 1
                write_masks(self.masks(subject, stem), masks)
                videos.write(self.video(subject, stem), FRAMES, "mpeg4", SIZE)

    def copy(self, root: Path) -> "Original":
        other = copy(self)
        other.root = Path(shutil.copytree(self.root, root))
        return other

    def masks(self, subject: str, stem: str) -> Path:
        return self.root / subject / "MySegmentsMat" / "ground_truth_bb" / f"{stem}.mat"

    def video(self, subject: str, stem: str) -> Path:
        return self.root / subject / "Videos" / f"{stem}.mp4"

    def cdf(self, subject: str, stem: str, d: int = 3) -> Path:
        folder = "D3_Positions_mono" if d == 3 else "D2_Positions"
        return self.root / subject / "MyPoseFeatures" / folder / f"{stem}.cdf"


STEMS = ("Directions 1.54138969", "Directions.54138969", "Directions.60457274")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A set of two sequences and two cameras, in a folder of its own."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(h36m, "SEQUENCES", 1)
    monkeypatch.setattr(h36m, "CAMERAS", ("54138969", "60457274"))
    monkeypatch.setattr(h36m, "SUBJECTS", {"train": (1, 5), "p1": (9, 11), "p2": (9, 11)})


@pytest.fixture(scope="module")
def originals(tmp_path_factory, numbered_video) -> dict[str, Original]:
    folder = tmp_path_factory.mktemp("originals")
    return {
        "train": Original(folder / "train", numbered_video, ("S1", "S5"), STEMS),
        "test": Original(folder / "test", numbered_video, ("S9", "S11"), STEMS),
    }


@pytest.fixture
def train(tmp_path, originals) -> Original:
    return originals["train"].copy(tmp_path / "h36m")


@pytest.fixture
def test(tmp_path, originals) -> Original:
    return originals["test"].copy(tmp_path / "h36m")


def run(original: Original, split: str, recipe=RECIPE, **options):
    made, _ = prepare(recipe, original.root, split, workers=1, progress=False, **options)
    return made, dict(np.load(made.folder / "records.npz"))


def expected(joints: np.ndarray, frames: range, scale: float = 1.0) -> np.ndarray:
    """SPIN's arithmetic, one frame after the other."""
    d = joints.shape[2]
    rows = []
    for frame in frames:
        of_frame = joints[frame].astype(np.float64) * scale
        seventeen = of_frame[SPIN_ROWS]
        if d == 3:
            seventeen = seventeen - seventeen[0]
        row = np.zeros((24, d + 1))
        row[SPIN_PLACES, :d] = seventeen
        row[SPIN_PLACES, d] = 1
        rows.append(row)
    return np.array(rows)


def test_training_samples_are_spins(train):
    made, arrays = run(train, "train")
    frames = range(0, FRAMES, 5)
    order = [(subject, stem) for subject in ("S1", "S5") for stem in STEMS]
    assert made.count == len(arrays["imgname"]) == len(order) * len(frames) == 30
    assert arrays["imgname"].tolist() == [
        f"{subject}_{stem.replace(' ', '_')}_{frame + 1:06d}.jpg"
        for subject, stem in order
        for frame in frames
    ]
    boxes = np.array([box_of(frame) for _ in order for frame in frames], float)
    np.testing.assert_array_equal(arrays["center"], (boxes[:, :2] + boxes[:, 2:]) / 2)
    longer = (boxes[:, 2:] - boxes[:, :2]).max(1)
    np.testing.assert_allclose(arrays["scale"], 0.9 * longer / 200, rtol=1e-6)
    metres = np.concatenate([expected(train.joints[key], frames, 0.001) for key in order])
    np.testing.assert_allclose(arrays["S"], metres, atol=1e-6)
    pixels = np.concatenate([expected(train.points[key], frames) for key in order])
    np.testing.assert_allclose(arrays["part"], pixels, atol=1e-5)
    assert (arrays["S"][:, ANNOTATED_TO_J17, 3] == 1).all()
    assert (arrays["S"][:, 14, :3] == 0).all(), "the pelvis is the origin"


def test_each_picture_is_the_frame_that_its_joints_belong_to(train, numbered_video):
    made, arrays = run(train, "train")
    assert made.images == train.root / "images"
    for name in arrays["imgname"]:
        shown = numbered_video.number(made.images / str(name))
        assert shown == int(str(name)[-10:-4]) - 1
        assert shown % 5 == 0
    assert len(list(made.images.iterdir())) == made.count, "only the frames needed are kept"


def test_the_test_protocols_have_their_people_and_cameras(test):
    every, arrays = run(test, "p1")
    # S11's first camera is damaged as released; the other sequences are used from all cameras
    sequences = {name.rsplit("_", 1)[0] for name in arrays["imgname"].tolist()}
    broken = {"S11_Directions.54138969"}
    assert (
        sequences
        == {f"{subject}_{stem.replace(' ', '_')}" for subject in ("S9", "S11") for stem in STEMS}
        - broken
    )
    assert every.skipped == {"the video is damaged as released": 5}
    front, arrays = run(test, "p2")
    assert {name.split(".")[1][:8] for name in arrays["imgname"].tolist()} == {"60457274"}
    assert front.count == 2 * 5
    assert "part" not in arrays, "the test protocols need no joints in 2D"
    wanted = expected(test.joints["S9", STEMS[2]], range(0, FRAMES, 5), 0.001)
    np.testing.assert_allclose(arrays["S"][:5], wanted, atol=1e-6)
    records = Records.open(front.folder / "records.npz")
    assert records.has_pose_3d.all()


def test_the_damaged_video_of_the_release_need_not_be_there(test):
    for path in (test.video("S11", STEMS[1]), test.masks("S11", STEMS[1])):
        path.unlink()
    assert run(test, "p1")[0].count == 5 * 5


def test_joints_converted_with_matlab_are_the_same(train, tmp_path):
    before = run(train, "train")[1]
    for key in train.joints:
        for d, poses in ((3, train.joints[key]), (2, train.points[key])):
            path = train.cdf(*key, d)
            cell = np.empty((1, 1), object)
            cell[0, 0] = poses.reshape(FRAMES, -1).astype(np.float32)
            savemat(f"{path}.mat", {"data": cell})
            path.unlink()
    after = run(train, "train", force=True)[1]
    for key in before:
        np.testing.assert_array_equal(after[key], before[key])


def test_an_empty_mask_and_frames_beyond_the_video_are_left_out_and_counted(train, numbered_video):
    key = ("S5", STEMS[0])
    masks = np.zeros((FRAMES, SIZE[1], SIZE[0]))
    masks[:, 10:30, 20:90] = 1
    masks[5] = 0
    write_masks(train.masks(*key), masks)
    numbered_video.write(train.video(*key), 18, "mpeg4", SIZE)
    made, arrays = run(train, "train")
    assert made.skipped == {"the mask is empty": 1, "the video ends before this frame": 1}
    assert made.count == 28
    kept = [int(name[-10:-4]) - 1 for name in arrays["imgname"].tolist()
            if name.startswith("S5_Directions_1.")]  # fmt: skip
    assert kept == [0, 10, 15]
    first = arrays["imgname"].tolist().index("S5_Directions_1.54138969_000001.jpg")
    np.testing.assert_allclose(arrays["center"][first], (55, 20))
    np.testing.assert_allclose(arrays["scale"][first], 0.9 * 70 / 200, rtol=1e-6)
    wanted = expected(train.joints[key], [0, 10, 15], 0.001)
    np.testing.assert_allclose(arrays["S"][first : first + 3], wanted, atol=1e-6)


def test_all_that_is_missing_is_named_before_any_work(train):
    train.masks("S1", STEMS[0]).unlink()
    train.video("S5", STEMS[2]).unlink()
    train.cdf("S5", STEMS[1], 2).unlink()
    with pytest.raises(FileProblem) as problem:
        run(train, "train")
    for words in (
        "3 of ",
        "S1/MySegmentsMat/ground_truth_bb/Directions 1.54138969.mat",
        "Segments_mat_gt_bb_S1.tgz",
        "S5/Videos/Directions.60457274.mp4",
        "Videos_S5.tgz",
        "S5/MyPoseFeatures/D2_Positions/Directions.54138969.cdf",
        "Poses_D2_Positions_S5.tgz",
    ):
        assert words in str(problem.value)
    assert not (train.root / "images").exists()


def test_missing_sequences_are_missed(train, monkeypatch):
    monkeypatch.setattr(h36m, "SEQUENCES", 30)
    with pytest.raises(FileProblem, match=r"S1/MyPoseFeatures/D3_Positions_mono/.*3 there, at"):
        run(train, "train")


def test_of_a_folder_without_anything_so_many_sequences_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.undo()  # the real numbers of subjects, actions and cameras
    counts = {
        split: {item.pattern: item.count for item in RECIPE.needed(tmp_path, split)}
        for split in RECIPE.splits
    }
    assert set(counts["p1"].values()) == {30 * 4, 30 * 4 - 1}, "one video is damaged as released"
    assert counts["p1"]["S11/Videos/*.mp4*"] == 119
    assert set(counts["p2"].values()) == {30}, "which that camera is not"
    assert set(counts["train"].values()) == {120}
    assert len(counts["train"]) == 5 * 4


def test_a_root_that_is_a_level_off_is_hinted_at(train):
    for wrong in (train.root / "S1", train.root.parent):
        with pytest.raises(FileProblem, match=rf"--root {train.root}\b"):
            prepare(RECIPE, wrong, "train", workers=1, progress=False)


def test_damaged_files_are_named_with_what_to_do(train):
    for path in (
        train.cdf("S1", STEMS[0]),
        train.cdf("S1", STEMS[0], 2),
        train.masks("S1", STEMS[0]),
        train.video("S1", STEMS[0]),
    ):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(FileProblem, match=r"(?i)download it again") as problem:
                run(train, "train")
        assert str(path) in str(problem.value)
        path.write_bytes(whole)
    assert run(train, "train")[0].count == 30


def test_files_that_hold_something_else_are_refused(train, tmp_path):
    write_cdf(tmp_path / "a.cdf", np.zeros((4, 17, 3)))
    with pytest.raises(FileProblem, match=r"'Pose' must hold n x 96 numbers"):
        read_joints(tmp_path, "a", 3)
    (tmp_path / "a.cdf").write_text("<html>404</html>")
    with pytest.raises(FileProblem, match=r"a\.cdf: is no CDF file"):
        read_joints(tmp_path, "a", 3)
    with pytest.raises(FileProblem, match=r"b\.cdf is missing"):
        read_joints(tmp_path, "b", 3)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["Boxes"] = np.zeros(3)
    with pytest.raises(FileProblem, match=r"a\.mat: 'Masks' cannot be read: it is not there"):
        read_boxes(tmp_path / "a.mat", np.arange(2))
    savemat(tmp_path / "old.mat", {"Masks": np.zeros(3)})
    with pytest.raises(FileProblem, match=r"old\.mat: is no HDF5 file"):
        read_boxes(tmp_path / "old.mat", np.arange(2))
    with pytest.raises(FileProblem, match=r"has 23 masks, but the joints have frame 40"):
        read_boxes(train.masks("S1", STEMS[0]), np.array([0, 40]))


def test_joints_in_2d_of_another_length_are_refused(train):
    write_cdf(train.cdf("S1", STEMS[0], 2), np.zeros((FRAMES - 1, 32, 2)))
    with pytest.raises(FileProblem, match=r"22 rows in .*D2_Positions, but 23 in"):
        run(train, "train")


def test_a_run_that_broke_off_goes_on_and_ends_with_the_same_records(train, monkeypatch, tmp_path):
    whole = train.video("S5", STEMS[1]).read_bytes()
    train.video("S5", STEMS[1]).write_bytes(whole[:300])
    with pytest.raises(FileProblem, match="cannot be decoded"):
        run(train, "train")
    folder = tmp_path / "home" / "data" / "real" / "h36m" / "train"
    assert not (folder / "records.npz").exists()
    done = {path: path.stat().st_ino for path in (train.root / "images").iterdir()}
    assert len(done) == 4 * 5
    train.video("S5", STEMS[1]).write_bytes(whole)
    made, arrays = run(train, "train")
    assert {path: path.stat().st_ino for path in done} == done, "pictures are not made twice"
    again = run(train, "train", force=True)[1]
    for key in arrays:
        np.testing.assert_array_equal(arrays[key], again[key])
    assert not (made.folder / ".parts").exists()


def test_pictures_can_lie_elsewhere_and_make_the_videos_unnecessary(train, tmp_path):
    elsewhere = tmp_path / "large disk" / "pictures"
    made, arrays = run(train, "train", recipe=RECIPE.elsewhere(elsewhere))
    assert made.images == elsewhere
    assert json.loads((made.folder / "set.json").read_text())["images"] == str(elsewhere)
    assert not (train.root / "images").exists()
    for key in train.joints:
        train.video(*key).unlink()
    again = run(train, "train", recipe=RECIPE.elsewhere(elsewhere), force=True)[1]
    for key in arrays:
        np.testing.assert_array_equal(arrays[key], again[key])
    with pytest.raises(FileProblem, match=r"Videos_S1\.tgz"):
        run(train, "train", force=True)  # there are none in ROOT/images


def test_jobs_can_be_sent_to_other_processes(train):
    read = next(iter(RECIPE.jobs(train.root, "train").values()))
    samples = pickle.loads(pickle.dumps(read))()
    assert len(samples) == 5
    assert samples.arrays["imgname"][1] == picture_name("S1", STEMS[0], 5)
