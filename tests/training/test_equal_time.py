"""Trainings by the clock: as many steps as fit, and the same again when one goes on."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hmrlab import TrainingStoppedError, get_scale, preset, run_training
from hmrlab.files import FileProblem
from hmrlab.keys import settings_key
from hmrlab.models.pruning import PruneConfig, prune
from hmrlab.presets import CARD_ENCODERS, PRESETS
from hmrlab.training.equal_time import FEWEST, STEPS, keep_steps, kept_steps, steps_in, twin_of
from hmrlab.training.unfinished import join_parts, parts_in, split_checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def home(place, monkeypatch):
    """One for all, so that the test sets are made once."""
    monkeypatch.setenv("HMRLAB_HOME", str(place))
    return place


def test_twice_the_time_is_twice_the_steps(make_trainer, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("hmrlab.training.equal_time.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("hmrlab.training.equal_time._TIMED_STEPS", {"cpu": 4})
    assert steps_in(10.0, make_trainer()) == 4 * steps_in(5.0, make_trainer()) // 2
    assert steps_in(1e-9, make_trainer()) == FEWEST


def test_timing_leaves_model_loader_and_random_numbers_as_they_were(make_trainer):
    trainer = make_trainer()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    random, stands = torch.get_rng_state(), trainer.loader.state()
    twin = make_trainer()
    twin.model, twin.objective = twin_of(trainer.model), copy.deepcopy(trainer.objective)
    torch.set_rng_state(random)
    steps_in(0.1, twin)
    assert all(torch.equal(value, before[k]) for k, value in trainer.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert trainer.loader.state() == stands


def test_a_masked_network_has_a_twin(make_trainer):
    trainer = make_trainer()
    plain = trainer.model.to(memory_format=torch.contiguous_format)
    model = prune(plain, PruneConfig("masks", 0.5), 32)
    model(torch.zeros(2, 3, 32, 32))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)
    twin = twin_of(model)
    twin.train()
    trainer.model = twin
    assert steps_in(0.0, trainer) == FEWEST
    model(torch.zeros(2, 3, 32, 32)).betas.sum().backward()
    assert model.regressor.fc1.weight_orig.grad is not None


def timed(**changes):
    """A training by the clock of the small network, on stored people."""
    run = replace(preset("card_resnet50", get_scale("smoke")), encoder="small", fresh=None)
    return replace(run, **changes)


def test_a_run_by_the_clock_is_recorded_with_its_steps(home):
    result = run_training(timed(), progress=False)
    assert result.record.settings["steps_used"] == result.history().steps[-1] >= FEWEST
    pictures = 4 * result.record.settings["steps_used"]
    assert result.config.batch_size == 4
    assert result.metrics["images_per_second"] == pytest.approx(pictures / result.record.seconds)
    assert "peak_memory_gigabytes" not in result.metrics  # no GPU took part
    assert "resumed" not in result.record.settings


def test_a_stopped_run_goes_on_to_the_same_steps(home, monkeypatch):
    monkeypatch.setattr("hmrlab.runs.steps_in", lambda seconds, twin: 3)
    with pytest.raises(TrainingStoppedError, match="step 1 of 3"):
        run_training(timed(seed=1), progress=False, deadline=0.0)
    monkeypatch.setattr("hmrlab.runs.steps_in", lambda seconds, twin: 50)
    result = run_training(timed(seed=1), progress=False)
    assert result.history().steps.tolist() == [1, 2, 3]


def test_a_run_that_goes_on_from_parts_says_so(home, monkeypatch, tmp_path):
    monkeypatch.setattr("hmrlab.runs.steps_in", lambda seconds, twin: 3)
    run = timed(seed=2)
    with pytest.raises(TrainingStoppedError):
        run_training(run, progress=False, deadline=0.0)
    (folder,) = (home / "runs" / "trainings").glob("*-s2-*")
    split_checkpoint(folder, tmp_path)
    shutil.rmtree(folder)
    (name,) = parts_in(tmp_path)
    assert join_parts(tmp_path, name, folder.parent) == folder
    monkeypatch.setattr("hmrlab.runs.steps_in", lambda seconds, twin: 50)
    result = run_training(run, progress=False)
    assert result.history().steps.tolist() == [1, 2, 3]
    assert result.record.settings["resumed"] is True
    assert result.folder == folder


def test_kept_steps_are_a_number(tmp_path):
    keep_steps(tmp_path, 12)
    assert kept_steps(tmp_path) == 12
    for wrong in ("many", "0", "-3", "9" * 30):
        (tmp_path / STEPS).write_text(wrong)
        with pytest.raises(FileProblem, match="should hold a number of steps"):
            kept_steps(tmp_path)


def test_equal_time_differs_in_the_encoder_alone():
    gpu = get_scale("gpu")
    base = preset("card_resnet50", gpu)
    words = {"name": base.name, "description": base.description}
    for name in (f"card_{e}{w}" for e in CARD_ENCODERS for w in ("", "_logits")):
        assert replace(preset(name, gpu), encoder=base.encoder, **words) == base, name
    assert (base.seconds, base.batch_size) == (60.0, 128)
    pruned, tuned = (preset(f"card_{word}", gpu) for word in ("pruned", "tuned"))
    assert replace(pruned, prune=None, **words) == replace(tuned, **words)


def test_recorded_results_are_found_again():
    """New settings have not changed the key of any recorded run that still has its name."""
    rows = [json.loads(line) for line in (ROOT / "figures" / "runs.jsonl").open()]
    kept = [row for row in rows if row["name"] in PRESETS]
    assert len(kept) > 50
    keys = {}
    for row in kept:
        where = row["name"], row["settings"]["scale"]["name"], row["seed"]
        keys.setdefault(where, set()).add(row["settings_hash"])
    for (name, scale, seed), known in keys.items():
        assert settings_key(preset(name, scale, seed)) in known, name
