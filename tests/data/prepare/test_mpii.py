"""MPII from the official MATLAB structs, and from the HDF5 file that SPIN reads."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.data.prepare import get_recipe
from hmrlab.data.prepare.mpii import read_h5, read_release
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

BY_NUMBER = {
    0: "right_ankle", 1: "right_knee", 2: "right_hip", 3: "left_hip", 4: "left_knee",
    5: "left_ankle", 6: "pelvis_mpii", 7: "thorax_mpii", 8: "neck_lsp", 9: "top_of_head_lsp",
    10: "right_wrist", 11: "right_elbow", 12: "right_shoulder", 13: "left_shoulder",
    14: "left_elbow", 15: "left_wrist",
}  # fmt: skip
EMPTY = np.zeros((0, 0))


def structs(items: list[dict]) -> np.ndarray:
    """A MATLAB struct array (1, n); a field that an item lacks is empty, as MATLAB has it."""
    keys = list(dict.fromkeys(key for item in items for key in item))
    array = np.empty((1, len(items)), [(key, object) for key in keys])
    for k, item in enumerate(items):
        for key in keys:
            array[key][0, k] = item.get(key, EMPTY)
    return array


def places(seed: int) -> np.ndarray:
    """(16, 2) places of a person's joints."""
    return np.random.default_rng(seed).uniform(20, 400, (16, 2))


def person(seed: int, lacking: tuple[int, ...] = ()) -> dict:
    points = [
        {"x": x, "y": y, "id": float(k), "is_visible": "1" if k % 2 else EMPTY}
        for k, (x, y) in enumerate(places(seed))
        if k not in lacking
    ]
    points = points[::-1]  # they come in any order
    return {
        "x1": 10.0, "y1": 10.0, "x2": 30.0, "y2": 40.0,
        "annopoints": structs([{"point": structs(points)}]),
        "scale": 1.5 + seed, "objpos": structs([{"x": 200.0 + seed, "y": 150.0}]),
    }  # fmt: skip


def release(path: Path) -> None:
    """Three training pictures with 2, 1 and no people known, and one for testing."""
    people = [
        [person(0), {**person(1)}],
        [person(2, lacking=(9,))],
        [{"x1": 3.0, "y1": 4.0, "x2": 5.0, "y2": 6.0}],
        [{"scale": 2.0, "objpos": structs([{"x": 5.0, "y": 6.0}])}],
        [person(3)],
    ]
    pictures = [
        {
            "image": structs([{"name": f"{k:09d}.jpg"}]),
            "annorect": structs(rectangles),
            "frame_sec": EMPTY,
            "vididx": EMPTY,
        }
        for k, rectangles in enumerate(people)
    ]
    pictures.append({"image": structs([{"name": "empty.jpg"}]), "annorect": EMPTY})
    whole = {
        "annolist": structs(pictures),
        "img_train": np.array([[1, 1, 1, 0, 1, 1]], np.uint8),
        "version": "12",
        "single_person": EMPTY,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"RELEASE": structs([whole])}, do_compression=True)


@pytest.fixture
def root(tmp_path, write_picture):
    for k in range(5):
        write_picture(tmp_path / f"mpii/images/{k:09d}.jpg")
    return tmp_path / "mpii"


def run(root: Path) -> tuple[Records, dict[str, int]]:
    found, _ = prepare(get_recipe("mpii"), root, "train", workers=1, progress=False)
    return Records.open(found.folder / "records.npz"), dict(found.skipped)


@pytest.mark.parametrize("folder", ["mpii_human_pose_v1_u12_2", "annot", "."])
def test_whole_people_for_training_come_from_the_official_file(home, root, folder):
    release(root / folder / "mpii_human_pose_v1_u12_1.mat")
    records, skipped = run(root)
    assert skipped == {"not all 16 joints annotated": 1}
    assert list(records.imgname) == [f"images/{k:09d}.jpg" for k in (0, 0, 4)]
    for row, seed in enumerate((0, 1, 3)):
        height = 1.5 + seed
        np.testing.assert_allclose(records.scale[row], 1.25 * height, rtol=1e-6)
        np.testing.assert_allclose(records.center[row], [200 + seed, 150 + 15 * height], rtol=1e-6)
        part = records.keypoints[row, 25:]
        for number, name in BY_NUMBER.items():
            wanted = [*places(seed)[number], 1]
            np.testing.assert_allclose(part[ANNOTATED_NAMES.index(name)], wanted, rtol=1e-5)
        assert part[:, 2].sum() == 16


def write_h5(path: Path, names) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    joints = np.stack([places(seed).astype(int) for seed in range(3)])
    joints[1, 9] = 0
    with h5py.File(path, "w") as file:
        file["imgname"] = names
        file["center"] = np.arange(6.0).reshape(3, 2)
        file["scale"] = np.array([1.0, 2.0, 3.0])
        file["part"] = joints
        file["visible"] = np.ones((3, 16))


@pytest.mark.parametrize("codes", [False, True])
def test_the_hdf5_file_is_preferred_and_its_boxes_are_kept(home, root, codes):
    release(root / "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat")
    names = [f"{k:09d}.jpg" for k in range(3)]
    if codes:  # older files hold each name as numbers of its characters, filled up with 0
        as_codes = np.zeros((3, 16))
        for row, name in zip(as_codes, names, strict=True):
            row[: len(name)] = [ord(letter) for letter in name]
        write_h5(root / "annot/train.h5", as_codes)
    else:
        write_h5(root / "annot/train.h5", np.array(names, "S"))
    records, skipped = run(root)
    assert skipped == {"not all 16 joints annotated": 1}
    assert list(records.imgname) == ["images/000000000.jpg", "images/000000002.jpg"]
    np.testing.assert_array_equal(records.scale, [1, 3])
    np.testing.assert_array_equal(records.center, [[0, 1], [4, 5]])
    wrist = records.keypoints[1, 25 + ANNOTATED_NAMES.index("left_wrist")]
    np.testing.assert_array_equal(wrist, [*places(2)[15].astype(int), 1])


