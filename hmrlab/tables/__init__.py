"""Tables and plots of recorded runs, of what is counted and what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names

if TYPE_CHECKING:
    from hmrlab.tables.parameters import parameters_table
    from hmrlab.tables.pareto import Panel, Point, pareto_front, plot_accuracy
    from hmrlab.tables.recorded import Recorded, card_rows, card_table, find_recorded
    from hmrlab.tables.runs import (
        EVALUATION,
        Table,
        keep_references,
        known_records,
        newest,
        number,
        read_references,
        runs_table,
        scale_name,
        trainings_table,
    )

__getattr__ = lazy_names(__name__)
