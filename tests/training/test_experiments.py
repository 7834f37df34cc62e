import warnings
from dataclasses import replace

import pytest
import torch

from hmrlab.data.dataset import open_set
from hmrlab.ledger import Ledger
from hmrlab.training import LossWeights, get_scale, list_runs, named_run, run_training
from hmrlab.training.experiments import build_model, check_labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recorded run at smoke scale, in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        yield run_training(named_run("with_smpl", get_scale("smoke")), progress=False), home


@pytest.fixture(autouse=True)
def home(trained, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(trained[1]))


def test_a_run_is_recorded_with_all_that_repeats_it(trained):
    result, home = trained
    (record,) = Ledger(home / "runs" / "ledger.jsonl").records()
    assert not result.reused
    assert record == result.record
    assert record.settings["scale"]["name"] == "smoke"
    assert record.settings["precision_used"] in ("fp32", "bf16")
    assert record.seconds > 0
    assert record.seed == 0
    for name in ("studio", "wild"):
        assert 0 < record.metrics[f"{name}/pa_mpjpe_mm"] < record.metrics[f"{name}/mpjpe_mm"]


def test_equal_settings_are_not_trained_again(trained):
    again = run_training(named_run("with_smpl", get_scale("smoke")), progress=False)
    assert again.reused
    assert again.record == trained[0].record


def test_a_result_whose_files_are_gone_is_made_again(trained):
    run = replace(named_run("with_smpl", get_scale("smoke")), seed=5)
    first = run_training(run, progress=False)
    for path in first.folder.iterdir():
        if path.is_file():
            path.unlink()
    first.folder.rename(first.folder.with_name("moved"))
    again = run_training(run, progress=False)
    assert not again.reused
    for name, value in first.metrics.items():
        assert again.metrics[name] == pytest.approx(value, rel=1e-4), name


def test_the_trained_network_comes_back(trained):
    result, _ = trained
    model = result.model()
    assert not model.training
    fresh = build_model(result.run)
    assert not torch.equal(model.regressor.fc1.weight, fresh.regressor.fc1.weight)
    scores = result.scores("studio")
    assert scores.count == get_scale("smoke").studio_test
    assert scores.to_dict()["mpjpe_mm"] == pytest.approx(result.metrics["studio/mpjpe_mm"])
    history = result.history()
    assert history.steps[-1] == get_scale("smoke").steps
    assert "pose" in history.values


def test_networks_start_the_same_for_a_seed_and_leave_other_draws_alone():
    run = named_run("with_smpl", get_scale("smoke"))
    torch.manual_seed(1)
    one = build_model(run)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(one.regressor.fc1.weight, build_model(run).regressor.fc1.weight)
    other = build_model(replace(run, seed=1))
    assert not torch.equal(one.regressor.fc1.weight, other.regressor.fc1.weight)


def test_losses_without_any_label_are_warned_of(studio):
    dataset = open_set(studio)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_labels(dataset, LossWeights()) == {
            "keypoints_2d": 1.0, "pose_3d": 1.0, "smpl": 1.0,
        }  # fmt: skip
    dataset.records.has_smpl[:] = False
    with pytest.warns(UserWarning, match="'smpl'.*pose, betas can teach nothing"):
        assert check_labels(dataset, LossWeights())["smpl"] == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_labels(dataset, LossWeights(pose=0.0, betas=0.0))


def test_every_run_can_be_named_at_every_scale():
    for run in list_runs():
        small = named_run(run.name, get_scale("smoke"), seed=3)
        assert small == replace(run, scale=get_scale("smoke"), seed=3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: named_run("keypoint_only", get_scale("smoke")), "Did you mean 'keypoints_only'"),
        (lambda: get_scale("huge"), "choose one of smoke, quick, laptop, gpu"),
    ],
)
def test_an_unknown_name_suggests(call, says):
    with pytest.raises(ValueError, match=says):
        call()
