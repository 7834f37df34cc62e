"""The pose prior against scipy's densities, and its files."""

import math
import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from hmrlab.data.synthetic.poses import sample_poses
from hmrlab.files import FileProblem
from hmrlab.smplify import PosePrior, load_prior
from hmrlab.smplify.objective import HINGES
from hmrlab.smplify.prior import ASSET

SHARES = np.array([0.5, 0.2, 0.3])


def mixture(seed=0):
    """Means, covariances and shares of three Gaussians."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(0, 0.1, (3, 69, 80))
    covariances = factors @ factors.transpose(0, 2, 1) + 0.05 * np.eye(69)
    return rng.normal(0, 0.3, (3, 69)), covariances, SHARES


def near_the_means(means, seed=1, count=4):
    noise = np.random.default_rng(seed).normal(0, 0.3, (len(means), count, 69))
    return (means[:, None] + noise).reshape(-1, 69)


@pytest.fixture(scope="module")
def poses():
    """(200, 69) everyday poses that the shipped prior has not seen."""
    return torch.as_tensor(sample_poses(200, np.random.default_rng(77))[0][:, 1:]).reshape(-1, 69)


def python_2(value) -> bytes:
    """A dictionary of float64 arrays, byte for byte as Python 2's cPickle wrote it (protocol 2)."""

    def number(n: int) -> bytes:
        return b"K" + bytes([n]) if n < 256 else b"M" + n.to_bytes(2, "little")

    def array(x: np.ndarray) -> bytes:
        shape = b"".join(map(number, x.shape)) + {1: b"\x85", 2: b"\x86", 3: b"\x87"}[x.ndim]
        content = x.astype("<f8").tobytes()
        return (
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
            b"(K\x01" + shape + b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
            b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            b"\x89T" + len(content).to_bytes(4, "little") + content + b"tb"
        )

    items = [b"U" + bytes([len(name)]) + name.encode() + array(x) for name, x in value.items()]
    return b"\x80\x02}(" + b"".join(items) + b"u."


def as_dict(means, covariances, weights):
    return {"means": means, "covars": covariances, "weights": weights}


@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_its_value_is_the_likeliest_components_density(seed):
    """Up to the smallest component's log root determinant, a constant that SMPLify leaves out."""
    means, covariances, weights = mixture()
    x = near_the_means(means, seed)
    densities = np.stack(
        [multivariate_normal(mean, covariance).logpdf(x) + np.log(weight)
         for mean, covariance, weight in zip(means, covariances, weights, strict=True)]
    )  # fmt: skip
    left_out = np.linalg.slogdet(covariances)[1].min() / 2
    expected = -densities.max(0) - left_out
    found = PosePrior(means, covariances, weights).double()(torch.as_tensor(x))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_nearest_is_the_component_that_counts():
    means, covariances, weights = mixture()
    prior = PosePrior(means, covariances, weights).double()
    x = torch.as_tensor(near_the_means(means)).requires_grad_()
    mean, precision = prior.nearest(x)
    which = np.repeat(np.arange(3), 4)
    np.testing.assert_allclose(mean, means[which], rtol=1e-6)
    np.testing.assert_allclose(precision, np.linalg.inv(covariances)[which], rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(prior(x).sum(), x)
    expected = (precision @ (x - mean)[..., None])[..., 0]
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-5)


def test_the_mean_pose_is_the_mixtures_mean():
    means, covariances, weights = mixture()
    found = PosePrior(means, covariances, weights).mean_pose()
    np.testing.assert_allclose(found, weights @ means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 72), (69,), (2, 23, 3)])
def test_a_pose_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(B, 69\)"):
        load_prior()(torch.zeros(shape))


def test_the_shipped_prior_holds_everyday_poses_likelier_than_random_ones(poses):
    prior = load_prior()
    generator = torch.Generator().manual_seed(0)
    mixed = poses[:, torch.randperm(69, generator=generator)]  # the same sizes, at other joints
    random = torch.randn(poses.shape, generator=generator, dtype=torch.float64)
    assert prior(poses.float()).max() < prior(random.float()).min()
    assert (prior(poses.float()) < prior(mixed.float())).all()


def test_the_shipped_prior_holds_elbows_and_knees_bent_backwards_unlikely(poses):
    prior = load_prior()
    for place in HINGES:
        bent = poses[poses[:, place - 3].abs() > math.radians(60)]
        assert len(bent) > 5
        backwards = bent.clone()
        backwards[:, place - 3] *= -1
        assert (prior(backwards.float()) > prior(bent.float()) + 5).all()


