"""Commands that make what comes with the package."""

from __future__ import annotations

import typer

from hmrlab.cli.shared import ScaleName, Seed, fail, scale_named

app = typer.Typer(help="What comes with the package.", no_args_is_help=True)


@app.command("build")
def assets_build(scale: ScaleName = "laptop", seed: Seed = 0) -> None:
    """Make the package's weights anew from recorded runs; trains what the ledger lacks."""
    from hmrlab.reproduce.assets import build_assets

    try:
        written = build_assets(scale_named(scale), seed)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scale") from error
    for path in written:
        typer.echo(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")


@app.command("prior")
def assets_prior() -> None:
    """Fit the package's pose prior anew; needs the extra hmrlab[body]."""
    from hmrlab.reproduce.prior import build_prior

    try:
        path = build_prior()
    except ModuleNotFoundError as error:
        fail(str(error))
    typer.echo(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
