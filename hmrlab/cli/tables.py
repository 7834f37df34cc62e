"""Tables, printed as Markdown."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Tables: the ledger's, and what is counted or measured.", no_args_is_help=True
)


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


@app.command("parameters")
def table_parameters() -> None:
    """Print every encoder's parameters in both wirings beside the diary's numbers."""
    from hmrlab.tables import parameters_table

    typer.echo(parameters_table().to_markdown())