def test_files_of_another_layout_are_named(home, root):
    path = root / "mpii_human_pose_v1_u12_1.mat"
    savemat(path, {"RELEASE": structs([{"annolist": structs([{"image": EMPTY}])}])})
    with pytest.raises(FileProblem, match="not the layout of mpii_human_pose_v1_u12_1"):
        run(root)
    savemat(path, {"other": 1})
    with pytest.raises(FileProblem, match="not the layout of mpii_human_pose_v1_u12_1"):
        run(root)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(FileProblem, match=r"u12_1\.mat.*damaged"):
        run(root)
    with h5py.File(root / "train.h5", "w") as file:
        file["imgname"] = [b"x"]
    with pytest.raises(FileProblem, match=r"train\.h5: has no center, scale, part; it has imgname"):
        run(root)
    (root / "train.h5").write_bytes((root / "train.h5").read_bytes()[:900])
    with pytest.raises(FileProblem, match=r"train\.h5.*damaged"):
        run(root)


NAMES = np.array([f"{k:09d}.jpg" for k in range(3)], "S")


def codes(*letters: float) -> np.ndarray:
    return np.array([[97.0, *letters]] * 3)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("imgname", codes(0xD800), "'imgname' must hold the numbers of ASCII"),
        ("imgname", codes(2**40), "'imgname' must hold the numbers of ASCII"),
        ("imgname", codes(np.nan), "'imgname' must hold the numbers of ASCII"),
        ("imgname", codes(np.inf), "'imgname' must hold the numbers of ASCII"),
        ("imgname", codes(-3), "'imgname' must hold the numbers of ASCII"),
        ("imgname", codes(7), r"'imgname' of row 0 is no name of a picture: 'a\\x07'"),
        ("imgname", np.array([b"\xff\xfe.jpg"] * 3), r"'imgname' is no UTF-8 text: b'\\xff"),
        ("imgname", np.array([b"a" * 300] * 3), "'imgname' of row 0 is no name of a picture"),
        ("imgname", np.array([b"../a.jpg"] * 3), "'imgname' of row 0 is no name of a picture"),
        ("imgname", b"a.jpg", r"'imgname' must hold n texts.*\(\)"),
        ("imgname", np.zeros((3, 2, 2)), r"'imgname' must hold n texts.*\(3, 2, 2\)"),
        ("imgname", np.arange(3.0), r"'imgname' must hold n texts.*float64 \(3,\)"),
        ("imgname", NAMES[:2], r"'center' must hold 2 x 2 numbers"),
        ("part", np.zeros((3, 14, 2)), r"'part' must hold 3 x 16 x 2 numbers.*\(3, 14, 2\)"),
        ("scale", NAMES, "'scale' must hold 3 numbers"),
        ("scale", 1.0, "'scale' must hold 3 numbers"),
    ],
)  # fmt: skip
def test_what_an_hdf5_file_has_wrong_is_named_with_its_key(home, root, key, value, says):
    path = root / "train.h5"
    write_h5(path, NAMES)
    with h5py.File(path, "r+") as file:
        del file[key]
        file[key] = value
    with pytest.raises(FileProblem, match=says) as refused:
        run(root)
    assert "train.h5" in str(refused.value)


def test_numbers_that_are_not_there_do_not_fill_the_memory(home, root):
    path = root / "train.h5"
    write_h5(path, NAMES)
    with h5py.File(path, "r+") as file:
        del file["part"]
        file.create_dataset("part", (31_250_000, 16, 2), "f8", fillvalue=1.0)
    with pytest.raises(
        FileProblem, match=r"train\.h5: 'part' cannot be read: .*8,000,000,000 byte"
    ):
        run(root)


@pytest.mark.parametrize("number", [np.inf, np.nan, -1.0, 16.0, 1e300, 0.5])
def test_a_joint_of_a_number_that_there_is_not_is_named(home, root, number):
    path = root / "mpii_human_pose_v1_u12_1.mat"
    one = person(0)
    one["annopoints"]["point"][0, 0]["id"][0, 3] = number
    whole = {
        "annolist": structs([{"image": structs([{"name": "a.jpg"}]), "annorect": structs([one])}]),
        "img_train": np.array([[1]], np.uint8),
    }
    savemat(path, {"RELEASE": structs([whole])})
    with pytest.raises(FileProblem, match=r"u12_1\.mat: not the layout.*a point's id is"):
        run(root)


@pytest.mark.parametrize("what", ["a folder", "a pipe"])
@pytest.mark.parametrize("name", ["mpii_human_pose_v1_u12_1.mat", "train.h5"])
def test_annotations_that_are_no_file_are_told_before_any_work(home, root, name, what):
    if what == "a folder":
        (root / name).mkdir()
    else:
        os.mkfifo(root / name)
    with pytest.raises(FileProblem, match=rf"{name}: annotations, not a file"):
        run(root)
    with pytest.raises(FileProblem, match=rf"{name} is {what}"):
        read_h5(root / name) if name.endswith("h5") else read_release(root / name)


def test_annotations_and_pictures_are_both_needed(home, tmp_path):
    (tmp_path / "mpii").mkdir()
    with pytest.raises(FileProblem) as refused:
        run(tmp_path / "mpii")
    assert "2 of 2 things needed" in str(refused.value)
    assert "mpii_human_pose_v1_u12_2.zip" in str(refused.value)
    assert "images/*.jpg: pictures, 0 there" in str(refused.value)
