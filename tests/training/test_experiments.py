from dataclasses import replace
from urllib.error import URLError

import numpy as np
import pytest
import torch

from hmrlab import find_result, get_scale, load_set, load_training_set, preset, run_training
from hmrlab.data.dataset import open_set
from hmrlab.files import FileProblem
from hmrlab.keys import run_key
from hmrlab.ledger import Ledger
from hmrlab.models import HeatmapNet
from hmrlab.runs import build_model, make_settings
from hmrlab.smplify.prior import prior_path
from hmrlab.training.scores import evaluation_loader


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A recorded run at smoke scale, in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        yield run_training(preset("with_smpl", get_scale("smoke")), progress=False), home


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
    again = run_training(preset("with_smpl", get_scale("smoke")), progress=False)
    assert again.reused
    assert again.record == trained[0].record


def test_a_result_whose_files_are_gone_is_made_again(trained):
    run = replace(preset("with_smpl", get_scale("smoke")), seed=5)
    first = run_training(run, progress=False)
    for path in first.folder.iterdir():
        if path.is_file():
            path.unlink()
    first.folder.rename(first.folder.with_name("moved"))
    again = run_training(run, progress=False)
    assert not again.reused
    assert again.metrics.keys() == first.metrics.keys()
    for name in first.metrics.keys() - {"images_per_second"}:
        assert again.metrics[name] == pytest.approx(first.metrics[name], rel=1e-4), name


def test_the_trained_network_comes_back(trained):
    result, _ = trained
    model = result.model()
    assert not model.training
    fresh = build_model(result.config)
    assert not torch.equal(model.regressor.fc1.weight, fresh.regressor.fc1.weight)
    scores = result.scores("studio")
    assert scores.count == get_scale("smoke").studio_test
    assert scores.to_dict()["mpjpe_mm"] == pytest.approx(result.metrics["studio/mpjpe_mm"])
    history = result.history()
    assert history.steps[-1] == get_scale("smoke").steps
    assert "pose" in history.values


def test_the_first_test_peoples_bodies_are_kept_and_small(trained):
    result, _ = trained
    assert (result.folder / "gallery.npz").stat().st_size < 100_000
    for name in ("studio", "wild"):
        people = load_set(name, "test", result.config)
        batch = next(iter(evaluation_loader(people, result.config, torch.device("cpu"))))
        with torch.inference_mode():
            bodies = result.model()(batch.images[:16])
        kept = result.gallery(name)
        assert len(kept) == 16
        torch.testing.assert_close(kept.rotations, bodies.rotations)
        torch.testing.assert_close(kept.camera, bodies.camera)


def test_networks_start_the_same_for_a_seed_and_leave_other_draws_alone():
    run = preset("with_smpl", get_scale("smoke"))
    torch.manual_seed(1)
    one = build_model(run)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(one.regressor.fc1.weight, build_model(run).regressor.fc1.weight)
    other = build_model(replace(run, seed=1))
    assert not torch.equal(one.regressor.fc1.weight, other.regressor.fc1.weight)


def test_runs_that_differ_in_name_only_share_a_result():
    smoke = get_scale("smoke")
    diary, study = preset("train_add_regression", smoke), preset("keypoints_only", smoke)
    assert run_key(diary) == run_key(study)
    different = {
        run_key(preset(name, smoke))
        for name in (
            "train_test",
            "train_add_regression",
            "train_add_regression2",
            "train_add_smpl_loss",
            "train_add_smpl_loss3",
            "train_add_smpl_loss4",
            "with_smpl",
            "pretrain_keypoints",
        )
    }
    assert len(different) == 8


def test_a_pretrained_encoder_is_made_once_and_taken_over():
    smoke = get_scale("smoke")
    run = preset("with_smpl_pretrained", smoke)
    assert find_result(preset("pretrain_keypoints", smoke)) is None
    result = run_training(run, progress=False)
    pretrained = find_result(preset("pretrain_keypoints", smoke))
    assert pretrained is not None
    assert 0 < pretrained.metrics["studio/keypoint_error_percent"] < 100
    maps = pretrained.model()
    assert isinstance(maps, HeatmapNet)
    started = build_model(run, pretrained.folder / "model.pt")
    for name, value in maps.encoder.state_dict().items():
        assert torch.equal(value, started.encoder.state_dict()[name]), name
    assert result.record.settings["encoder_weights"] == "pretrain_keypoints"
    assert list(pretrained.history().checks) == ["keypoint_error_percent"]


def test_scores_are_taken_along_the_way(trained):
    history = trained[0].history()
    assert history.check_steps[-1] == get_scale("smoke").steps
    assert len(history.checks["mpjpe_mm"]) == len(history.check_steps) > 1
    assert np.isfinite(history.checks["mpjpe_mm"]).all()


def test_mixed_sets_are_trained_on():
    result = run_training(preset("train_add_smpl_loss3", get_scale("smoke")), progress=False)
    assert result.record.settings["data"] == ["studio", "wild"]
    assert result.metrics["wild/mpjpe_mm"] > 0


