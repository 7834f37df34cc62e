"""Evaluating networks on test sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli import tables
from hmrlab.cli.shared import ScaleName, Seed, scale_named

app = typer.Typer()


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A training's name, a file of weights, or shipped."),
    ],
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="LIST",
            help="3dpw, mpi-inf-3dhp, h36m-p1, h36m-p2, lsp, studio-test, wild-test; commas "
            "between; twin:3dpw is 3dpw's synthetic twin.",
        ),
    ] = "studio-test,wild-test",
    twins: Annotated[
        bool, typer.Option("--twins", help="Take the synthetic twins of the real sets.")
    ] = False,
    scale: ScaleName = "laptop",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For the files; by default runs/evaluations.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many samples, the first: a trial.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    seed: Seed = 0,
) -> None:
    """Evaluate a network: every metric with its definition and a 95 % interval.

    Writes each sample's results, the report and the worst samples as a picture. Real sets are
    prepared first (hmrlab data prepare); their synthetic twins need nothing.
    """
    from hmrlab.device import choose_device
    from hmrlab.reproduce.evaluations import (
        definitions_of,
        evaluate_network,
        evaluations_tables,
        protocols_named,
    )

    sizes = scale_named(scale)
    try:
        protocols = protocols_named(on, twins)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--on") from error
    try:
        chosen = choose_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error
    records = []
    try:
        for done in evaluate_network(
            model, protocols, sizes, seed, device=chosen, limit=limit, out=out
        ):
            typer.echo(f"{done}\n")
            records.append(done.record)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="MODEL") from error
    typer.echo(f"{definitions_of(protocols)}\n")
    for table in evaluations_tables(records):
        typer.echo(f"{table.to_markdown()}\n")


@tables.app.command("evaluations")
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
