"""LSP, LSP in full size and HR-LSPET from MATLAB files and pictures as they are handed out."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.data.prepare import get_recipe
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.prepared import open_prepared
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

ORDER = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck_lsp", "top_of_head_lsp",
)  # fmt: skip


def joints(count: int, size: float = 120, seed: int = 0) -> np.ndarray:
    """(14, 3, count): places of people some `size` pixels long; the third row says visible."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(10, 10 + size, (14, 2, count))
    return np.concatenate([places, rng.integers(0, 2, (14, 1, count))], 1)


@pytest.fixture
def lsp(tmp_path, write_picture):
    """Writes LSP with some of its pictures, and masks for them."""

    def write(
        numbers=(1, 2, 1000, 1001, 1002, 2000), size=120, masks="upi-s1h", name="lsp_dataset"
    ) -> Path:
        root = tmp_path / name
        for number in numbers:
            write_picture(root / f"images/im{number:04d}.jpg")
            if masks and number > 1000:
                for end in ("_segmentation", "_part_segmentation"):
                    write_picture(root / masks / f"data/lsp/im{number:04d}{end}.png")
        savemat(root / "joints.mat", {"joints": joints(2000, size).transpose(1, 0, 2)})
        return root

    return write


def run(name: str, root: Path, split: str) -> tuple[Records, dict[str, int]]:
    found, _ = prepare(get_recipe(name), root, split, workers=1, progress=False)
    return Records.open(found.folder / "records.npz"), dict(found.skipped)


def assert_person(records: Records, row: int, truth: np.ndarray) -> None:
    """truth (14, 2) or more columns, in LSP's order."""
    part = records.keypoints[row, 25:]
    for name, place in zip(ORDER, truth, strict=True):
        np.testing.assert_allclose(part[ANNOTATED_NAMES.index(name)], [*place[:2], 1], rtol=1e-5)
    others = [k for k, name in enumerate(ANNOTATED_NAMES) if name not in ORDER]
    assert not part[others].any()
    low, high = truth[:, :2].min(0), truth[:, :2].max(0)
    np.testing.assert_allclose(records.center[row], (low + high) / 2, rtol=1e-5)
    np.testing.assert_allclose(records.scale[row], 1.2 * (high - low).max() / 200, rtol=1e-5)


def test_the_first_thousand_are_for_training(home, lsp):
    records, skipped = run("lsp", lsp(), "train")
    assert list(records.imgname) == [f"images/im{k:04d}.jpg" for k in (1, 2, 1000)]
    assert skipped == {"picture missing": 997}
    truth = joints(2000)
    for row, number in enumerate((1, 2, 1000)):
        assert_person(records, row, truth[:, :, number - 1])
    assert not records.has_smpl.any()
    assert not records.texts


def test_the_others_are_for_testing_and_have_masks(home, lsp):
    root = lsp()
    records, skipped = run("lsp", root, "test")
    assert skipped == {"picture missing": 997}
    truth = joints(2000)
    for row, number in enumerate((1001, 1002, 2000)):
        assert records.imgname[row] == f"images/im{number:04d}.jpg"
        assert_person(records, row, truth[:, :, number - 1])
        for key, end in (("maskname", ""), ("partname", "_part")):
            path = root / records.texts[key][row]
            assert path.samefile(root / f"upi-s1h/data/lsp/im{number:04d}{end}_segmentation.png")
    assert len(open_prepared("lsp", "test")) == 3


@pytest.mark.parametrize("masks", [".", "../upi-s1h"])
def test_masks_may_lie_in_the_folder_or_beside_it(home, lsp, masks):
    root = lsp(masks=masks)
    records, _ = run("lsp", root, "test")
    with Image.open(root / records.texts["partname"][0]) as picture:
        assert picture.size == (40, 30)


def test_without_masks_the_test_half_is_not_prepared(home, lsp):
    root = lsp(masks=None)
    with pytest.raises(FileProblem, match=r"2 of 4.*\n.*im\*\[0-9\]_segmentation.*upi-s1h\.zip"):
        run("lsp", root, "test")
    run("lsp", root, "train")


def test_damaged_masks_are_counted(home, lsp):
    root = lsp()
    folder = root / "upi-s1h/data/lsp"
    cut = folder / "im1002_part_segmentation.png"
    cut.write_bytes(cut.read_bytes()[:-40])
    (folder / "im2000_segmentation.png").unlink()
    records, skipped = run("lsp", root, "test")
    assert skipped == {"picture missing": 997, "part mask damaged": 1, "mask missing": 1}
    assert list(records.imgname) == ["images/im1001.jpg"]


