"""Importing files: all are read and checked before the first is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hmrlab.bodies.format import (
    MAX_ROWS,
    N_BETAS,
    N_JOINTS,
    POSE_FEATURES,
    BodyArrays,
    Provenance,
    body_file_arrays,
    check_body_arrays,
    read_provenance,
    read_raw_arrays,
)
from hmrlab.bodies.importing.parts import parts_by_cube, parts_by_skinning, texture_fits
from hmrlab.bodies.importing.recognise import (
    BODY,
    BODY_ARRAYS,
    CUBE,
    EXPECTED,
    EXTRA,
    H36M,
    TEXTURE,
    RecognisedFile,
    candidates,
    check_companion,
    describe_companion,
    gender_of,
    read_kept,
    recognise,
)
from hmrlab.bodies.paths import companion_path, imported_path, waiting_path
from hmrlab.bodies.smplx_adapter import smplx_landmarks
from hmrlab.files import FileProblem, listed, save_npz_whole, user_path

Arrays = dict[str, np.ndarray]
GENDERS = ("neutral", "male", "female")
MAX_BYTES = 2**29  # of all that is read in one go; SMPL's newest three take half
SMPL_VERTICES = 6890
SMPL_LICENCE = (
    "the SMPL body model licence (https://smpl.is.tue.mpg.de/modellicense.html): for research that "
    "is not commercial, and not to be passed on"
)
_OTHER_MODELS = {52: "SMPL+H", 55: "SMPL-X", 16: "MANO, a hand", 5: "FLAME, a head"}
_HEIGHTS = (1.2, 2.3)  # metres of an adult's template
_BY_SHAPES = {10: "SMPL 1.0, by its 10 shapes", 300: "SMPL 1.1, by its 300 shapes"}


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    lines: tuple[str, ...]  # of what was found, to print
    ready: tuple[str, ...]  # names of the bodies that can be used now
    waiting: tuple[str, ...]  # of those that lack regressors
    passed_over: tuple[str, ...]  # files of a folder that were left alone, and why


@dataclass(frozen=True)
class Core:
    """A checked body; in place of the regressors that it lacks it has rows that mean nothing."""

    arrays: BodyArrays
    lacking: tuple[str, ...]  # of EXTRA and H36M
    provenance: Provenance


def import_files(
    files: Iterable[str | Path], gender: str | None = None, *, progress: bool = False
) -> Imported:
    """Read SMPL's and SPIN's files, whatever their order, and make bodies of them.

    A body is written to `data/bodies/smpl_GENDER.npz`. Until SPIN's two further regressors are
    there it waits in `data/bodies/waiting`; what goes with bodies is kept in `data/bodies`, and
    completes those that come later, too. Nothing in a file is run. If one of the files cannot be
    used, nothing is written.

    Folders are searched for them. The gender is male, female or neutral, where a body's file does
    not say it by its name.

    Raises:
        FileProblem: a file cannot be used, two bodies are of the same gender, a gender cannot be
            told, nothing was found, or the folder cannot be written to.
        ValueError: there is no such gender.
    """
    if gender is not None and gender not in GENDERS:
        raise ValueError(f"gender {gender!r} is not one of {', '.join(GENDERS)}")
    found, passed_over = _look_into([user_path(file) for file in files], progress)
    bodies = _by_gender([each for each in found if each.kind == BODY], gender)
    cores, lines = {}, []
    for name, each in bodies.items():
        cores[name], facts = _core_of(each, name)
        lines += [f"{each.path.name}: {facts[0]}", *(f"  {fact}" for fact in facts[1:])]
    kinds = _one_of_each((each.kind, each) for each in found if each.kind != BODY)
    companions = {kind: check_companion(each) for kind, each in kinds.items()}
    lines += [describe_companion(kind, arrays) for kind, arrays in companions.items()]
    everything = read_kept() | companions
    old = {name: _stored(name) for name in GENDERS if name not in cores}
    everybody = cores | {name: core for name, core in old.items() if core is not None}
    finished = {name: _finished(core, everything) for name, core in everybody.items()}
    for kind, arrays in companions.items():
        save_npz_whole(companion_path(kind), **arrays)
    for name, (arrays, lacking) in finished.items():
        _store(f"smpl_{name}", arrays, lacking)
    return Imported(
        tuple(lines),
        tuple(f"smpl_{name}" for name, (_, lacking) in finished.items() if not lacking),
        tuple(f"smpl_{name}" for name, (_, lacking) in finished.items() if lacking),
        tuple(passed_over),
    )


def _look_into(paths: Sequence[Path], progress: bool) -> tuple[list[RecognisedFile], list[str]]:
    """All files recognised; in folders those that are none of ours are passed over."""
    folders = [path for path in paths if os.path.isdir(path)]
    named = [(path, False) for path in paths if path not in folders]
    named += [(path, True) for folder in folders for path in candidates(folder)]
    found, passed_over, left = [], [], MAX_BYTES
    for path, by_the_way in tqdm(named, desc="reading", unit="file", disable=not progress):
        try:
            found.append(recognise(path))
        except FileProblem as error:
            if not by_the_way:
                raise
            passed_over.append(str(error))
            continue
        left -= sum(array.nbytes for array in found[-1].arrays.values())
        if left < 0:
            raise FileProblem(
                f"{path}: with it the files hold more than the {MAX_BYTES:,} bytes that are "
                "imported in one go. Name them one by one."
            )
    if not found:
        where = ", ".join(str(path) for path in paths)
        raise FileProblem(
            f"nothing to import in {where}. Looked for: {EXPECTED}. Is it one folder too deep or "
            "not deep enough?" + "".join(f"\n{reason}" for reason in passed_over)
        )
    return found, passed_over


def _by_gender(bodies: Sequence[RecognisedFile], gender: str | None) -> dict[str, RecognisedFile]:
    if gender is not None and len({each.sha256 for each in bodies}) > 1:
        names = ", ".join(str(each.path) for each in bodies)
        raise FileProblem(f"--gender is for one body at a time, and these are several: {names}.")
    genders = [gender or gender_of(each.path) for each in bodies]
    if None in genders:
        path = bodies[genders.index(None)].path
        raise FileProblem(
            f"{path}: male, female or neutral? Its name does not say. Import it alone, "
            f"and say it: hmrlab body import {path} --gender {'|'.join(GENDERS)}"
        )
    return _one_of_each(zip(genders, bodies, strict=True))


def _one_of_each(found: Iterable[tuple[str, RecognisedFile]]) -> dict[str, RecognisedFile]:
    """The file of each name; it may be there twice, but not be two."""
    chosen: dict[str, RecognisedFile] = {}
    for name, each in found:
        other = chosen.setdefault(name, each)
        if other.sha256 != each.sha256:
            raise FileProblem(
                f"{other.path} and {each.path} are both {name}, and different. Name the one that "
                "you want."
            )
    return chosen


def _stored(name: str) -> Core | None:
    """The body of a gender that was imported before, complete or waiting, if any."""
    for path in (imported_path(f"smpl_{name}"), waiting_path(f"smpl_{name}")):
        if path.is_file():
            provenance = read_provenance(path)
            if provenance is None:
                raise FileProblem(
                    f"{path} does not say where it came from; delete it and import anew."
                )
            return _checked(read_raw_arrays(path), path, provenance)
    return None


def _finished(core: Core, kept: dict[str, Arrays]) -> tuple[Arrays, tuple[str, ...]]:
    """A body's file with everything that fits it, and which regressors it still lacks."""
    body = core.arrays
    given = {}
    for key in (EXTRA, H36M):
        regressor = kept.get(key, {}).get(key)
        if regressor is None:
            continue
        if regressor.shape[1] == len(body.v_template):
            given[key] = regressor.astype(np.float64)
        elif key in core.lacking:
            raise FileProblem(
                f"{key}.npy is for {regressor.shape[1]:,} vertices, and "
                f"{core.provenance.source_name} has {len(body.v_template):,}."
            )
    labels, parts = body.lsp_labels, core.provenance.parts
    texture = kept.get(TEXTURE, {}).get(TEXTURE)
    if CUBE in kept and texture is not None and texture_fits(texture, body):
        labels = parts_by_cube(texture, kept[CUBE][CUBE], body.faces, body.weights)
        parts = f"{CUBE}.npy"
    elif labels is None:
        labels, parts = parts_by_skinning(body.weights), "the skinning"
    whole = replace(
        body,
        extra_regressor=given.get(EXTRA, body.extra_regressor),
        h36m_regressor=given.get(H36M, body.h36m_regressor),
        lsp_labels=labels,
    )
    lacking = tuple(key for key in core.lacking if key not in given)
    arrays = body_file_arrays(whole, replace(core.provenance, parts=parts))
    return {key: value for key, value in arrays.items() if key not in lacking}, lacking


