"""What the tables of lighter networks share: cells, notes, and the files beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from hmrlab.config import Scale
from hmrlab.models.cost import THROUGHPUT_BATCH
from hmrlab.rendering import save_png
from hmrlab.reproduce.costs import Cost, CostBook
from hmrlab.tables import Table, keep_references, number
from hmrlab.tables.recorded import Recorded, scores_origin

_NOT_MEASURED = "Costs are not measured yet: add --measure."


@dataclass(frozen=True)
class Comparison:
    """Tables of networks and the files that go with them."""

    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    def __str__(self) -> str:
        parts = [*(table.to_markdown() for table in self.tables), *self.notes]
        return "\n\n".join([*parts, "\n".join(map(str, self.files))])


def keep_comparison(
    name: str,
    scale: Scale,
    folder: Path,
    tables: Iterable[Table],
    recorded: Iterable[Recorded],
    book: CostBook | None,
    figure: Figure,
    peers: str,
) -> Comparison:
    """Keep the plot, the measured costs and the records of the runs in a folder.

    Args:
        name: of the files.
        scale: of the runs.
        folder: where they go.
        tables: to show.
        recorded: what they were made from.
        book: measured costs, if any.
        figure: the plot.
        peers: whose times the ratios are taken to.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    recorded = list(recorded)
    ratios = f"In brackets: the time over that of {peers}, so less is faster."
    notes = (scores_origin(recorded), *((book.origin, ratios) if book else (_NOT_MEASURED,)))
    files = [book.save(book_path(folder, name, scale))] if book else []
    files.append(save_png(folder / f"{name}_{scale.name}.png", figure, dpi=120))
    records = [record for each in recorded for record in each.records]
    if records:
        files.append(keep_references(folder, records))
    return Comparison(tuple(tables), tuple(note for note in notes if note), tuple(files))


def book_path(folder: Path, name: str, scale: Scale) -> Path:
    """Where a table's measured costs are kept."""
    return folder / f"{name}_{scale.name}.json"


def millions(value: float) -> str:
    """`354` for 354,000,000; small ones with digits."""
    return number(value / 1e6)


def timing_cell(cost: Cost, kind: str, *, per_second: bool = False) -> str:
    """A median in milliseconds, or pictures a second of a batch of 64; the ratio in brackets."""
    timing = cost.timings.get(kind)
    if timing is None:
        return "-"
    took = timing.milliseconds.median
    words = number(1000 * THROUGHPUT_BATCH / took if per_second else took)
    return f"{words} ({number(timing.ratio.median)})" if timing.ratio else words
