"""Commands about the series as a whole: the doctor, and running it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli.shared import ScaleName, Seed, scale_named

INTERRUPTED = 130  # as a shell says it of Ctrl-C

app = typer.Typer()


@app.command()
def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out torch and drawing.")] = False,
) -> None:
    """Say what this machine has, what it lacks, and the remedy."""
    from hmrlab.doctor import examine

    findings = examine(quick)
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.essential and not finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def run(
    chapters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Chapters by name or number; all by default."),
    ] = None,
    scale: ScaleName = "quick",
    seed: Seed = 0,
    notebooks: Annotated[
        Path | None, typer.Option("--notebooks", help="Folder that holds source/NN_name.py.")
    ] = None,
) -> None:
    """Execute the notebooks in order and write a report: what `make run` does."""
    from hmrlab.ledger import installed_gpu
    from hmrlab.reproduce.report import ConsoleProgress, run_series, summary
    from hmrlab.reproduce.sources import notebooks_folder

    scale_named(scale)
    with ConsoleProgress() as progress:
        outcome = run_series(
            notebooks or notebooks_folder(),
            scale=scale,
            seed=seed,
            progress=progress,
            only=chapters or (),
            accelerator=installed_gpu(),
        )
    typer.echo(f"\n{summary(outcome.results)}.\nLook at {outcome.report}")
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not outcome.passed:
        raise typer.Exit(1)
