"""What the ledger and the reference results know of a named training, over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hmrlab.config import Scale
from hmrlab.keys import settings_key
from hmrlab.ledger import RunRecord
from hmrlab.presets import preset
from hmrlab.tables.runs import metric_heading

SHOWN = ("studio/mpjpe_mm", "studio/pa_mpjpe_mm", "wild/mpjpe_mm", "wild/pa_mpjpe_mm")
SHOWN_HEADINGS = tuple(metric_heading(name) for name in SHOWN)


@dataclass(frozen=True)
class Score:
    """One metric over the seeds."""

    mean: float
    least: float
    most: float
    seeds: int

    def __str__(self) -> str:
        """`121.4`, or `121.4 (119.0 to 124.1)` where there are several seeds."""
        if self.seeds == 1:
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} ({self.least:.1f} to {self.most:.1f})"


@dataclass(frozen=True)
class Recorded:
    """A named training at a scale, and its records, one a seed; none if it was never run."""

    name: str
    description: str
    scale: str
    records: tuple[RunRecord, ...]

    @property
    def command(self) -> str:
        """What fills the row."""
        return f"hmrlab train {self.name} --scale {self.scale}"

    @property
    def seeds(self) -> str:
        """How many, or the command if there is none."""
        return str(len(self.records)) if self.records else f"`{self.command}`"

    def score(self, metric: str) -> Score | None:
        """Of one metric, named `<set>/<metric>`; None where nothing is recorded."""
        values = [r.metrics[metric] for r in self.records if metric in r.metrics]
        if not values:
            return None
        return Score(statistics.fmean(values), min(values), max(values), len(values))

    def cells(self) -> tuple[str, ...]:
        """The scores of `SHOWN` and the seeds, for a table."""
        scores = (self.score(metric) for metric in SHOWN)
        return (*(str(score) if score else "-" for score in scores), self.seeds)


def find_recorded(name: str, scale: Scale, records: Sequence[RunRecord]) -> Recorded:
    """A training's records among others, whatever name they were made under.

    Args:
        name: of the training.
        scale: that it was run at.
        records: of any runs, oldest first; of equal settings the last one counts.

    Raises:
        ValueError: no training has that name.
    """
    by_key = {record.settings_hash: record for record in records}
    keys = [settings_key(preset(name, scale, seed)) for seed in sorted({r.seed for r in records})]
    found = tuple(by_key[key] for key in keys if key in by_key)
    return Recorded(name, preset(name, scale).description, scale.name, found)


def scores_origin(found: Iterable[Recorded]) -> str:
    """Where the scores come from, as a sentence; empty without any."""
    records = [record for each in found for record in each.records]
    if not records:
        return ""
    dates = sorted(record.date[:10] for record in records)
    when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    where = "; ".join(dict.fromkeys(record.machine for record in records))
    return (
        f"Scores, all on synthetic people: {len(records)} recorded runs ({when}; {where}); mean "
        "(least to most) over the seeds."
    )
