"""Synthetic twins have the real sets' labels, and no others."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from hmrlab.bodies import load_body
from hmrlab.data.dataset import open_set
from hmrlab.data.part_masks import UPI_S1H_PARTS
from hmrlab.data.synthetic.mock_benchmarks import SOURCES, mock_benchmark
from hmrlab.files import FileProblem

PEOPLE, SIZE = 8, 64


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(scope="module")
def twins(root):
    return {name: mock_benchmark(name, PEOPLE, SIZE, root=root, progress=False) for name in SOURCES}


def people_of(dataset, root):
    """The synthetic set behind a twin, and the rows that are in it."""
    folders, _, names = np.char.partition(dataset.records.imgname, "/").T
    assert len(set(folders)) == 1
    return root / str(folders[0]), [int(name.rpartition("#")[2]) for name in names]


def test_each_twin_is_called_synthetic_and_is_of_its_kind(twins, root):
    for name, dataset in twins.items():
        assert dataset.name == f"synthetic twin of {name}"
        people, _ = people_of(dataset, root)
        assert people.name.startswith(SOURCES[name])
        note = json.loads((dataset.records.path.parent / "set.json").read_text())
        assert "synthetic" in note["name"]
        assert note["count"] == len(dataset)


def test_the_record_files_hold_the_keys_of_the_real_ones(twins):
    keys = {
        name: set(np.load(dataset.records.path, allow_pickle=False).files)
        - {"imgname", "center", "scale"}
        for name, dataset in twins.items()
    }
    assert keys == {
        "3dpw": {"pose", "shape", "gender"},
        "mpi-inf-3dhp": {"S", "part"},
        "h36m-p1": {"S", "part"},
        "h36m-p2": {"S", "part"},
        "lsp": {"part", "maskname", "partname"},
    }
    shares = {name: dataset.label_shares() for name, dataset in twins.items()}
    assert shares["3dpw"] == {"keypoints_2d": 0.0, "pose_3d": 0.0, "smpl": 1.0}
    assert shares["mpi-inf-3dhp"]["pose_3d"] == 1.0
    assert shares["mpi-inf-3dhp"]["smpl"] == shares["lsp"]["smpl"] == 0.0


def test_pictures_and_people_are_those_of_the_synthetic_set(twins, root):
    for name, dataset in twins.items():
        people, rows = people_of(dataset, root)
        whole = open_set(people)
        assert rows == list(range(0, PEOPLE, 4 if name == "h36m-p2" else 1))
        np.testing.assert_array_equal(dataset.records.center, whole.records.center[rows])
        last = dataset.images.read(str(dataset.records.imgname[-1]))
        np.testing.assert_array_equal(last, np.load(people / "images.npy")[rows[-1]])
    whole = open_set(people_of(twins["3dpw"], root)[0])
    np.testing.assert_array_equal(twins["3dpw"].records.pose, whole.records.pose)


def test_seventeen_joints_are_human36ms_of_the_true_body(twins, root):
    """In the places of SPIN: the 17 in the order of its H36M_TO_J17, among the annotated 24."""
    dataset = twins["mpi-inf-3dhp"]
    people, _ = people_of(dataset, root)
    records = open_set(people).records
    body = load_body("free", "light")
    regressed = body.h36m(torch.from_numpy(records.pose), torch.from_numpy(records.betas)).numpy()
    placed = regressed + np.load(people / "cameras.npz")["translation"][:, None]
    joints = dataset.records.joints_3d
    known = np.flatnonzero(joints[0, :, 3])
    assert known.tolist() == [*range(13), 14, 16, 17, 18]
    for row_of_h36m, place in ((0, 14), (10, 18), (8, 12), (6, 0), (13, 11), (7, 16), (9, 17)):
        np.testing.assert_allclose(joints[:, place, :3], placed[:, row_of_h36m], atol=1e-4)
    assert not joints[:, [13, 15, 19, 20, 21, 22, 23]].any()


def test_masks_are_the_persons_and_open_where_something_stands_before_it(twins, root):
    dataset = twins["lsp"]
    people, rows = people_of(dataset, root)
    seen = np.load(people / "masks.npz")["lsp"]
    ours_to_theirs = np.array([0, 1, 2, 4, 3, 6, 5])  # left and right in the other order
    opened = 0
    for k, row in enumerate(rows):
        texts = dataset.records.texts
        mask, parts = (
            np.asarray(Image.open(root / str(texts[key][k]))) for key in ("maskname", "partname")
        )
        assert set(np.unique(mask)) == {0, 255}
        assert set(np.unique(parts)) <= {*range(7), 255}
        np.testing.assert_array_equal(mask > 0, parts > 0)
        inside = maximum_filter(seen[row], 3) == minimum_filter(seen[row], 3)
        inner = (seen[row] > 0) & inside  # at edges the two differ, by a quarter of a pixel
        assert (parts[inner] == ours_to_theirs[seen[row][inner]]).all()
        hidden = (parts == 255) & inside
        assert (seen[row][hidden] == 0).all()
        opened += int(hidden.sum())
    assert opened > 20
    assert UPI_S1H_PARTS[2] == "right_arm"


def test_a_twin_is_made_once_and_again_when_it_is_damaged(root, twins):
    path = twins["3dpw"].records.path
    made = path.stat().st_mtime_ns
    assert mock_benchmark("3dpw", PEOPLE, SIZE, root=root, progress=False).records.path == path
    assert path.stat().st_mtime_ns == made
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    again = mock_benchmark("3dpw", PEOPLE, SIZE, root=root, progress=False)
    np.testing.assert_array_equal(again.records.pose, twins["3dpw"].records.pose)
    assert {left.suffix for left in path.parent.parent.glob(".*")} == {".lock"}


def test_what_is_broken_off_leaves_no_twin(root, twins, monkeypatch, tmp_path):
    from hmrlab.data.synthetic import mock_benchmarks as module

    def broken(*_, **__):
        raise KeyboardInterrupt

    people, _ = people_of(twins["h36m-p1"], root)
    (tmp_path / people.name).symlink_to(people)
    monkeypatch.setattr(module, "note_set", broken)
    with pytest.raises(KeyboardInterrupt):
        mock_benchmark("h36m-p1", PEOPLE, SIZE, root=tmp_path, progress=False)
    assert [left.suffix for left in (tmp_path / "twins").iterdir()] == [".lock"]
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "twins")
    (tmp_path / "twins").write_text("a file where a folder should be")
    with pytest.raises(FileProblem, match="could not write"):
        mock_benchmark("h36m-p1", PEOPLE, SIZE, root=tmp_path, progress=False)


def test_a_set_without_a_twin_says_which_have_one():
    with pytest.raises(ValueError, match=r"coco has no synthetic twin; there are 3dpw, mpi"):
        mock_benchmark("coco", PEOPLE, SIZE)
