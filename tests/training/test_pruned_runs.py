"""Trainings that go on from others, of pruned networks and of whole ones, at the smallest scale."""

import copy
from dataclasses import replace

import pytest
import torch

from hmrlab import PRESETS, Trainer, find_result, get_scale, preset, run_training
from hmrlab.keys import run_key
from hmrlab.ledger import Ledger
from hmrlab.models.cost import count_macs
from hmrlab.models.pruning import PruneConfig, prune, settle, share_of_zeros
from hmrlab.presets import base_of
from hmrlab.training.scores import score_bodies

SMOKE = get_scale("smoke")
SIDE = SMOKE.resolution
PLANS = {"masks": PruneConfig("masks", 0.5), "channels": PruneConfig("channels", 0.3)}


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The recorded training that the others start from, in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        yield run_training(preset("unpruned", SMOKE), progress=False), home


@pytest.fixture(autouse=True)
def home(base, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(base[1]))
    return base[1]


def same_weights(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("kind", ["masks", "channels"])
def test_fine_tuning_starts_from_the_base_and_stays_pruned(base, kind):
    run = replace(preset(f"{kind}_50", SMOKE), init_from="unpruned", prune=PLANS[kind])
    result = run_training(run, progress=False)
    model = result.model()
    if kind == "masks":
        assert share_of_zeros(model) == pytest.approx(0.5, abs=1e-6)
    else:
        unpruned = count_macs(base[0].model(), SIDE)
        assert 0.64 <= count_macs(model, SIDE) / unpruned <= 0.7
    assert model.pruned == (kind == "channels")
    again, _ = score_bodies(model, run, torch.device("cpu"), progress=False)
    assert again == pytest.approx({name: result.metrics[name] for name in again})
    started = settle(prune(base[0].model(), PLANS[kind], SIDE))
    moved = (model.regressor.decpose.bias - started.regressor.decpose.bias).abs().max()
    assert 0 < float(moved) < 0.05  # one short step away, not at a start of its own
    assert result.history().steps.tolist() == [run.steps]


@pytest.mark.parametrize("name", ["masks_raw_50", "channels_raw_20"])
def test_without_effort_the_pruned_base_is_scored_as_it_is(base, name):
    run = preset(name, SMOKE)
    assert run.steps == 0
    result = run_training(run, progress=False)
    assert same_weights(result.model(), settle(prune(base[0].model(), run.prune, SIDE)))
    history = result.history()
    assert (len(history.steps), history.values, history.checks) == (0, {}, {})
    assert result.metrics["studio/mpjpe_mm"] > 0
    assert find_result(run) is not None


def test_a_missing_base_is_trained_first_at_the_same_seed(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    run = replace(preset("channels_35", SMOKE, seed=1), steps=0)
    result = run_training(run, progress=False, ledger=ledger)
    records = list(ledger.records())
    assert [record.name for record in records] == ["unpruned", "channels_20", "channels_35"]
    assert {record.seed for record in records} == {1}
    middle = find_result(preset("channels_20", SMOKE, seed=1), ledger).model()
    assert count_macs(result.model(), SIDE) < count_macs(middle, SIDE)
    assert same_weights(result.model(), prune(middle, run.prune, SIDE))


@pytest.mark.parametrize("kind", ["masks", "channels"])
def test_a_killed_fine_tuning_goes_on_to_the_same_bits(base, kind, monkeypatch, tmp_path):
    run = replace(
        preset(f"{kind}_50", SMOKE), init_from="unpruned", prune=PLANS[kind], steps=3, lr=8e-4
    )
    unbroken = copy.deepcopy(run_training(run, progress=False).model())
    ledger = Ledger(tmp_path / "ledger.jsonl")  # that knows of the base alone
    ledger.append(base[0].record)
    step = Trainer.train_step
    taken = []

    def dying(trainer, batches):
        if trainer.step == 2 and taken:
            trainer.save()
            raise KilledError
        taken.append(trainer.step)
        return step(trainer, batches)

    monkeypatch.setattr(Trainer, "train_step", dying)
    with pytest.raises(KilledError):
        run_training(run, progress=False, ledger=ledger)
    assert find_result(run, ledger) is None
    taken.clear()
    resumed = run_training(run, progress=False, ledger=ledger)
    assert taken == [2]
    assert same_weights(resumed.model(), unbroken)


def test_a_run_is_known_by_what_its_base_is(monkeypatch):
    run, rounds = preset("tuned", SMOKE), preset("channels_50", SMOKE)
    before = run_key(run), run_key(rounds)
    other = replace(PRESETS["unpruned"], changes={"weight_decay": 0.0})
    monkeypatch.setitem(PRESETS, "unpruned", other)
    after = run_key(run), run_key(rounds)
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_the_base_has_the_runs_scale_and_seed():
    run = preset("channels_50", SMOKE, seed=7)
    assert base_of(run) == preset("channels_35", SMOKE, seed=7)
    assert base_of(preset("unpruned", SMOKE)) is None
    assert base_of(preset("pretrain_keypoints", SMOKE)) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoder": "resnet18"}, "has the encoder 'resnet18' and cannot go on from 'unpruned'"),
        ({"init_from": "backbone_resnet18"}, "has the encoder 'small'.*'resnet18'"),
        ({"encoder_weights": "shipped"}, "two starts"),
        ({"init_from": "pretrain_keypoints"}, "trains an encoder alone"),
        ({"init_from": "unprund"}, "Did you mean 'unpruned'"),
    ],
)
def test_bases_that_cannot_be_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        run_training(replace(preset("tuned", SMOKE), **changes), progress=False)


def test_a_circle_of_bases_is_shown(monkeypatch):
    for name, base in (("tuned", "masks_20"), ("masks_20", "tuned")):
        changes = {**PRESETS[name].changes, "init_from": base}
        monkeypatch.setitem(PRESETS, name, replace(PRESETS[name], changes=changes))
    with pytest.raises(ValueError, match="in a circle: masks_20 -> tuned -> masks_20"):
        run_key(preset("tuned", SMOKE))


def test_encoders_that_cannot_be_cut_say_so():
    run = replace(preset("channels_20", SMOKE), init_from="", encoder="shufflenet_v2_x1_0")
    with pytest.raises(ValueError, match="cannot follow the channels of 'shufflenet_v2_x1_0'"):
        run_training(run, progress=False)
