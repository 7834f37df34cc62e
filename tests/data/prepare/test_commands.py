"""`hmrlab data prepare`, `adopt` and `status`, as a reader calls them."""

import json
import os

import numpy as np
import pytest
from scipy.io import savemat

from hmrlab.data.prepared import open_prepared


@pytest.fixture
def disk(tmp_path, write_picture):
    """A folder with the downloads of three sets, called as their archives are."""
    places = np.random.default_rng(0).uniform(10, 120, (3, 14, 2000))
    for name, size in (("lsp_dataset", 1), ("lsp_dataset_original", 5)):
        write_picture(tmp_path / f"disk/{name}/images/im0007.jpg")
        savemat(tmp_path / f"disk/{name}/joints.mat", {"joints": size * places})
    write_picture(tmp_path / "disk/hr-lspet/im00001.png")
    savemat(tmp_path / "disk/hr-lspet/joints.mat", {"joints": places.transpose(1, 0, 2)[..., :1]})
    return tmp_path / "disk"


def test_a_set_is_prepared_and_its_summary_printed(home, disk, hmrlab):
    root = disk / "lsp_dataset"
    done = hmrlab("data", "prepare", "lsp", "--root", root, "--split", "train", "--workers", 1)
    assert done.code == 0
    assert f"lsp train: 1 samples, pictures in {root}" in done.out
    assert "left out: 999\n  999 picture missing" in done.out
    assert "SPIN's released file of it has 1,000 samples" in done.out
    assert "lsp train" in done.err  # the bar
    again = hmrlab("data", "prepare", "lsp", "--root", root, "--split", "train")
    assert "was prepared already" in again.out
    assert len(open_prepared("lsp", "train")) == 1


def test_several_sets_lie_in_folders_of_their_own(home, disk, hmrlab):
    words = ("data", "prepare", "lsp", "lsp-orig", "lspet", "--root", disk, "--split", "train")
    assert hmrlab(*words, "--workers", 1).code == 0
    for name, folder in (("lsp", "lsp_dataset"), ("lsp-orig", "lsp_dataset_original"),
                         ("lspet", "hr-lspet")):  # fmt: skip
        assert open_prepared(name, "train").images.folder == disk / folder
    small, large = (open_prepared(name, "train").records for name in ("lsp", "lsp-orig"))
    np.testing.assert_allclose(5 * small.scale, large.scale, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("lsp", "lsp_dataset"), ("lsp-orig", "lsp_dataset_original"), ("lspet", "hr-lspet")],
)
def test_a_level_above_the_folder_of_that_very_set_is_named(home, disk, hmrlab, name, folder):
    """Some sets have files of the same names."""
    done = hmrlab("data", "prepare", name, "--root", disk, "--split", "train")
    assert done.code == 1
    assert f"--root {disk / folder}\n" in done.err


def test_all_are_those_that_are_there(home, disk, hmrlab):
    done = hmrlab("data", "prepare", "all", "--root", disk, "--split", "train", "--workers", 1)
    assert done.code == 0
    assert [line.split(":")[0] for line in done.out.splitlines() if " samples, " in line] == [
        "lsp train", "lsp-orig train", "lspet train",
    ]  # fmt: skip
    nothing = hmrlab("data", "prepare", "all", "--root", disk / "hr-lspet")
    assert nothing.code == 2
    assert "3dpw/3DPW" in nothing.err


