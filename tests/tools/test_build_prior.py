"""The pose prior that comes with the package, and how it is made."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch
from build_prior import COMPONENTS, RECORD, build_prior, digest, main

from hmrlab.bodies.limits import SWING_LIMITS_DEG
from hmrlab.smplify.prior import ASSET, load_prior

needs_scikit_learn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None,
    reason="scikit-learn is not installed (pip install 'hmrlab[body]'): no prior can be fitted",
)


def test_the_prior_is_the_one_that_its_record_describes():
    record = json.loads((ASSET.parent / RECORD).read_text())
    assert record["sha256"] == {ASSET.name: digest(ASSET)}
    assert record["settings"] == {"poses": 20_000, "components": 8, "floor": 0.1, "seed": 8}
    assert record["metrics"]["converged"]
    assert len(record["commit"]) == 40  # no "+dirty"
    assert "scikit-learn" in record["versions"]


def test_it_carries_its_licence():
    assert "CC0" in (ASSET.parent / "LICENSE.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build_prior(tmp_path_factory.mktemp("prior") / "assets", poses=300, seed=1)


@needs_scikit_learn
def test_a_prior_of_few_poses_can_be_loaded(built):
    prior = load_prior(built)
    assert prior.means.shape == (COMPONENTS, 69)
    assert prior.weights.sum().item() == pytest.approx(1)
    assert torch.isfinite(prior(torch.zeros(1, 69))).all()


@needs_scikit_learn
def test_each_joint_keeps_a_deviation_that_goes_with_its_range_of_motion(built):
    with np.load(built) as arrays:
        variances = np.diagonal(arrays["covars"], axis1=1, axis2=2)
    least = np.square(np.radians(SWING_LIMITS_DEG[1:]) / 10).repeat(3)
    assert (variances >= least * (1 - 1e-6)).all()


@needs_scikit_learn
def test_its_record_names_the_file_beside_it(built):
    record = json.loads((built.parent / RECORD).read_text())
    assert record["sha256"] == {built.name: digest(built)}
    assert (record["seed"], record["settings"]["poses"]) == (1, 300)
    assert record["versions"]["scikit-learn"]


@needs_scikit_learn
def test_the_same_seed_gives_the_same_prior(built, tmp_path):
    again = build_prior(tmp_path, poses=300, seed=1)
    assert digest(again) == digest(built)


def test_without_scikit_learn_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    before = digest(ASSET)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert "pip install 'hmrlab[body]'" in capsys.readouterr().err
    assert digest(ASSET) == before
