"""The series on a body of the user's: sets, trainings, the ledger, and what is left of the body."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab import find_result, get_scale, preset, run_training
from hmrlab.bodies import body_digest, load_body, write_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import check_body_arrays, read_raw_arrays
from hmrlab.data.dataset import open_set
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.keys import run_key, settings_key
from hmrlab.ledger import Ledger, RunRecord
from hmrlab.tables import keep_references

FIGURES = Path(__file__).parents[2] / "figures"
RUN = "with_smpl"


@pytest.fixture(scope="module")
def own_body(tmp_path_factory, pretend_smpl):
    """A body file without labels of parts, given by its path."""
    arrays = {key: value for key, value in pretend_smpl.items() if key != "lsp_labels"}
    rng = np.random.default_rng(3)
    arrays["v_template"] = arrays["v_template"] + rng.normal(0, 1e-4, (6890, 3))
    arrays |= {"landmarks": np.arange(21) * 300, "f": arrays["f"].astype(np.int64)}
    folder = tmp_path_factory.mktemp("own")
    return write_body_file(folder / "mine.npz", check_body_arrays(arrays, folder))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, own_body):
    """A training at smoke scale on that body, in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        patch.setenv("HMRLAB_BODY", str(own_body))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield run_training(preset(RUN, get_scale("smoke")), progress=False), home


@pytest.fixture
def on_own_body(trained, own_body, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(trained[1]))
    monkeypatch.setenv("HMRLAB_BODY", str(own_body))


def test_people_are_drawn_with_the_body_that_is_named(trained, on_own_body, own_body):
    spec = SetSpec("studio", "test", 8, 48, body=str(own_body))
    folder = ensure_set(spec, progress=False)
    assert json.loads((folder / "manifest.json").read_text())["body"] == body_digest(own_body)
    people = open_set(folder).records
    with np.load(folder / "cameras.npz") as cameras:
        translation = cameras["translation"]
    body = load_body(own_body)
    keypoints = body.keypoints(torch.tensor(people.pose).float(), torch.tensor(people.betas))
    placed = keypoints[:, 25:].numpy() + translation[:, None]
    np.testing.assert_allclose(people.joints_3d[..., :3], placed, atol=1e-4)
    with np.load(folder / "masks.npz") as masks:
        assert masks["lsp"].max() == 6
    free = replace(spec, body="free")
    assert ensure_set(free, progress=False) != folder  # and that of another body is another set


def test_a_training_runs_on_the_body_that_was_chosen(trained, on_own_body, own_body):
    result, home = trained
    assert not result.reused
    assert 0 < result.metrics["studio/pa_mpjpe_mm"] < result.metrics["studio/mpjpe_mm"]
    found = find_result(preset(RUN, get_scale("smoke")))
    assert found.record == result.record
    (record,) = Ledger(home / "runs" / "ledger.jsonl").records()
    assert record.settings["body"] == f"mine.npz ({body_digest(own_body)})"


def test_a_result_on_one_body_is_not_taken_for_that_of_another(trained, on_own_body, monkeypatch):
    own = run_key(preset(RUN, "smoke"))
    keys = []
    for free in ("", "free", str(ASSETS / "free_body_light.npz")):
        monkeypatch.setenv("HMRLAB_BODY", free)
        run = preset(RUN, "smoke")
        keys.append(run_key(run))
        assert find_result(run) is None
    assert len(set(keys)) == 1
    assert own not in keys


def test_runs_on_the_free_body_keep_their_recorded_keys(monkeypatch):
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    lines = (FIGURES / "runs.jsonl").read_text(encoding="utf-8").splitlines()
    records = [RunRecord.from_json(line) for line in lines]
    recorded = {record.settings_hash for record in records}
    scale = get_scale("laptop")
    for name in ("keypoints_only", "with_smpl", "with_smpl_pretrained"):
        assert settings_key(preset(name, scale)) in recorded, name


def test_reference_results_hold_no_run_on_a_body_of_somebodys_own(trained, tmp_path):
    path = keep_references(tmp_path, [trained[0].record])
    assert path.read_text() == ""


def test_nothing_of_the_body_is_in_what_a_training_leaves(trained, own_body):
    """Neither its numbers, in single or double precision, nor the folder that it lies in."""
    stored = read_raw_arrays(own_body)
    keys = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "J_regressor_extra")
    body = load_body(own_body)
    derived = [body.keypoint_points.arm_template, body.joint_template, body.joint_shapedirs]
    parts = [_telling(stored[key]) for key in keys]
    parts += [_telling(array.numpy()) for array in derived]
    parts += [_telling(stored[key].astype(np.float64)) for key in keys]
    files = [path for path in (trained[1] / "runs").rglob("*") if path.is_file()]
    assert {"model.pt", "ledger.jsonl", "history.npz"} <= {path.name for path in files}
    for path in files:
        for content in _contents(path):
            assert not any(part in content for part in parts), path
            assert str(own_body.parent).encode() not in content, path
    with_body = b"".join(_contents(own_body))
    assert all(part in with_body for part in parts[: len(keys)])  # so they would be found


def _telling(array):
    """The bytes of six neighbouring numbers of an array, those that differ most."""
    windows = np.lib.stride_tricks.sliding_window_view(array.ravel(order="K")[:500_000], 6)
    return windows[np.argmax(np.ptp(windows, axis=1))].tobytes()


def _contents(path):
    """A file's bytes, and those of the members of an archive."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield archive.read(name)
