"""The mean body that SPIN's own network starts from, of the user's `smpl_mean_params.npz`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies.paths import companion_path
from hmrlab.files import FileProblem, read_npz, user_path

KEYS = {"pose": 144, "shape": 10, "cam": 3}
MOST = 100.0  # SPIN's own are all below 2


@dataclass(frozen=True)
class MeanParameters:
    """A body and a camera, as the regressor's buffers hold them; `Regressor.set_means` sets them.

    A network of hmrlab's starts from the mean of the synthetic people's sampler. One that is to
    learn of photographs starts nearer with these. SPIN's checkpoints bring their own.
    """

    pose: Tensor  # (144,) SPIN's 6D rotations of the 24 joints, the root in the camera's frame
    shape: Tensor  # (10,) betas
    camera: Tensor  # (3,) scale, x, y


def load_mean_parameters(source: str | Path | None = None) -> MeanParameters:
    """Read a mean start: an `.npz` with `pose` (144,), `shape` (10,) and `cam` (3,).

    By default it is the one that `hmrlab body import` has read.

    Raises:
        FileProblem: it is missing, damaged, or holds something else.
    """
    path = companion_path("smpl_mean_params") if source is None else user_path(source)
    arrays = read_npz(
        path,
        KEYS,
        what="smpl_mean_params.npz",
        missing=f"no mean parameters at {path}. They come with SPIN's data (its fetch_data.sh): "
        "hmrlab body import smpl_mean_params.npz",
    )
    pose, shape, camera = (
        torch.from_numpy(_numbers(path, key, arrays.get(key), count)) for key, count in KEYS.items()
    )
    return MeanParameters(pose, shape, camera)


def _numbers(path: Path, key: str, value: np.ndarray | None, count: int) -> np.ndarray:
    """(count,) in single precision."""
    wanted = f"{path}: {key}: expected {count} finite numbers up to {MOST:g}"
    if value is None:
        raise FileProblem(f"{wanted}; it has no such array. Is it SPIN's smpl_mean_params.npz?")
    if value.size != count or value.dtype.kind not in "fiu":
        raise FileProblem(f"{wanted}, found {value.dtype} of shape {value.shape}.")
    if not (np.abs(value.astype(np.float64)) <= MOST).all():  # what is no number compares as false
        raise FileProblem(f"{wanted}, found NaN, infinite or larger ones. Get it anew.")
    return value.astype(np.float32).ravel()
