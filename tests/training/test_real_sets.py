"""Training on prepared real sets by name: miniature ones, at smoke scale."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from hmrlab import find_result, get_scale, load_training_set, preset, run_training
from hmrlab import runs as subject
from hmrlab.cli import app
from hmrlab.data.dataset import MixedDataset
from hmrlab.data.packed import PackPlan
from hmrlab.data.packing import pack
from hmrlab.data.prepared import OWN, note_set, prepared_folder, read_set
from hmrlab.files import FileProblem, save_npz_whole
from hmrlab.keys import run_key
from hmrlab.ledger import Ledger
from hmrlab.overrides import with_settings
from hmrlab.training.sets import on_data

SMOKE = get_scale("smoke")
PEOPLE = 24


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """The synthetic sets of the scale, made once."""
    home = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        load_training_set(on_data(preset("with_smpl", SMOKE), ("studio", "wild")))
    return home / "data" / "synthetic"


@pytest.fixture(autouse=True)
def home(synthetic, tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "home" / "data" / "synthetic").symlink_to(synthetic)


@pytest.fixture
def prepare(tmp_path):
    """Write a prepared set of 24 people, with labels in 3D or without."""

    def make(name, labelled, seed=0, split="train", source=""):
        rng = np.random.default_rng(seed)
        pictures = tmp_path / "download" / name
        pictures.mkdir(parents=True, exist_ok=True)
        n = PEOPLE
        for k in range(n):
            Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save(
                pictures / f"{k}.jpg"
            )
        points = np.concatenate([rng.uniform(20, 80, (n, 24, 2)), np.ones((n, 24, 1))], 2)
        arrays = {
            "imgname": np.array([f"{k}.jpg" for k in range(n)]),
            "center": rng.uniform(40, 60, (n, 2)),
            "scale": rng.uniform(50, 70, n) / 200,
            "part": points,
        }
        if labelled:
            arrays |= {
                "S": np.concatenate([rng.normal(0, 0.3, (n, 24, 3)), np.ones((n, 24, 1))], 2),
                "pose": rng.normal(0, 0.3, (n, 72)),
                "shape": rng.normal(size=(n, 10)),
            }
        folder = prepared_folder(name, split)
        save_npz_whole(folder / "records.npz", **arrays)
        note_set(
            folder, name=name, split=split, images=pictures, count=n, skipped={}, box_factor=1.2,
            source=source,
        )  # fmt: skip
        return folder

    return make


def test_real_sets_are_mixed_with_synthetic_ones_by_spins_shares(prepare):
    prepare("coco", labelled=False)
    mixed = load_training_set(on_data(preset("with_smpl", SMOKE), ("studio", "coco")))
    assert isinstance(mixed, MixedDataset)
    assert mixed.names == ("studio", "coco")
    assert mixed.shares.tolist() == pytest.approx([1 / 3, 2 / 3])
    studio, coco = mixed.parts
    assert coco.label_shares() == {"keypoints_2d": 1.0, "pose_3d": 0.0, "smpl": 0.0}
    assert studio.label_shares()["smpl"] == 1.0


def test_spin_on_real_sets_is_trained_recorded_and_found_again(prepare):
    prepare("h36m", labelled=True)
    prepare("coco", labelled=False)  # fits stand in for what these people lack
    run = on_data(replace(preset("spin", SMOKE), encoder_weights="none"), ("h36m", "coco"))
    assert run.name == "spin-h36m+coco"
    assert find_result(run) is None
    result = run_training(run, progress=False)
    assert not result.reused
    assert result.record.settings["data"] == ["h36m", "coco"]
    history = result.history()
    assert history.steps[-1] == SMOKE.steps
    assert np.isfinite(history.values["total"]).all()
    assert (history.values["pose"] > 0).any()
    assert 0 < result.metrics["studio/pa_mpjpe_mm"] < result.metrics["studio/mpjpe_mm"]
    assert find_result(run).record == result.record


@pytest.mark.parametrize(
    ("named", "settings"),
    [
        ("spin", {"encoder_weights": "none"}),  # fits in the loop
        ("half_spin_static", {"encoder_weights": "none"}),
        ("spin", {"encoder_weights": "none", "frozen": True, "views": 2}),
    ],
)
def test_spin_on_pictures_of_ones_own_is_tested_on_those_held_out(prepare, named, settings):
    prepare("own", labelled=False, source=OWN)
    run = on_data(with_settings(preset(named, SMOKE), settings), ("own", "wild"))
    assert load_training_set(run).shares.tolist() == pytest.approx([0.3571, 0.6429], abs=1e-4)
    without = run_key(run)
    prepare("own", labelled=False, seed=1, split="test", source=OWN)
    assert run_key(run) != without
    result = run_training(run, progress=False)
    history = result.history()
    assert np.isfinite(history.values["total"]).all()
    assert (history.values["pose"] > 0).any(), "fits stand in for what nobody knows"
    assert 0 < result.metrics["own/keypoint_error_percent"] < 1000
    assert 0 <= result.metrics["own/pck_2d_percent"] <= 100
    known = {"own/keypoint_error_percent", "own/pck_2d_percent"}
    assert {name for name in result.metrics if name.startswith("own/")} == known
    assert known < history.checks.keys(), "and along the way"


def test_a_training_that_was_stopped_goes_on_to_the_same_end(prepare, tmp_path, monkeypatch):
    folder = prepare("coco", labelled=False)
    pack(
        folder, PackPlan(read_set(folder).records_sha256, "raw", 64, rows_per_shard=7), workers=1,
        progress=False,
    )  # fmt: skip
    run = on_data(preset("pretrain_keypoints", SMOKE), ("studio", "coco"))  # the quickest
    whole = run_training(run, progress=False, ledger=Ledger(tmp_path / "whole.jsonl"))
    expected = whole.model().state_dict()
    settings, step = subject.make_settings, subject.Trainer.train_step

    def stops(self, batches):
        if self.step == 4:
            raise KeyboardInterrupt
        return step(self, batches)

    monkeypatch.setattr(
        subject, "make_settings", lambda *given: replace(settings(*given), checkpoint_seconds=0.0)
    )
    monkeypatch.setattr(subject.Trainer, "train_step", stops)
    again = Ledger(tmp_path / "again.jsonl")
    with pytest.raises(KeyboardInterrupt):
        run_training(run, progress=False, ledger=again)
    begun = []
    monkeypatch.setattr(
        subject.Trainer,
        "train_step",
        lambda self, batches: (begun.append(self.step), step(self, batches))[1],
    )
    resumed = run_training(run, progress=False, ledger=again)
    assert begun == [4, 5]
    found = resumed.model().state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_the_key_follows_the_records_not_the_pictures(prepare):
    run = on_data(preset("with_smpl", SMOKE), ("studio", "coco"))
    folder = prepare("coco", labelled=False)
    first = run_key(run)
    pack(folder, PackPlan(read_set(folder).records_sha256, "jpeg", 64), workers=1, progress=False)
    assert run_key(run) == first
    prepare("coco", labelled=False, seed=1)
    assert run_key(run) != first
    assert len({first, run_key(run), run_key(on_data(run, ("coco",)))}) == 3


def test_what_is_not_prepared_is_named_with_the_command(prepare):
    run = on_data(preset("with_smpl", SMOKE), ("coco",))
    with pytest.raises(FileProblem, match="hmrlab data prepare coco --root DIR"):
        run_training(run, progress=False)
    (prepare("coco", labelled=False) / "set.json").write_text("{")
    with pytest.raises(FileProblem, match=r"set\.json: not readable as JSON.*data prepare coco"):
        load_training_set(on_data(preset("with_smpl", SMOKE), ("coco",)))


def test_crops_packed_for_a_smaller_network_are_not_enlarged(prepare):
    folder = prepare("coco", labelled=False)
    pack(folder, PackPlan(read_set(folder).records_sha256, "raw", 32), workers=1, progress=False)
    with pytest.warns(UserWarning, match="is for 32 px, 64 px are wanted"):
        part = load_training_set(on_data(preset("with_smpl", SMOKE), ("coco",)))
    assert part.records.imgname[0] == "0.jpg"


def test_the_command_trains_on_the_sets_that_it_is_given(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "hmrlab.runs.run_training", lambda run, **_: asked.append(run) or sys.exit(0)
    )
    arguments = ["train", "spin", "--scale", "smoke", "--data", "h36m, coco"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert asked == [on_data(preset("spin", SMOKE), ("h36m", "coco"))]
    monkeypatch.undo()
    problem = CliRunner().invoke(app, arguments).exception
    assert isinstance(problem, FileProblem)
    assert "hmrlab data prepare h36m --root DIR" in str(problem)


@pytest.mark.parametrize(
    ("data", "says"),
    [("", "needs sets"), ("coco,coco", "each of them once")],
)
def test_the_command_refuses_sets_that_make_no_mix(data, says):
    result = CliRunner().invoke(app, ["train", "spin", "--scale", "smoke", "--data", data])
    assert result.exit_code == 2
    assert says in " ".join(result.output.replace("│", " ").split())
