"""One row of the ledger."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import PurePath
from typing import Any

from hmrlab.ledger.machine import current_command, describe_machine, source_commit, versions

MAX_ROW_BYTES = 2**22
_NO_UTF8 = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class RunRecord:
    """A finished run: enough to repeat it, and what came of it."""

    name: str
    settings: dict[str, Any]  # plain JSON values
    settings_hash: str  # from `settings_hash`: the key under which the run is found again
    seed: int
    commit: str  # of hmrlab's source; "+dirty" where it had changes, "unknown" without git
    versions: dict[str, str]
    machine: str  # in words; no host name
    metrics: dict[str, float]  # units are in the names
    seconds: float  # what the run took
    date: str  # when it ended, UTC, ISO 8601
    command: str
    artifacts: dict[str, str]  # name -> path of a file or folder, relative to hmrlab's home
    code: dict[str, str] = field(default_factory=dict)  # digest by module; none in older records

    def to_json(self) -> str:
        """The record as one line of JSON; what no UTF-8 can hold (file names) as `\\udc..`."""
        text = json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)
        return _NO_UTF8.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text)

    @classmethod
    def from_json(cls, text: str | bytes) -> RunRecord:
        """Read what `to_json` wrote; keys that this version does not know are passed over.

        Raises:
            ValueError: not a record: no JSON object, or a key is missing or of another kind.
        """
        from hmrlab.files import parse_json

        if len(text) > MAX_ROW_BYTES:
            raise ValueError(
                f"a row of {len(text):,} bytes; a record has {MAX_ROW_BYTES:,} at most"
            )
        record = parse_json(text, cls)
        if not 0 <= record.seconds < math.inf:
            raise ValueError(f"seconds: {record.seconds} is no time that a run can take")
        try:
            date.fromisoformat(record.date[:10])  # the day is what tables show
        except ValueError as error:
            raise ValueError(f"date: {error}") from error
        _check_artifacts(record.artifacts)
        return record


def record_run(
    *,
    name: str,
    settings: Mapping[str, Any],
    settings_hash: str,
    code: Mapping[str, str] | None = None,
    seed: int,
    metrics: Mapping[str, float],
    seconds: float,
    artifacts: Mapping[str, str] | None = None,
    command: str | None = None,
    accelerator: str | None = None,
) -> RunRecord:
    """Make the record of a run that ends now, here, with this source and these versions.

    Args:
        name: the run's name.
        settings: its settings as plain values, such as `dataclasses.asdict` gives.
        settings_hash: the hash of the settings, see `hmrlab.ledger.settings_hash`.
        code: digests of the modules that decide its numbers, see `hmrlab.ledger.code`.
        seed: the seed it ran with.
        metrics: what it measured; anything that `float` takes.
        seconds: how long it took.
        artifacts: names and paths of its files, relative to hmrlab's home.
        command: what started it; by default what the user typed.
        accelerator: name of the GPU it used, if any.

    Raises:
        ValueError: the path of an artifact is absolute or climbs out of the home.
        TypeError: a setting is not a plain value.
    """
    artifacts = dict(artifacts or {})
    _check_artifacts(artifacts)
    return RunRecord(
        name=name,
        settings=json.loads(json.dumps(dict(settings))),  # tuples become lists once, not on reading
        settings_hash=settings_hash,
        seed=int(seed),
        commit=source_commit(),
        versions=versions(),
        machine=describe_machine(accelerator),
        metrics={key: float(value) for key, value in metrics.items()},
        seconds=float(seconds),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command or current_command(),
        artifacts=artifacts,
        code=dict(code or {}),
    )


def _check_artifacts(artifacts: Mapping[str, str]) -> None:
    for label, path in artifacts.items():
        if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise ValueError(
                f"artifact {label!r} is at {path}; expected a path relative to hmrlab's home, "
                "so that the ledger still holds when the home moves"
            )
