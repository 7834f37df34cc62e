"""Trainings on people who are made on the training's device."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from hmrlab import get_scale, load_training_set, preset, run_training
from hmrlab.config import FreshConfig
from hmrlab.keys import run_key
from hmrlab.spin import FitConfig

SMOKE = get_scale("smoke")
FRESH = replace(preset("with_smpl", SMOKE), data=("studio", "wild"), fresh=FreshConfig(count=256))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home of hmrlab's."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    return tmp_path


def test_a_training_on_fresh_people_reads_no_training_set_and_repeats(home):
    first = run_training(FRESH, device="cpu", progress=False)
    assert not list(home.rglob("*train*/images.npy"))
    weights = first.model().state_dict()
    shutil.rmtree(first.folder)  # so that the ledger's row has nothing to point at
    again = run_training(FRESH, device="cpu", progress=False)
    assert not again.reused
    for name, value in again.model().state_dict().items():
        assert torch.equal(value, weights[name]), name
    assert again.metrics["studio/mpjpe_mm"] == first.metrics["studio/mpjpe_mm"]


def test_fits_in_the_loop_find_each_person_again(home):
    """The memory has a row for every person of both sets."""
    run = replace(
        FRESH, fresh=FreshConfig(count=16, labelled=False), fits=FitConfig(headings=(), steps=1)
    )
    result = run_training(run, device="cpu", progress=False)
    memory = result.fits()
    assert len(memory) == 32
    assert memory.known[16:].any()  # wild
    assert not memory.known[:16].any()  # studio has labels


def test_fresh_people_have_a_key_of_their_own():
    keys = {
        run_key(run)
        for run in (
            FRESH,
            replace(FRESH, fresh=None),
            replace(FRESH, fresh=FreshConfig(count=257)),
            replace(FRESH, fresh=FreshConfig(count=256, labelled=False)),
        )
    }
    assert len(keys) == 4


def test_sets_are_mixed_by_spins_shares():
    people = load_training_set(replace(FRESH, fresh=FreshConfig(count=5000)))
    rows = people.epoch(np.random.default_rng(0))[:]
    assert (rows >= 5000).mean() == pytest.approx(2 / 3, abs=0.03)


@pytest.mark.parametrize("wish", [{"data_fraction": 0.5}, {"only_2d": True}])
def test_what_fresh_people_do_not_have_is_told(wish):
    with pytest.raises(ValueError, match="FreshConfig"):
        load_training_set(replace(FRESH, **wish))
