"""Record files and fits as SPIN released them."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from hmrlab.data.prepare.extras import adopt
from hmrlab.data.prepared import open_prepared, prepared_folder
from hmrlab.data.records import Records
from hmrlab.data.static_fits import read_static_fits, save_static_fits, static_fits_of
from hmrlab.files import FileProblem

COUNT = 4


def mpii() -> dict[str, np.ndarray]:
    """As `mpii_train.npz`: no 3D, no SMPL; lists that numpy made arrays of."""
    rng = np.random.default_rng(0)
    return {
        "imgname": np.array([f"images/{k:09d}.jpg" for k in range(COUNT)]),
        "center": rng.integers(100, 300, (COUNT, 2)),
        "scale": rng.uniform(1, 3, COUNT),
        "part": rng.uniform(1, 300, (COUNT, 24, 3)),
        "openpose": rng.uniform(1, 300, (COUNT, 25, 3)),
    }


@pytest.fixture
def root(tmp_path, write_picture):
    for k in range(COUNT):
        write_picture(tmp_path / f"mpii/images/{k:09d}.jpg")
    return tmp_path / "mpii"


@pytest.fixture
def released(tmp_path):
    def write(name: str, **arrays) -> Path:
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    return write


def test_a_released_file_is_a_set_by_its_name(home, root, released):
    content = mpii()
    found, missing = adopt(released("mpii_train.npz", **content), root)
    assert (found.name, found.split, found.count, missing) == ("mpii", "train", COUNT, 0)
    assert found.box_factor == 1.25
    dataset = open_prepared("mpii", "train")
    records = dataset.records
    np.testing.assert_allclose(records.scale, content["scale"], rtol=1e-6)
    np.testing.assert_allclose(records.keypoints[:, 25:], content["part"], rtol=1e-6)
    np.testing.assert_allclose(records.keypoints[:, :25], content["openpose"], rtol=1e-6)
    assert not records.has_smpl.any()
    assert dataset.gather(np.array([1]), 32).images.shape == (1, 32, 32, 3)


def test_any_file_can_be_said_to_be_a_set(home, root, released):
    path = released("mine.npz", **mpii())
    with pytest.raises(ValueError, match=r"mine\.npz is none of SPIN's names"):
        adopt(path, root)
    with pytest.raises(ValueError, match="no split 'test'"):
        adopt(path, root, name="mpii", split="test")
    found, _ = adopt(path, root, name="mpii", split="train")
    assert found.count == COUNT


def test_texts_saved_as_objects_or_bytes_are_read(home, root, released):
    """As numpy saved them from lists of Python 2's texts, or from lists of different kinds."""
    content = mpii()
    content["imgname"] = content["imgname"].astype(object)
    content["gender"] = np.array([b"m", b"f", b"n", b"m"])
    content["pose"] = np.array([list(np.full(72, k / 10)) for k in range(COUNT)], object)
    content["shape"] = np.zeros((COUNT, 10))
    content["has_smpl"] = np.array([[1], [0], [1], [1]])
    content["scale"] = content["scale"][:, None]
    content["extra"] = np.array(["anything"])
    found, _ = adopt(released("mpii_train.npz", **content), root)
    records = Records.open(found.folder / "records.npz")
    assert list(records.imgname) == list(mpii()["imgname"])
    assert list(records.texts["gender"]) == ["m", "f", "n", "m"]
    np.testing.assert_allclose(records.pose[2], 0.2, rtol=1e-6)
    assert list(records.has_smpl) == [True, False, True, True]
    np.testing.assert_allclose(records.scale, mpii()["scale"], rtol=1e-6)


class Touches:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_an_object_that_would_run_code_is_refused(home, root, released, tmp_path):
    content = mpii() | {"gender": np.array([Touches(tmp_path / "ran")], object)}
    with pytest.raises(FileProblem, match=r"mpii_train\.npz.*could run code"):
        adopt(released("mpii_train.npz", **content), root)
    assert not (tmp_path / "ran").exists()


def test_rows_without_a_picture_are_kept_and_counted(home, root, released):
    (root / "images/000000002.jpg").unlink()
    found, missing = adopt(released("mpii_train.npz", **mpii()), root)
    assert (found.count, missing) == (COUNT, 1)


def test_another_root_is_noticed_and_the_right_one_named(home, root, released):
    path = released("mpii_train.npz", **mpii())
    with pytest.raises(FileProblem, match=rf"images/000000000\.jpg.*--root {root}$"):
        adopt(path, root / "images")
    with pytest.raises(FileProblem, match=rf"--root {root}$"):
        adopt(path, root.parent)
    assert not prepared_folder("mpii", "train").exists()


@pytest.fixture
def lsp(tmp_path, write_picture, released):
    """LSP's test half, and masks in another place, with the names that SPIN gave them."""
    names = [f"im{k:04d}" for k in (1001, 1002)]
    for name in names:
        write_picture(tmp_path / f"lsp_dataset/images/{name}.jpg")
        for end in ("_segmentation", "_part_segmentation"):
            write_picture(tmp_path / f"UP/data/lsp/{name}{end}.png")
    path = released(
        "lsp_dataset_test.npz",
        imgname=np.array([f"images/{name}.jpg" for name in names]),
        maskname=np.array([f"data/lsp/{name}_segmentation.png" for name in names]),
        partname=np.array([f"data/lsp/{name}_part_segmentation.png" for name in names]),
        center=np.ones((2, 2)),
        scale=np.ones(2),
        part=np.ones((2, 24, 3)),
    )
    return path, tmp_path / "lsp_dataset", tmp_path / "UP"


