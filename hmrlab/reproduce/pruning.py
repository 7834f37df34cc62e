"""The table of pruned networks: what sparsity saves, what structure saves, and what each loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from hmrlab.config import Config, Scale
from hmrlab.files import FileProblem
from hmrlab.models.cost import LATENCY_BATCH
from hmrlab.presets import PRUNED, preset
from hmrlab.reproduce.comparison import (
    Comparison,
    book_path,
    keep_comparison,
    millions,
    timing_cell,
)
from hmrlab.reproduce.costs import INT8, Cost, CostBook, CostPlan, Subject, measure, timing_name
from hmrlab.reproduce.exporting import calibration_pictures, score_exported
from hmrlab.runs import find_result
from hmrlab.tables import Table, known_records
from hmrlab.tables.pareto import Panel, Point, plot_accuracy
from hmrlab.tables.recorded import SHOWN, SHOWN_HEADINGS, Recorded, find_recorded
from hmrlab.training.results import RunResult

NAME = "pruning"
ROOT = "unpruned"
IN_INT8 = (ROOT, "channels_50")
_METRIC = "studio/mpjpe_mm"
_TORCH = timing_name("torch", "cpu", "fp32", LATENCY_BATCH)
_ONNX = timing_name("onnxruntime", "cpu", "fp32", LATENCY_BATCH)
_WORST = 1.5  # times the unpruned network's error; what is worse is left out of the plot


@dataclass(frozen=True)
class Row:
    """A network, pruned or not: its training, if recorded, and its cost, if measured."""

    name: str
    config: Config
    recorded: Recorded
    cost: Cost | None
    int8: bool = False

    def cells(self) -> tuple[str, ...]:
        """Scores and seeds for a table."""
        if not self.int8:
            return self.recorded.cells()
        if self.cost is None:
            command = f"`hmrlab table pruning --measure --scale {self.recorded.scale}`"
            return (*("-" for _ in SHOWN), command if self.recorded.records else "-")
        return (*(f"{self.cost.scores[metric]:.1f}" for metric in SHOWN), "1")


def pruning_runs() -> dict[str, str]:
    """Names of the trainings that are compared, each with its unpruned network's, that one first.

    These are all that end in a pruned network, what they come from, and their equals that were
    fine-tuned as long but not pruned.
    """
    found: dict[str, str] = {}
    for name in PRUNED:
        root = name
        while base := preset(root, "smoke").init_from:
            root = base
        if root != name:
            found.setdefault(root, root)
            found[name] = root
    return found


def compare_pruning(
    scale: Scale, folder: Path, *, measured: bool = False, rounds: int = 9
) -> Comparison:
    """The table and the plot, see `hmrlab.reproduce.backbones.compare_backbones`.

    Raises:
        FileProblem: a file there is damaged, or cannot be written; there is nothing to measure.
    """
    records = known_records(folder)
    recorded = {name: find_recorded(name, scale, records) for name in pruning_runs()}
    path = book_path(folder, NAME, scale)
    book = measure_pruning(scale, rounds, recorded) if measured else CostBook.load(path)
    rows = pruning_rows(recorded, book)
    figure = pruning_figure(rows, scale)
    peers = "the network that it was before, unpruned and in float32"
    return keep_comparison(
        NAME, scale, folder, [pruning_table(rows)], recorded.values(), book, figure, peers
    )


def measure_pruning(scale: Scale, rounds: int, recorded: dict[str, Recorded]) -> CostBook:
    """Measure the networks whose files are here: of each training the least seed.

    Raises:
        FileProblem: there is none, or a file is damaged.
    """
    subjects = []
    for name, root in pruning_runs().items():
        result = _first_result(name, scale, recorded[name])
        if result is not None:
            subjects.append(
                Subject(name, result.model, root, result.record.settings_hash, name in IN_INT8)
            )
    if not subjects:
        raise FileProblem(
            f"there is no network to measure at {scale.name} scale yet; hmrlab train {ROOT} "
            f"--scale {scale.name}"
        )
    return measure(
        scale.name,
        subjects,
        CostPlan(scale.resolution, rounds, throughput=False),
        calibration_pictures(scale),
        lambda model: score_exported(model, scale),
    )


def pruning_rows(recorded: dict[str, Recorded], book: CostBook | None) -> list[Row]:
    """Everything that is known of each network; costs of records that are not these are left out.

    Args:
        recorded: by name of the training.
        book: measured costs.
    """
    costs = book.costs if book else {}
    rows = []
    for name, found in recorded.items():
        keys = {record.settings_hash for record in found.records}
        known = {label: cost for label, cost in costs.items() if cost.of in keys}
        config = preset(name, found.scale)
        rows.append(Row(name, config, found, known.get(name)))
        if name in IN_INT8:
            rows.append(Row(name + INT8, config, found, known.get(name + INT8), int8=True))
    return rows


def pruning_table(rows: Sequence[Row]) -> Table:
    """One row a network; without a recorded run it says by which command it is filled."""
    header = (
        "network",
        "parameters",
        "not zero",
        "multiply-adds, M",
        "file, MB",
        "compressed, MB",
        "torch, ms (of the unpruned's)",
        "onnxruntime, ms (of the unpruned's)",
        *SHOWN_HEADINGS,
        "seeds",
    )
    return Table(header, tuple((row.name, *_cost_cells(row.cost), *row.cells()) for row in rows))


def pruning_figure(rows: Sequence[Row], scale: Scale) -> Figure:
    """Error against multiply-adds, latency and compressed size, of what came from one network."""
    roots = pruning_runs()
    known = [row for row in rows if roots[row.config.name] == ROOT and row.cost and _score(row)]
    base = next((_score(row)[0] for row in known if row.name == ROOT), float("inf"))
    shown = [row for row in known if _score(row)[0] <= _WORST * base]
    costs = {
        f"multiply-adds at {scale.resolution} px, millions": lambda c: c.macs / 1e6,
        "latency of one picture (onnxruntime, CPU), ms": (
            lambda c: c.timings[_ONNX].milliseconds.median
        ),
        "size of the file, compressed, MB": lambda c: c.compressed_bytes / 1e6,
    }
    panels = [
        Panel(words, tuple(_point(row, of(row.cost)) for row in shown))
        for words, of in costs.items()
    ]
    worse = len(known) - len(shown)
    left_out = f"; {worse} with more than {_WORST} times its error left out" if worse else ""
    title = f"One network made lighter, {scale.name} scale (synthetic people){left_out}"
    return plot_accuracy(panels, "MPJPE on studio (synthetic), mm", title, joined=True)


def family(row: Row) -> str:
    """How a network was made lighter, in words."""
    plan = row.config.prune
    if row.int8:
        return "int8"
    if plan is None:
        return "not pruned"
    if not row.config.steps:
        return f"{plan.kind}, not trained after"
    once = ", at once" if row.name.endswith("at_once") else ""
    return f"{plan.kind}{once}, fine-tuned"


def _first_result(name: str, scale: Scale, found: Recorded) -> RunResult | None:
    """A result whose files are here, of the least seed."""
    for seed in sorted(record.seed for record in found.records):
        result = find_result(preset(name, scale, seed))
        if result is not None and result.config.task == "bodies":
            return result
    return None


def _cost_cells(cost: Cost | None) -> tuple[str, ...]:
    if cost is None:
        return ("-",) * 7
    return (
        f"{cost.parameters:,}",
        f"{cost.nonzero:,}" if cost.nonzero is not None else "-",
        millions(cost.macs),
        millions(cost.file_bytes),
        millions(cost.compressed_bytes),
        timing_cell(cost, _TORCH),
        timing_cell(cost, _ONNX),
    )


def _score(row: Row) -> tuple[float, float, float] | None:
    """Mean, least and most of the plotted metric."""
    if row.int8:
        value = row.cost.scores.get(_METRIC) if row.cost else None
        return None if value is None else (value, value, value)
    score = row.recorded.score(_METRIC)
    return (score.mean, score.least, score.most) if score else None


def _point(row: Row, cost: float) -> Point:
    plan = row.config.prune
    share = f"{plan.amount:.0%}" if plan else row.config.name
    label = f"{share}, int8" if row.int8 else share
    return Point(label, family(row), cost, *_score(row))
