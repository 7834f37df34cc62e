"""Lighter networks: exported ones, and the tables of encoders and of pruning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli import tables
from hmrlab.cli.shared import ScaleName, Seed, scale_named

app = typer.Typer()

Measure = Annotated[
    bool, typer.Option("--measure", help="Measure costs now, and keep them in the folder.")
]
Folder = Annotated[Path, typer.Option(help="Holds reference results, costs and the plot.")]
Rounds = Annotated[int, typer.Option(min=1, help="Turns of each timing.")]
Threads = Annotated[int | None, typer.Option(min=1, help="By default what torch takes.")]


@app.command()
def export(
    network: Annotated[
        str, typer.Argument(help="A training's name, a file of weights, or shipped.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The ONNX file.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="In 8-bit integers, ranges set by training pictures.")
    ] = False,
    scale: ScaleName = "laptop",
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Write a trained network as ONNX, check it against torch, and time both."""
    from hmrlab.files import user_path
    from hmrlab.reproduce.exporting import export_network, find_network

    _use_threads(threads)
    sizes = scale_named(scale)
    try:
        model = find_network(network, sizes, seed)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="NETWORK") from error
    typer.echo(export_network(model, user_path(out), sizes, int8=int8))


@tables.app.command("backbones")
def table_backbones(
    scale: ScaleName = "laptop",
    measure: Measure = False,
    folder: Folder = Path("figures"),
    rounds: Rounds = 9,
    threads: Threads = None,
) -> None:
    """Encoders by cost and accuracy, from recorded runs; trains nothing. Draws the plot, too."""
    from hmrlab.reproduce.lighter import compare_backbones

    _use_threads(threads)
    sizes = scale_named(scale)
    typer.echo(compare_backbones(sizes, folder, measured=measure, rounds=rounds))


@tables.app.command("pruning")
def table_pruning(
    scale: ScaleName = "laptop",
    measure: Measure = False,
    folder: Folder = Path("figures"),
    rounds: Rounds = 9,
    threads: Threads = None,
) -> None:
    """Pruned networks by cost and accuracy, from recorded runs; trains nothing. Draws the plot."""
    from hmrlab.reproduce.lighter import compare_pruning

    _use_threads(threads)
    sizes = scale_named(scale)
    typer.echo(compare_pruning(sizes, folder, measured=measure, rounds=rounds))


@tables.app.command("card")
def table_card(scale: ScaleName = "gpu", folder: Folder = Path("figures")) -> None:
    """Encoders after equal time on a GPU (tools/gpu.py), from recorded runs; trains nothing."""
    from hmrlab.tables.recorded import compare_on_card

    typer.echo(compare_on_card(scale_named(scale), folder))


def _use_threads(count: int | None) -> None:
    import torch

    if count:
        torch.set_num_threads(count)
