"""Tables, printed as Markdown: the ledger's, and what is counted or measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli.shared import ScaleName, scale_named

app = typer.Typer(
    help="Tables: the ledger's, and what is counted or measured.", no_args_is_help=True
)

Folder = Annotated[Path, typer.Option(help="Holds reference results, costs and the plot.")]


@app.command("runs")
def table_runs(
    everything: Annotated[
        bool, typer.Option("--all", help="Also older records of the same settings.")
    ] = False,
) -> None:
    """Print the ledger's runs as a Markdown table."""
    from hmrlab import paths
    from hmrlab.ledger import Ledger
    from hmrlab.tables import EVALUATION, newest, runs_table

    records = Ledger(paths.runs_dir() / "ledger.jsonl").records()
    records = [record for record in records if record.settings.get("kind") != EVALUATION]
    if not records:
        typer.echo(f"No runs recorded in {paths.runs_dir()} yet. Make one: hmrlab train --list")
        return
    typer.echo(runs_table(records if everything else newest(records)).to_markdown())


@app.command("evaluations")
def table_evaluations() -> None:
    """Recorded evaluations: those on real people, and in a table of their own the synthetic."""
    from hmrlab import paths
    from hmrlab.ledger import Ledger
    from hmrlab.reproduce.evaluations import evaluations_tables
    from hmrlab.tables import newest

    records = newest(Ledger(paths.runs_dir() / "ledger.jsonl").records())
    found = evaluations_tables(records)
    if not found:
        typer.echo(
            f"No evaluations recorded in {paths.runs_dir()} yet. Make one: hmrlab evaluate shipped"
        )
    for table in found:
        typer.echo(f"{table.to_markdown()}\n")


@app.command("parameters")
def table_parameters() -> None:
    """Print every encoder's parameters in both wirings beside the diary's numbers."""
    from hmrlab.tables import parameters_table

    typer.echo(parameters_table().to_markdown())


@app.command("backbones")
def table_backbones(scale: ScaleName = "laptop", folder: Folder = Path("figures")) -> None:
    """Encoders by cost and accuracy, from recorded runs; trains nothing. Draws the plot, too."""
    from hmrlab.reproduce.lighter import compare_backbones

    typer.echo(compare_backbones(scale_named(scale), folder))


@app.command("pruning")
def table_pruning(scale: ScaleName = "laptop", folder: Folder = Path("figures")) -> None:
    """Pruned networks by cost and accuracy, from recorded runs; trains nothing. Draws the plot."""
    from hmrlab.reproduce.lighter import compare_pruning

    typer.echo(compare_pruning(scale_named(scale), folder))


@app.command("card")
def table_card(scale: ScaleName = "gpu", folder: Folder = Path("figures")) -> None:
    """Encoders after equal time on a GPU (tools/gpu.py), from recorded runs; trains nothing."""
    from hmrlab.tables.recorded import compare_on_card

    typer.echo(compare_on_card(scale_named(scale), folder))
