"""The table of trainings on a GPU: every encoder, in both wirings, the same time."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from hmrlab.config import Scale
from hmrlab.models.cost import count_parameters, untrained
from hmrlab.presets import CARD_ENCODERS, preset
from hmrlab.tables.recorded import Recorded, find_recorded
from hmrlab.tables.references import known_records
from hmrlab.tables.runs import Table, metric_heading

COMMAND = "make gpu"  # fills the table
SHOWN = tuple(
    f"{name}/{metric}"
    for name in ("studio", "wild")
    for metric in ("mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "twist_error_deg")
)
AFTER = {  # trainings of another length, and what they are called in the table
    "card_tuned": "resnet50, trained on",
    "card_pruned": "resnet50, 20 % pruned, trained on",
    "card_resnet50_long": "resnet50, long",
}
_GPU = re.compile(r"GiB memory, (.+), [^,]+$")  # in a record's machine, before the system


def card_runs() -> list[str]:
    """The trainings that are compared, pooled and by logits, an encoder's two together."""
    return [f"card_{name}{wiring}" for name in CARD_ENCODERS for wiring in ("", "_logits")]


def compare_on_card(scale: Scale, folder: Path) -> str:
    """The table in Markdown with its caption, from recorded runs; nothing is trained.

    Args:
        scale: of the runs.
        folder: holds reference results.

    Raises:
        FileProblem: a file there is damaged.
    """
    rows = card_rows(scale, folder)
    return f"{card_table(rows, scale).to_markdown()}\n\n{caption(rows, scale)}"


def card_rows(scale: Scale, folder: Path) -> list[Recorded]:
    """What is recorded of each of these trainings; arguments as for `compare_on_card`."""
    records = known_records(folder)
    return [find_recorded(name, scale, records) for name in (*card_runs(), *AFTER)]


def card_table(rows: Sequence[Recorded], scale: Scale) -> Table:
    """Sizes, speed and scores; a row without a recorded run says by which command it is filled."""
    header = (
        "encoder", "parameters", "images/s", "memory, GB", "steps",
        *map(metric_heading, SHOWN), "seeds",
    )  # fmt: skip
    return Table(header, tuple(_cells(row, scale) for row in rows))


def caption(rows: Sequence[Recorded], scale: Scale) -> str:
    """What the table shows, on which GPU, for how long."""
    records = [record for row in rows for record in row.records]
    gpus = dict.fromkeys(_gpu(record.machine) for record in records)
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


def _cells(row: Recorded, scale: Scale) -> tuple[str, ...]:
    encoder = preset(row.name, scale).encoder
    name = AFTER.get(row.name, encoder.replace(":", ", "))
    scores = (row.score(metric) for metric in SHOWN)
    return (
        name,
        f"{count_parameters(untrained(encoder)):,}",
        _mean([record.metrics.get("images_per_second") for record in row.records], 0),
        _mean([record.metrics.get("peak_memory_gigabytes") for record in row.records], 1),
        _mean([record.settings.get("steps_used") for record in row.records], 0),
        *(str(score) if score else "-" for score in scores),
        str(len(row.records)) if row.records else f"`{COMMAND}`",
    )


def _mean(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.fmean(known):,.{digits}f}" if known else "-"


def _gpu(machine: str) -> str:
    found = _GPU.search(machine)
    return found[1] if found else machine
