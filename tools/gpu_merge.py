"""Take over what `tools/gpu.py` left in a folder: rows, histories, figures, weights.

    python tools/gpu_merge.py runs/gpu

Rows and histories go to the reference results (`--folder`, figures), figures to this checkout's
benchmarks, weights to where `hmrlab train` looks. What is there already is not taken twice.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gpu_folder import BENCHMARKS, HISTORIES, QUEUE, ROWS
from gpu_tasks import FIGURES, ROOT

from hmrlab import paths
from hmrlab.files import (
    FileProblem,
    read_bytes,
    read_json,
    read_npz,
    resolve,
    save_npz_whole,
    write_text_whole,
    write_whole,
)
from hmrlab.keys import run_key_of
from hmrlab.ledger import Ledger, RunRecord
from hmrlab.presets import PRESETS
from hmrlab.tables import keep_references, read_references, scale_name
from hmrlab.training.results import WEIGHTS
from hmrlab.training.unfinished import PartsOf, join_parts, parts_in

SCRIPTS = {  # whose `table` shows them
    "people": "people", "busy": "gpu", "loop": "loop", "loop_small": "loop",
    "busy_compiled": "gpu",
}  # fmt: skip
_REMEDY = "Copy the folder anew."
_TRACE = "trace_gzip_base64"


@dataclass(frozen=True)
class _Queue:
    """What is read of `queue.json`."""

    dry: bool


@dataclass(frozen=True)
class _Found:
    """A folder's whole content, checked."""

    dry: bool
    rows: list[RunRecord]
    histories: dict[str, np.ndarray]
    benchmarks: dict[str, dict[str, Any]]
    tables: dict[str, str]
    parts: dict[str, PartsOf]


def merge_folder(folder: Path, into: Path) -> list[str]:
    """Take over all that is new in a folder that `tools/gpu.py` left; says what came.

    Raises:
        FileProblem: a file is damaged, or none that `tools/gpu.py` leaves; nothing is written.
    """
    found = _read(folder)
    known = read_references(into)
    if found.dry and any(scale_name(record) != "dry" for record in known):
        raise FileProblem(
            f"{folder} is of a dry run, whose scores mean nothing; {into} has real results. "
            "Name another --folder to try it out."
        )
    held = {(record.settings_hash, record.machine): record.date for record in known}
    fresh = [r for r in found.rows if r.date > held.get((r.settings_hash, r.machine), "")]
    histories = into / HISTORIES
    kept = read_npz(histories, numbers=True) if histories.exists() else {}
    taken = {Path(row.artifacts.get("folder", "")).name for row in fresh}
    new = {
        name: values
        for name, values in found.histories.items()
        if name not in kept or name.partition("/")[0] in taken
    }
    said = _take_weights(folder, found)  # first: only now their content is looked at
    said.append(f"{len(fresh)} new rows of {len(found.rows)}: {_names(fresh)}")
    if fresh:
        keep_references(into, fresh)
    if new:
        save_npz_whole(histories, **kept | new)
        said.append(f"{len({name.partition('/')[0] for name in new})} histories in {histories}")
    return [*said, *_take_benchmarks(found)]


def _read(folder: Path) -> _Found:
    """Everything in the folder, or the first problem."""
    folder = resolve(folder)
    if not folder.is_dir():
        raise FileProblem(f"there is no folder {folder}; tools/gpu.py makes one")
    wanted = {ROWS, QUEUE, BENCHMARKS, HISTORIES}
    for path in sorted(folder.iterdir()):
        if path.name not in wanted and not path.name.endswith((".part", ".lock")):
            raise FileProblem(f"{path} is no file that tools/gpu.py leaves; remove it")
    missing = f"{folder} has no {QUEUE}: tools/gpu.py did not make it, or it was not copied whole"
    dry = read_json(folder / QUEUE, _Queue, remedy=_REMEDY, missing=missing).dry
    rows = _rows(folder / ROWS)
    benchmarks: dict[str, dict[str, Any]] = {}
    tables: dict[str, str] = {}
    if (folder / BENCHMARKS).exists():
        benchmarks = read_json(folder / BENCHMARKS, dict[str, dict[str, Any]], remedy=_REMEDY)
        _check_benchmarks(folder / BENCHMARKS, benchmarks)
        if not dry:
            tables = _tables(benchmarks, folder / BENCHMARKS)
    parts = parts_in(folder)
    for name, told in parts.items():
        if told.kind == "weights" and told.key not in {run_key_of(row) for row in rows}:
            raise FileProblem(f"{folder / name}: no row in {ROWS} is of these weights; remove them")
    histories = _histories(folder / HISTORIES, rows)
    return _Found(dry, rows, histories, benchmarks, tables, parts)


def _rows(path: Path) -> list[RunRecord]:
    names = set(PRESETS)
    rows = []
    lines = read_bytes(path).splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(RunRecord.from_json(line))
        except ValueError as error:
            problem = f"{path}, line {number}, is no record of a run: {error}. {_REMEDY}"
            raise FileProblem(problem) from error
        if rows[-1].name not in names:
            raise FileProblem(
                f"{path}, line {number}: there is no training of this name; remove it"
            )
    return rows


