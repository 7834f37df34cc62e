"""The body's file: SMPL's own arrays in an `.npz`, and nothing that could run.

    v_template     (V, 3)        the mean body in T-pose, metres, y up, facing +z
    shapedirs      (V, 3, S)     displacement of each vertex for each shape coefficient, metres;
                                 the first 10 are used
    posedirs       (V, 3, 207)   pose correctives; optional
    J_regressor    (24, V)       each joint as a weighted sum of vertices; rows sum to about 1
    weights        (V, 24)       skinning weights; rows sum to 1, none negative
    kintree_table  (2, 24)       first row: the parent of each joint (the root's is ignored)
    f              (F, 3)        triangles, counter-clockwise from outside

    landmarks            (21,)      vertices that smplx would append (`joints.LANDMARKS`)
    J_regressor_extra    (9, V)     `joints.EXTRA_JOINTS`
    J_regressor_h36m     (17, V)    `joints.H36M_JOINTS`
    lsp_labels           (V,)       index into `joints.LSP_PARTS`; optional

The first seven are those of the released SMPL files; the others come from SPIN's data. A body that
was imported also says where it came from (`Provenance`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hmrlab.bodies.joints import LANDMARKS, SMPL_PARENTS
from hmrlab.files import FileProblem, listed, read_npz, save_npz_whole

N_BETAS = 10
N_JOINTS = len(SMPL_PARENTS)
POSE_FEATURES = 9 * (N_JOINTS - 1)
OFF_BY = 0.05
"""How far the sum of a regressor's row may be from 1: its files are fitted and rounded."""
MAX_BYTES = 2**28
"""Of all arrays of a body's file, unpacked."""
MAX_ROWS = 60_000
"""Vertices, or triangles, of a body at most."""
MOST = 100.0
"""No number of a body is larger: metres, metres for a unit of shape or pose, or shares."""


@dataclass(frozen=True)
class BodyArrays:
    """What a body file holds, checked; shapes as in the module's text with S = 10."""

    v_template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray | None
    joint_regressor: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    landmarks: np.ndarray
    extra_regressor: np.ndarray
    h36m_regressor: np.ndarray
    lsp_labels: np.ndarray | None


@dataclass(frozen=True)
class Provenance:
    """Where an imported body came from; texts."""

    source_name: str  # of the file, without its folder
    source_sha256: str
    gender: str
    release: str
    licence: str
    parts: str = ""  # what `lsp_labels` come from


def read_body_file(path: str | Path) -> BodyArrays:
    """Read and check a body file.

    Raises:
        FileProblem: it is missing, damaged, no body file, or its numbers cannot be a body's.
    """
    path = Path(path)
    return check_body_arrays(read_raw_arrays(path), path)


def read_provenance(path: str | Path) -> Provenance | None:
    """Where a body file says that it came from; None where it says nothing.

    Raises:
        FileProblem: it is missing or damaged.
    """
    names = [field.name for field in fields(Provenance)]
    arrays = read_raw_arrays(Path(path), names)
    if len(arrays) < len(names):
        return None
    return Provenance(**{name: str(arrays[name]) for name in names})


def check_body_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> BodyArrays:
    """The arrays of a body, named as in its file, checked; the path is for messages.

    Raises:
        FileProblem: one is missing, or its numbers cannot be a body's.
    """
    template = _take(arrays, path, "v_template", (None, 3))
    n = len(template)
    kept = dict(arrays)
    if "shapedirs" in arrays and arrays["shapedirs"].ndim == 3:  # files have up to 300
        kept["shapedirs"] = arrays["shapedirs"][..., :N_BETAS]
    shapedirs = _take(kept, path, "shapedirs", (n, 3, None))
    if shapedirs.shape[2] < N_BETAS:
        raise _problem(
            path, "shapedirs", f"at least {N_BETAS} shape directions", shapedirs.shape[2]
        )
    posedirs = None
    if "posedirs" in arrays:
        posedirs = _take(arrays, path, "posedirs", (n, 3, POSE_FEATURES))
    weights = _take(arrays, path, "weights", (n, N_JOINTS))
    regressor = _take(arrays, path, "J_regressor", (N_JOINTS, n))
    extra = _take(arrays, path, "J_regressor_extra", (9, n))
    h36m = _take(arrays, path, "J_regressor_h36m", (17, n))
    _check_rows_sum_to_one(path, "weights", weights, 1e-3)
    for key, rows in (("J_regressor", regressor), ("J_regressor_extra", extra),
                      ("J_regressor_h36m", h36m)):  # fmt: skip
        _check_rows_sum_to_one(path, key, rows, OFF_BY)
    if weights.min() < -1e-6:
        raise _problem(path, "weights", "no negative weight", f"{weights.min():.3g}")
    _check_tree(path, _take(arrays, path, "kintree_table", (2, N_JOINTS), most=2.0**32))
    faces = _take_indices(arrays, path, "f", (None, 3), n)
    landmarks = _take_indices(arrays, path, "landmarks", (len(LANDMARKS),), n)
    labels = _take_indices(arrays, path, "lsp_labels", (n,), 6) if "lsp_labels" in arrays else None
    return BodyArrays(
        template, shapedirs, posedirs, regressor, weights, faces, landmarks,
        extra, h36m, labels,
    )  # fmt: skip


