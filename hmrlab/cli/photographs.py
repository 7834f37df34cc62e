"""Bodies for the people of photographs, by fits and by networks."""

from __future__ import annotations

from functools import wraps
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hmrlab.cli.shared import (
    Eyes,
    MaxPixels,
    ScaleName,
    Seed,
    bad_parameter,
    check_eyes,
    fail,
    scale_named,
)
from hmrlab.paths import chosen_body

if TYPE_CHECKING:
    from hmrlab.models import Opened
    from hmrlab.photos.finding import Finder, NetworkDetector
    from hmrlab.photos.folder import Job, Maker

app = typer.Typer()

SHIPPED, PEOPLE = "shipped", "people"
DETECTED = 0.9  # how sure R-CNN has to be of a person, which is so of most
TOY = (
    "The shipped network is a small one, trained on synthetic people at 64 pixels: on a real photo "
    "it is a toy, and its poses are poor. --model people is not."
)
OTHER_BODY = (
    "Note: this network gives {theirs} parameters, and they are shown on {ours}, whose shapes and "
    "joints are others: poses are about right, sizes and places are not. {remedy}"
)


@app.command()
def people(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Photos, or folders with photos in them."),
    ],
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y,W,H", help="About a person, pixels; once for each person."),
    ] = None,
    keypoints: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON|DIR", help="What OpenPose (BODY_25) saw; of a folder, a folder of them."
        ),
    ] = None,
    detect: Annotated[
        bool, typer.Option("--detect", help="Look for people by torchvision's keypoint R-CNN.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Each photo shows one person, who fills it.")
    ] = False,
    fit: Annotated[
        bool,
        typer.Option("--fit/--no-fit", help="Fit bodies to what is seen, or show a network's."),
    ] = True,
    in_space: Annotated[
        bool, typer.Option("--3d/--no-3d", help="Fit to what is seen in space as well, in metres.")
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Whose bodies fits begin with, too: a checkpoint of hmrlab's or SPIN's kind, a "
            "training's name, or people, which is shown where there is no fit.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder for each photo goes there; runs/people, or runs/photos "
            "for a network's bodies.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make anew what was done.")] = False,
    eyes: Eyes = "full",
    box_factor: Annotated[
        float, typer.Option(min=0.1, max=10, help="Enlarges boxes; 1.2 for tight ones.")
    ] = 1.0,
    least_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="How sure a person has to be; 0.2, by --detect 0.9."),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(min=32, max=1024, help="Of a network's crops, where no file tells it."),
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Write a page to turn it.")] = True,
    include_body: Annotated[
        bool, typer.Option("--include-body", help="Write a body model of your own into pages.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch the weights for --detect, 237 MB.")
    ] = False,
    max_pixels: MaxPixels = None,
    scale: ScaleName = "laptop",
    seed: Seed = 0,
) -> None:
    """Put bodies on the people of photos: found, looked at, fitted. Nothing else is needed.

    MoveNet finds everybody, unless you say who is there by --box, --keypoints, --detect or --whole.
    BlazePose sees their keypoints, in the picture and in space, and SMPLify fits a body to these:
    pictures, meshes, parameters, a page. What nobody saw is paler. A run that is stopped goes on;
    photos that cannot be used are listed at the end.
    """
    import numpy as np

    from hmrlab import paths
    from hmrlab.bodies import load_body
    from hmrlab.device import choose_device
    from hmrlab.files import MAX_PIXELS
    from hmrlab.photos import finding
    from hmrlab.photos.folder import Fitter, Predictor, jobs_for
    from hmrlab.rendering import choose_backend
    from hmrlab.smplify import load_prior

    rectangles = [_rectangle(text) for text in box or []]
    ways = {"--box": rectangles, "--keypoints": keypoints, "--detect": detect, "--whole": whole}
    given = [name for name, way in ways.items() if way]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)}: give one of them")
    with bad_parameter("--device"):
        where = choose_device(device)
    jobs = jobs_for(images, out or paths.runs_dir() / ("people" if fit else "photos"))
    if len(jobs) > 1 and (rectangles or (keypoints and keypoints.is_file())):
        whose = "--box is" if rectangles else f"--keypoints {keypoints} is"
        raise typer.BadParameter(
            f"{whose} of one photo, and {len(jobs)} are given. Take them one by one, or give "
            "--keypoints a folder with a file for each, or --detect, or --whole."
        )
    try:
        choose_backend()
    except (RuntimeError, ValueError) as error:  # better now than after the work
        fail(str(error))
    name = model or (None if fit else PEOPLE)
    opened = None if name is None else _network(name, scale, seed)
    way: Finder | None = None
    if rectangles:
        way = finding.InBoxes(np.array(rectangles), box_factor)
    elif keypoints is not None:
        way = finding.ByKeypoints(keypoints)
    elif whole:
        way = finding.Whole()
    elif detect:
        score = DETECTED if least_score is None else least_score
        way = finding.ByDetector(_detector(where, allow_download), score)
    both = {
        "body": load_body(),
        "finder": _looking(way, eyes, least_score, fit and (in_space or keypoints is None)),
        "include_body": include_body,
        "pages": page,
        "max_pixels": max_pixels or MAX_PIXELS,
    }
    asker = None
    if opened is not None:
        for note in _notes(name, opened):
            typer.echo(note)
        network = opened.model.to(where)
        asker = Predictor(model=network, resolution=resolution or network.resolution, **both)
    if fit:
        maker = Fitter(prior=load_prior(), in_space=in_space, start=asker, **both)
    _make_all(jobs, maker if fit else asker, force)


