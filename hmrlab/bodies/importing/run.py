"""Importing files: all are read and checked before the first is written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hmrlab.bodies.format import body_file_arrays, read_raw_arrays
from hmrlab.bodies.importing.core import Core, core_of, read_core
from hmrlab.bodies.importing.parts import parts_by_cube, parts_by_skinning, texture_fits
from hmrlab.bodies.importing.recognise import (
    BODY,
    CUBE,
    EXPECTED,
    EXTRA,
    H36M,
    TEXTURE,
    RecognisedFile,
    candidates,
    gender_of,
    recognise,
)
from hmrlab.bodies.importing.regressor_files import (
    Kept,
    check_companion,
    describe_companion,
    keep,
    read_kept,
)
from hmrlab.bodies.paths import imported_path, waiting_path
from hmrlab.files import FileProblem, save_npz_whole, user_path

GENDERS = ("neutral", "male", "female")
MAX_BYTES = 2**29  # of all that is read in one go; SMPL's newest three take half


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    lines: tuple[str, ...]  # of what was found, to print
    ready: tuple[str, ...]  # names of the bodies that can be used now
    waiting: tuple[str, ...]  # of those that lack regressors
    passed_over: tuple[str, ...]  # files of a folder that were left alone, and why


def import_files(
    files: Iterable[str | Path], gender: str | None = None, *, progress: bool = False
) -> Imported:
    """Read SMPL's and SPIN's files, whatever their order, and make bodies of them.

    A body is written to `data/bodies/smpl_GENDER.npz`. Until SPIN's two further regressors are
    there it waits in `data/bodies/waiting`; what goes with bodies is kept in `data/bodies`, and
    completes those that come later, too. Nothing in a file is run. If one of the files cannot be
    used, nothing is written.

    Args:
        files: files, or folders in which they are looked for.
        gender: male, female or neutral, where a body's file does not say it by its name.
        progress: show a bar.

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
        cores[name], facts = core_of(each, name)
        lines += [f"{each.path.name}: {facts[0]}", *(f"  {fact}" for fact in facts[1:])]
    companions = _one_of_each([each for each in found if each.kind != BODY])
    lines += [describe_companion(kind, arrays) for kind, arrays in companions.items()]
    everything = read_kept() | companions
    old = {name: _stored(name) for name in GENDERS if name not in cores}
    everybody = cores | {name: core for name, core in old.items() if core is not None}
    finished = {name: _finished(core, everything) for name, core in everybody.items()}
    for kind, arrays in companions.items():
        keep(kind, arrays)
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
    by_gender: dict[str, RecognisedFile] = {}
    if gender is not None and len({each.sha256 for each in bodies}) > 1:
        names = ", ".join(str(each.path) for each in bodies)
        raise FileProblem(f"--gender is for one body at a time, and these are several: {names}.")
    for each in bodies:
        own = gender or gender_of(each.path)
        if own is None:
            raise FileProblem(
                f"{each.path}: male, female or neutral? Its name does not say. Import it alone, "
                f"and say it: hmrlab body import {each.path} --gender {'|'.join(GENDERS)}"
            )
        other = by_gender.setdefault(own, each)
        if other.sha256 != each.sha256:
            raise FileProblem(
                f"{other.path} and {each.path} are both {own}, and different. Name the one that "
                "you want."
            )
    return by_gender


def _one_of_each(found: Sequence[RecognisedFile]) -> dict[str, dict[str, np.ndarray]]:
    chosen: dict[str, RecognisedFile] = {}
    for each in found:
        other = chosen.setdefault(each.kind, each)
        if other.sha256 != each.sha256:
            raise FileProblem(
                f"{other.path} and {each.path} are both a {each.kind}, and different. Name the one "
                "that you want."
            )
    return {kind: check_companion(each) for kind, each in chosen.items()}


def _stored(name: str) -> Core | None:
    """The body of a gender that was imported before, if any."""
    for path in (imported_path(f"smpl_{name}"), waiting_path(f"smpl_{name}")):
        if path.is_file():
            return read_core(path)
    return None


def _finished(core: Core, kept: Kept) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """A body's file with everything that fits it, and which regressors it still lacks.

    Raises:
        FileProblem: a regressor is for another mesh, and the body has none of its own.
    """
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


def _store(name: str, arrays: dict[str, np.ndarray], lacking: tuple[str, ...]) -> None:
    """Write the body where it belongs, unless it is there already, and take it from where not."""
    ready, waiting = imported_path(name), waiting_path(name)
    target, other = (waiting, ready) if lacking else (ready, waiting)
    if not (target.is_file() and _same(read_raw_arrays(target), arrays)):
        save_npz_whole(target, **arrays)
    other.unlink(missing_ok=True)


def _same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
