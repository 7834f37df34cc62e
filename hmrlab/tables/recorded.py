"""What ledger and references know of a named training, over its seeds; the table of equal time."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmrlab.config import Scale
from hmrlab.keys import settings_key
from hmrlab.ledger import RunRecord
from hmrlab.models.cost import count_parameters, untrained
from hmrlab.presets import CARD_ENCODERS, preset
from hmrlab.tables.runs import Table, known_records, metric_heading

SHOWN = ("studio/mpjpe_mm", "studio/pa_mpjpe_mm", "wild/mpjpe_mm", "wild/pa_mpjpe_mm")
SHOWN_HEADINGS = tuple(metric_heading(name) for name in SHOWN)

_COMMAND = "make gpu"  # fills the table
SHOWN_ON_CARD = tuple(
    f"{name}/{metric}"
    for name in ("studio", "wild")
    for metric in ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "twist_error_deg")
)
_AFTER = {  # trainings of another length, and what they are called in the table
    "card_tuned": "resnet50, trained on",
    "card_pruned": "resnet50, 20 % pruned, trained on",
    "card_resnet50_long": "resnet50, long",
}
_GPU = re.compile(r"GiB memory, (.+), [^,]+$")  # in a record's machine, before the system


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
    scale: str
    records: tuple[RunRecord, ...]

    def score(self, metric: str) -> Score | None:
        """Of one metric, named `<set>/<metric>`; None where nothing is recorded."""
        values = [r.metrics[metric] for r in self.records if metric in r.metrics]
        if not values:
            return None
        return Score(statistics.fmean(values), min(values), max(values), len(values))

    def cells(self) -> tuple[str, ...]:
        """The scores of `SHOWN` and how many seeds; without any the command that fills the row."""
        scores = (self.score(metric) for metric in SHOWN)
        command = f"`hmrlab train {self.name} --scale {self.scale}`"
        seeds = str(len(self.records)) if self.records else command
        return (*(str(score) if score else "-" for score in scores), seeds)


def find_recorded(name: str, scale: Scale, records: Sequence[RunRecord]) -> Recorded:
    """A training's records among others (oldest first), whatever name they were made under.

    Of equal settings the last one counts. ValueError: no training has that name.
    """
    by_key = {record.settings_hash: record for record in records}
    keys = [settings_key(preset(name, scale, seed)) for seed in sorted({r.seed for r in records})]
    found = tuple(by_key[key] for key in keys if key in by_key)
    return Recorded(name, scale.name, found)


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


def card_runs() -> list[str]:
    """The trainings that are compared, pooled and by logits, an encoder's two together."""
    return [f"card_{name}{wiring}" for name in CARD_ENCODERS for wiring in ("", "_logits")]


def compare_on_card(scale: Scale, folder: Path) -> str:
    """The table in Markdown with its caption, from a folder's references; nothing is trained."""
    rows = card_rows(scale, folder)
    return f"{card_table(rows, scale).to_markdown()}\n\n{card_caption(rows, scale)}"


def card_rows(scale: Scale, folder: Path) -> list[Recorded]:
    """What is recorded of each of these trainings, also in a folder's references."""
    records = known_records(folder)
    return [find_recorded(name, scale, records) for name in (*card_runs(), *_AFTER)]


def card_table(rows: Sequence[Recorded], scale: Scale) -> Table:
    """Sizes, speed and scores; a row without a recorded run says by which command it is filled."""
    header = (
        "encoder", "parameters", "images/s", "memory, GB", "steps",
        *map(metric_heading, SHOWN_ON_CARD), "seeds",
    )  # fmt: skip
    return Table(header, tuple(_card_cells(row, scale) for row in rows))


def card_caption(rows: Sequence[Recorded], scale: Scale) -> str:
    """What the table shows, on which GPU, for how long."""
    records = [record for row in rows for record in row.records]
    machines = [record.machine for record in records]
    gpus = dict.fromkeys(found[1] if (found := _GPU.search(m)) else m for m in machines)
    seconds, more, long = (
        preset(name, scale).seconds
        for name in ("card_resnet50", "card_pruned", "card_resnet50_long")
    )
    where = ", ".join(gpus) or "a GPU"
    return (
        f"Equal time: {seconds:g} s on {where} for each, from a random start, on synthetic people "
        f"made on the GPU, {scale.resolution} px; but for the last three rows, with {more:g} s "
        f"more from resnet50, and {long:g} s. Scored on synthetic test people. Mean (least to "
        "most) where there are several seeds."
    )


def _card_cells(row: Recorded, scale: Scale) -> tuple[str, ...]:
    encoder = preset(row.name, scale).encoder
    name = _AFTER.get(row.name, encoder.replace(":", ", "))
    scores = (row.score(metric) for metric in SHOWN_ON_CARD)
    return (
        name,
        f"{count_parameters(untrained(encoder)):,}",
        _mean([record.metrics.get("images_per_second") for record in row.records], 0),
        _mean([record.metrics.get("peak_memory_gigabytes") for record in row.records], 1),
        _mean([record.settings.get("steps_used") for record in row.records], 0),
        *(str(score) if score else "-" for score in scores),
        str(len(row.records)) if row.records else f"`{_COMMAND}`",
    )


def _mean(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.fmean(known):,.{digits}f}" if known else "-"
