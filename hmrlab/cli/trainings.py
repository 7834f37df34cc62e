"""Training one of the named runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from hmrlab.cli.shared import ScaleName, Seed, fail, scale_named

if TYPE_CHECKING:
    from hmrlab.training import Scale

app = typer.Typer()


@app.command()
def train(
    name: Annotated[str | None, typer.Argument(help="Name of a training; see --list.")] = None,
    scale: ScaleName = "laptop",
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Pictures a step; auto: the scale's, added up from parts that fit into memory.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SET,...",
            help="Train on these, mixed by SPIN's shares: studio, wild, or prepared real sets.",
        ),
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch ImageNet weights that are missing.")
    ] = False,
    list_them: Annotated[
        bool, typer.Option("--list", help="List the trainings and their results so far.")
    ] = False,
) -> None:
    """Train one of the diary's runs, or show its recorded result."""
    import torch

    from hmrlab.reproduce.tables import runs_table
    from hmrlab.training import TrainingDivergedError, named_run, run_training
    from hmrlab.training.device import choose_device
    from hmrlab.training.micro_batches import DoesNotFitError
    from hmrlab.training.sets import on_data

    if list_them or name is None:
        _list_trainings(scale_named(scale), seed)
        return
    try:
        wanted = named_run(name, scale_named(scale), seed)
        if data is not None:
            wanted = on_data(wanted, tuple(one.strip() for one in data.split(",") if one.strip()))
        if batch_size is not None:
            wanted = replace(wanted, batch_size=_batch_size(batch_size))
        choose_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        result = run_training(wanted, device=device, allow_download=allow_download)
    except (TrainingDivergedError, DoesNotFitError) as error:
        fail(str(error))
    except torch.OutOfMemoryError as error:
        first_line = str(error).partition("\n")[0]
        fail(f"{first_line}\nTry the same with --batch-size auto: smaller parts, the same step.")
    typer.echo("From the ledger:" if result.reused else "Trained:")
    typer.echo(runs_table([result.record]).to_markdown())
    typer.echo(f"Its files are in {result.folder}")


def _batch_size(text: str) -> int | str:
    """A number of at least 1, or "auto"."""
    if text == "auto" or (text.isdecimal() and int(text) > 0):
        return text if text == "auto" else int(text)
    raise ValueError(f"--batch-size is a number of at least 1, or auto; not {text!r}")


def _list_trainings(scale: Scale, seed: int) -> None:
    from hmrlab.reproduce.tables import trainings_table
    from hmrlab.training import find_result, list_runs, named_run

    rows = []
    for listed in list_runs():
        found = find_result(named_run(listed.name, scale, seed))
        rows.append((listed.name, listed.options, found.record if found else None))
    typer.echo(f"Results at {scale.name} scale, seed {seed}; a dash: not run here yet.\n")
    typer.echo(trainings_table(rows).to_markdown())
