"""Commands about the data sets: the synthetic ones here, the real ones in `real_sets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from hmrlab.cli import real_sets
from hmrlab.cli.shared import ScaleName, scale_named

if TYPE_CHECKING:
    from hmrlab.config import Scale
    from hmrlab.data.synthetic.generate import SetSpec

app = typer.Typer(help="Data sets: make synthetic ones, prepare real ones.", no_args_is_help=True)
app.add_typer(real_sets.app)


@app.command("make")
def data_make(scale: ScaleName = "quick") -> None:
    """Generate a scale's synthetic sets that are missing or damaged."""
    from hmrlab.data.synthetic.generate import ensure_set

    for spec in _specs(scale_named(scale)):
        typer.echo(f"{spec.folder_name}: {ensure_set(spec)}")


@app.command("status")
def data_status() -> None:
    """Which sets are there, what they take, and where to register for those that are not."""
    from hmrlab import paths
    from hmrlab.config import SCALES
    from hmrlab.data.synthetic.generate import find_damage
    from hmrlab.doctor import gigabytes
    from hmrlab.tables import Table

    rows = []
    for scale in SCALES.values():
        for spec in _specs(scale):
            folder = paths.data_dir() / "synthetic" / spec.folder_name
            state, size = "not made yet", "-"
            if folder.is_dir():
                state = find_damage(folder) or "there"
                size = gigabytes(sum(file.stat().st_size for file in folder.iterdir()))
            rows.append((scale.name, f"{spec.name} {spec.split}", f"{spec.count:,}", state, size))
    header = ("scale", "set (synthetic)", "people", "state", "size")
    typer.echo(Table(header, tuple(rows)).to_markdown())
    typer.echo(real_sets.status())


def _specs(scale: Scale) -> list[SetSpec]:
    """The settings of every synthetic set that a scale has."""
    from hmrlab.data.synthetic.generate import SETS, SPLITS, set_spec

    found = []
    for name in SETS:
        for split in SPLITS:
            try:
                found.append(set_spec(name, split, scale))
            except ValueError:  # no scale has all of them
                continue
    return found
