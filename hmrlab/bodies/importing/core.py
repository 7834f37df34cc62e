"""A body as its file gives it, brought into hmrlab's format and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.bodies.format import (
    MAX_ROWS,
    N_BETAS,
    N_JOINTS,
    POSE_FEATURES,
    BodyArrays,
    Provenance,
    check_body_arrays,
    read_provenance,
    read_raw_arrays,
)
from hmrlab.bodies.importing.recognise import BODY_ARRAYS, EXTRA, H36M, RecognisedFile
from hmrlab.bodies.smplx_adapter import smplx_landmarks
from hmrlab.files import FileProblem, listed

SMPL_VERTICES = 6890
SMPL_LICENCE = (
    "the SMPL body model licence (https://smpl.is.tue.mpg.de/modellicense.html): for research that "
    "is not commercial, and not to be passed on"
)
_OTHER_MODELS = {52: "SMPL+H", 55: "SMPL-X", 16: "MANO, a hand", 5: "FLAME, a head"}
_HEIGHTS = (1.2, 2.3)  # metres of an adult's template
_BY_SHAPES = {10: "SMPL 1.0, by its 10 shapes", 300: "SMPL 1.1, by its 300 shapes"}


@dataclass(frozen=True)
class Core:
    """A checked body; in place of the regressors that it lacks it has rows that mean nothing."""

    arrays: BodyArrays
    lacking: tuple[str, ...]  # of EXTRA and H36M
    provenance: Provenance


def core_of(found: RecognisedFile, gender: str) -> tuple[Core, tuple[str, ...]]:
    """The body of a user's file, and lines that say what was found.

    Raises:
        FileProblem: it is the file of another body model, or its numbers cannot be a body's.
    """
    arrays = _standard(found)
    shapes = arrays["shapedirs"].shape[2]
    release = _release(found.path, shapes)
    provenance = Provenance(found.path.name, found.sha256, gender, release, SMPL_LICENCE)
    core = _checked(arrays, found.path, provenance)
    body = core.arrays
    height = float(np.ptp(body.v_template[:, 1]))
    if not _HEIGHTS[0] < height < _HEIGHTS[1]:
        raise FileProblem(
            f"{found.path}: v_template is {height:.3g} high along y; expected an adult in metres "
            "with y up. Is it in other units, or turned?"
        )
    sums = body.joint_regressor.sum(1)
    posed = "pose correctives" if body.posedirs is not None else "no pose correctives"
    return core, (
        f"{release}, {gender}",
        f"{len(body.v_template):,} vertices, {len(body.faces):,} triangles, 24 joints, {posed}",
        f"{N_BETAS} of {shapes} shapes are kept; {_storage(found)}",
        f"at rest {height:.2f} m tall; the joints' rows sum to {sums.min():.4f} to "
        f"{sums.max():.4f}" + _against_own_joints(arrays, body),
        f"sha256 {found.sha256}",
        f"under {SMPL_LICENCE}",
    )


def read_core(path: Path) -> Core:
    """A body that was imported before, complete or waiting.

    Raises:
        FileProblem: the file is damaged.
    """
    provenance = read_provenance(path)
    if provenance is None:
        raise FileProblem(f"{path} does not say where it came from; delete it and import anew.")
    return _checked(read_raw_arrays(path), path, provenance)


def _checked(arrays: dict[str, np.ndarray], path: Path, provenance: Provenance) -> Core:
    template = arrays.get("v_template", np.zeros(0))
    vertices = min(len(template) if template.ndim else 0, MAX_ROWS)  # more are refused below
    lacking = tuple(key for key in (EXTRA, H36M) if key not in arrays)
    stand_in = {
        key: np.full((9 if key == EXTRA else 17, vertices), 1 / max(vertices, 1)) for key in lacking
    }
    return Core(check_body_arrays(arrays | stand_in, path), lacking, provenance)


def _standard(found: RecognisedFile) -> dict[str, np.ndarray]:
    """The file's arrays under the format's names and in its shapes."""
    arrays, path = dict(found.arrays), found.path
    for key in ("v_template", "shapedirs", "weights", "J_regressor", "kintree_table"):
        if key not in arrays:
            raise FileProblem(
                f"{path}: a body model has {key}; it has only {listed(sorted(arrays))}."
            )
    if "f" not in arrays and "faces" in arrays:
        arrays["f"] = arrays["faces"]
    template, tree, shapes = (arrays[k] for k in ("v_template", "kintree_table", "shapedirs"))
    joints = tree.shape[-1] if tree.ndim == 2 else -1
    if joints != N_JOINTS:
        named = _OTHER_MODELS.get(joints, "another body model")
        raise FileProblem(
            f"{path} has {joints} joints: it is {named}, and hmrlab needs SMPL, which has 24. "
            "SMPL's own files are named basicmodel_*.pkl."
        )
    if template.ndim != 2 or shapes.ndim != 3:
        raise FileProblem(
            f"{path}: expected v_template (V, 3) and shapedirs (V, 3, S), found shapes "
            f"{template.shape} and {shapes.shape}."
        )
    vertices = len(template)
    if "posedirs" in arrays:
        arrays["posedirs"] = _unfolded(arrays["posedirs"], vertices)
    if "landmarks" not in arrays:
        if vertices != SMPL_VERTICES:
            raise FileProblem(
                f"{path} has {vertices:,} vertices. Nose, eyes, ears, toes, heels and finger tips "
                f"are known on SMPL's {SMPL_VERTICES:,}; a body with others must bring their 21 "
                "vertices as `landmarks` (see hmrlab/bodies/format.py)."
            )
        arrays["landmarks"] = np.array(smplx_landmarks())
    return arrays


def _storage(found: RecognisedFile) -> str:
    """How the file has its numbers, in words."""
    sparse = found.stored_as.get("J_regressor") == "scipy.sparse"
    chumpy = [key for key in BODY_ARRAYS if found.stored_as.get(key) == "chumpy"]
    words = f"J_regressor is {'sparse' if sparse else 'dense'}"
    return f"{words}, chumpy's: {', '.join(chumpy)}" if chumpy else words


def _unfolded(posedirs: np.ndarray, vertices: int) -> np.ndarray:
    """Correctives (V, 3, 207); some files have them as (207, 3 V) or (3 V, 207)."""
    if posedirs.shape == (POSE_FEATURES, 3 * vertices):
        return posedirs.T.reshape(vertices, 3, POSE_FEATURES)
    if posedirs.shape == (3 * vertices, POSE_FEATURES):
        return posedirs.reshape(vertices, 3, POSE_FEATURES)
    return posedirs


def _against_own_joints(arrays: dict[str, np.ndarray], body: BodyArrays) -> str:
    """How far the regressed joints are from those that the file lists, if it does."""
    own = arrays.get("J")
    if own is None or own.shape != (N_JOINTS, 3):
        return ""
    with np.errstate(over="ignore", invalid="ignore"):  # the list is told, and not used
        away = np.linalg.norm(body.joint_regressor @ body.v_template - own, axis=1).max()
    return f"; its own list of joints is at most {1000 * away:.1f} mm away"


def _release(path: Path, shapes: int) -> str:
    named = re.search(r"v(\d+\.\d+)\.\d+", path.name)
    if named:
        return f"SMPL {named.group(1)}, by its name"
    return _BY_SHAPES.get(shapes, f"SMPL of a release unknown here, with {shapes} shapes")