def test_the_fraction_of_the_people_is_the_first_ones():
    smoke = get_scale("smoke")
    config = replace(preset("half_few", smoke), data_fraction=0.25)
    assert (config.steps, preset("with_smpl", smoke).steps) == (smoke.steps // 2, smoke.steps)
    people = load_training_set(config)
    assert len(people) == smoke.studio_train // 4
    everyone = load_training_set(replace(config, data_fraction=1.0))
    np.testing.assert_array_equal(people.records.pose, everyone.records.pose[: len(people)])
    result = run_training(config, progress=False)
    assert result.history().steps[-1] == config.steps
    assert len(load_training_set(replace(config, data_fraction=0.01))) == smoke.batch_size
    for fraction in (0.0, 1.5):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            replace(config, data_fraction=fraction)


def test_comparisons_differ_from_their_base_in_what_they_say():
    base = preset("half_n3", get_scale("laptop"))
    changed = {
        "half_n1": {"n_iter": 1}, "half_n2": {"n_iter": 2}, "half_n4": {"n_iter": 4},
        "half_relu_n3": {"relu": True}, "half_no_mean": {"mean_pose": False},
        "half_pretrained": {"encoder_weights": "pretrain_keypoints"},
        "half_few": {"data_fraction": 0.1},
        "half_fewest_pretrained": {"data_fraction": 0.01, "encoder_weights": "pretrain_keypoints"},
        "half_mixed": {"data": ("studio", "wild")},
    }  # fmt: skip
    for name, fields in changed.items():
        run = preset(name, base.scale)
        assert run.decisive == replace(base, **fields).decisive
    big = preset("half_batch100", base.scale)
    assert big.steps * big.batch_size == base.steps * base.batch_size


def test_data_by_hand_need_a_name_of_their_own(studio):
    run = preset("with_smpl", get_scale("smoke"))
    with pytest.raises(ValueError, match="variant"):
        run_training(run, dataset=open_set(studio))
    with pytest.raises(ValueError, match="variant"):
        run_training(replace(run, variant="mine"))
    mine = run_training(replace(run, variant="mine"), dataset=open_set(studio), progress=False)
    assert not mine.reused
    assert find_result(replace(run, variant="mine")).record == mine.record
    assert find_result(run).record != mine.record


def test_missing_imagenet_weights_are_said(monkeypatch, tmp_path):
    run = preset("with_smpl", get_scale("smoke"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    wanted = replace(run, encoder_weights="imagenet", encoder="resnet18")
    with pytest.raises(FileProblem, match="ImageNet weights of resnet18 are not in"):
        build_model(wanted)
    asked = []

    def offline(url, path, progress):
        asked.append(url)
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(FileProblem, match=r"could not be fetched.*no route to host"):
        run_training(wanted, progress=False, allow_download=True)
    assert [url.endswith(".pth") for url in asked] == [True]
    assert find_result(wanted) is None


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: preset("keypoint_only", get_scale("smoke")), "Did you mean 'keypoints_only'"),
        (lambda: get_scale("huge"), "choose one of smoke, quick, laptop, gpu"),
    ],
)
def test_an_unknown_name_suggests(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_run_with_fits_keeps_them_and_is_known_by_its_prior(tmp_path, monkeypatch):
    """SPIN at the smallest scale, from the first fits to the memory beside the result."""
    run = replace(preset("half_spin", get_scale("smoke")), encoder_weights="none", steps=2)
    result = run_training(run, progress=False)
    memory = result.fits()
    labelled, unlabelled = 32, 32  # a quarter of the smallest sets
    assert len(memory) == labelled + unlabelled
    assert not memory.known[:labelled].any()
    assert memory.known[labelled:].all()
    history = result.history()
    assert {"fit_error", "fits_valid", "fits_replaced"} <= set(history.values)
    assert {"wild/mpjpe_mm", "wild/fit_mpjpe_mm"} <= set(history.checks)
    assert find_result(run) is not None
    monkeypatch.setenv("HMRLAB_PRIOR", str(write_another_prior(tmp_path)))
    assert find_result(run) is None
    assert run_key(preset("with_smpl", get_scale("smoke")))  # needs no prior


def write_another_prior(folder):
    with np.load(prior_path(), allow_pickle=False) as arrays:
        np.savez(folder / "prior.npz", **{**arrays, "means": arrays["means"] + 0.1})
    return folder / "prior.npz"


def test_a_run_without_fits_keeps_none(trained):
    assert trained[0].fits() is None


@pytest.mark.parametrize(("scale", "checks"), [("smoke", 3), ("quick", 10), ("laptop", 10)])
def test_short_trainings_are_scored_less_often_along_the_way(scale, checks):
    run = preset("with_smpl", get_scale(scale))
    assert make_settings(run, "fp32").checks == checks
    short = replace(run, steps=run.steps // 8)
    assert make_settings(short, "fp32").checks <= checks
    assert make_settings(short, "fp32").checks == max(3, min(10, short.steps // 25))
