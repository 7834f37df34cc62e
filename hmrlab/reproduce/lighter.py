"""Tables and plots of lighter networks, by cost and accuracy: encoders, and pruned networks.

Scores are recorded runs', costs `tools/measure_costs.py`'s; nothing is trained here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from hmrlab.config import Config, Scale
from hmrlab.models.cost import LATENCY_BATCH, PRECISIONS, THROUGHPUT_BATCH
from hmrlab.presets import BACKBONES, PRUNED, preset
from hmrlab.rendering import save_png
from hmrlab.reproduce.costs import INT8, Cost, CostBook, timing_name
from hmrlab.tables.pareto import Panel, Point, plot_accuracy
from hmrlab.tables.recorded import (
    SHOWN,
    SHOWN_HEADINGS,
    Recorded,
    Score,
    find_recorded,
    scores_origin,
)
from hmrlab.tables.runs import Table, keep_references, known_records, number

PEER = "resnet50"  # SPIN's encoder; all times are also given as ratios to its
ROOT = "unpruned"
IN_INT8 = (ROOT, "channels_50")
_METRIC = "studio/mpjpe_mm"
_DEVICES = {"cpu": "CPU", "cuda": "GPU"}
_FAMILIES = ("resnet", "densenet", "mobilenet", "shufflenet", "efficientnet", "convnext")
_TORCH = timing_name("torch", "cpu", "fp32", LATENCY_BATCH)
_ONNX = timing_name("onnxruntime", "cpu", "fp32", LATENCY_BATCH)
_WORST = 1.5  # times the unpruned network's error; what is worse is left out of the plot


@dataclass(frozen=True)
class Row:
    """A network: its training, if recorded, and its cost, if measured."""

    name: str
    config: Config
    recorded: Recorded
    cost: Cost | None
    int8: bool = False

    def score(self) -> Score | None:
        """Of the plotted metric."""
        if not self.int8:
            return self.recorded.score(_METRIC)
        value = self.cost.scores.get(_METRIC) if self.cost else None
        return None if value is None else Score(value, value, value, 1)

    def cells(self) -> tuple[str, ...]:
        """Scores and seeds for a table."""
        if not self.int8:
            return self.recorded.cells()
        if self.cost is None:
            command = f"`python tools/measure_costs.py pruning --scale {self.recorded.scale}`"
            return (*("-" for _ in SHOWN), command if self.recorded.records else "-")
        return (*(f"{self.cost.scores[metric]:.1f}" for metric in SHOWN), "1")

    def point(self, label: str, family: str, cost: float) -> Point:
        """For a plot."""
        score = self.score()
        return Point(label, family, cost, score.mean, score.least, score.most)


def compare_backbones(scale: Scale, folder: Path) -> str:
    """The tables of encoders in equally long trainings, as text; the plot is kept in a folder.

    Args:
        scale: of the runs.
        folder: holds reference results, costs and the plot.

    Raises:
        FileProblem: a file there is damaged, or cannot be written.
    """
    records = known_records(folder)
    recorded = {
        encoder: find_recorded(name, scale, records)
        for encoder, name in backbone_runs(scale).items()
    }
    file = folder / f"backbones_{scale.name}"
    book = CostBook.load(file.with_suffix(".json"))
    rows = backbone_rows(recorded, book, scale)
    tables = [accuracy_table(rows), *([cost_table(rows, book)] if book else [])]
    figure = backbones_figure(rows, scale)
    return _keep(file, tables, recorded.values(), book, figure, f"an HMR on {PEER}")


def compare_pruning(scale: Scale, folder: Path) -> str:
    """The same of pruned networks: what sparsity saves, what structure saves, what each loses."""
    records = known_records(folder)
    recorded = {name: find_recorded(name, scale, records) for name in pruning_runs()}
    file = folder / f"pruning_{scale.name}"
    book = CostBook.load(file.with_suffix(".json"))
    rows = pruning_rows(recorded, book)
    figure = pruning_figure(rows, scale)
    peers = "the network that it was before, unpruned and in float32"
    return _keep(file, [pruning_table(rows)], recorded.values(), book, figure, peers)


def backbone_runs(scale: Scale) -> dict[str, str]:
    """The names of the trainings that are compared, by their encoders, wiring included."""
    return {preset(name, scale).encoder: name for name in BACKBONES}


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


def backbone_rows(recorded: dict[str, Recorded], book: CostBook | None, scale: Scale) -> list[Row]:
    """Everything that is known of each encoder."""
    costs = book.by_name() if book else {}
    return [
        Row(name, preset(found.name, scale), found, costs.get(name))
        for name, found in recorded.items()
    ]


def pruning_rows(recorded: dict[str, Recorded], book: CostBook | None) -> list[Row]:
    """Everything that is known of each network, without costs of other records than these."""
    costs = book.by_name() if book else {}
    rows = []
    for name, found in recorded.items():
        keys = {record.settings_hash for record in found.records}
        known = {label: cost for label, cost in costs.items() if cost.of in keys}
        config = preset(name, found.scale)
        rows.append(Row(name, config, found, known.get(name)))
        if name in IN_INT8:
            rows.append(Row(name + INT8, config, found, known.get(name + INT8), int8=True))
    return rows


def accuracy_table(rows: Sequence[Row]) -> Table:
    """Sizes and scores; a row without a recorded run says by which command it is filled."""
    header = ("encoder", "parameters", "multiply-adds, M", *SHOWN_HEADINGS, "seeds")
    cells = []
    for row in rows:
        sizes = (f"{row.cost.parameters:,}", _millions(row.cost.macs)) if row.cost else ("-", "-")
        cells.append((row.name, *sizes, *row.cells()))
    return Table(header, tuple(cells))


def cost_table(rows: Sequence[Row], book: CostBook) -> Table:
    """Bytes, memory and times, these with their ratio to the peer's time in brackets."""
    kinds = {f"onnxruntime, CPU, {LATENCY_BATCH} picture: fp32, ms": _ONNX}
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
    cells = []
    for cost in measured:
        memory = _millions(cost.step_bytes) if cost.step_bytes else "-"
        times = (_timing(cost, kind, "pictures/s" in words) for words, kind in kinds.items())
        cells.append((cost.name, _millions(cost.file_bytes), memory, *times))
    return Table(("encoder", "weights, MB", step, *kinds), tuple(cells))


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
    return Table(header, tuple((row.name, *_pruning_cells(row.cost), *row.cells()) for row in rows))


