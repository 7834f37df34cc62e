import errno
import json
import os
import signal
import threading

import numpy as np
import pytest

from hmrlab.data.dataset import open_set
from hmrlab.data.records import Records
from hmrlab.data.synthetic import generate
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.files import FileProblem, manifests, one_at_a_time, whole_folder
from hmrlab.files.manifests import find_damage


@pytest.fixture(scope="module")
def wild_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return ensure_set(SetSpec("wild", "test", 70, 48), root, progress=False)


def contents(folder):
    """Arrays by file and key; a `.npz` holds times of writing, which may differ."""
    found = {"images": np.load(folder / "images.npy")}
    for name in ("records", "cameras", "masks"):
        path = folder / f"{name}.npz"
        if path.exists():
            with np.load(path) as arrays:
                found |= {f"{name}/{key}": arrays[key] for key in arrays.files}
    return found


def test_a_set_is_found_again_and_not_made_twice(wild_set, monkeypatch):
    monkeypatch.setattr(generate, "_make", lambda *_: pytest.fail("made again"))
    assert ensure_set(SetSpec("wild", "test", 70, 48), wild_set.parent) == wild_set


def test_pictures_do_not_depend_on_the_number_of_processes(wild_set, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "SMALL", 0)
    other = ensure_set(SetSpec("wild", "test", 70, 48), tmp_path, progress=False, workers=2)
    assert other.name == wild_set.name
    ours, theirs = contents(wild_set), contents(other)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        np.testing.assert_array_equal(value, theirs[key], err_msg=key)


def test_splits_and_seeds_share_nobody(tmp_path):
    specs = [
        SetSpec(name, split, 20, 32, seed)
        for name in ("studio", "wild")
        for split in ("val", "test")
        for seed in (0, 1)
    ]
    poses = [
        Records.open(ensure_set(spec, tmp_path, progress=False) / "records.npz").pose
        for spec in specs
        if not (spec.hard and spec.split == "val")  # has no poses
    ]
    everybody = np.concatenate(poses).reshape(-1, 72)
    distance = np.abs(everybody[:, None] - everybody[None]).max(2)
    distance[np.diag_indices(len(everybody))] = np.inf
    assert distance.min() > 0.01


def test_wild_people_have_only_2d_labels_for_training(tmp_path):
    train = open_set(ensure_set(SetSpec("wild", "train", 20, 32), tmp_path, progress=False))
    assert train.label_shares() == {"keypoints_2d": 1.0, "pose_3d": 0.0, "smpl": 0.0}
    assert not np.any(train.records.pose)
    assert not np.any(train.records.joints_3d)
    studio = open_set(ensure_set(SetSpec("studio", "train", 20, 32), tmp_path, progress=False))
    assert studio.label_shares() == {"keypoints_2d": 1.0, "pose_3d": 1.0, "smpl": 1.0}


def test_test_sets_have_all_the_truth_and_masks(wild_set):
    dataset = open_set(wild_set)
    assert dataset.label_shares() == {"keypoints_2d": 1.0, "pose_3d": 1.0, "smpl": 1.0}
    with np.load(wild_set / "masks.npz") as masks:
        assert masks["parts"].shape == masks["lsp"].shape == (70, 48, 48)


@pytest.mark.parametrize("harm", ["cut", "changed", "missing", "manifest"])
def test_damage_is_found_and_mended(tmp_path, capsys, harm):
    spec = SetSpec("studio", "val", 10, 32)
    folder = ensure_set(spec, tmp_path, progress=False)
    before = contents(folder)
    manifests._checked.clear()  # as in a new process
    path = folder / ("manifest.json" if harm == "manifest" else "images.npy")
    content = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
    elif harm == "changed":
        content[-1] ^= 255
        path.write_bytes(content)
    else:
        path.write_bytes(content[: len(content) // 2])
    assert find_damage(folder)
    assert ensure_set(spec, tmp_path, progress=False) == folder
    assert "made again" in capsys.readouterr().err
    assert find_damage(folder) is None
    for key, value in contents(folder).items():
        np.testing.assert_array_equal(value, before[key])


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(generate, "write_chunk", full)
    with pytest.raises(FileProblem, match="No space left on device"):
        ensure_set(SetSpec("studio", "val", 10, 32), tmp_path, progress=False)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_too_little_room_is_said_before_starting(tmp_path, monkeypatch):
    monkeypatch.setattr(
        generate.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10_000})
    )
    with pytest.raises(FileProblem, match="not enough room"):
        ensure_set(SetSpec("studio", "val", 10, 32), tmp_path, progress=False)


def test_a_worker_that_fails_is_reported(tmp_path, monkeypatch, no_child_starts):
    monkeypatch.setattr(generate, "SMALL", 0)
    with pytest.raises(FileProblem, match="the process at chunk 0 of studio val was killed"):
        ensure_set(SetSpec("studio", "val", 10, 32), tmp_path, progress=False, workers=2)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(FileProblem, match="file"):
        ensure_set(SetSpec("studio", "val", 10, 32), blocked, progress=False)


def test_a_kill_leaves_no_process_and_nothing_that_the_next_start_does_not_clear(
    tmp_path, monkeypatch, watch
):
    """Beside a set that a live process makes."""
    spec = SetSpec("studio", "val", 10, 32)
    root = tmp_path / "killed"
    with whole_folder(root / "neighbour") as theirs:
        parent = os.fork()
        if parent == 0:
            monkeypatch.setattr(generate, "SMALL", 0)  # to processes
            try:
                ensure_set(spec, root, progress=False)
            finally:
                os._exit(1)
        try:
            watch.wait_until(lambda: watch.workers_of(parent))
            workers = watch.workers_of(parent)
        finally:
            os.kill(parent, signal.SIGKILL)
            os.waitpid(parent, 0)
        watch.wait_until(lambda: not any(map(watch.alive, workers)), seconds=3)
        assert len(list(root.glob(".*.part"))) == 2
        again = contents(ensure_set(spec, root, progress=False))
        assert list(root.glob(".*.part")) == [theirs]
    unbroken = contents(ensure_set(spec, tmp_path, progress=False))
    assert again.keys() == unbroken.keys()
    for key, value in unbroken.items():
        np.testing.assert_array_equal(value, again[key], err_msg=key)


def test_a_set_that_another_process_makes_is_waited_for(tmp_path, capfd):
    spec = SetSpec("studio", "val", 10, 32)
    folder, made = tmp_path / spec.folder_name, []
    waiting = threading.Thread(
        target=lambda: made.append(ensure_set(spec, tmp_path, progress=False)), daemon=True
    )
    with one_at_a_time(folder):
        waiting.start()
        said = ""
        while "is being made by another process; waiting" not in said:
            assert waiting.is_alive()
            said += capfd.readouterr().err
        assert not folder.exists()
        with whole_folder(folder) as temporary:
            generate._make(spec, temporary, False, None)
            manifests.write_manifest(temporary, {})
        before = (folder / "manifest.json").stat().st_mtime_ns
    waiting.join(60)
    assert made == [folder]
    assert (folder / "manifest.json").stat().st_mtime_ns == before, "it was made a second time"


def test_the_manifest_says_how_the_set_was_made(wild_set):
    content = json.loads((wild_set / "manifest.json").read_text())
    assert content["settings"] == {
        "name": "wild", "split": "test", "count": 70, "size": 48, "seed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (("park", "test", 4, 48), "no synthetic set 'park'"),
        (("studio", "dev", 4, 48), "split 'dev'"),
        (("studio", "test", 0, 48), "count 0"),
    ],
)
def test_an_unknown_set_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        SetSpec(*settings)
