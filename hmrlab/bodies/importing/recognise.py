"""What a file of SMPL's or SPIN's is, by its content; its name decides nothing but the gender.

What goes with a body (a companion) is kept beside the imported bodies, so that the order of imports
does not matter.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hmrlab.bodies.format import MOST, OFF_BY, read_raw_arrays
from hmrlab.bodies.paths import companion_path
from hmrlab.files import (
    FileProblem,
    listed,
    npy_header,
    open_npz,
    open_regular,
    read_npy,
    resolve,
    sha256_of,
)
from hmrlab.unpickling import load_model_file

BODY = "body"
EXTRA = "J_regressor_extra"
H36M = "J_regressor_h36m"
MEANS = "smpl_mean_params"
PRIOR = "gmm_08"
CUBE = "cube_parts"
TEXTURE = "vertex_texture"
COMPANIONS = (EXTRA, H36M, CUBE, TEXTURE, MEANS, PRIOR)
BODY_ARRAYS = (
    "v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f", "faces",
    "J", "landmarks", EXTRA, H36M, "lsp_labels",
)  # fmt: skip
_KEYS = {
    BODY: {"v_template", "shapedirs", "weights"},
    PRIOR: {"means", "covars", "weights"},
    MEANS: {"pose", "shape", "cam"},
}
_WANTED = (*BODY_ARRAYS, "means", "covars", "pose", "shape", "cam")
_GENDERS = {"female": "female", "f": "female", "male": "male", "m": "male", "neutral": "neutral",
            "n": "neutral"}  # fmt: skip
_SUFFIXES = (".pkl", ".npz", ".npy")
_ARCHIVES = (".zip", ".gz", ".tgz", ".tar")
LARGEST = 2**30  # bytes of a file that is looked into; SMPL's have up to a quarter
MAX_NUMBERS = 2**25  # of an .npy; the finest texture known has 21 million
_NUMBERS = 69  # of a pose without its root
_MAX_GAUSSIANS = 100  # SMPLify's priors have up to 8
_LARGEST_OF_PRIOR = 1e4  # radians, their squares, shares
EXPECTED = (
    "SMPL's basicmodel_*.pkl or SMPL_*.pkl/.npz, J_regressor_extra.npy, J_regressor_h36m.npy, "
    "smpl_mean_params.npz, gmm_08.pkl, cube_parts.npy and vertex_texture.npy"
)


@dataclass(frozen=True)
class RecognisedFile:
    """A file that was recognised."""

    path: Path
    kind: str  # BODY, or what it is kept as: EXTRA, H36M, MEANS, PRIOR, CUBE, TEXTURE
    arrays: dict[str, np.ndarray]  # by the file's own names; a single array is under its kind
    sha256: str
    stored_as: dict[str, str] = field(default_factory=dict)  # see `ModelFile`


def recognise(path: str | Path) -> RecognisedFile:
    """Read a file without running anything in it, and say what it is.

    Raises:
        FileProblem: it is missing, damaged, holds anything but arrays, or is none of these files.
    """
    path = Path(path)
    with open_regular(path) as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(6)
    if path.suffix in _ARCHIVES:
        raise FileProblem(f"{path} is an archive: unpack it, and give the folder that comes out.")
    if size > LARGEST:
        raise FileProblem(
            f"{path} has {size:,} bytes; a file to import has {LARGEST:,} at most. Expected: "
            f"{EXPECTED}."
        )
    if start == b"\x93NUMPY":
        array = read_npy(path, max_bytes=8 * MAX_NUMBERS)
        kind = _kind_of_array(path, array)
        return RecognisedFile(path, kind, {kind: array}, sha256_of(path))
    model = load_model_file(path, _WANTED)
    for kind, keys in _KEYS.items():
        if keys <= model.arrays.keys():
            arrays = {key: value for key, value in model.arrays.items() if key in _WANTED}
            return RecognisedFile(path, kind, arrays, sha256_of(path), model.stored_as)
    raise FileProblem(
        f"{path} holds {listed(sorted(model.arrays), 'no numeric arrays')}: neither a body nor "
        f"anything that goes with one. Expected: {EXPECTED}."
    )


def candidates(folder: Path) -> Iterator[Path]:
    """Files in a folder, and in the folders in it, that are worth a look, in order."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in _SUFFIXES and _is_worth_a_look(path):
            yield path


def _is_worth_a_look(path: Path) -> bool:
    """By its size, its shape or the names in it alone: data sets may be large."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            return False
        if path.suffix == ".npy":
            return _kind_of_shape(npy_header(path).shape) is not None
        if path.suffix == ".npz":
            with open_npz(path) as archive:
                return any(keys <= set(archive.keys) for keys in _KEYS.values())
    except (OSError, FileProblem):
        return False
    return True


def gender_of(path: Path) -> str | None:
    """Male, female or neutral by a file's name, else by its folder's; None if they do not say."""
    for name in (path.stem, resolve(path).parent.name):
        words = re.split(r"[^a-z]+", name.lower())
        named = {_GENDERS[word] for word in words if word in _GENDERS}
        if len(named) == 1:
            return named.pop()
    return None


def _kind_of_array(path: Path, array: np.ndarray) -> str:
    kind = _kind_of_shape(array.shape)
    if kind is None or array.dtype.kind not in "fiu" or array.size > MAX_NUMBERS:
        raise FileProblem(
            f"{path} is an array of {array.dtype} and shape {array.shape}. Expected (9, V) for "
            "J_regressor_extra, (17, V) for J_regressor_h36m, a cube (N, N, N) of part numbers for "
            "cube_parts, (1, F, T, T, T, 3) or (V, 3) for vertex_texture, of at most "
            f"{MAX_NUMBERS:,} numbers."
        )
    if not np.isfinite(array).all():
        raise FileProblem(f"{path} holds NaN or infinite numbers; get it anew.")
    return kind


def _kind_of_shape(shape: tuple[int, ...]) -> str | None:
    if len(shape) == 2 and shape[0] in (9, 17) and shape[1] > 1000:
        return EXTRA if shape[0] == 9 else H36M
    if len(shape) == 3 and len(set(shape)) == 1 and shape[0] > 1:
        return CUBE
    flat = shape[1:] if len(shape) in (3, 6) and shape[0] == 1 else shape
    if len(flat) in (2, 5) and flat[-1] == 3 and flat[0] > 1000 and len(set(flat[1:-1])) <= 1:
        return TEXTURE
    return None


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
        return {key: _take(found, key, shape, _LARGEST_OF_PRIOR) for key, shape in shapes.items()}
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


def read_kept() -> dict[str, dict[str, np.ndarray]]:
    """The arrays of each companion that is there, by their own names.

    Raises:
        FileProblem: one is damaged.
    """
    return {
        kind: read_raw_arrays(companion_path(kind))
        for kind in COMPANIONS
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
