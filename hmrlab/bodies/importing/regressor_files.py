"""Files that go with a body: kept beside the imported bodies, so that the order does not matter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hmrlab.bodies.format import MOST, OFF_BY, read_raw_arrays
from hmrlab.bodies.importing.recognise import (
    CUBE,
    EXTRA,
    H36M,
    MEANS,
    PRIOR,
    TEXTURE,
    RecognisedFile,
)
from hmrlab.bodies.paths import companion_path
from hmrlab.files import FileProblem, save_npz_whole

Kept = Mapping[str, dict[str, np.ndarray]]
"""The arrays of each kind that is there, by their own names."""

KINDS = (EXTRA, H36M, CUBE, TEXTURE, MEANS, PRIOR)
_NUMBERS = 69  # of a pose without its root
_MAX_GAUSSIANS = 100  # SMPLify's priors have up to 8
_LARGEST = 1e4  # number of a prior: radians, their squares, shares


def check_companion(found: RecognisedFile) -> dict[str, np.ndarray]:
    """What is kept of a file, checked.

    Raises:
        FileProblem: its shapes or numbers are not those of such a file.
    """
    if found.kind == MEANS:
        shapes = {"pose": (144,), "shape": (10,), "cam": (3,)}
        return {
            key: _take(found, key, shape, MOST, ravel=True).astype(np.float32)
            for key, shape in shapes.items()
        }
    if found.kind == PRIOR:
        count = min(len(np.atleast_1d(found.arrays["means"])), _MAX_GAUSSIANS)
        shapes = {"means": (count, _NUMBERS), "covars": (count, _NUMBERS, _NUMBERS),
                  "weights": (count,)}  # fmt: skip
        return {key: _take(found, key, shape, _LARGEST) for key, shape in shapes.items()}
    array = found.arrays[found.kind]
    if found.kind == CUBE:
        if array.min() < 0 or array.max() > 255 or (array != np.round(array)).any():
            raise FileProblem(
                f"{found.path}: expected a cube of part numbers, whole and from 0 to 255, found "
                f"{array.dtype} {array.min():.4g} to {array.max():.4g}."
            )
        return {CUBE: array.astype(np.uint8)}
    if found.kind in (EXTRA, H36M):
        _check_regressor(found.path, array)
    if found.kind == TEXTURE and (array.min() < -1e-3 or array.max() > 1 + 1e-3):
        raise FileProblem(
            f"{found.path}: expected colours from 0 to 1, found {array.min():.4g} to "
            f"{array.max():.4g}."
        )
    return {found.kind: array.astype(np.float32)}


def keep(kind: str, arrays: dict[str, np.ndarray]) -> Path:
    """Write a companion, whole or not at all.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    return save_npz_whole(companion_path(kind), **arrays)


def read_kept() -> dict[str, dict[str, np.ndarray]]:
    """All companions that are there.

    Raises:
        FileProblem: one is damaged.
    """
    return {
        kind: read_raw_arrays(companion_path(kind))
        for kind in KINDS
        if companion_path(kind).is_file()
    }


def describe_companion(kind: str, arrays: dict[str, np.ndarray]) -> str:
    """What a file is, in a line."""
    if kind in (EXTRA, H36M):
        array = arrays[kind]
        what = "SPIN's further joints" if kind == EXTRA else "Human3.6M's joints, for evaluation"
        sums = array.sum(1)
        return (
            f"{kind}: {what}, {len(array)} rows over {array.shape[1]:,} vertices; they sum to "
            f"{sums.min():.4f} to {sums.max():.4f}"
        )
    if kind == MEANS:
        return f"{kind}: the pose, shape and camera that SPIN's network starts from"
    if kind == PRIOR:
        return (
            f"{kind}: SMPLify's pose prior of {len(arrays['means'])} Gaussians; fits on an "
            "imported body take it from now on (HMRLAB_PRIOR names another)"
        )
    shape = " x ".join(map(str, arrays[kind].shape))
    what = "part numbers by colour" if kind == CUBE else "colours of the body"
    return f"{kind}: {what}, {shape}; together the two give LSP's six parts"


def _check_regressor(path: Path, rows: np.ndarray) -> None:
    largest = max(float(rows.max()), -float(rows.min()))
    if largest > MOST:
        raise FileProblem(
            f"{path}: expected weights of vertices, each up to {MOST:g}, found {largest:.3g}. Is "
            "it another regressor?"
        )
    sums = rows.sum(1, dtype=np.float64)
    worst = sums[np.abs(sums - 1).argmax()]
    if abs(worst - 1) > OFF_BY:
        raise FileProblem(
            f"{path}: expected rows that sum to 1, found one that sums to {worst:.4f}. Is it "
            "another regressor?"
        )


def _take(
    found: RecognisedFile, key: str, shape: tuple[int, ...], most: float, *, ravel: bool = False
) -> np.ndarray:
    array = found.arrays[key]
    array = array.ravel() if ravel else array
    if array.shape != shape or 0 in shape:
        raise FileProblem(
            f"{found.path}: {key}: expected shape {shape}, found {found.arrays[key].shape}."
        )
    if not np.isfinite(array).all():
        raise FileProblem(f"{found.path}: {key} holds NaN or infinite numbers; get it anew.")
    if max(float(array.max()), -float(array.min())) > most:
        raise FileProblem(
            f"{found.path}: {key}: expected numbers up to {most:g}, found {array.min():.3g} to "
            f"{array.max():.3g}; get it anew."
        )
    return array