def backbones_figure(rows: Sequence[Row], scale: Scale) -> Figure:
    """Error against multiply-adds and against latency, of what is both recorded and measured."""
    costs = {
        f"multiply-adds at {scale.resolution} px, millions": lambda c: c.macs / 1e6,
        "latency of one picture on the CPU (torch, fp32), ms": (
            lambda c: c.timings[_TORCH].milliseconds.median
        ),
    }

    def point(row: Row, cost: float) -> Point:
        plain, _, wiring = row.name.partition(":")
        family = next((word for word in _FAMILIES if plain.startswith(word)), plain)
        return row.point(f"{plain}, {wiring}" if wiring else plain, family, cost)

    known = [row for row in rows if row.cost and row.score()]
    panels = [
        Panel(words, tuple(point(row, of(row.cost)) for row in known))
        for words, of in costs.items()
    ]
    title = f"Encoders after equal training from scratch, {scale.name} scale (synthetic people)"
    return plot_accuracy(panels, "MPJPE on studio (synthetic), mm", title)


def pruning_figure(rows: Sequence[Row], scale: Scale) -> Figure:
    """Error against multiply-adds, latency and compressed size, of what came from one network."""
    roots = pruning_runs()
    known = [row for row in rows if roots[row.config.name] == ROOT and row.cost and row.score()]
    base = next((row.score().mean for row in known if row.name == ROOT), float("inf"))
    shown = [row for row in known if row.score().mean <= _WORST * base]
    costs = {
        f"multiply-adds at {scale.resolution} px, millions": lambda c: c.macs / 1e6,
        "latency of one picture (onnxruntime, CPU), ms": (
            lambda c: c.timings[_ONNX].milliseconds.median
        ),
        "size of the file, compressed, MB": lambda c: c.compressed_bytes / 1e6,
    }

    def point(row: Row, cost: float) -> Point:
        plan = row.config.prune
        share = f"{plan.amount:.0%}" if plan else row.config.name
        return row.point(f"{share}, int8" if row.int8 else share, family_of(row), cost)

    panels = [
        Panel(words, tuple(point(row, of(row.cost)) for row in shown))
        for words, of in costs.items()
    ]
    worse = len(known) - len(shown)
    left_out = f"; {worse} with more than {_WORST} times its error left out" if worse else ""
    title = f"One network made lighter, {scale.name} scale (synthetic people){left_out}"
    return plot_accuracy(panels, "MPJPE on studio (synthetic), mm", title, joined=True)


def family_of(row: Row) -> str:
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


def _keep(
    file: Path,
    tables: Sequence[Table],
    recorded: Iterable[Recorded],
    book: CostBook | None,
    figure: Figure,
    peers: str,
) -> str:
    """Keep the plot and the records of the runs; gives tables, notes and files as text."""
    recorded = list(recorded)
    notes = [scores_origin(recorded)]
    files = []
    if book:
        ratios = f"In brackets: the time over that of {peers}, so less is faster."
        notes += [book.origin, ratios]
        files.append(file.with_suffix(".json"))
    else:
        table = file.name.partition("_")[0]
        notes.append(f"Costs are not measured yet: python tools/measure_costs.py {table}")
    files.append(save_png(file.with_suffix(".png"), figure, dpi=120))
    records = [record for each in recorded for record in each.records]
    if records:
        files.append(keep_references(file.parent, records))
    shown = [table.to_markdown() for table in tables]
    return "\n\n".join([*shown, *filter(None, notes), "\n".join(map(str, files))])


def _pruning_cells(cost: Cost | None) -> tuple[str, ...]:
    if cost is None:
        return ("-",) * 7
    return (
        f"{cost.parameters:,}",
        f"{cost.nonzero:,}" if cost.nonzero is not None else "-",
        _millions(cost.macs),
        _millions(cost.file_bytes),
        _millions(cost.compressed_bytes),
        _timing(cost, _TORCH),
        _timing(cost, _ONNX),
    )


def _millions(value: float) -> str:
    """`354` for 354,000,000; small ones with digits."""
    return number(value / 1e6)


def _timing(cost: Cost, kind: str, per_second: bool = False) -> str:
    """A median in milliseconds, or pictures a second of a batch of 64; the ratio in brackets."""
    timing = cost.timings.get(kind)
    if timing is None:
        return "-"
    took = timing.milliseconds.median
    words = number(1000 * THROUGHPUT_BATCH / took if per_second else took)
    return f"{words} ({number(timing.ratio.median)})" if timing.ratio else words
