"""The reference results that come with the repository: rows of ledgers, from several machines."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hmrlab import paths
from hmrlab.bodies.paths import FREE
from hmrlab.files import FileProblem, read_bytes, write_text_whole
from hmrlab.ledger import Ledger, RunRecord
from hmrlab.tables.runs import newest

FILE = "runs.jsonl"


def read_references(folder: Path) -> list[RunRecord]:
    """The rows of a folder's `runs.jsonl`; none where it is missing.

    Raises:
        FileProblem: it is no regular file or cannot be read, or a line is no record.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return []
    records = []
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            records.append(RunRecord.from_json(line))
        except ValueError as error:
            raise FileProblem(f"{path}, line {number}, is no record of a run: {error}") from error
    return records


def keep_references(folder: Path, records: Iterable[RunRecord]) -> Path:
    """Add records to a folder's `runs.jsonl`, whole or not at all.

    What is there stays, so that results of several machines and days come together. Of the
    records of one machine with the same settings the newest is kept. Runs on a body of the user's
    own are left out: nobody else could repeat them.
    """
    kept: dict[tuple[str, str], RunRecord] = {}
    ours = (record for record in records if _body(record) == FREE)
    for record in [*read_references(folder), *ours]:
        key = record.settings_hash, record.machine
        kept.pop(key, None)
        kept[key] = record
    lines = "".join(record.to_json() + "\n" for record in kept.values())
    return write_text_whole(folder / FILE, lines)


def _body(record: RunRecord) -> str:
    """The body's name, without the digest that may follow it."""
    return str(record.settings.get("body", FREE)).partition(" ")[0]


def known_records(folder: Path) -> list[RunRecord]:
    """The references and this machine's own ledger; of each settings' records the newest."""
    own = Ledger(paths.runs_dir() / "ledger.jsonl").records()
    return newest(sorted([*read_references(folder), *own], key=lambda record: record.date))
