"""The command `hmrlab`. What a command needs is imported when it runs, so that help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from hmrlab.data.synthetic.generate import SetSpec
    from hmrlab.training import Scale

app = typer.Typer(
    name="hmrlab",
    help="Human mesh recovery, rebuilt one piece at a time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
body_app = typer.Typer(help="The body: build the free one, check a file.", no_args_is_help=True)
data_app = typer.Typer(help="The synthetic sets.", no_args_is_help=True)
table_app = typer.Typer(help="Tables from the ledger.", no_args_is_help=True)
notebooks_app = typer.Typer(help="The committed notebooks.", no_args_is_help=True)
assets_app = typer.Typer(help="What comes with the package.", no_args_is_help=True)
for name, group in (
    ("body", body_app),
    ("data", data_app),
    ("table", table_app),
    ("notebooks", notebooks_app),
    ("assets", assets_app),
):
    app.add_typer(group, name=name)

ScaleName = Annotated[str, typer.Option(help="smoke, quick, laptop or gpu.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Chapters = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]...", help="Chapters by name or number; all by default."),
]
NotebooksFolder = Annotated[
    Path | None, typer.Option("--notebooks", help="Folder that holds source/NN_name.py.")
]


def main() -> None:
    """Entry point: an error of the user's, or of the machine's, is a message, no traceback."""
    from hmrlab.files import FileProblem

    try:
        app()
    except FileProblem as error:
        _fail(str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{where}")


@app.command()
def doctor() -> None:
    """Say what this machine has, what it lacks, and the remedy."""
    from hmrlab.doctor import examine

    findings = examine()
    for finding in findings:
        typer.echo(str(finding))
    if any(finding.essential and not finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def run(
    chapters: Chapters = None,
    scale: ScaleName = "quick",
    seed: Seed = 0,
    notebooks: NotebooksFolder = None,
) -> None:
    """Execute the notebooks in order and write a report: what `make run` does."""
    from hmrlab.ledger import installed_gpu
    from hmrlab.reproduce.progress import ConsoleProgress
    from hmrlab.reproduce.report import summary
    from hmrlab.reproduce.series import run_series
    from hmrlab.reproduce.sources import notebooks_folder

    _scale(scale)
    with ConsoleProgress() as progress:
        outcome = run_series(
            notebooks or notebooks_folder(),
            scale=scale,
            seed=seed,
            progress=progress,
            only=chapters or (),
            accelerator=installed_gpu(),
        )
    typer.echo(f"\n{summary(outcome.results)}.\nLook at {outcome.report}")
    if not outcome.passed:
        raise typer.Exit(1)


@app.command()
def train(
    name: Annotated[str | None, typer.Argument(help="Name of a training; see --list.")] = None,
    scale: ScaleName = "laptop",
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch ImageNet weights that are missing.")
    ] = False,
    list_them: Annotated[
        bool, typer.Option("--list", help="List the trainings and their results so far.")
    ] = False,
) -> None:
    """Train one of the diary's runs, or show its recorded result."""
    from hmrlab.reproduce.tables import runs_table
    from hmrlab.training import TrainingDivergedError, named_run, run_training
    from hmrlab.training.device import choose_device

    if list_them or name is None:
        _list_trainings(_scale(scale), seed)
        return
    try:
        wanted = named_run(name, _scale(scale), seed)
        choose_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        result = run_training(wanted, device=device, allow_download=allow_download)
    except TrainingDivergedError as error:
        _fail(str(error))
    typer.echo("From the ledger:" if result.reused else "Trained:")
    typer.echo(runs_table([result.record]).to_markdown())
    typer.echo(f"Its files are in {result.folder}")


