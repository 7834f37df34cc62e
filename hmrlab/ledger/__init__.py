"""The append-only book of runs: what was run, with which settings, where, and what came of it.

To import it takes the standard library only.
"""

from hmrlab.ledger.book import Ledger
from hmrlab.ledger.hashing import settings_hash
from hmrlab.ledger.machine import (
    current_command,
    describe_machine,
    installed_gpu,
    source_commit,
    versions,
)
from hmrlab.ledger.record import RunRecord, record_run

__all__ = [
    "Ledger",
    "RunRecord",
    "current_command",
    "describe_machine",
    "installed_gpu",
    "record_run",
    "settings_hash",
    "source_commit",
    "versions",
]
