"""First fits: made once, kept, gone on with after a stop."""

import pytest
import torch

from hmrlab.data.batch import Batch
from hmrlab.data.dataset import MixedDataset, open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.spin import FitConfig
from hmrlab.training.first_fits import fill_fits, first_fits


def test_first_fits_are_made_once(wild, body, prior, tmp_path, monkeypatch):
    def again():
        return first_fits(
            wild.records, "wild", body, prior, FitConfig(cold_steps=2), folder=tmp_path,
            progress=False,
        )  # fmt: skip

    fits, path = again()
    monkeypatch.setattr("hmrlab.training.first_fits.fit_cold", pytest.fail)
    same, same_path = again()
    assert same_path == path
    assert torch.equal(same.pose, fits.pose)


def test_first_fits_of_other_settings_have_another_file(wild, body, prior, tmp_path):
    paths = {
        first_fits(wild.records, "wild", body, prior, plan, folder=tmp_path, progress=False)[1]
        for plan in (
            FitConfig(cold_steps=1),
            FitConfig(cold_steps=2),
            FitConfig(cold_steps=1, headings=(90.0,)),
        )
    }
    assert len(paths) == 3


def test_first_fits_that_were_stopped_go_on(wild, body, prior, tmp_path, monkeypatch):
    monkeypatch.setattr("hmrlab.training.first_fits.AT_ONCE", 8)
    monkeypatch.setattr("hmrlab.training.first_fits.SAVE_EVERY", 0.0)
    from hmrlab.training import first_fits as module

    plan, calls = FitConfig(cold_steps=2), []
    whole, _ = first_fits(wild.records, "whole", body, prior, plan, folder=tmp_path, progress=False)
    fit = module.fit_cold

    def stopped_in_the_third(*args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(module, "fit_cold", stopped_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        first_fits(wild.records, "wild", body, prior, plan, folder=tmp_path, progress=False)
    again, _ = first_fits(wild.records, "wild", body, prior, plan, folder=tmp_path, progress=False)
    assert len(calls) == 4  # two whole parts, the broken one, and that one again
    assert torch.equal(again.pose, whole.pose)
    assert not list(tmp_path.glob("*.partial.npz"))


def test_labelled_people_are_not_fitted(studio, body, prior, monkeypatch):
    monkeypatch.setattr("hmrlab.training.first_fits.fit_cold", pytest.fail)
    labelled = open_set(studio)
    memory = fill_fits(labelled, body, prior, FitConfig(), progress=False)
    assert len(memory) == len(labelled)
    assert not memory.known.any()


def test_a_mixed_set_has_one_memory_in_the_order_of_its_sets(
    studio, wild, body, prior, tmp_path, monkeypatch
):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path))
    mixed = MixedDataset([open_set(studio, "studio"), wild], [0.5, 0.5])
    memory = fill_fits(mixed, body, prior, FitConfig(cold_steps=2), progress=False)
    labelled = len(mixed.parts[0])
    assert not memory.known[:labelled].any()
    assert memory.known[labelled:].all()


def test_records_with_2d_alone_have_nothing_else(studio):
    cut = open_set(studio).with_2d_alone()
    batch: Batch = next(iter(BatchLoader(cut, batch_size=8, resolution=32, prefetch=0)))
    assert not batch.has_smpl.any()
    assert not batch.has_pose_3d.any()
    assert (batch.keypoints_3d == 0).all()
    assert (batch.keypoints_2d[..., 2] > 0).any()
