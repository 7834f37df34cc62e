"""The table of encoders: what each costs, and how good it gets in equally long trainings."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from hmrlab.config import Scale
from hmrlab.models.cost import LATENCY_BATCH, PRECISIONS, THROUGHPUT_BATCH, untrained
from hmrlab.presets import BACKBONES, preset
from hmrlab.reproduce.comparison import (
    Comparison,
    book_path,
    keep_comparison,
    millions,
    timing_cell,
)
from hmrlab.reproduce.costs import Cost, CostBook, CostPlan, Subject, measure, timing_name
from hmrlab.tables import Table, known_records
from hmrlab.tables.pareto import Panel, Point, plot_accuracy
from hmrlab.tables.recorded import SHOWN_HEADINGS, Recorded, find_recorded

PEER = "resnet50"  # SPIN's encoder; all times are also given as ratios to its
NAME = "backbones"
_METRIC = "studio/mpjpe_mm"
_DEVICES = {"cpu": "CPU", "cuda": "GPU"}
_FAMILIES = ("resnet", "densenet", "mobilenet", "shufflenet", "efficientnet", "convnext")


@dataclass(frozen=True)
class Row:
    """An encoder: its training, if recorded, and its cost, if measured."""

    encoder: str  # wiring included
    recorded: Recorded
    cost: Cost | None


def backbone_runs(scale: Scale) -> dict[str, str]:
    """The names of the trainings that are compared, by their encoders."""
    return {preset(name, scale).encoder: name for name in BACKBONES}


def compare_backbones(
    scale: Scale, folder: Path, *, measured: bool = False, rounds: int = 9
) -> Comparison:
    """The tables and the plot, from recorded runs and measured costs; nothing is trained.

    Args:
        scale: of the runs.
        folder: holds reference results, costs and the plot.
        measured: measure the costs now, else take those that the folder has.
        rounds: turns of each timing.

    Raises:
        FileProblem: a file there is damaged, or cannot be written.
    """
    records = known_records(folder)
    recorded = {
        encoder: find_recorded(name, scale, records)
        for encoder, name in backbone_runs(scale).items()
    }
    path = book_path(folder, NAME, scale)
    book = measure_backbones(scale, rounds) if measured else CostBook.load(path)
    rows = backbone_rows(recorded, book)
    tables = [accuracy_table(rows), *([cost_table(rows, book)] if book else [])]
    figure = backbones_figure(rows, scale)
    return keep_comparison(
        NAME, scale, folder, tables, recorded.values(), book, figure, f"an HMR on {PEER}"
    )


def measure_backbones(scale: Scale, rounds: int, encoders: Sequence[str] = ()) -> CostBook:
    """Measure untrained networks, which cost what trained ones cost.

    Args:
        scale: gives resolution and batch.
        rounds: turns of each timing.
        encoders: by default all that are compared.
    """
    names = encoders or list(backbone_runs())
    subjects = [Subject(name, functools.partial(untrained, name), PEER) for name in names]
    return measure(scale.name, subjects, CostPlan(scale.resolution, rounds, scale.batch_size))


def backbone_rows(recorded: dict[str, Recorded], book: CostBook | None) -> list[Row]:
    """Everything that is known of each encoder.

    Args:
        recorded: by encoder.
        book: measured costs.
    """
    costs = book.costs if book else {}
    return [Row(name, found, costs.get(name)) for name, found in recorded.items()]


def accuracy_table(rows: Sequence[Row]) -> Table:
    """Sizes and scores; a row without a recorded run says by which command it is filled."""
    header = ("encoder", "parameters", "multiply-adds, M", *SHOWN_HEADINGS, "seeds")
    return Table(
        header,
        tuple(
            (
                row.encoder,
                f"{row.cost.parameters:,}" if row.cost else "-",
                millions(row.cost.macs) if row.cost else "-",
                *row.recorded.cells(),
            )
            for row in rows
        ),
    )


def cost_table(rows: Sequence[Row], book: CostBook) -> Table:
    """Bytes, memory and times, these with their ratio to the peer's time in brackets."""
    kinds = {
        f"onnxruntime, CPU, {LATENCY_BATCH} picture: fp32, ms": timing_name(
            "onnxruntime", "cpu", "fp32", LATENCY_BATCH
        )
    }
    measured = [row.cost for row in rows if row.cost]
    for device, place in _DEVICES.items():
        for batch, words in (
            (LATENCY_BATCH, f"{LATENCY_BATCH} picture: {{}}, ms"),
            (THROUGHPUT_BATCH, f"{THROUGHPUT_BATCH} pictures: {{}}, pictures/s"),
        ):
            for precision in PRECISIONS:
                kind = timing_name("torch", device, precision, batch)
                if any(kind in cost.timings for cost in measured):
                    kinds[f"torch, {place}, {words.format(precision)}"] = kind
    step = f"training step of {book.plan.step_batch}, MB"
    header = ("encoder", "weights, MB", step, *kinds)
    return Table(header, tuple(_cost_cells(cost, kinds) for cost in measured))


def backbones_figure(rows: Sequence[Row], scale: Scale) -> Figure:
    """Error against multiply-adds and against latency, of what is both recorded and measured."""
    latency = timing_name("torch", "cpu", "fp32", LATENCY_BATCH)
    known = [row for row in rows if row.cost and row.recorded.score(_METRIC)]
    panels = (
        Panel(
            f"multiply-adds at {scale.resolution} px, millions",
            tuple(_point(row, row.cost.macs / 1e6) for row in known),
        ),
        Panel(
            "latency of one picture on the CPU (torch, fp32), ms",
            tuple(_point(row, row.cost.timings[latency].milliseconds.median) for row in known),
        ),
    )
    title = f"Encoders after equal training from scratch, {scale.name} scale (synthetic people)"
    return plot_accuracy(panels, "MPJPE on studio (synthetic), mm", title)


def _cost_cells(cost: Cost, kinds: dict[str, str]) -> tuple[str, ...]:
    memory = millions(cost.step_bytes) if cost.step_bytes else "-"
    cells = (
        timing_cell(cost, kind, per_second="pictures/s" in heading)
        for heading, kind in kinds.items()
    )
    return (cost.name, millions(cost.file_bytes), memory, *cells)


def _point(row: Row, cost: float) -> Point:
    score = row.recorded.score(_METRIC)
    plain, _, wiring = row.encoder.partition(":")
    family = next((word for word in _FAMILIES if plain.startswith(word)), plain)
    label = f"{plain}, {wiring}" if wiring else plain
    return Point(label, family, cost, score.mean, score.least, score.most)
