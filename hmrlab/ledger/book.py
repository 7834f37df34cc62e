"""The ledger: a row for each run, JSON lines, appended whole, never changed."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePath
from typing import Any

from hmrlab.ledger.machine import current_command, describe_machine, source_commit, versions

try:
    import fcntl
except ImportError:  # Windows: appending is still one write, but processes do not wait in line
    fcntl = None

MAX_BYTES = 2**26  # some 20,000 runs
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
            ValueError: no JSON object, or a key is missing or of another kind.
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
        name, seed: of the run.
        settings: plain values, such as `dataclasses.asdict` gives.
        settings_hash: see `settings_hash`.
        code: digests of the modules that decide its numbers, see `hmrlab.ledger.code`.
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


class Ledger:
    """An append-only book of run records, one JSON object a line.

    Several processes may read and append at once. A line that cannot be read (torn when a machine
    lost power, say) is reported by a warning and passed over; the next append moves a torn end to
    `<file>.torn`, so that nothing is lost and the book stays readable.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, record: RunRecord) -> None:
        """Add a record: all of it reaches the disk, or OSError is raised and nothing changed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = record.to_json().encode() + b"\n"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "the ledger has to be a regular file", str(self.path))
            with _locked(handle, exclusive=True):
                self._mend_end(handle)
                before = os.fstat(handle).st_size
                try:
                    written = os.write(handle, line)
                    if written < len(line):
                        raise OSError(errno.ENOSPC, "the disk is full", str(self.path))
                    os.fsync(handle)
                except OSError:
                    os.ftruncate(handle, before)
                    raise
        finally:
            os.close(handle)

    def records(self) -> list[RunRecord]:
        """All records, oldest first; none where there is no ledger yet.

        Raises:
            FileProblem: something else is there than a file, or it may not be read, or is huge.
        """
        records = []
        for number, line in enumerate(self._read().splitlines(), start=1):
            try:
                records.append(RunRecord.from_json(line))
            except ValueError as error:
                warnings.warn(
                    f"{self.path}, line {number}: passed over, not a whole record ({error})",
                    stacklevel=2,
                )
        return records

    def find(
        self,
        settings_hash: str,
        code: Mapping[str, str] | None = None,
        artifacts_under: str | Path | None = None,
    ) -> RunRecord | None:
        """The newest record of a run with these settings, or None.

        Args:
            settings_hash: see `settings_hash`.
            code: digests of modules; if given, a record of other code does not count.
            artifacts_under: hmrlab's home; if given, a record counts only while all its artifacts
                are still there.
        """
        for record in reversed(self.records()):
            if record.settings_hash != settings_hash or code not in (None, record.code):
                continue
            if artifacts_under is None or _all_there(record, Path(artifacts_under)):
                return record
        return None

    def _read(self) -> bytes:
        from hmrlab.files import FileProblem, open_regular

        try:
            with open_regular(self.path) as file, _locked(file.fileno(), exclusive=False):
                content = file.read(MAX_BYTES + 1)
        except FileProblem as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return b""
            raise
        if len(content) > MAX_BYTES:
            raise FileProblem(
                f"{self.path} is larger than the {MAX_BYTES:,} bytes that a ledger has at most. "
                "Move it away: a new one is begun."
            )
        return content

    def _mend_end(self, handle: int) -> None:
        """Move what a torn write left after the last line's end to `<file>.torn`."""
        content = self.path.read_bytes()
        end = content.rfind(b"\n") + 1
        torn = content[end:]
        if not torn:
            return
        aside = self.path.with_name(self.path.name + ".torn")
        with open(aside, "ab") as file:
            file.write(torn + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(handle, end)
        warnings.warn(
            f"{self.path} ended in a torn line ({len(torn)} bytes); it was moved to {aside.name}",
            stacklevel=3,
        )


def _all_there(record: RunRecord, home: Path) -> bool:
    return all((home / path).exists() for path in record.artifacts.values())


@contextmanager
def _locked(handle: int, *, exclusive: bool) -> Iterator[None]:
    """Hold the file's advisory lock; it falls with the process, so no stale lock can stay."""
    if fcntl is None:
        yield
        return
    fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)


def _check_artifacts(artifacts: Mapping[str, str]) -> None:
    for label, path in artifacts.items():
        if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise ValueError(
                f"artifact {label!r} is at {path}; expected a path relative to hmrlab's home, "
                "so that the ledger still holds when the home moves"
            )