def _histories(path: Path, rows: list[RunRecord]) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    found = read_npz(path, what="file of histories", remedy=_REMEDY, numbers=True)
    folders = {Path(row.artifacts.get("folder", "")).name for row in rows}
    for name in found:
        if name.partition("/")[0] not in folders:
            raise FileProblem(f"{path}: {name[:80]!r} is of no training in {ROWS}. {_REMEDY}")
    return found


def _check_benchmarks(path: Path, benchmarks: Mapping[str, dict[str, Any]]) -> None:
    for name, result in benchmarks.items():
        if name not in FIGURES or not isinstance(result.get("provenance"), dict):
            raise FileProblem(f"{path}: {name[:80]!r} is no figure with its origin. {_REMEDY}")
        trace = result.get(_TRACE, "")
        try:
            base64.b64decode(trace, validate=True)
        except (TypeError, ValueError) as error:
            raise FileProblem(f"{path}: the trace of {name!r} is damaged. {_REMEDY}") from error


def _tables(benchmarks: Mapping[str, dict[str, Any]], path: Path) -> dict[str, str]:
    """The benchmarks' own tables of the figures, where their page has a block for them."""
    place = ROOT / "benchmarks"
    page = (place / "README.md").read_text(encoding="utf-8")
    shown = {
        name: FIGURES[name]
        for name in benchmarks
        if f"<!-- {FIGURES[name]}: written by make bench -->" in page and name in SCRIPTS
    }
    sys.path.insert(0, str(place))
    tables = {}
    try:
        for name in shown:
            script = importlib.import_module(SCRIPTS[name])
            tables[name] = script.table(benchmarks[name])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileProblem(f"{path}: the figures of {name!r} are damaged. {_REMEDY}") from error
    finally:
        sys.path.remove(str(place))
    return tables


def _take_benchmarks(found: _Found) -> list[str]:
    """Write the figures beside the benchmarks, and their tables into the benchmarks' page."""
    if not found.benchmarks:
        return []
    names = ", ".join(found.benchmarks)
    if found.dry:
        return [f"figures of a dry run are not kept: {names}"]
    said = []
    for name, result in found.benchmarks.items():
        said += _take_figure(name, dict(result), found.tables.get(name))
    return said


def _take_figure(name: str, result: dict[str, Any], table: str | None) -> list[str]:
    results = ROOT / "benchmarks" / "results"
    trace = base64.b64decode(result.pop(_TRACE, ""))
    target, text = results / f"{FIGURES[name]}.json", json.dumps(result, indent=1) + "\n"
    if target.exists() and target.read_text(encoding="utf-8") == text:
        return []
    write_text_whole(target, text)
    if trace:
        path = results / f"{FIGURES[name]}_trace.json.gz"
        write_whole(path, lambda file: file.write(trace))
    if table is not None:
        importlib.import_module("_common").publish(FIGURES[name], result, table)
    return [f"figures of {name} in {target}"]


def _take_weights(folder: Path, found: _Found) -> list[str]:
    """Weights and checkpoints into hmrlab's home, and a row into its ledger."""
    ledger = Ledger(paths.runs_dir() / "ledger.jsonl")
    rows = {run_key_of(row): row for row in found.rows}
    held = {run_key_of(record): record.date for record in ledger.records()}
    said = []
    for name, told in found.parts.items():
        weights = told.kind == "weights"
        if weights and told.key in held and rows[told.key].date > held[told.key]:
            _forget(paths.runs_dir() / "trainings" / told.folder)
            held.pop(told.key)
        target = join_parts(folder, name, paths.runs_dir() / "trainings")
        if weights:
            _keep_history(target, found.histories)
            if told.key not in held:
                ledger.append(rows[told.key])
        said.append(f"{told.kind} of {told.folder} in {target}")
    return said


def _forget(folder: Path) -> None:
    """Make room for a training that was made anew since."""
    for name in (WEIGHTS, "history.npz"):
        (folder / name).unlink(missing_ok=True)


def _keep_history(target: Path, histories: Mapping[str, np.ndarray]) -> None:
    start = f"{target.name}/"
    columns = {k.removeprefix(start): v for k, v in histories.items() if k.startswith(start)}
    if columns and not (target / "history.npz").exists():
        save_npz_whole(target / "history.npz", **columns)


def _names(rows: list[RunRecord]) -> str:
    return ", ".join(f"{row.name} (seed {row.seed})" for row in rows) or "none"


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("left", type=Path, metavar="DIR", help="what tools/gpu.py left")
    parser.add_argument("--folder", type=Path, default=ROOT / "figures", help="figures")
    options = parser.parse_args(words)
    try:
        print(*merge_folder(options.left, options.folder), sep="\n")
    except FileProblem as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