def _store(name: str, arrays: Arrays, lacking: tuple[str, ...]) -> None:
    """Write the body where it belongs, unless it is there already, and take it from where not."""
    ready, waiting = imported_path(name), waiting_path(name)
    target, other = (waiting, ready) if lacking else (ready, waiting)
    there = read_raw_arrays(target) if target.is_file() else {}
    same = there.keys() == arrays.keys()
    if not same or not all(np.array_equal(there[key], arrays[key]) for key in arrays):
        save_npz_whole(target, **arrays)
    other.unlink(missing_ok=True)


def _core_of(found: RecognisedFile, gender: str) -> tuple[Core, tuple[str, ...]]:
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


def _checked(arrays: Arrays, path: Path, provenance: Provenance) -> Core:
    template = arrays.get("v_template", np.zeros(0))
    vertices = min(len(template) if template.ndim else 0, MAX_ROWS)  # more are refused below
    lacking = tuple(key for key in (EXTRA, H36M) if key not in arrays)
    stand_in = {
        key: np.full((9 if key == EXTRA else 17, vertices), 1 / max(vertices, 1)) for key in lacking
    }
    return Core(check_body_arrays(arrays | stand_in, path), lacking, provenance)


def _standard(found: RecognisedFile) -> Arrays:
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


def _against_own_joints(arrays: Arrays, body: BodyArrays) -> str:
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
