"""MPI-INF-3DHP's test set, from a small original of its layout."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import hmrlab.data.prepare.mpi_inf_3dhp as mpi
from hmrlab.bodies.joints import ANNOTATED_TO_J17
from hmrlab.data.prepare.mpi_inf_3dhp import RECIPE
from hmrlab.data.prepare.runner import prepare
from hmrlab.data.records import Records
from hmrlab.files import FileProblem

# SPIN's own lists: rows of the 17 joints, and where among the 24 each of them goes.
SPIN_TEST_ROWS = [14, 11, 12, 13, 8, 9, 10, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4]
SPIN_PLACES = [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Two of the six sequences, in a folder of its own."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(mpi, "TEST_SEQUENCES", (1, 5))


def run(root: Path, split: str):
    made, _ = prepare(RECIPE, root, split, workers=1, progress=False)
    return made, dict(np.load(made.folder / "records.npz"))


def placed(points: np.ndarray, rows: list[int]) -> np.ndarray:
    """SPIN's 24 from joints of one person, (J, d)."""
    result = np.zeros((24, points.shape[1] + 1))
    result[SPIN_PLACES] = np.c_[points[rows], np.ones(17)]
    return result


class OriginalTest:
    """A small test set, and what was written into it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.points, self.joints, self.valid = {}, {}, {}
        rng = np.random.default_rng(8)
        for number, size in ((1, (64, 64)), (5, (96, 54))):
            n = 9
            points = rng.uniform(5, 50, (n, 1, 17, 2))
            points[3, 0, 16, 0] = 64.0  # the first column right of the square picture
            points[4, 0, 2, 1] = -0.5
            joints = rng.normal(0, 500, (n, 1, 17, 3))
            valid = np.ones((n, 1))
            valid[[0, 7]] = 0
            self.points[number], self.joints[number], self.valid[number] = points, joints, valid
            folder = self.folder(number)
            (folder / "imageSequence").mkdir(parents=True)
            self.write(number)
            for frame in range(n):
                picture = Image.new("RGB", size, (frame * 20, 0, 0))
                picture.save(self.picture(number, frame))

    def folder(self, number: int) -> Path:
        return self.root / "mpi_inf_3dhp_test_set" / f"TS{number}"

    def picture(self, number: int, frame: int) -> Path:
        return self.folder(number) / "imageSequence" / f"img_{frame + 1:06d}.jpg"

    def write(self, number: int) -> None:
        """`annot_data.mat` as MATLAB 7.3 writes it: axes in the reverse order."""
        path = self.folder(number) / "annot_data.mat"
        with h5py.File(path, "w", userblock_size=512) as file:
            file["annot2"] = self.points[number]
            file["annot3"] = 0.9 * self.joints[number]
            file["univ_annot3"] = self.joints[number]
            file["valid_frame"] = self.valid[number]
            file["activity_annotation"] = np.ones((9, 1))


@pytest.fixture
def test(tmp_path) -> OriginalTest:
    return OriginalTest(tmp_path / "3dhp")


def test_test_samples_are_spins(test):
    made, arrays = run(test.root, "test")
    # frames 0 and 7 are not valid; 3 is outside the square pictures alone, 4 is outside all
    kept = [(1, frame) for frame in (1, 2, 5, 6, 8)] + [(5, frame) for frame in (1, 2, 3, 5, 6, 8)]
    assert arrays["imgname"].tolist() == [
        f"mpi_inf_3dhp_test_set/TS{number}/imageSequence/img_{frame + 1:06d}.jpg"
        for number, frame in kept
    ]
    assert made.skipped == {"the frame is not valid": 4, "a joint is outside the picture": 3}
    for row, (number, frame) in enumerate(kept):
        in_mm, points = test.joints[number][frame, 0], test.points[number][frame, 0]
        metres = (in_mm - in_mm[14]) / 1000
        np.testing.assert_allclose(arrays["S"][row], placed(metres, SPIN_TEST_ROWS), atol=1e-6)
        part = placed(points, SPIN_TEST_ROWS)
        np.testing.assert_allclose(arrays["part"][row], part, atol=1e-5)
        low, high = points.min(0), points.max(0)
        np.testing.assert_allclose(arrays["center"][row], (low + high) / 2, atol=1e-5)
        np.testing.assert_allclose(arrays["scale"][row], 1.2 * max(high - low) / 200, rtol=1e-5)
    assert (arrays["S"][:, ANNOTATED_TO_J17, 3] == 1).all(), "what PCK and AUC are measured on"
    assert Records.open(made.folder / "records.npz").has_pose_3d.all()
    assert (made.images / str(arrays["imgname"][0])).is_file()


def test_a_test_picture_that_is_missing_is_named(test):
    test.picture(5, 3).unlink()
    test.picture(5, 7).unlink()  # not valid: nobody misses it
    with pytest.raises(FileProblem, match=r"1 of 7 pictures .*TS5/imageSequence/img_000004\.jpg"):
        run(test.root, "test")


def test_a_test_picture_that_is_damaged_is_left_out_and_counted(test):
    for frame, share in ((2, 0.02), (5, 0.9)):
        data = test.picture(1, frame).read_bytes()
        test.picture(1, frame).write_bytes(data[: int(len(data) * share)])
    made, arrays = run(test.root, "test")
    assert made.skipped["picture damaged"] == 2
    assert "TS1/imageSequence/img_000003" not in " ".join(arrays["imgname"].tolist())
    assert made.count == 9


def test_damaged_test_annotations_are_named(test):
    path = test.folder(1) / "annot_data.mat"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"<html>404</html>"):
        path.write_bytes(content)
        with pytest.raises(FileProblem, match=r"annot_data\.mat: is no HDF5 file"):
            run(test.root, "test")
    test.joints[1] = test.joints[1][:, :, :14]
    test.write(1)
    with pytest.raises(FileProblem, match=r"'univ_annot3' must hold 9 x 1 x 17 x 3 numbers"):
        run(test.root, "test")


@pytest.mark.parametrize("key", ["valid_frame", "annot2", "univ_annot3"])
def test_test_annotations_of_another_kind_are_named_with_their_key(test, key):
    path = test.folder(1) / "annot_data.mat"
    for value in (None, b"text", np.array([b"a"] * 9)):
        with h5py.File(path, "r+") as file:
            del file[key]
            if value is not None:
                file[key] = value
        with pytest.raises(FileProblem, match=rf"annot_data\.mat: '{key}' ") as refused:
            run(test.root, "test")
        test.write(1)
    assert "must hold" in str(refused.value)


@pytest.mark.parametrize("what", ["a pipe", "too many pixels"])
def test_a_test_picture_that_cannot_be_read_is_left_out_and_counted(test, monkeypatch, what):
    path = test.picture(1, 2)
    path.unlink()
    if what == "a pipe":
        os.mkfifo(path)
        with pytest.raises(FileProblem, match=r"1 of 7 pictures .*img_000003\.jpg"):
            run(test.root, "test")
    else:
        Image.new("L", (70_000, 1)).save(path.with_suffix(".png"))
        path.with_suffix(".png").rename(path)
        made, _ = run(test.root, "test")
        assert (made.skipped["picture damaged"], made.count) == (1, 10)


def test_numbers_that_are_not_finite_are_left_out(test):
    test.joints[1][1, 0, 5, 2] = np.nan
    test.points[1][2, 0, 5, 1] = np.nan
    test.write(1)
    made, _ = run(test.root, "test")
    assert made.count == 9
    assert sum(made.skipped.values()) == 9


def test_the_folder_within_is_not_the_root(test):
    with pytest.raises(FileProblem, match=rf"--root {test.root}\b"):
        run(test.root / "mpi_inf_3dhp_test_set", "test")