def _looking(way: Finder | None, eyes: str, least_score: float | None, needed: bool) -> Finder:
    """The eyes on whoever is found in some way, if they are needed; on everybody without one."""
    from hmrlab.photos.eyes import EyesOn
    from hmrlab.photos.landmarks import LEAST_SCORE, ByEyes

    check_eyes(eyes)
    if way is None:
        return ByEyes(eyes, LEAST_SCORE if least_score is None else least_score)
    return EyesOn(way, eyes) if needed else way


@app.command()
@wraps(people, assigned=["__annotations__"])
def photo(**options: Any) -> None:
    """Show a network's bodies over the people of photos: hmrlab people --no-fit by its old name.

    MoveNet finds everybody, unless you say who is there by --box, --keypoints, --detect or --whole.
    A run that is stopped goes on; photos that cannot be used are listed at the end.
    """
    people(**options, fit=False, in_space=False)


_OPTIONS = signature(people, eval_str=True)
photo.__signature__ = _OPTIONS.replace(
    parameters=[
        each for name, each in _OPTIONS.parameters.items() if name not in ("fit", "in_space")
    ]
)


def _make_all(jobs: list[Job], maker: Maker, force: bool) -> None:
    """Bodies for all photos, with a word about each."""
    from tqdm import tqdm

    from hmrlab.photos.folder import predict_all

    def report(job: Job, text: str) -> None:
        tqdm.write(text if len(jobs) == 1 else f"{job.photo.name}\n{text}\n")

    outcome = predict_all(jobs, maker, force=force, progress=True, report=report)
    if maker.pages and not maker.include_body and outcome.done and chosen_body() != "free":
        typer.echo(
            "No page was written: it would hand your body model to whoever has it, which SMPL's "
            "licence forbids; --include-body writes one to keep to yourself."
        )
    if len(jobs) == 1 and outcome.problems:
        fail(f"{jobs[0].photo}: {next(iter(outcome.problems.values()))}")
    if len(jobs) == 1 and outcome.skipped:
        typer.echo(f"{jobs[0].folder} was done before, in the same way; --force makes it anew.")
    if len(jobs) > 1:
        typer.echo(outcome)
    if outcome.problems:
        raise typer.Exit(1)


def _rectangle(text: str) -> tuple[float, ...]:
    """Four numbers of an option; what they mean is checked against the photo."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 4:
        raise typer.BadParameter(
            f"{text!r} is not x,y,w,h: expected the left, the top, the width and the height in "
            "pixels, such as 17,37,117,142",
            param_hint="--box",
        )
    return numbers


def _network(name: str, scale: str, seed: int) -> Opened:
    """The network by that name, and what its file was."""
    from hmrlab.files import user_path
    from hmrlab.models import Opened, open_checkpoint
    from hmrlab.models.load_any import OWN
    from hmrlab.models.shipped import NETWORKS, shipped_path
    from hmrlab.reproduce.exporting import find_network

    if name in NETWORKS:
        return open_checkpoint(shipped_path(NETWORKS[name]))
    path = user_path(name)
    if path.suffix or path.is_file():
        return open_checkpoint(path)
    try:
        return Opened(find_network(name, scale_named(scale), seed), OWN)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from error


def _detector(device: object, allow_download: bool) -> NetworkDetector:
    from hmrlab.photos.finding import WEIGHTS_URL, detector_is_here, load_detector

    if allow_download and not detector_is_here():
        typer.echo(f"Fetching the detector's weights from {WEIGHTS_URL} (237 MB).")
    return load_detector(device, allow_download=allow_download)


def _notes(name: str, opened: Opened) -> list[str]:
    """What a user must know before the result."""
    from hmrlab.models.load_any import OWN
    from hmrlab.models.shipped import NETWORKS

    body, shipped = chosen_body(), name in NETWORKS
    known = {SHIPPED: [TOY], PEOPLE: []}
    notes = known.get(name, [f"{name}: {opened}"])
    if shipped and body != "free":
        theirs, ours = "the free body's", f"the body {body}"
        remedy = "Leave HMRLAB_BODY unset for it."
    elif not shipped and opened.layout != OWN and body == "free":
        theirs, ours = "SMPL's", "the free body"
        remedy = "Import SMPL (hmrlab body import FILE), and set HMRLAB_BODY=smpl."
    else:
        return notes
    return [*notes, OTHER_BODY.format(theirs=theirs, ours=ours, remedy=remedy)]
