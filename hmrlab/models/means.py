"""The mean body that SPIN's own network starts from, of the user's `smpl_mean_params.npz`."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies.places import companion_path
from hmrlab.files import FileProblem

KEYS = {"pose": 144, "shape": 10, "cam": 3}


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
    """Read a mean start.

    Args:
        source: an `.npz` with `pose` (144,), `shape` (10,) and `cam` (3,); by default the one that
            `hmrlab body import` has read.

    Raises:
        FileProblem: it is missing, damaged, or holds something else.
    """
    path = companion_path("smpl_mean_params") if source is None else Path(source)
    if not path.is_file():
        raise FileProblem(
            f"no mean parameters at {path}. They come with SPIN's data (its fetch_data.sh): hmrlab "
            "body import smpl_mean_params.npz"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = {key: np.asarray(arrays[key], np.float32).ravel() for key in KEYS}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise FileProblem(f"{path} is no readable smpl_mean_params.npz ({error}).") from error
    for key, count in KEYS.items():
        if values[key].shape != (count,) or not np.isfinite(values[key]).all():
            raise FileProblem(f"{path}: {key}: expected {count} finite numbers.")
    pose, shape, camera = (torch.from_numpy(values[key]) for key in KEYS)
    return MeanParameters(pose, shape, camera)