@app.command()
def fit(
    people: Annotated[
        str | None,
        typer.Argument(metavar="[SET]", help="studio, wild, or a record file: fits its people."),
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
) -> None:
    """Fit bodies to 2D keypoints: of a photo of yours, or of everybody in a set.

    With --photo: overlay, turntables, meshes, parameters. With a set: the first fits of its people
    without SMPL labels, which trainings with fits begin with. A run that is stopped goes on.
    """
    if people is not None:
        if photo or keypoints:
            raise typer.BadParameter("give a set or a photo, not both", param_hint="SET")
        _fit_set(people, _scale(scale), starts, out)
        return
    given = {"--photo": photo, "--keypoints": keypoints, "--out": out}
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise typer.BadParameter(
            f"{' and '.join(missing)} missing; a photo is fitted with "
            "hmrlab fit --photo IMAGE --keypoints JSON --out DIR"
        )
    from hmrlab.bodies import load_body
    from hmrlab.fitting import load_prior
    from hmrlab.photos import NobodyFittedError, fit_photo, read_openpose, read_photo, save_fits
    from hmrlab.photos.save import summary

    image, seen = read_photo(photo), read_openpose(keypoints)
    try:
        result = fit_photo(image, seen, load_body(), load_prior(), progress=True)
    except NobodyFittedError as error:
        _fail(f"{keypoints}: {error}")
    written = save_fits(result, out, progress=True)
    typer.echo(summary(result, written))


@body_app.command("build")
def body_build(
    out: Annotated[Path | None, typer.Option(help="Folder; by default the package's.")] = None,
) -> None:
    """Build the free body anew; needs the extra hmrlab[body]."""
    from hmrlab.bodies.build import build_free_body

    try:
        written = build_free_body(out) if out else build_free_body()
    except ModuleNotFoundError as error:
        _fail(str(error))
    for label, path in written.items():
        typer.echo(f"{label:8} {path} ({path.stat().st_size / 1e6:.2f} MB)")


@body_app.command("info")
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


@data_app.command("make")
def data_make(scale: ScaleName = "quick") -> None:
    """Generate a scale's synthetic sets that are missing or damaged."""
    from hmrlab.data.synthetic.generate import ensure_set

    for spec in _specs(_scale(scale)):
        typer.echo(f"{spec.folder_name}: {ensure_set(spec)}")


@data_app.command("status")
def data_status() -> None:
    """Which synthetic sets of which scale are there, and what they take."""
    from hmrlab import paths
    from hmrlab.data.synthetic.generate import find_damage
    from hmrlab.doctor import gigabytes
    from hmrlab.reproduce.tables import Table
    from hmrlab.training import SCALES

    rows = []
    for scale in SCALES.values():
        for spec in _specs(scale):
            folder = paths.data_dir() / "synthetic" / spec.folder_name
            state, size = "not made yet", "-"
            if folder.is_dir():
                state = find_damage(folder) or "there"
                size = gigabytes(sum(file.stat().st_size for file in folder.iterdir()))
            rows.append((scale.name, f"{spec.name} {spec.split}", f"{spec.count:,}", state, size))
    header = ("scale", "set (synthetic)", "people", "state", "size")
    typer.echo(Table(header, tuple(rows)).to_markdown())


@table_app.command("runs")
def table_runs(
    everything: Annotated[
        bool, typer.Option("--all", help="Also older records of the same settings.")
    ] = False,
) -> None:
    """Print the ledger's runs as a Markdown table."""
    from hmrlab import paths
    from hmrlab.ledger import Ledger
    from hmrlab.reproduce.tables import newest, runs_table

    records = Ledger(paths.runs_dir() / "ledger.jsonl").records()
    if not records:
        typer.echo(f"No runs recorded in {paths.runs_dir()} yet. Make one: hmrlab train --list")
        return
    typer.echo(runs_table(records if everything else newest(records)).to_markdown())


@app.command()
def figures(scale: ScaleName = "laptop", seed: Seed = 0, folder: Path = Path("figures")) -> None:
    """Make the README's figures from recorded runs; trains what the ledger lacks."""
    from hmrlab import paths
    from hmrlab.ledger import Ledger
    from hmrlab.reproduce.figures import SHOWN_RUNS, make_figures
    from hmrlab.reproduce.tables import newest
    from hmrlab.training import named_run, run_training

    sizes = _scale(scale)
    results = [run_training(named_run(name, sizes, seed)) for name in SHOWN_RUNS]
    records = newest(Ledger(paths.runs_dir() / "ledger.jsonl").records())
    same_scale = [r for r in records if r.settings.get("scale", {}).get("name") == sizes.name]
    for path in make_figures(folder, results, same_scale):
        typer.echo(path)


@assets_app.command("build")
def assets_build(scale: ScaleName = "laptop", seed: Seed = 0) -> None:
    """Make the package's weights anew from recorded runs; trains what the ledger lacks."""
    from hmrlab.reproduce.assets import build_assets

    try:
        written = build_assets(_scale(scale), seed)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scale") from error
    for path in written:
        typer.echo(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")


@assets_app.command("prior")
def assets_prior() -> None:
    """Fit the package's pose prior anew; needs the extra hmrlab[body]."""
    from hmrlab.reproduce.prior import build_prior

    try:
        path = build_prior()
    except ModuleNotFoundError as error:
        _fail(str(error))
    typer.echo(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")


@notebooks_app.command("build")
def notebooks_build(chapters: Chapters = None, notebooks: NotebooksFolder = None) -> None:
    """Execute notebooks/source at laptop scale into the notebooks that are committed."""
    from hmrlab.reproduce.build import build_notebook
    from hmrlab.reproduce.execute import Status
    from hmrlab.reproduce.progress import ConsoleProgress
    from hmrlab.reproduce.sources import notebooks_folder, read_series

    folder = notebooks or notebooks_folder()
    series = read_series(folder, chapters or ())
    failed = 0
    with ConsoleProgress() as progress:
        for number, source in enumerate(series, start=1):
            progress.notebook_started(source, number, len(series))
            result = build_notebook(source, folder, progress)
            progress.notebook_done(result)
            failed += result.status is not Status.PASSED
    if failed:
        _fail(f"{failed} of {len(series)} notebooks failed and were left as they were.")


def _specs(scale: Scale) -> list[SetSpec]:
    """The settings of every synthetic set that a scale has."""
    from hmrlab.data.synthetic.generate import SETS, SPLITS
    from hmrlab.training.sets import set_spec

    found = []
    for name in SETS:
        for split in SPLITS:
            try:
                found.append(set_spec(name, split, scale))
            except ValueError:  # no scale has all of them
                continue
    return found


def _fit_set(people: str, scale: Scale, starts: int, out: Path | None) -> None:
    from hmrlab.fitting.memory import THRESHOLD
    from hmrlab.training.first_fits import fit_people

    try:
        fits, path = fit_people(people, scale, starts, out)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="SET") from error
    done = fits.rows(fits.valid)
    typer.echo(f"{len(done):,} of {len(fits):,} people fitted (labelled ones are left alone)")
    if len(done):
        error = done.reprojection
        typer.echo(
            f"2D error, pixels squared: mean {error.mean():.1f}, median {error.median():.1f}; "
            f"{(error < THRESHOLD).float().mean():.1%} are below {THRESHOLD:.0f} and would teach"
        )
    typer.echo(path)


def _list_trainings(scale: Scale, seed: int) -> None:
    from hmrlab.reproduce.tables import trainings_table
    from hmrlab.training import find_result, list_runs, named_run

    rows = []
    for listed in list_runs():
        found = find_result(named_run(listed.name, scale, seed))
        rows.append((listed.name, listed.options, found.record if found else None))
    typer.echo(f"Results at {scale.name} scale, seed {seed}; a dash: not run here yet.\n")
    typer.echo(trainings_table(rows).to_markdown())


def _scale(name: str) -> Scale:
    from hmrlab.training import get_scale

    try:
        return get_scale(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--scale") from error


def _fail(message: str) -> NoReturn:
    """End with a message and exit code 1."""
    typer.echo(f"hmrlab: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
