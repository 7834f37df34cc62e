"""Commands about the series as a whole: the doctor, running it, its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli.shared import Chapters, NotebooksFolder, ScaleName, Seed, scale_named

app = typer.Typer()


@app.command()
def doctor() -> None:
    """Say what this machine has, what it lacks, and the remedy."""
    from hmrlab.doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.essential and not finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def run(
    chapters: Chapters = None,
    scale: ScaleName = "quick",
    seed: Seed = 0,
    notebooks: NotebooksFolder = None,
) -> None:
    """Execute the notebooks in order and write a report: what `make run` does."""
    from hmrlab.ledger import installed_gpu
    from hmrlab.reproduce.progress import ConsoleProgress
    from hmrlab.reproduce.report import summary
    from hmrlab.reproduce.series import run_series
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
    if not outcome.passed:
        raise typer.Exit(1)


@app.command()
def figures(
    scale: ScaleName = "laptop",
    seed: Seed = 0,
    folder: Path = Path("figures"),
    rows_only: Annotated[
        bool, typer.Option("--rows-only", help="Draw nothing, add this ledger's rows alone.")
    ] = False,
    merge: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw nothing, take over what tools/gpu.py left there."),
    ] = None,
) -> None:
    """Make the README's figures from recorded runs; trains what the ledger lacks.

    The ledger's rows of that scale join the reference results in the folder's runs.jsonl.
    """
    if merge is not None:
        from hmrlab.reproduce.merging import merge_folder

        typer.echo("\n".join(merge_folder(merge, folder)))
        return
    from hmrlab import paths
    from hmrlab.bodies import require_free_body
    from hmrlab.ledger import Ledger
    from hmrlab.reproduce.figures import SHOWN_RUNS, make_figures
    from hmrlab.reproduce.references import keep_references
    from hmrlab.reproduce.tables import newest, scale_name
    from hmrlab.training import named_run, run_training

    sizes = scale_named(scale)
    require_free_body("the README's figures")  # before hours of training
    results = [] if rows_only else [run_training(named_run(n, sizes, seed)) for n in SHOWN_RUNS]
    records = newest(Ledger(paths.runs_dir() / "ledger.jsonl").records())
    same_scale = [record for record in records if scale_name(record) == sizes.name]
    if rows_only:
        typer.echo(keep_references(folder, same_scale))
        return
    for path in make_figures(folder, results, same_scale):
        typer.echo(path)