def test_its_mean_pose_stands_with_bent_elbows():
    pose = load_prior().mean_pose()
    bends = pose[[place - 3 for place in HINGES]] * pose.new_tensor([-1, 1, 1, 1])
    assert (bends > 0).all()


@pytest.mark.parametrize("kind", ["npz", "pkl of Python 2", "pkl of Python 3"])
def test_a_users_prior_is_read(tmp_path, kind):
    content = as_dict(*mixture())
    path = tmp_path / ("mine.npz" if kind == "npz" else "gmm_08.pkl")
    if kind == "npz":
        np.savez(path, **content)
    else:
        path.write_bytes(
            python_2(content) if kind.endswith("2") else pickle.dumps(content, protocol=4)
        )
    x = torch.as_tensor(near_the_means(content["means"]), dtype=torch.float32)
    torch.testing.assert_close(load_prior(path)(x), PosePrior(*mixture())(x))
    torch.testing.assert_close(load_prior(str(path))(x), PosePrior(*mixture())(x))


def test_a_malicious_prior_is_refused_and_nothing_is_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it_ran"),)

    path = tmp_path / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(as_dict(*mixture()) | {"more": Bomb()}, 2))
    with pytest.raises(FileProblem, match="could run code"):
        load_prior(path)
    values = as_dict(*mixture()) | {"means": np.array([Bomb()], object)}
    np.savez(tmp_path / "prior.npz", **values)
    with pytest.raises(FileProblem, match="not a readable"):
        load_prior(tmp_path / "prior.npz")
    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize("name", ["prior.npz", "gmm_08.pkl"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_prior_is_refused(tmp_path, name, kept):
    path = tmp_path / name
    if name.endswith("npz"):
        np.savez(path, **as_dict(*mixture()))
    else:
        path.write_bytes(python_2(as_dict(*mixture())))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(FileProblem, match=name):
        load_prior(path)


def test_a_missing_prior_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"no pose prior at .*gone\.npz"):
        load_prior(tmp_path / "gone.npz")
    with pytest.raises(FileProblem, match="is a folder; a file is expected"):
        load_prior(tmp_path)


def _with(key, change):
    values = as_dict(*mixture())
    values[key] = change(values[key].copy())
    return values


def _spoil(place, value):
    def change(array):
        array[place] = value
        return array

    return change


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"means": np.zeros((3, 69))}, "covars, weights missing. It has: means"),
        ({}, "covars, means, weights missing. It has: nothing"),
        (_with("means", lambda a: a[:, :63]), r"means: expected \(3, 69\), got \(3, 63\)"),
        (_with("means", lambda a: a[:2]), r"covars: expected \(2, 69, 69\)"),
        (_with("means", lambda a: a[:0]), r"means: expected .* got \(0, 69\)"),
        (_with("covars", lambda a: a[:, 0]), r"covars: expected \(3, 69, 69\)"),
        (_with("means", lambda a: np.array(3.0)), r"means: expected \(M, 69\) .* got \(\)"),
        (_with("weights", lambda a: a[:, None]), r"weights: expected \(3,\)"),
        (_with("means", _spoil((1, 5), np.nan)), "means: holds NaN"),
        (_with("covars", _spoil((1, 5, 5), np.inf)), "covars: holds NaN"),
        (_with("weights", _spoil(2, np.nan)), "weights: holds NaN"),
        (_with("weights", _spoil(2, 0.0)), "weights: expected positive"),
        (_with("weights", _spoil(2, -0.1)), "weights: expected positive"),
        (_with("covars", _spoil((1, 5), 0.0)), "covars: expected positive definite"),
        (_with("covars", lambda a: -a), "covars: expected positive definite"),
        (_with("means", lambda a: a.astype("U8")), "means: expected numbers, got <U8"),
    ],
)
def test_a_prior_with_wrong_content_is_refused_by_name(tmp_path, values, says):
    path = tmp_path / "prior.npz"
    np.savez(path, **values)
    with pytest.raises(FileProblem, match=f"prior.npz.*{says}"):
        load_prior(path)


def test_a_prior_is_no_weight():
    assert load_prior().state_dict() == {}


def test_a_prior_of_the_users_is_named_by_the_environment(tmp_path, monkeypatch):
    with np.load(ASSET, allow_pickle=False) as arrays:
        np.savez(tmp_path / "mine.npz", **{**arrays, "means": arrays["means"] + 1})
    monkeypatch.setenv("HMRLAB_PRIOR", str(tmp_path / "mine.npz"))
    torch.testing.assert_close(load_prior().means, load_prior(ASSET).means + 1)
    monkeypatch.setenv("HMRLAB_PRIOR", str(tmp_path / "lost.npz"))
    with pytest.raises(FileProblem, match=r"lost\.npz"):
        load_prior()
