"""What several commands share: options, and the way an error of the user's is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from hmrlab.config import Scale

ScaleName = Annotated[str, typer.Option(help="smoke, quick, laptop or gpu.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="The most pixels of a photo that are decoded; 200 million."
    ),
]
Eyes = Annotated[
    str, typer.Option(metavar="lite|full", help="Which of BlazePose's networks looks.")
]


def check_eyes(name: str) -> None:
    """End with a message where no network of BlazePose's that comes along is called so."""
    from hmrlab.photos.landmarks import EYES

    if name not in EYES:
        raise typer.BadParameter(
            f"{name!r} is not {' or '.join(EYES)}, the two that come along", param_hint="--eyes"
        )


def scale_named(name: str) -> Scale:
    """A scale by its name; ends with a message where there is none."""
    from hmrlab.config import get_scale

    with bad_parameter("--scale"):
        return get_scale(name)


@contextmanager
def bad_parameter(hint: str | None = None) -> Iterator[None]:
    """A ValueError in here is what a parameter (as `hint` says) is answered with."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from error


def fail(message: str, code: int = 1) -> NoReturn:
    """End with a message and an exit code."""
    typer.echo(f"hmrlab: {message}", err=True)
    sys.exit(code)
