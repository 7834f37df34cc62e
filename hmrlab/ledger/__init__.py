"""The append-only book of runs: what was run, with which settings, where, and what came of it.

To import it takes the standard library only.
"""

from hmrlab.ledger.book import Ledger, RunRecord, record_run
from hmrlab.ledger.code import settings_hash
from hmrlab.ledger.machine import (
    current_command,
    describe_machine,
    installed_gpu,
    source_commit,
    versions,
)
