"""The ledger's file: JSON lines, appended whole, never changed."""

from __future__ import annotations

import errno
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hmrlab.ledger.record import RunRecord

try:
    import fcntl
except ImportError:  # Windows: appending is still one write, but processes do not wait in line
    fcntl = None

MAX_BYTES = 2**26  # some 20,000 runs


class Ledger:
    """An append-only book of run records, one JSON object a line.

    Several processes may read and append at once. A line that cannot be read (torn when a machine
    lost power, say) is reported by a warning and passed over; the next append moves a torn end to
    `<file>.torn`, so that nothing is lost and the book stays readable.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def append(self, record: RunRecord) -> None:
        """Add a record: all of it reaches the disk, or nothing does.

        Raises:
            OSError: the file cannot be written (no permission, disk full, no regular file); it is
                as it was.
        """
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
        """All records, oldest first; an empty list where there is no ledger yet.

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
            settings_hash: see `hmrlab.ledger.settings_hash`.
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
        content = self._whole(handle)
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

    @staticmethod
    def _whole(handle: int) -> bytes:
        os.lseek(handle, 0, os.SEEK_SET)
        pieces = []
        while piece := os.read(handle, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)


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
