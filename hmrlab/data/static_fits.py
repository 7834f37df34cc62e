"""Fits of SMPL that others released, row by row beside a set's records.

SPIN's `static_fits/NAME_fits.npy` are (N, 82) numbers: 72 of the pose, 10 betas. Its final fits,
and `mpi-inf-3dhp_mview_fits.npz`, are `.npz` files with `pose`, `shape` and `has_smpl`, whether a
fit is to be believed. Rows are those of SPIN's own record files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.data.records import MAX_PEOPLE, Records
from hmrlab.files import (
    BadArrayError,
    FileProblem,
    NpzArchive,
    open_npz,
    open_regular,
    read_npy,
    save_npz_whole,
    sha256_of,
)

NAME = "static_fits.npz"  # beside records.npz
_VALID = ("valid", "has_smpl", "valid_fit")
_BETAS = ("betas", "shape")
_WHAT = "file of fits"
_REMEDY = "Expected an .npy of (N, 82), or an .npz with pose and shape (or betas)."
_Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # as `_read` gives them


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
    """A fit with a number that is not finite does not count."""
    sane = valid & np.isfinite(pose).all(1) & np.isfinite(betas).all(1)
    pose, betas = np.where(sane[:, None], pose, 0), np.where(sane[:, None], betas, 0)
    return StaticFits(pose.reshape(-1, 24, 3), betas, sane)


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
    return sha256_of(path)[:16] if path.is_file() else ""


def _read(path: Path) -> _Arrays:
    """Pose (N, 72) and betas (N, 10), float32; which are to be believed (N,) bool."""
    with open_regular(path, f"no file of fits at {path}.") as file:
        is_archive = file.read(2) == b"PK"  # a zip's; what it is not, its reader says
    if is_archive:
        with open_npz(path, what=_WHAT, remedy=_REMEDY) as archive:
            return _from_archive(path, archive)
    content = read_npy(path, what=_WHAT, remedy=_REMEDY, max_bytes=MAX_PEOPLE * 82 * 8)
    if content.ndim != 2 or content.dtype.kind not in "fiu":
        found = f"{content.dtype} {content.shape}"
        raise FileProblem(f"{path} is not a readable {_WHAT} (found {found}). {_REMEDY}")
    pose, betas = content[:, :72], content[:, 72:]
    _check_shapes(path, pose.shape, betas.shape)
    return _as_float32(pose), _as_float32(betas), np.ones(len(pose), bool)


def _from_archive(path: Path, archive: NpzArchive) -> _Arrays:
    """The same of an `.npz`; the shapes are looked at before the numbers are unpacked."""
    names = []
    for ways in (("pose",), _BETAS, _VALID):
        names.append(next((key for key in ways if key in archive.keys), None))
    pose, betas, valid = names
    if pose is None or betas is None:
        raise BadArrayError("it has no pose, or no shape")
    headers = {key: archive.header(key) for key in names if key is not None}
    for key, header in headers.items():
        if header.dtype is not None and header.dtype.kind not in "fiub":
            raise BadArrayError(f"'{key}' must hold numbers, found {header.dtype}")
    n, *rest = headers[pose].shape or (0,)
    _check_shapes(path, (n, math.prod(rest)), headers[betas].shape)
    if valid is not None and math.prod(headers[valid].shape) != n:
        raise BadArrayError(f"'{valid}' must be {n:,} numbers, found {headers[valid].shape}")
    return (
        _as_float32(archive.read(pose).reshape(n, 72)),
        _as_float32(archive.read(betas)),
        np.ones(n, bool) if valid is None else archive.read(valid).reshape(n) > 0,
    )


def _check_shapes(path: Path, pose: tuple[int, ...], betas: tuple[int, ...]) -> None:
    n = pose[0]
    if pose[1] != 72 or betas != (n, 10):
        raise FileProblem(
            f"{path}: fits must have (N, 72) numbers of pose and (N, 10) betas, found {pose} "
            f"and {betas}."
        )
    if n > MAX_PEOPLE:
        raise FileProblem(f"{path} has {n:,} fits; at most {MAX_PEOPLE:,} are read of one file.")


def _as_float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what becomes infinite is no fit
        return values.astype(np.float32)
