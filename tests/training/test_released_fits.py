"""Trainings that begin with fits that others released."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hmrlab import get_scale, preset
from hmrlab.data.dataset import MixedDataset, PoseDataset
from hmrlab.data.images import ImageSource
from hmrlab.data.prepare.extras import adopt
from hmrlab.data.prepared import open_prepared
from hmrlab.data.static_fits import StaticFits, save_static_fits
from hmrlab.smplify import load_prior
from hmrlab.spin import FitConfig
from hmrlab.training.first_fits import fill_fits, fit_people
from hmrlab.training.sets import training_set_identity

COUNT = 6


@pytest.fixture
def fits():
    rng = np.random.default_rng(2)
    return StaticFits(
        pose=rng.normal(0, 0.3, (COUNT, 24, 3)).astype(np.float32),
        betas=rng.normal(size=(COUNT, 10)).astype(np.float32),
        valid=np.array([True, True, False, True, True, True]),
    )


@pytest.fixture
def dataset(make_records, fits):
    """Samples without labels but the first, and fits beside them."""
    records = make_records(COUNT)
    labels = np.zeros(COUNT, bool)
    labels[0] = True
    save_static_fits(fits, records.path.parent)
    records = replace(records, has_smpl=labels)
    return PoseDataset(records, ImageSource(records.path.parent), "mpii")


@pytest.fixture
def as_smpl(body, monkeypatch):
    """The free body taken for SMPL; and nothing is fitted."""
    monkeypatch.setattr("hmrlab.training.first_fits.SMPL_VERTICES", body.n_vertices)
    monkeypatch.setattr("hmrlab.training.first_fits.fit_cold", pytest.fail)
    return body


def test_fits_that_came_with_a_set_are_its_first_fits(dataset, as_smpl, fits):
    memory = fill_fits(dataset, as_smpl, load_prior(), FitConfig(), progress=False)
    known = [False, True, False, True, True, True]  # the first has labels, the third no fit
    assert memory.known.tolist() == known
    np.testing.assert_array_equal(memory.pose.view(-1, 24, 3)[known], fits.pose[known])
    np.testing.assert_array_equal(memory.betas[known], fits.betas[known])
    assert not memory.pose[~torch.tensor(known)].any()


def test_of_the_first_samples_the_first_fits_are_taken(dataset, as_smpl):
    mixed = MixedDataset([dataset.first(3), PoseDataset(dataset.records, dataset.images, "coco")],
                         [0.5, 0.5])  # fmt: skip
    memory = fill_fits(mixed, as_smpl, load_prior(), FitConfig(), progress=False)
    assert memory.known.tolist() == [False, True, False, False, True, False, True, True, True]


def test_on_another_body_they_are_left_alone(dataset, body, tmp_path, monkeypatch):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    with pytest.warns(UserWarning, match=r"mpii: .* of SMPL.*HMRLAB_BODY=smpl"):
        memory = fill_fits(dataset, body, load_prior(), FitConfig(cold_steps=1), progress=False)
    assert not memory.known[0]
    assert list((tmp_path / "home/data/fits").glob("mpii-6-*.npz"))


@pytest.fixture
def adopted(tmp_path, monkeypatch, make_records):
    """Adopts the same samples, with fits or without."""
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = make_records(COUNT, packed=False, folder=folder).path
    with np.load(path) as arrays:
        content = dict(arrays) | {"has_smpl": np.zeros(COUNT)}
    np.savez(tmp_path / "mpii_train.npz", **content)
    np.save(tmp_path / "mpii_fits.npy", np.zeros((COUNT, 82)))

    def adopt_it(with_fits: bool) -> str:
        fits = tmp_path / "mpii_fits.npy" if with_fits else None
        adopt(tmp_path / "mpii_train.npz", folder, fits=fits)
        return training_set_identity("mpii", preset("with_smpl", "smoke"))

    return adopt_it


def test_a_run_with_released_fits_is_not_taken_for_one_without(adopted):
    without, with_them = adopted(False), adopted(True)
    assert with_them.startswith(without)
    assert with_them != without
    assert adopted(True) == with_them


def test_a_prepared_set_is_fitted_by_its_name(adopted, tmp_path):
    adopted(False)
    fits, path = fit_people("mpii", get_scale("smoke"), 1, tmp_path / "fits")
    assert len(fits) == COUNT
    assert path.parent == tmp_path / "fits"
    assert path.name.startswith("mpii-6-")
    assert len(open_prepared("mpii", "train")) == COUNT
    with pytest.raises(ValueError, match="no set 'coco'; there are studio, wild, mpii"):
        fit_people("coco", get_scale("smoke"), 1, tmp_path / "fits")
