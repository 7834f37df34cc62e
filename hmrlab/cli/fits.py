"""Fitting bodies to keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmrlab.cli.shared import MaxPixels, ScaleName, bad_parameter, fail, scale_named

if TYPE_CHECKING:
    from hmrlab.config import Scale

app = typer.Typer()


@app.command()
def fit(
    people: Annotated[
        str | None,
        typer.Argument(metavar="[SET]", help="studio, wild, a prepared set, or a record file."),
    ] = None,
    photo: Annotated[
        Path | None, typer.Option(metavar="IMAGE", help="A photo of one person or several.")
    ] = None,
    keypoints: Annotated[
        Path | None, typer.Option(metavar="JSON", help="What OpenPose (BODY_25) saw in it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the files go; data/fits for a set.")
    ] = None,
    scale: ScaleName = "laptop",
    starts: Annotated[
        int, typer.Option(min=1, max=12, help="Cold starts of each person in a set.")
    ] = 4,
    max_pixels: MaxPixels = None,
) -> None:
    """Fit bodies to 2D keypoints: of a photo of yours, or of everybody in a set.

    With --photo: overlay, turntables, meshes, parameters. With a set: the first fits of its people
    without SMPL labels, which trainings with fits begin with. A run that is stopped goes on.
    """
    if people is not None:
        if photo or keypoints:
            raise typer.BadParameter("give a set or a photo, not both", param_hint="SET")
        _fit_set(people, scale_named(scale), starts, out)
        return
    given = {"--photo": photo, "--keypoints": keypoints, "--out": out}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise typer.BadParameter(
            f"{' and '.join(missing)} missing; a photo is fitted with "
            "hmrlab fit --photo IMAGE --keypoints JSON --out DIR; hmrlab people IMAGE needs no JSON"
        )
    from hmrlab import photos
    from hmrlab.bodies import load_body
    from hmrlab.files import MAX_PIXELS
    from hmrlab.smplify import load_prior

    image = photos.read_photo(photo, max_pixels or MAX_PIXELS)
    seen = photos.read_openpose(keypoints)
    try:
        result = photos.fit_photo(image, seen, load_body(), load_prior(), progress=True)
    except photos.NobodyError as error:
        fail(f"{keypoints}: {error}")
    written = photos.save_bodies(result, out, progress=True)
    typer.echo(photos.summary(result, written))


def _fit_set(people: str, scale: Scale, starts: int, out: Path | None) -> None:
    from hmrlab.config import THRESHOLD
    from hmrlab.training.first_fits import fit_people

    with bad_parameter("SET"):
        fits, path = fit_people(people, scale, starts, out)
    done = fits[fits.valid]
    typer.echo(f"{len(done):,} of {len(fits):,} people fitted (labelled ones are left alone)")
    if len(done):
        error = done.reprojection
        typer.echo(
            f"2D error, pixels squared: mean {error.mean():.1f}, median {error.median():.1f}; "
            f"{(error < THRESHOLD).float().mean():.1%} are below {THRESHOLD:.0f} and would teach"
        )
    typer.echo(path)