def test_of_all_splits_what_is_missing_is_told_before_any_work(home, disk, hmrlab):
    done = hmrlab("data", "prepare", "lsp", "--root", disk / "lsp_dataset", "--workers", 1)
    assert done.code == 1
    assert "upi-s1h.zip (UPi-S1h)" in done.err
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("prepare", "lsp"), 2, "Missing option '--root'"),
        (("prepare", "zoo", "--root", "."), 2, "no recipe for 'zoo'; there are"),
        (("prepare", "lsp", "--root", ".", "--split", "val"), 2, "has the splits train, test"),
        (("prepare", "lsp", "--root", ".", "--images", "."), 2, "comes as pictures"),
        (("prepare", "lsp", "--root", "nowhere"), 1, "there is no folder"),
        (("adopt", "gone/mpii_train.npz", "--root", "."), 1, "no file at gone/mpii_train.npz"),
        (("adopt", "some.npz", "--root", "."), 2, "say which set and split it is"),
        (("prepare", "lsp", "--root", "~nouser"), 1, "~nouser: there is no user ~nouser"),
        (("prepare", "lsp", "--root", "loop"), 1, "loop: a link in this path leads back to itself"),
        (("prepare", "lsp", "--root", "a" * 5000), 1, "there is no folder"),
        (("prepare", "h36m", "--root", ".", "--images", "~nouser"), 1, "there is no user ~nouser"),
        (("prepare", "h36m", "--root", ".", "--images", "loop"), 1, "leads back to itself"),
        (("adopt", "~nouser/mpii_train.npz", "--root", "."), 1, "there is no user ~nouser"),
        (("adopt", "loop/mpii_train.npz", "--root", "."), 1, "loop/mpii_train.npz"),
        (("adopt", "mpii_train.npz", "--root", "~nouser"), 1, "there is no user ~nouser"),
        (("adopt", "mpii_train.npz", "--root", "loop"), 1, "leads back to itself"),
        (("adopt", "mpii_train.npz", "--root", ".", "--fits", "~nouser"), 1, "no user ~nouser"),
        (("adopt", "mpii_train.npz", "--root", ".", "--fits", "pipe"), 1, "pipe is a pipe"),
        (("adopt", "mpii_train.npz", "--root", ".", "--fits", "loop"), 1, "leads back to itself"),
        (("adopt", "lsp_dataset_test.npz", "--root", ".", "--masks", "loop"), 1, "leads back to"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    home, tmp_path, monkeypatch, hmrlab, write_picture, words, code, says
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    write_picture(tmp_path / "a.jpg")
    for name in ("mpii_train.npz", "lsp_dataset_test.npz"):
        np.savez(
            tmp_path / name, imgname=np.array(["a.jpg"]), maskname=np.array(["a.jpg"]),
            center=np.ones((1, 2)), scale=np.ones(1),
        )  # fmt: skip
    done = hmrlab("data", *words)
    assert done.code == code
    assert says in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err


def test_status_tells_of_every_set(home, disk, hmrlab):
    def rows() -> dict[tuple[str, str], list[str]]:
        table = [line for line in hmrlab("data", "status").out.splitlines() if "|" in line]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
        return {(row[0], row[1]): row[2:] for row in cells if len(row) == 6}

    before = rows()
    assert before["3dpw", "test"][0] == "not prepared"
    assert before["lsp", "train"][0] == "not prepared"
    out = hmrlab("data", "status").out
    for words in ("https://virtualhumans.mpi-inf.mpg.de/3DPW/", "commercial", "train2014.zip"):
        assert words in out
    hmrlab("data", "prepare", "lspet", "--root", disk / "hr-lspet", "--workers", 1)
    after = rows()["lspet", "train"]
    assert after[:3] == ["prepared", "1", "0"]
    assert "Leeds Sports Pose Extended" not in hmrlab("data", "status").out
    folder = home / "data/real/lspet/train"
    (folder / "packed").mkdir()
    assert rows()["lspet", "train"][0] == "prepared; its packed form is not finished"
    (folder / "records.npz").unlink()
    assert "damaged: records.npz is missing" in rows()["lspet", "train"][0]
    (folder / "set.json").unlink()
    (folder / ".parts").mkdir()
    assert rows()["lspet", "train"][0] == "not prepared, but begun"


def test_a_released_file_is_adopted(home, disk, hmrlab, tmp_path):
    np.savez(
        tmp_path / "hr-lspet_train.npz", imgname=np.array(["im00001.png", "im00002.png"]),
        center=np.ones((2, 2)), scale=np.ones(2), part=np.ones((2, 24, 3)),
        openpose=np.zeros((2, 25, 3)),
    )  # fmt: skip
    np.save(tmp_path / "lspet_fits.npy", np.zeros((2, 82)))
    done = hmrlab(
        "data", "adopt", tmp_path / "hr-lspet_train.npz", "--root", disk / "hr-lspet",
        "--fits", tmp_path / "lspet_fits.npy",
    )  # fmt: skip
    assert done.code == 0
    assert "lspet train: 2 samples" in done.out
    assert "1 of them have no picture there" in done.out
    assert "with the fits of" in done.out
    note = json.loads((home / "data/real/lspet/train/set.json").read_text())
    assert note["count"] == 2
