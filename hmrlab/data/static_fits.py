"""Fits of SMPL that others released, row by row beside a set's records.

SPIN's `static_fits/NAME_fits.npy` are (N, 82) numbers: 72 of the pose, 10 betas. Its final fits,
and `mpi-inf-3dhp_mview_fits.npz`, are `.npz` files with `pose`, `shape` and `has_smpl`, whether a
fit is to be believed. Rows are those of SPIN's own record files.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.data.records import Records
from hmrlab.files import FileProblem, save_npz_whole

NAME = "static_fits.npz"  # beside records.npz
_VALID = ("valid", "has_smpl", "valid_fit")
_BETAS = ("betas", "shape")


@dataclass(frozen=True)
class StaticFits:
    """A body for each of N samples, where there is one."""

    pose: np.ndarray  # (N, 24, 3) float32, axis-angles in radians, the root in the camera's frame
    betas: np.ndarray  # (N, 10) float32
    valid: np.ndarray  # (N,) bool; others are zero

    def __len__(self) -> int:
        return len(self.valid)


def read_static_fits(path: str | Path, records: Records) -> StaticFits:
    """Fits for all samples of a record file.

    Args:
        path: a file of one of the kinds above, or one that `save_static_fits` wrote.
        records: that the fits are of; its rows and theirs must be the same.

    Raises:
        FileProblem: the file is damaged, of another layout, or has another number of rows.
    """
    path = Path(path)
    pose, betas, valid = _read(path)
    if len(pose) != len(records):
        raise FileProblem(
            f"{path} has {len(pose):,} fits, but {records.path} has {len(records):,} samples: they "
            "are not of the same rows. SPIN's fits go with SPIN's own records: "
            "hmrlab data adopt FILE --root DIR --fits FITS"
        )
    return _checked(pose, betas, valid)


def _checked(pose: np.ndarray, betas: np.ndarray, valid: np.ndarray) -> StaticFits:
    """Fits with a number that is not finite are none."""
    sane = valid & np.isfinite(pose).all(1) & np.isfinite(betas).all(1)
    pose, betas = np.where(sane[:, None], pose, 0), np.where(sane[:, None], betas, 0)
    return StaticFits(pose.reshape(-1, 24, 3).astype(np.float32), betas.astype(np.float32), sane)


def save_static_fits(fits: StaticFits, folder: Path) -> Path:
    """Write fits beside the records that they are of, whole or not at all."""
    return save_npz_whole(folder / NAME, **vars(fits))


def static_fits_of(records: Records) -> StaticFits | None:
    """The fits that lie beside a record file, or beside the set whose packed form it is of.

    Args:
        records: all of a set, or its first ones.

    Returns:
        fits of these rows; None where none lie there.

    Raises:
        FileProblem: they are damaged, or fewer than the records.
    """
    folder = records.path.parent
    path = next((one / NAME for one in (folder, folder.parent) if (one / NAME).is_file()), None)
    if path is None:
        return None
    fits = _checked(*_read(path))
    if len(fits) < len(records):
        raise FileProblem(
            f"{path} has {len(fits):,} fits for {len(records):,} samples: adopt the set again."
        )
    rows = slice(len(records))
    return StaticFits(fits.pose[rows], fits.betas[rows], fits.valid[rows])


def static_fits_digest(folder: Path) -> str:
    """16 hexadecimal digits of the fits in a set's folder; empty where there are none."""
    path = folder / NAME
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pose (N, 72), betas (N, 10), and which are to be believed (N,) bool."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                arrays = {key: content[key] for key in content.files}
        else:
            arrays = {"pose": content[..., :72], "betas": content[..., 72:]}
        pose = np.asarray(arrays["pose"], np.float64)
        pose = pose.reshape(len(pose), -1)
        betas = np.asarray(arrays[next(key for key in _BETAS if key in arrays)], np.float64)
        known = next((arrays[key] for key in _VALID if key in arrays), np.ones(len(pose)))
        valid = np.asarray(known).reshape(-1) > 0
    except FileNotFoundError as error:
        raise FileProblem(f"no file of fits at {path}.") from error
    except (
        ValueError, TypeError, OSError, EOFError, KeyError, IndexError, StopIteration,
        zipfile.BadZipFile,
    ) as error:  # fmt: skip
        raise FileProblem(
            f"{path} is not a readable file of fits ({type(error).__name__}: {error}). Expected "
            "an .npy of (N, 82), or an .npz with pose and shape (or betas)."
        ) from error
    if pose.shape[1] != 72 or betas.shape != (len(pose), 10) or valid.shape != (len(pose),):
        raise FileProblem(
            f"{path}: fits must have (N, 72) numbers of pose and (N, 10) betas, found {pose.shape} "
            f"and {betas.shape}."
        )
    return pose, betas, valid
