"""What poses are likely: a mixture of Gaussians over the 69 numbers of a body's pose."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hmrlab.bodies.paths import FREE, IMPORTED, body_name, companion_path
from hmrlab.files import FileProblem, listed, open_regular, read_npz, user_path
from hmrlab.paths import chosen_body
from hmrlab.unpickling import load_arrays

ASSET = Path(__file__).parent / "assets" / "pose_prior.npz"
N_NUMBERS = 69
MAX_COMPONENTS = 100  # SMPLify's have up to 8
MAX_BYTES = 2**24
MOST = 1e4  # radians, their squares, or shares: of what is a pose's none is larger


class PosePrior(nn.Module):
    """SMPLify's prior: how unlikely a pose is under the likeliest of some Gaussians.

    Bogo et al. 2016, equation 5, in the form of its `MaxMixtureComplementPrior`: the sum over the
    components is replaced by its largest member, which makes the logarithm a quadratic form.

        min over components m of  (x - mean_m)' P_m (x - mean_m) / 2 - log(share_m)

    Args:
        means: (M, 69) axis-angles of the 23 joints below the root, radians.
        covariances: (M, 69, 69).
        weights: (M,) shares of the components, sum 1.

    Raises:
        ValueError: a shape does not fit, a number is not finite or too large, or a covariance is
            none.
    """

    def __init__(self, means: np.ndarray, covariances: np.ndarray, weights: np.ndarray) -> None:
        super().__init__()
        _check_shapes(means, covariances, weights)
        means, covariances, weights = (
            np.array(value, np.float64) for value in (means, covariances, weights)
        )
        _check_numbers(means, covariances, weights)
        half_log_det = np.linalg.slogdet(covariances)[1] / 2
        # As in SMPLify's code: shares over the determinants' roots, relative to the smallest.
        offsets = (
            -np.log(weights) + N_NUMBERS / 2 * np.log(2 * np.pi) + half_log_det - half_log_det.min()
        )
        for name, value in (
            ("means", means),
            ("precisions", np.linalg.inv(covariances)),
            ("offsets", offsets),
            ("weights", weights / weights.sum()),
        ):
            if np.abs(value).max() > np.finfo(np.float32).max:
                raise ValueError("covars: expected matrices that are further from singular")
            self.register_buffer(name, torch.as_tensor(value, dtype=torch.float32), False)

    def forward(self, pose: Tensor) -> Tensor:
        """How unlikely poses are, (B,), without a unit; poses (B, 69) axis-angles, radians."""
        return self._by_component(pose).amin(1)

    def nearest(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """The component that counts for each pose: mean (B, 69) and precision (B, 69, 69)."""
        which = self._by_component(pose).argmin(1)
        return self.means[which], self.precisions[which]

    def mean_pose(self) -> Tensor:
        """(69,) the mean of all components, axis-angles, radians: where a cold start begins."""
        return self.weights @ self.means

    def _by_component(self, pose: Tensor) -> Tensor:
        if pose.ndim != 2 or pose.shape[1] != N_NUMBERS:
            raise ValueError(f"pose: expected (B, {N_NUMBERS}) axis-angles, got {pose.shape}")
        away = pose[:, None] - self.means  # (B, M, 69)
        turned = (away.transpose(0, 1) @ self.precisions).transpose(0, 1)
        return (away * turned).sum(-1) / 2 + self.offsets


def prior_path(source: str | Path | None = None, body: str = FREE) -> Path:
    """The file of a prior: the named one, else `$HMRLAB_PRIOR`; "free" is hmrlab's own.

    Where neither names one, an imported SMPL takes SMPLify's own gmm_08, if `hmrlab body import`
    has read that, and every other body hmrlab's: which poses are likely was learned of that body.
    """
    source = source or os.environ.get("HMRLAB_PRIOR")
    if source and str(source) != FREE:
        return user_path(source)
    imported = companion_path("gmm_08")
    return imported if not source and body_name(body) in IMPORTED and imported.is_file() else ASSET


def load_prior(source: str | Path | None = None, body: str | None = None) -> PosePrior:
    """Read a prior.

    Args:
        source: an `.npz` or SMPLify's own `gmm_08.pkl` (which is read without running anything in
            it), with `means`, `covars` and `weights`; "free" for hmrlab's own, fitted to its
            sampler of poses; by default see `prior_path`.
        body: whose poses; by default those of the body that the user chose by `$HMRLAB_BODY`.

    Raises:
        FileProblem: the file is missing, damaged, or holds no such mixture.
    """
    path = prior_path(source, body or chosen_body())
    missing = f"no pose prior at {path}. Without a name hmrlab takes its own."
    if path.suffix == ".npz":
        arrays = read_npz(path, missing=missing, max_bytes=MAX_BYTES)
    else:
        with open_regular(path, missing):
            arrays = load_arrays(path)
    lacking = {"means", "covars", "weights"} - set(arrays)
    if lacking:
        raise FileProblem(
            f"{path}: a pose prior has means, covars and weights; {', '.join(sorted(lacking))} "
            f"missing. It has: {listed(sorted(arrays))}."
        )
    try:
        return PosePrior(arrays["means"], arrays["covars"], arrays["weights"])
    except ValueError as error:
        raise FileProblem(f"{path}: {error}") from error


def _check_shapes(means: np.ndarray, covariances: np.ndarray, weights: np.ndarray) -> None:
    count = np.shape(means)[0] if np.ndim(means) else 0
    if not 1 <= count <= MAX_COMPONENTS:
        raise ValueError(
            f"means: expected (M, {N_NUMBERS}) with 1 to {MAX_COMPONENTS} Gaussians, got "
            f"{np.shape(means)}"
        )
    wanted = {"means": (count, N_NUMBERS), "covars": (count, N_NUMBERS, N_NUMBERS),
              "weights": (count,)}  # fmt: skip
    given = {"means": means, "covars": covariances, "weights": weights}
    for name, shape in wanted.items():
        if np.shape(given[name]) != shape:
            raise ValueError(f"{name}: expected {shape}, got {np.shape(given[name])}")
        if np.asarray(given[name]).dtype.kind not in "fiu":
            raise ValueError(f"{name}: expected numbers, got {np.asarray(given[name]).dtype}")


def _check_numbers(means: np.ndarray, covariances: np.ndarray, weights: np.ndarray) -> None:
    for name, values in (("means", means), ("covars", covariances), ("weights", weights)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: holds NaN or infinite numbers")
        if np.abs(values).max() > MOST:
            raise ValueError(
                f"{name}: expected numbers up to {MOST:g} (angles are in radians), got "
                f"{np.abs(values).max():.3g}"
            )
    if weights.min() <= 0:
        raise ValueError("weights: expected positive shares")
    if np.linalg.eigvalsh((covariances + covariances.transpose(0, 2, 1)) / 2).min() <= 0:
        raise ValueError("covars: expected positive definite matrices")