def write_body_file(
    path: str | Path, body: BodyArrays, provenance: Provenance | None = None
) -> Path:
    """Write a body file, whole or not at all; single precision, compressed.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    return save_npz_whole(path, **body_file_arrays(body, provenance))


def body_file_arrays(body: BodyArrays, provenance: Provenance | None) -> dict[str, np.ndarray]:
    """What a body's file holds, by name."""
    optional = {
        "posedirs": None if body.posedirs is None else body.posedirs.astype(np.float32),
        "lsp_labels": body.lsp_labels,
    }
    texts = {} if provenance is None else vars(provenance)
    parents = np.array(SMPL_PARENTS, dtype=np.int64)
    return {
        "v_template": body.v_template.astype(np.float32),
        "shapedirs": body.shapedirs.astype(np.float32),
        "J_regressor": body.joint_regressor.astype(np.float32),
        "weights": body.weights.astype(np.float32),
        "kintree_table": np.stack([parents, np.arange(N_JOINTS)]),
        "f": body.faces.astype(np.int32),
        "landmarks": body.landmarks.astype(np.int32),
        "J_regressor_extra": body.extra_regressor.astype(np.float32),
        "J_regressor_h36m": body.h36m_regressor.astype(np.float32),
        **{key: value for key, value in optional.items() if value is not None},
        **{key: np.array(text) for key, text in texts.items()},
    }


def read_raw_arrays(path: Path, keys: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`, by default all of them, unchecked.

    Raises:
        FileProblem: it is missing, damaged, or no `.npz`.
    """
    return read_npz(
        path,
        keys,
        what=".npz body file",
        remedy="It may be cut short, or be a pickle: SMPL's own .pkl is imported first, by hmrlab "
        f"body import {path.name}",
        missing=f"no body file at {path}. Give the path of an .npz in hmrlab's body format "
        "(see hmrlab/bodies/format.py), the name of an imported body (hmrlab body list), or "
        "'free' for the body that comes with hmrlab.",
        max_bytes=MAX_BYTES,
    )


def _take(
    arrays: Mapping[str, np.ndarray],
    path: Path,
    key: str,
    shape: tuple[int | None, ...],
    most: float = MOST,
) -> np.ndarray:
    """Double precision, of finite numbers up to a limit."""
    if key not in arrays:
        raise _problem(path, key, "this array", f"only {listed(sorted(arrays))}")
    value = arrays[key]
    fits = value.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, value.shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if s is None else str(s) for s in shape) + ")"
        raise _problem(path, key, f"shape {wanted}", f"shape {value.shape}")
    if not 1 <= len(value) <= MAX_ROWS:
        raise _problem(path, key, f"1 to {MAX_ROWS:,} rows", f"{len(value):,}")
    if value.dtype.kind not in "fiu":
        raise _problem(path, key, "numbers", f"dtype {value.dtype}")
    if not np.isfinite(value).all():
        count = int((~np.isfinite(value)).sum())
        raise _problem(path, key, "finite numbers", f"{count} NaN or infinite")
    numbers = value.astype(np.float64)
    largest = np.abs(numbers).max(initial=0)
    if largest > most:
        wanted = f"numbers up to {most:g} (lengths are in metres)"
        raise _problem(path, key, wanted, f"{largest:.3g}")
    return numbers


def _take_indices(
    arrays: Mapping[str, np.ndarray], path: Path, key: str, shape: tuple[int | None, ...], stop: int
) -> np.ndarray:
    value, dtype = _take(arrays, path, key, shape, most=np.inf), arrays[key].dtype
    if dtype.kind == "f" or value.min() < 0 or value.max() >= stop:
        span = f"{dtype} {value.min():g}..{value.max():g}"
        raise _problem(path, key, f"integers from 0 to {stop - 1}", span)
    return value.astype(np.int64)


def _check_rows_sum_to_one(path: Path, key: str, rows: np.ndarray, off_by: float) -> None:
    sums = rows.sum(1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > off_by:
        raise _problem(path, key, "rows that sum to 1", f"row {worst} sums to {sums[worst]:.4f}")


def _check_tree(path: Path, table: np.ndarray) -> None:
    parents = table[0].astype(np.int64)
    if tuple(parents[1:]) != SMPL_PARENTS[1:]:
        raise _problem(
            path, "kintree_table", "SMPL's 24-joint tree", f"parents {parents[1:].tolist()}"
        )


def _problem(path: Path, key: str, wanted: object, found: object) -> FileProblem:
    return FileProblem(
        f"{path}: {key}: expected {wanted}, found {found}. "
        "Is it the file of another body model, or an older conversion?"
    )