def test_a_person_with_nan_is_counted(home, lsp):
    root = lsp()
    places = joints(2000).transpose(1, 0, 2)
    places[0, 4, 1] = np.nan
    savemat(root / "joints.mat", {"joints": places})
    records, skipped = run("lsp", root, "train")
    assert list(records.imgname) == ["images/im0001.jpg", "images/im1000.jpg"]
    assert sum(skipped.values()) == 998
    assert any("NaN" in reason for reason in skipped)


def test_full_size_is_a_set_of_its_own(home, lsp):
    root = lsp(size=600, masks=None, name="lsp_dataset_original")
    records, _ = run("lsp-orig", root, "train")
    assert_person(records, 2, joints(2000, 600)[:, :, 999])
    records, _ = run("lsp-orig", root, "test")
    assert_person(records, 0, joints(2000, 600)[:, :, 1000])
    assert not records.texts


def test_small_and_full_size_are_not_taken_for_each_other(home, lsp):
    with pytest.raises(FileProblem, match=r"full-size pictures.*prepare lsp-orig"):
        run("lsp", lsp(size=600, name="a"), "train")
    with pytest.raises(FileProblem, match=r"small pictures.*prepare lsp$"):
        run("lsp-orig", lsp(name="b"), "train")


@pytest.fixture
def lspet(tmp_path, write_picture):
    """Writes HR-LSPET: pictures with gaps in their numbers."""

    def write(numbers=(1, 2, 4, 7), count=4, order=(0, 1, 2)) -> Path:
        root = tmp_path / "hr-lspet"
        for number in numbers:
            write_picture(root / f"im{number:05d}.png")
        savemat(root / "joints.mat", {"joints": joints(count).transpose(order)})
        return root

    return write


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2)])
def test_annotations_go_with_pictures_by_their_order(home, lspet, order):
    records, skipped = run("lspet", lspet(order=order), "train")
    assert list(records.imgname) == [f"im{k:05d}.png" for k in (1, 2, 4, 7)]
    for row in range(4):
        assert_person(records, row, joints(4)[:, :, row])
    assert skipped == {}


def test_where_there_is_an_annotation_for_each_number_they_go_by_number(home, lspet):
    records, _ = run("lspet", lspet(count=9), "train")
    for row, number in enumerate((1, 2, 4, 7)):
        assert_person(records, row, joints(9)[:, :, number - 1])


def test_a_picture_missing_from_the_order_is_noticed(home, lspet):
    with pytest.raises(FileProblem, match=r"the joints of 4 pictures, but 3 im\*\.png"):
        run("lspet", lspet(numbers=(1, 2, 7)), "train")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"other": np.zeros(3)}, "has no variable 'joints'"),
        ({"joints": np.zeros((3, 16, 5))}, r"\(3, 14, N\) or \(14, 3, N\).*\(3, 16, 5\)"),
        ({"joints": np.zeros((3, 14))}, r"found float64 \(3, 14\)"),
        ({"joints": joints(10)}, "expected the joints of LSP's 2,000 pictures, found 10"),
    ],
)
def test_other_contents_are_named(home, lsp, content, says):
    root = lsp()
    savemat(root / "joints.mat", content)
    with pytest.raises(FileProblem, match=says):
        run("lsp", root, "train")


@pytest.mark.parametrize("what", ["a folder", "a pipe"])
def test_joints_that_are_no_file_are_told_before_any_work(home, lsp, what):
    root = lsp()
    (root / "joints.mat").unlink()
    (root / "joints.mat").mkdir() if what == "a folder" else os.mkfifo(root / "joints.mat")
    with pytest.raises(FileProblem, match=r"joints\.mat: annotated joints, not a file"):
        run("lsp", root, "train")


def test_pictures_that_are_no_files_or_may_not_be_read_are_counted(home, lsp, monkeypatch):
    root = lsp(numbers=(1, 2, 3, 4))
    (root / "images/im0001.jpg").unlink()
    os.mkfifo(root / "images/im0001.jpg")
    (root / "images/im0002.jpg").unlink()
    (root / "images/im0002.jpg").mkdir()
    opened = os.open

    def forbidden(path, *more, **others):
        if str(path).endswith("im0003.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *more, **others)

    monkeypatch.setattr(os, "open", forbidden)
    records, skipped = run("lsp", root, "train")
    assert list(records.imgname) == ["images/im0004.jpg"]
    assert skipped == {"picture missing": 996, "picture unreadable": 3}


def test_joints_that_are_cut_short_are_named(home, lsp):
    root = lsp()
    path = root / "joints.mat"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FileProblem, match=r"joints\.mat.*damaged"):
        run("lsp", root, "train")
    path.write_bytes(b"")
    with pytest.raises(FileProblem, match=r"joints\.mat: annotated joints, empty"):
        run("lsp", root, "train")
