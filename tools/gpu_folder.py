"""The folder that a call of `tools/gpu.py` leaves: few files, small enough to be copied anywhere.

`rows.jsonl` has the trainings' rows, `histories.npz` what was measured along them, under
`<folder of the training>/<column>`; `benchmarks.json` the figures of the tests and benchmarks;
`queue.json` how each task ended, and where. Up to four parts of 14 MB hold weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROWS, QUEUE, BENCHMARKS, HISTORIES = "rows.jsonl", "queue.json", "benchmarks.json", "histories.npz"
MOST_PARTS = 4  # with the four files above eight in all
MOST_BYTES = 60_000_000


@dataclass
class Told:
    """How a task ended."""

    outcome: str
    seconds: float = 0.0
    note: str = ""


@dataclass
class Folder:
    """The results of one call, or of several into the same folder."""

    path: Path
    dry: bool
    where: dict[str, Any] = field(default_factory=dict)  # machine, versions, commit
    told: dict[str, Told] = field(default_factory=dict)

    @property
    def rows(self) -> Path:
        return self.path / ROWS

    def benchmarks(self) -> dict[str, Any]:
        """The figures so far, by the names of their tasks."""
        place = self.path / BENCHMARKS
        try:
            found = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
        except ValueError:
            return {}  # cut short: measured again
        return found if isinstance(found, dict) else {}

    def add_benchmark(self, name: str, result: Path) -> None:
        """Take over what a task wrote as JSON."""
        found = self.benchmarks() | {name: json.loads(result.read_text(encoding="utf-8"))}
        _write(self.path / BENCHMARKS, json.dumps(found, default=str) + "\n")

    def add_row(self, record: Any, trained: Path) -> None:
        """Take over a finished training: its history, then its row, which makes it count.

        Args:
            record: its `RunRecord`.
            trained: its folder.
        """
        from hmrlab.files import read_npz, save_npz_whole
        from hmrlab.ledger import Ledger

        place = self.path / HISTORIES
        kept = read_npz(place, numbers=True) if place.is_file() else {}
        history = read_npz(trained / "history.npz", numbers=True)
        kept |= {f"{trained.name}/{column}": values for column, values in history.items()}
        save_npz_whole(place, **kept)
        Ledger(self.rows).append(record)

    def tell(self, name: str, told: Told) -> None:
        """Write down how a task ended."""
        self.told[name] = told
        self.save()

    def save(self) -> None:
        """Write `queue.json`."""
        tasks = [{"name": name} | asdict(told) for name, told in self.told.items()]
        content = {"dry": self.dry, **self.where, "tasks": tasks}
        _write(self.path / QUEUE, json.dumps(content, indent=1) + "\n")

    def shrink(self) -> None:
        """Leave the weights out where all files together would be too large."""
        if sum(path.stat().st_size for path in self.path.iterdir()) > MOST_BYTES:
            for part in self.path.glob("*.part"):
                part.unlink()


def _write(path: Path, text: str) -> None:
    from hmrlab.files import write_text_whole

    write_text_whole(path, text)