def test_masks_are_found_where_they_are(home, lsp):
    path, root, masks = lsp
    with pytest.raises(FileProblem, match=r"no mask data/lsp/im1001_seg.*--masks DIR"):
        adopt(path, root)
    found, _ = adopt(path, root, masks=masks)
    texts = Records.open(found.folder / "records.npz").texts
    assert (found.images / texts["maskname"][1]).samefile(
        masks / "data/lsp/im1002_segmentation.png"
    )
    assert (found.images / texts["partname"][0]).is_file()
    masks.rename(root / "upi-s1h")
    found, _ = adopt(path, root)
    texts = Records.open(found.folder / "records.npz").texts
    assert texts["maskname"][0] == "upi-s1h/data/lsp/im1001_segmentation.png"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("imgname"), "has no 'imgname'"),
        (lambda c: c.pop("scale"), "has no 'scale'"),
        (lambda c: c["part"].__setitem__((1, 2, 0), np.nan), "'part' has NaN.*first: 1"),
        (lambda c: c.update(part=c["part"][:, :14]), "14 joints"),
        (lambda c: c.update(part=np.array([[1, 2], [3], [4], [5]], object)), "no numbers of one"),
        (lambda c: c.update(imgname=np.array(["a" * 300] * COUNT)), "'imgname' holds no texts"),
        (lambda c: c.update(gender=np.array([b"\xff"] * COUNT)), "'gender' holds no texts"),
    ],
)
def test_other_contents_are_named_with_the_file(home, root, released, change, says):
    content = mpii()
    change(content)
    with pytest.raises(FileProblem, match=says) as refused:
        adopt(released("mpii_train.npz", **content), root)
    assert "mpii_train.npz" in str(refused.value)
    assert not (prepared_folder("mpii", "train") / "set.json").exists()


def test_a_file_that_is_cut_short_or_missing_is_named(home, root, released, tmp_path):
    path = released("mpii_train.npz", **mpii())
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(FileProblem, match=r"mpii_train\.npz"):
        adopt(path, root)
    with pytest.raises(FileProblem, match=r"no file at .*coco_2014_train\.npz"):
        adopt(tmp_path / "coco_2014_train.npz", root)


def test_where_nothing_can_be_written_it_is_told(home, root, released):
    home.write_text("a file where a folder should be")
    with pytest.raises(FileProblem, match=r"could not write .*HMRLAB_HOME"):
        adopt(released("mpii_train.npz", **mpii()), root)


def fits(count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 82)).astype(np.float32)


def test_static_fits_come_with_the_set(home, root, released, tmp_path):
    np.save(tmp_path / "mpii_fits.npy", fits())
    adopt(released("mpii_train.npz", **mpii()), root, fits=tmp_path / "mpii_fits.npy")
    found = static_fits_of(open_prepared("mpii", "train").records)
    np.testing.assert_array_equal(found.pose.reshape(COUNT, 72), fits()[:, :72])
    np.testing.assert_array_equal(found.betas, fits()[:, 72:])
    assert found.valid.all()
    adopt(released("mpii_train.npz", **mpii()), root)  # without: those of before are gone
    assert static_fits_of(open_prepared("mpii", "train").records) is None


@pytest.mark.parametrize("keys", [("pose", "shape", "has_smpl"), ("pose", "betas", "valid_fit")])
def test_final_fits_say_which_are_to_be_believed(make_records, tmp_path, keys):
    records = make_records(COUNT)
    values = fits()[:, :72], fits()[:, 72:], np.array([1, 0, 1, 1])
    np.savez(tmp_path / "mpii.npz", **dict(zip(keys, values, strict=True)))
    found = read_static_fits(tmp_path / "mpii.npz", records)
    assert list(found.valid) == [True, False, True, True]
    assert not found.pose[1].any()
    np.testing.assert_array_equal(found.betas[2], fits()[2, 72:])
    save_static_fits(found, tmp_path / "kept")
    again = read_static_fits(tmp_path / "kept" / "static_fits.npz", records)
    for key, value in vars(found).items():
        np.testing.assert_array_equal(value, vars(again)[key])


def test_a_fit_with_nan_is_not_valid(make_records, tmp_path):
    content = fits()
    content[2, 5] = np.nan
    np.save(tmp_path / "fits.npy", content)
    found = read_static_fits(tmp_path / "fits.npy", make_records(COUNT))
    assert list(found.valid) == [True, True, False, True]
    assert np.isfinite(found.pose).all()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (fits(COUNT + 1), "has 5 fits, but .* has 4 samples"),
        (fits()[:, :75], r"\(N, 72\) numbers of pose and \(N, 10\) betas.*\(4, 3\)"),
        (np.float32(3), "not a readable file of fits"),
        (np.array([{"a": 1}], object), "not a readable file of fits"),
    ],
)
def test_fits_of_other_rows_or_shapes_are_refused(make_records, tmp_path, content, says):
    np.save(tmp_path / "fits.npy", content)
    with pytest.raises(FileProblem, match=says):
        read_static_fits(tmp_path / "fits.npy", make_records(COUNT))


def test_fits_that_are_no_fits_are_refused(make_records, tmp_path):
    records = make_records(COUNT)
    with pytest.raises(FileProblem, match="no file of fits"):
        read_static_fits(tmp_path / "gone.npy", records)
    np.savez(tmp_path / "a.npz", pose=fits()[:, :72])
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY cut")
    (tmp_path / "c.npy").write_bytes(pickle.dumps({"pose": 1}))
    for name in ("a.npz", "b.npy", "c.npy"):
        with pytest.raises(FileProblem, match="not a readable file of fits"):
            read_static_fits(tmp_path / name, records)
