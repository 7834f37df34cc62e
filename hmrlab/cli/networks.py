"""What is done with trained networks: evaluating them, exporting them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli.shared import ScaleName, Seed, bad_parameter, scale_named

app = typer.Typer()

Network = Annotated[
    str, typer.Argument(metavar="MODEL", help="A training's name, a file of weights, or shipped.")
]


@app.command()
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A training's name, a file of weights, or shipped; without a network: smplify, "
            "fits that begin cold, or mean, the mean body.",
        ),
    ],
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="LIST",
            help="balance (real, without registration), 3dpw, mpi-inf-3dhp, h36m-p1, h36m-p2, lsp, "
            "studio-test, wild-test, or a set of your own; commas between; twin:3dpw is 3dpw's "
            "synthetic twin.",
        ),
    ] = "studio-test,wild-test",
    twins: Annotated[
        bool, typer.Option("--twins", help="Take the synthetic twins of the real sets.")
    ] = False,
    fits: Annotated[
        bool,
        typer.Option("--fits", help="Evaluate fits to detected keypoints, begun with the answers."),
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
    prepared first (hmrlab data prepare); their synthetic twins need nothing, and balance a package
    that anybody can fetch (it says which).
    """
    from hmrlab.device import choose_device
    from hmrlab.reproduce.evaluations import (
        definitions_of,
        evaluate_network,
        evaluations_tables,
        protocols_named,
    )

    sizes = scale_named(scale)
    with bad_parameter("--on"):
        protocols = protocols_named(on, twins)
    with bad_parameter("--device"):
        chosen = choose_device(device)
    records = []
    with bad_parameter("MODEL"):
        for done in evaluate_network(
            model, protocols, sizes, seed, device=chosen, limit=limit, out=out, fits=fits
        ):
            typer.echo(f"{done}\n")
            records.append(done.record)
    typer.echo(f"{definitions_of(protocols)}\n")
    for table in evaluations_tables(records):
        typer.echo(f"{table.to_markdown()}\n")


@app.command()
def export(
    network: Network,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The ONNX file.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="In 8-bit integers, ranges set by training pictures.")
    ] = False,
    scale: ScaleName = "laptop",
    seed: Seed = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="By default what torch takes.")] = None,
) -> None:
    """Write a trained network as ONNX, check it against torch, and time both."""
    import torch

    from hmrlab.files import user_path
    from hmrlab.reproduce.exporting import export_network, find_network

    if threads:
        torch.set_num_threads(threads)
    sizes = scale_named(scale)
    with bad_parameter("MODEL"):
        model = find_network(network, sizes, seed)
    typer.echo(export_network(model, user_path(out), sizes, int8=int8))
