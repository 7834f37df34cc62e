"""One row of the ledger."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from hmrlab.ledger.machine import current_command, describe_machine, source_commit, versions


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

    def to_json(self) -> str:
        """The record as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """Read what `to_json` wrote; keys that this version does not know are passed over.

        Raises:
            ValueError: not a record: no JSON object, or a key is missing.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(f"a record is a JSON object, not {type(values).__name__}")
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(f"a record without {', '.join(missing)}")
        return cls(**{name: values[name] for name in names})


def record_run(
    *,
    name: str,
    settings: Mapping[str, Any],
    settings_hash: str,
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
    for label, path in artifacts.items():
        if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise ValueError(
                f"artifact {label!r} is at {path}; expected a path relative to hmrlab's home, "
                "so that the ledger still holds when the home moves"
            )
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
    )
