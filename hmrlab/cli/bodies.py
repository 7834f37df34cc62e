"""Commands about the body."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hmrlab.cli.shared import fail

app = typer.Typer(help="The body: build the free one, check a file.", no_args_is_help=True)


@app.command("build")
def body_build(
    out: Annotated[Path | None, typer.Option(help="Folder; by default the package's.")] = None,
) -> None:
    """Build the free body anew; needs the extra hmrlab[body]."""
    from hmrlab.bodies.build import build_free_body

    try:
        written = build_free_body(out) if out else build_free_body()
    except ModuleNotFoundError as error:
        fail(str(error))
    for label, path in written.items():
        typer.echo(f"{label:8} {path} ({path.stat().st_size / 1e6:.2f} MB)")


@app.command("info")
def body_info(
    file: Annotated[str, typer.Argument(help="A body file, or free.")] = "free",
) -> None:
    """Check a body file and say what is in it."""
    import torch

    from hmrlab.bodies import load_body

    body = load_body(file)
    rest = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))[0]
    width, height, depth = (rest.max(0).values - rest.min(0).values).tolist()
    typer.echo(f"{file}: fit for hmrlab")
    typer.echo(
        f"  {body.n_vertices:,} vertices, {len(body.faces):,} triangles, 24 joints, 10 betas"
    )
    typer.echo(f"  at rest {height:.2f} m tall, arms {width:.2f} m wide, {depth:.2f} m deep")
