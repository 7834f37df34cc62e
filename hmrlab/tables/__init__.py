"""Tables and plots of recorded runs, of what is counted and what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.tables.card import card_rows, card_table
    from hmrlab.tables.parameters import parameters_table
    from hmrlab.tables.pareto import Panel, Point, pareto_front, plot_accuracy
    from hmrlab.tables.recorded import Recorded, find_recorded
    from hmrlab.tables.references import keep_references, known_records, read_references
    from hmrlab.tables.runs import (
        EVALUATION,
        Table,
        newest,
        number,
        runs_table,
        scale_name,
        trainings_table,
    )

__all__ = [
    "EVALUATION",
    "Panel",
    "Point",
    "Recorded",
    "Table",
    "card_rows",
    "card_table",
    "find_recorded",
    "keep_references",
    "known_records",
    "newest",
    "number",
    "parameters_table",
    "pareto_front",
    "plot_accuracy",
    "read_references",
    "runs_table",
    "scale_name",
    "trainings_table",
]

__getattr__ = lazy_names(
    __name__,
    {
        "card": "card_rows card_table",
        "parameters": "parameters_table",
        "pareto": "Panel Point pareto_front plot_accuracy",
        "recorded": "Recorded find_recorded",
        "references": "keep_references known_records read_references",
        "runs": "EVALUATION Table newest number runs_table scale_name trainings_table",
    },
)
