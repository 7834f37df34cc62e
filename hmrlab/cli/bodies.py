"""Commands about the body."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The body: import SMPL, check a file.", no_args_is_help=True)


@app.command("import")
def body_import(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files, or folders that hold them.")
    ],
    gender: Annotated[
        str | None,
        typer.Option(help="neutral, male or female, where a body's name does not say it."),
    ] = None,
) -> None:
    """Import SMPL's .pkl or .npz of any release, and SPIN's files that go with it.

    Recognised by their content: basicmodel_*.pkl or SMPL_*.pkl/.npz, J_regressor_extra.npy,
    J_regressor_h36m.npy, smpl_mean_params.npz, gmm_08.pkl, cube_parts.npy, vertex_texture.npy, in
    any order, now or later. Nothing in them is run, and chumpy is not needed.
    """
    from hmrlab.bodies.importing import import_files

    try:
        done = import_files(files, gender, progress=True)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--gender") from error
    passed_over = [f"passed over: {reason}" for reason in done.passed_over]
    bodies = [_standing(name) for name in (*done.ready, *done.waiting)]
    for line in (*done.lines, *passed_over, "", *bodies):
        typer.echo(line)
    if not done.ready and not done.waiting:
        typer.echo("Kept for the body, which is still to be imported.")


@app.command("list")
def body_list() -> None:
    """Say which bodies are there, and what is missing of the others."""
    from hmrlab.bodies.paths import IMPORTED, companion_path

    typer.echo("free             comes with hmrlab, in the details full and light")
    for name in IMPORTED:
        typer.echo(_standing(name))
    for kind, use in (("smpl_mean_params", "the start of SPIN's network"),
                      ("gmm_08", "SMPLify's pose prior"),
                      ("cube_parts", "LSP's parts, with vertex_texture"),
                      ("vertex_texture", "LSP's parts, with cube_parts")):  # fmt: skip
        there = "imported" if companion_path(kind).is_file() else "not imported"
        typer.echo(f"{kind:16} {there}: {use}")


@app.command("info")
def body_info(
    file: Annotated[
        str, typer.Argument(help="free, smpl, smpl_male, smpl_female, or a body file.")
    ] = "free",
) -> None:
    """Check a body file and say what is in it."""
    import torch

    from hmrlab.bodies import body_path, load_body
    from hmrlab.bodies.format import read_provenance

    body = load_body(file)
    rest = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))[0]
    width, height, depth = (rest.max(0).values - rest.min(0).values).tolist()
    typer.echo(f"{file}: fit for hmrlab")
    typer.echo(
        f"  {body.n_vertices:,} vertices, {len(body.faces):,} triangles, 24 joints, 10 betas"
    )
    typer.echo(f"  at rest {height:.2f} m tall, arms {width:.2f} m wide, {depth:.2f} m deep")
    origin = read_provenance(body_path(file))
    if origin is not None:
        typer.echo(f"  {origin.release}, {origin.gender}; LSP's parts by {origin.parts}")
        typer.echo(f"  from {origin.source_name}, sha256 {origin.source_sha256}")
        typer.echo(f"  under {origin.licence}")
    elif file == "free":
        typer.echo("  hmrlab's own, in the public domain (CC0)")


@app.command("from-sam3d")
def body_from_sam3d(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="A person each, .npz of SAM 3D Body's.")
    ],
    mhr: Annotated[
        Path, typer.Option("--mhr", metavar="DIR", help="MHR's tools/mhr_smpl_conversion/assets.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="For SMPL's parameters.")] = Path(
        "sam3d"
    ),
) -> None:
    """Bring SAM 3D Body's meshes to SMPL (HMRLAB_BODY=smpl), and measure how they are twisted.

    Writes parameters, NAME.npz, which hmrlab view shows.
    """
    from hmrlab.bodies import load_body
    from hmrlab.bodies.joints import SMPL_JOINTS
    from hmrlab.evaluation.metrics import beyond_twist_limits, twist_angle
    from hmrlab.evaluation.scores import TwistFrame
    from hmrlab.files import save_npz_whole
    from hmrlab.photos.sam3d import read_mapping, read_sam3d, smpl_of

    body, mapping = load_body(), read_mapping(mhr)
    frame = TwistFrame.of(body)
    for file in files:
        found, off = smpl_of(read_sam3d(file), mapping, body)
        values = {"pose": found.pose, "betas": found.betas, "translation": found.translation}
        save_npz_whole(out / f"{file.stem}.npz", **{k: v[0].numpy() for k, v in values.items()})
        twist = twist_angle(found.rotations, frame.axes)[0]
        beyond = beyond_twist_limits(found.rotations, frame.axes, frame.limits)[0]
        worst = [k for k in twist.abs().argsort(descending=True).tolist() if k][:4]
        told = ", ".join(f"{SMPL_JOINTS[k]} {twist[k]:.0f}" for k in worst)
        typer.echo(
            f"{out / file.stem}.npz: vertices {1000 * off[0]:.1f} mm off in the mean; most "
            f"twisted: {told} degrees; {int(beyond[1:].sum())} of 23 joints further than a person "
            "can"
        )


def _standing(name: str) -> str:
    """A line: ready, waiting for what, or not imported."""
    from hmrlab.bodies.paths import OFFICIAL_FILES, WHERE_FROM, imported_path, waiting_path

    path = imported_path(name)
    if path.is_file():
        use = "smpl" if name == "smpl_neutral" else name
        return f"{name:16} ready: HMRLAB_BODY={use} ({path}, {path.stat().st_size / 1e6:.1f} MB)"
    if waiting_path(name).is_file():
        return (
            f"{name:16} waits for J_regressor_extra.npy and J_regressor_h36m.npy of SPIN's data, "
            "which its fetch_data.sh gets: hmrlab body import J_regressor_extra.npy "
            "J_regressor_h36m.npy"
        )
    return f"{name:16} not imported: hmrlab body import {OFFICIAL_FILES[name]}, from {WHERE_FROM}"
