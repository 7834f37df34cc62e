"""Turning bodies and meshes in the browser."""

from __future__ import annotations

import threading
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hmrlab.viewer import BodyViewer

app = typer.Typer()

PAGE_ENDINGS = (".html", ".htm")


@app.command()
def view(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Parameters (.npz), meshes (.obj, .glb, .gltf, .ply, .stl), or bodies "
            "(.npz, or free).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page and show nothing.")
    ] = None,
    include_body: Annotated[
        bool, typer.Option("--include-body", help="Write a body model of your own, too.")
    ] = False,
    body: Annotated[
        str | None,
        typer.Option(metavar="BODY", help="Of parameters: a body file, or free."),
    ] = None,
    detail: Annotated[str, typer.Option(help="light or full, of the free body.")] = "light",
    upright: Annotated[
        bool | None,
        typer.Option(
            "--upright/--camera", help="y up, or a camera's y down; by default as the files tell."
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser, too.")
    ] = True,
) -> None:
    """Turn bodies or meshes in the browser, side by side; or write a page of them.

    The page is served to this machine alone, until Ctrl-C.
    """
    from hmrlab.bodies.body import DETAILS
    from hmrlab.viewer.files import view_files

    if out is not None and out.suffix.lower() not in PAGE_ENDINGS:
        raise typer.BadParameter(f"{out} does not end in .html", param_hint="--out")
    if detail not in DETAILS:
        raise typer.BadParameter(f"{detail!r} is not light or full", param_hint="--detail")
    frame = None if upright is None else "body" if upright else "camera"
    viewer = view_files(files, body=body, detail=detail, frame=frame)
    if out is not None:
        typer.echo(viewer.to_html(out, include_body=include_body))
    else:
        _serve(viewer, port, browser)


def _serve(viewer: BodyViewer, port: int, browser: bool) -> None:
    from hmrlab.viewer.pages import PageServer, page_text

    # It stays on the machine of whoever has the body, so that this hands it to nobody.
    page = page_text([viewer], include_body=True, stills=False)
    with PageServer(page, port) as server:
        try:
            typer.echo(f"{server.address} shows it, on this machine only; Ctrl-C ends it.")
            if not viewer.free:
                typer.echo("The page holds your own body model: save it for nobody else.")
            if browser:  # in a thread of its own: some wait for the page, which comes later
                open_it = partial(webbrowser.open, server.address)
                threading.Thread(target=open_it, daemon=True).start()
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("\nEnded; the page is gone.")
