"""Scores side by side, as a notebook shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from IPython.display import Markdown

from hmrlab.tables.runs import LISTED, metric_heading


def headings(*names: str) -> dict[str, str]:
    """Metrics, `<set>/<name>` or `<name>`, and what a table calls them, unit included."""
    return {name: metric_heading(name) for name in names}


SCORES = headings(
    "mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg", "elbow_twist_error_deg",
    "beyond_limits_percent", "betas_error", "mean_abs_beta",
)  # fmt: skip
HEADLINES = headings(*LISTED)


def score_table(
    columns: Mapping[str, Mapping[str, float]], rows: Mapping[str, str] = SCORES
) -> Markdown:
    """A table with a column for each model.

    Args:
        columns: title -> scores by name, as `Scores.to_dict` gives them.
        rows: name of a score -> its words.

    Raises:
        KeyError: a model lacks a score.
    """
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name, words in rows.items():
        values = [_number(scores[name]) for scores in columns.values()]
        lines.append(f"| {words} | {' | '.join(values)} |")
    return Markdown("\n".join(lines))


def spread_table(
    rows: Mapping[str, Sequence[Mapping[str, float]]], columns: Mapping[str, str] = HEADLINES
) -> Markdown:
    """A table with a row for each kind of training: the mean over its seeds, and how far they lie.

    Args:
        rows: title -> the metrics of each seed's run, named `<set>/<metric>`.
        columns: name of a metric -> its words.

    Raises:
        KeyError: a run lacks a metric.
    """
    lines = [f"| | seeds | {' | '.join(columns.values())} |"]
    lines.append(f"| --- | ---: |{' ---: |' * len(columns)}")
    for title, runs in rows.items():
        cells = [_mean_and_range([metrics[name] for metrics in runs]) for name in columns]
        lines.append(f"| {title} | {len(runs)} | {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def _mean_and_range(values: Sequence[float]) -> str:
    mean = _number(sum(values) / len(values))
    if len(values) == 1:
        return mean
    return f"{mean} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
