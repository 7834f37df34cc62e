"""Packing the pictures of real data sets."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command("pack")
def data_pack(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Prepared sets: see hmrlab data status.")
    ],
    split: Annotated[str, typer.Option(help="Which split of each.")] = "train",
    resolution: Annotated[
        int, typer.Option(metavar="PIXELS", help="Side of the crops that trainings want.")
    ] = 224,
    store: Annotated[
        str, typer.Option(help="jpeg; or raw: read twice as fast, ten times as large.")
    ] = "jpeg",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one for each core.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Pack anew what is there.")] = False,
) -> None:
    """Crop every person of a prepared set once, so that trainings decode no whole picture again.

    What it will take on the disk is told, and looked for, before the work. A run that is stopped
    goes on.
    """
    from collections import Counter

    from hmrlab.data.packed import PackPlan, packed_folder
    from hmrlab.data.packing import estimate, is_packed, pack
    from hmrlab.data.prepared import prepared_folder, require_set

    for name in names:
        prepared = require_set(name, split)
        folder = prepared_folder(name, split)
        try:
            plan = PackPlan(prepared.records_sha256, store=store, resolution=resolution)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if not force and is_packed(folder, plan):
            typer.echo(f"{name} {split} is packed already: {packed_folder(folder)}")
            continue
        typer.echo(estimate(folder, plan))
        note = pack(folder, plan, workers=workers)
        size = sum(note.files.values()) / 1e6
        typer.echo(
            f"{name} {split}: {note.count - len(note.damaged):,} people packed, "
            f"{size:,.0f} MB in {packed_folder(folder)}"
        )
        if note.damaged:
            typer.echo(f"left out, their pictures are damaged: {len(note.damaged):,}")
            for reason, count in Counter(note.damaged.values()).most_common(5):
                typer.echo(f"  {count:,}: {reason}")
