"""Scores side by side, as a notebook shows them."""

from __future__ import annotations

from collections.abc import Mapping

from IPython.display import Markdown

SCORES = {
    "mpjpe_mm": "MPJPE, mm",
    "pa_mpjpe_mm": "PA-MPJPE, mm",
    "rotation_error_deg": "rotation error, mean of 24 joints, degrees",
    "elbow_twist_error_deg": "twist error at the elbows, degrees",
    "beyond_limits_share": "joints twisted beyond what a person can, share",
    "betas_error": "error of a beta, standard deviations",
    "mean_abs_beta": "mean of abs(beta)",
}


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


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
