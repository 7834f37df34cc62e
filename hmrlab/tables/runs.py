"""Recorded runs: their tables, as Markdown and HTML; and those that come with the repository."""

from __future__ import annotations

import html
import itertools
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hmrlab import paths
from hmrlab.bodies.paths import FREE
from hmrlab.evaluation.metric_table import METRICS
from hmrlab.files import FileProblem, read_bytes, write_text_whole
from hmrlab.ledger import Ledger, RunRecord

SYNTHETIC_SETS = ("studio", "wild")  # scores on made-up people never stand without that word
HEADLINES = (
    "mpjpe_mm",
    "pa_mpjpe_mm",
    "rotation_error_deg",
    "twist_error_deg",
    "mean_abs_beta",
    "keypoint_error_percent",
    "pck_2d_percent",
)
LISTED = (
    "studio/mpjpe_mm",
    "studio/pa_mpjpe_mm",
    "studio/rotation_error_deg",
    "wild/mpjpe_mm",
)
REFERENCES = "runs.jsonl"  # rows of ledgers, from several machines
EVALUATION = "evaluation"  # `kind` in the settings of runs that have a table of their own
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # a line's end, what moves a terminal's cursor


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def to_markdown(self) -> str:
        """The table in Markdown, columns padded so that it reads well as text too."""
        plain = [[_CONTROL.sub(" ", cell) for cell in row] for row in (self.header, *self.rows)]
        cells = [[cell.replace("|", "\\|") for cell in row] for row in plain]
        widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(self.header))]
        lines = [
            "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
            for row in cells
        ]
        lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
        return "\n".join(lines)

    def to_html(self) -> str:
        """The table as an HTML element, escaped; `group: name` headings share a group's cell."""
        body = "".join(_row(row, "td") for row in self.rows)
        return f"<table><thead>{self._head()}</thead><tbody>{body}</tbody></table>"

    def _repr_html_(self) -> str:
        return self.to_html()

    def __repr__(self) -> str:
        return self.to_markdown()

    def _head(self) -> str:
        parts = [heading.rpartition(": ") for heading in self.header]
        if not any(group for group, _, _ in parts):
            return _row(self.header, "th")
        above = ""
        for group, run in itertools.groupby(group for group, _, _ in parts):
            width = len(list(run))
            shared = f'<th colspan="{width}">{html.escape(group)}</th>'
            above += shared if group else "<th></th>" * width
        return f"<tr>{above}</tr>" + _row((name for _, _, name in parts), "th")


def runs_table(records: Sequence[RunRecord], metrics: Sequence[str] | None = None) -> Table:
    """One row a run, one column a metric; evaluations are left out, they have their own table.

    Args:
        records: rows of the ledger.
        metrics: names `<set>/<metric>` to show, in order; by default the headlines of each set.
    """
    records = [record for record in records if record.settings.get("kind") != EVALUATION]
    if metrics is None:
        recorded = dict.fromkeys(name for record in records for name in record.metrics)
        sets = dict.fromkeys(name.rpartition("/")[0] for name in recorded)
        wanted = [f"{name}/{metric}" for name in sets for metric in HEADLINES]
        metrics = [name for name in wanted if name in recorded]
    header = ("run", "scale", "seed", *map(metric_heading, metrics), "seconds", "date", "commit")
    return Table(header, tuple(_run_row(record, metrics) for record in records))


def trainings_table(trainings: Iterable[tuple[str, str, RunRecord | None]]) -> Table:
    """The diary's table: name, options, and the record so far, None where it has not been run."""
    header = ("run", "options", *map(metric_heading, LISTED), "seconds")
    rows = []
    for name, options, record in trainings:
        metrics = record.metrics if record else {}
        seconds = f"{record.seconds:.0f}" if record else "-"
        rows.append((name, options, *(number(metrics.get(key)) for key in LISTED), seconds))
    return Table(header, tuple(rows))


def newest(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Of each settings' records the newest only, in the order of the ledger."""
    last: dict[str, RunRecord] = {}
    for record in records:
        last.pop(record.settings_hash, None)
        last[record.settings_hash] = record
    return list(last.values())


def read_references(folder: Path) -> list[RunRecord]:
    """The rows of a folder's `runs.jsonl`, if it has one; FileProblem where it is damaged."""
    path = folder / REFERENCES
    if not os.path.lexists(path):
        return []
    records = []
    for number, line in enumerate(read_bytes(path).splitlines(), start=1):
        try:
            records.append(RunRecord.from_json(line))
        except ValueError as error:
            raise FileProblem(f"{path}, line {number}, is no record of a run: {error}") from error
    return records


def keep_references(folder: Path, records: Iterable[RunRecord]) -> Path:
    """Add records to a folder's `runs.jsonl`, whole or not at all.

    What is there stays, so that results of several machines and days come together. Of the
    records of one machine with the same settings the newest is kept. Runs on a body of the user's
    own are left out: nobody else could repeat them.
    """
    kept: dict[tuple[str, str], RunRecord] = {}
    ours = (record for record in records if _body(record) == FREE)
    for record in [*read_references(folder), *ours]:
        key = record.settings_hash, record.machine
        kept.pop(key, None)
        kept[key] = record
    lines = "".join(record.to_json() + "\n" for record in kept.values())
    return write_text_whole(folder / REFERENCES, lines)


def _body(record: RunRecord) -> str:
    """The body's name, without the digest that may follow it."""
    return str(record.settings.get("body", FREE)).partition(" ")[0]


def known_records(folder: Path) -> list[RunRecord]:
    """The references and this machine's own ledger; of each settings' records the newest."""
    own = Ledger(paths.runs_dir() / "ledger.jsonl").records()
    return newest(sorted([*read_references(folder), *own], key=lambda record: record.date))


def scale_name(record: RunRecord) -> str:
    """Name of the scale that a run was made at; a dash where its settings have none."""
    scale = record.settings.get("scale", {})
    return str(scale.get("name", "-") if isinstance(scale, dict) else scale)


def metric_heading(name: str) -> str:
    """`studio/pa_mpjpe_mm` -> `studio (synthetic): PA-MPJPE, mm`; what is no metric as it is."""
    group, _, metric = name.rpartition("/")
    label = f"{group} (synthetic)" if group in SYNTHETIC_SETS else group
    words = METRICS[metric].heading if metric in METRICS else metric.replace("_", " ")
    return f"{label}: {words}" if label else words


def number(value: float | None) -> str:
    """A figure with as many digits as mean something; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def _run_row(record: RunRecord, metrics: Sequence[str]) -> tuple[str, ...]:
    commit = record.commit[:8] + ("+dirty" if record.commit.endswith("+dirty") else "")
    return (
        record.name,
        scale_name(record),
        str(record.seed),
        *(number(record.metrics.get(metric)) for metric in metrics),
        f"{record.seconds:.0f}",
        record.date[:10],
        commit,
    )


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
