"""Commands about the data sets: synthetic ones are made, real ones prepared and packed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hmrlab.cli.shared import Eyes, ScaleName, bad_parameter, check_eyes, scale_named

if TYPE_CHECKING:
    from hmrlab.config import Scale
    from hmrlab.data.prepare.recipe import Recipe
    from hmrlab.data.synthetic.generate import SetSpec
    from hmrlab.photos.own_set import OwnSet

app = typer.Typer(help="Data sets: make synthetic ones, prepare real ones.", no_args_is_help=True)
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes; by default one for each core.")
]


@app.command("make")
def data_make(scale: ScaleName = "quick") -> None:
    """Generate a scale's synthetic sets that are missing or damaged."""
    from hmrlab.data.synthetic.generate import ensure_set

    for spec in _specs(scale_named(scale)):
        typer.echo(f"{spec.folder_name}: {ensure_set(spec)}")


@app.command("prepare")
def data_prepare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Sets: see hmrlab data status; or all."),
    ],
    root: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the official download was unpacked.")
    ],
    split: Annotated[
        list[str] | None, typer.Option(help="A split; may be repeated. By default all.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where pictures made of videos go; by default in ROOT."),
    ] = None,
    workers: Workers = None,
    force: Annotated[bool, typer.Option(help="Make anew what is there.")] = False,
) -> None:
    """Turn the official download of a real set into records.

    All files are looked for before any work. A run that is stopped goes on. With several names, or
    all, DIR holds a folder for each set, called as the set or as its archive.
    """
    from hmrlab.data.prepare.runner import check_needed, prepare
    from hmrlab.files import resolve

    root = resolve(root)
    recipes = _recipes(names, split, root, images)
    alone = len(names) == 1 and names != ["all"]
    plans = [
        (recipe, root if alone else recipe.root_below(root), name)
        for recipe in recipes
        for name in recipe.splits
        if not split or name in split
    ]
    check_needed(plans)
    for recipe, folder, name in plans:
        prepared, made = prepare(recipe, folder, name, workers=workers, force=force)
        if not made:
            typer.echo("was prepared already, from the same files (--force makes it anew)")
        typer.echo(prepared.summary())
        expected = recipe.expected.get(name)
        if expected is not None and expected != prepared.count:
            typer.echo(f"for comparison: SPIN's released file of it has {expected:,} samples")


@app.command("people")
def data_people(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER|CLIP...",
            help="Clips, photographs, or folders, which are looked through with all below.",
        ),
    ],
    name: Annotated[str, typer.Option(help="What the set is called.")] = "own",
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Look at every n-th frame of clips; by default at 3 a second."),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLIP|FOLDER",
            help="Hold it out to test on; may be repeated. By default a fifth of all, by a digest.",
        ),
    ] = None,
    eyes: Eyes = "full",
    least_score: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="How sure it has to be that somebody is a person: no wall teaches."
        ),
    ] = 0.35,
    resolution: Annotated[
        int, typer.Option(metavar="PIXELS", min=32, max=1024, help="Side of trainings' crops.")
    ] = 256,
    force: Annotated[bool, typer.Option(help="Look again at what was looked at.")] = False,
) -> None:
    """Make a training set of your own photographs and clips.

    To train on it: hmrlab train spin --data own,studio,wild.

    MoveNet finds everybody, BlazePose sees their keypoints, which are the only labels: SPIN's fits
    stand in for the 3D ones. A clip, or the photographs of one folder, is for training or for
    testing as a whole; name all clips of a person with --test, so that nobody is in both. A run
    that is stopped goes on at the clip where it was.
    """
    from hmrlab.photos.landmarks import ByEyes
    from hmrlab.photos.looking import OwnSettings
    from hmrlab.photos.own_set import make_own_set
    from hmrlab.photos.sources import find_sources

    sources, settings = find_sources(paths), OwnSettings(every, resolution)
    check_eyes(eyes)
    with bad_parameter():
        made = make_own_set(
            name, sources, ByEyes(eyes, least_score), settings, test=test or (), force=force
        )
    typer.echo(_told(made, chosen=bool(test)))


@app.command("capture")
def data_capture(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="pose2sim's wheel, or its demonstration's folder."),
    ] = None,
) -> None:
    """Make the set balance: real people whose joints four cameras agree on, and say how well.

    Without PATH it is the set that is there, else a wheel in data/downloads or an installed
    pose2sim. Evaluations (hmrlab evaluate shipped --on balance) do that by themselves.
    """
    from hmrlab.captures.balance import describe_balance, open_balance
    from hmrlab.files import user_path

    dataset = open_balance(None if source is None else user_path(source))
    typer.echo(f"{len(dataset):,} views of one person, {dataset.images.folder}")
    typer.echo(describe_balance())


@app.command("adopt")
def data_adopt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One of SPIN's dataset_extras.")],
    root: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder that its picture names are relative to.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Set that it is; by default as SPIN's file name says.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Its split; by default likewise.")] = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="UPi-S1h's folder, for LSP's test half.")
    ] = None,
    fits: Annotated[
        Path | None,
        typer.Option(metavar="FITS", help="Released fits of its rows, to begin trainings with."),
    ] = None,
) -> None:
    """Use a record file that SPIN released, and the pictures that it names, as a prepared set."""
    from hmrlab.data.prepare.extras import adopt

    try:
        prepared, missing = adopt(file, root, name=name, split=split, masks=masks, fits=fits)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--name, --split") from error
    typer.echo(prepared.summary())
    if missing:
        typer.echo(f"{missing:,} of them have no picture there and are left out when read")
    if fits is not None:
        typer.echo(f"with the fits of {fits}")


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
    workers: Workers = None,
    force: Annotated[bool, typer.Option(help="Pack anew what is there.")] = False,
) -> None:
    """Crop every person of a prepared set once, so that trainings decode no whole picture again.

    What it will take on the disk is told, and looked for, before the work. A run that is stopped
    goes on.
    """
    from collections import Counter

    from hmrlab.data.packed import PackPlan, packed_folder
    from hmrlab.data.packing import estimate, is_packed, pack
    from hmrlab.data.prepared import require_set

    for name in names:
        prepared = require_set(name, split)
        folder = prepared.folder
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


@app.command("status")
def data_status() -> None:
    """Which sets are there, what they take, and where to register for those that are not."""
    from hmrlab.data.prepare import RECIPES
    from hmrlab.data.prepared import prepared_sets
    from hmrlab.tables import Table

    header = ("scale", "set (synthetic)", "people", "state", "size")
    typer.echo(Table(header, tuple(_synthetic_sets())).to_markdown())
    rows = [_real_set(one.name, split) for one in RECIPES.values() for split in one.splits]
    rows += [_real_set(one.name, one.split) for one in prepared_sets() if one.own]
    header = ("set (real)", "split", "state", "people", "left out", "size")
    typer.echo(f"\n{Table(header, tuple(rows)).to_markdown()}")
    lacking = {name for name, _, state, *_ in rows if state.startswith("not prepared")}
    if lacking:
        typer.echo("\nNot prepared (hmrlab data prepare NAME --root DIR):")
    for recipe in RECIPES.values():
        if recipe.name in lacking:
            typer.echo(
                f"{recipe.name}: {recipe.title}\n  register: {recipe.registration}\n"
                f"  licence: {recipe.licence}\n  size: {recipe.disk}"
            )


def _told(made: OwnSet, chosen: bool) -> str:
    """What became of each source, and of the set."""
    from hmrlab.tables import Table

    above = os.path.commonpath([seen.source.path.parent for seen in made.seen])
    rows = [
        (
            os.path.relpath(seen.source.path, above),
            ("test" if seen.source in made.held_out else "train") if len(seen.samples) else "-",
            f"{seen.about.pictures:,}",
            f"{len(seen.samples):,}",
        )
        for seen in made.seen
    ]
    why = "as named" if chosen else "chosen by a digest; --test CLIP chooses"
    if made.test is None:
        why = "nobody: there is but one clip or folder to learn from"
    lines = [
        Table(("clip or folder", "split", "pictures", "people"), tuple(rows)).to_markdown(),
        f"held out to test on: {why}. Nobody should be in both: that no digest can know.\n",
        *(prepared.summary() for prepared in (made.train, made.test) if prepared),
        *(f"not used: {problem}" for problem in made.problems.values()),
    ]
    return "\n".join(lines)


def _recipes(
    names: list[str], splits: list[str] | None, root: Path, images: Path | None
) -> list[Recipe]:
    """The recipes named; of "all" those that have a folder in ROOT."""
    from hmrlab.data.prepare import RECIPES, get_recipe
    from hmrlab.files import resolve

    if names == ["all"]:
        recipes = [recipe for recipe in RECIPES.values() if recipe.root_below(root) != root]
        if not recipes:
            wanted = ", ".join("/".join((one.name, *one.folders)) for one in RECIPES.values())
            raise typer.BadParameter(
                f"{root} has none of the folders {wanted}", param_hint="--root"
            )
    else:
        try:
            recipes = [get_recipe(name) for name in names]
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="NAME") from error
    for recipe in recipes:
        if splits and not set(splits) & set(recipe.splits):
            raise typer.BadParameter(
                f"{recipe.name} has the splits {', '.join(recipe.splits)}", param_hint="--split"
            )
        if images is not None and recipe.elsewhere is None:
            raise typer.BadParameter(
                f"{recipe.name} comes as pictures, which stay where they are", param_hint="--images"
            )
    return recipes if images is None else [one.elsewhere(resolve(images)) for one in recipes]


def _specs(scale: Scale) -> Iterator[SetSpec]:
    """The settings of every synthetic set that a scale has."""
    from hmrlab.data.synthetic.generate import SETS, SPLITS, set_spec

    for name in SETS:
        for split in SPLITS:
            try:
                yield set_spec(name, split, scale)
            except ValueError:  # no scale has all of them
                continue


def _synthetic_sets() -> Iterator[tuple[str, ...]]:
    """Rows of the table of synthetic sets."""
    from hmrlab import paths
    from hmrlab.config import SCALES
    from hmrlab.files.manifests import find_damage

    for scale in SCALES.values():
        for spec in _specs(scale):
            folder = paths.data_dir() / "synthetic" / spec.folder_name
            state, size = "not made yet", "-"
            if folder.is_dir():
                state, size = find_damage(folder) or "there", _size(folder)
            yield scale.name, f"{spec.name} {spec.split}", f"{spec.count:,}", state, size


def _real_set(name: str, split: str) -> tuple[str, ...]:
    """A row of the table of real sets."""
    from hmrlab.data.packed import packed_folder, packed_problem
    from hmrlab.data.prepared import prepared_folder, read_set, set_problem

    folder = prepared_folder(name, split)
    if not (folder / "set.json").is_file():
        begun = (folder / ".parts").is_dir()
        state = "not prepared, but begun" if begun else "not prepared"
        return name, split, state, "-", "-", "-"
    problem = set_problem(folder)
    if problem is not None:
        return name, split, f"damaged: {problem}", "-", "-", _size(folder)
    prepared = read_set(folder)
    state = "prepared"
    if not prepared.images.is_dir():
        state = f"its pictures are gone from {prepared.images}"
    packed = packed_folder(folder)
    if packed.is_dir():
        problem = packed_problem(packed, prepared.records_sha256)
        state += f"; its packed form {problem}" if problem else ", packed"
    left_out = f"{sum(prepared.skipped.values()):,}"
    size = _size(prepared.images if prepared.own else folder)  # own crops lie apart, of all splits
    return name, split, state, f"{prepared.count:,}", left_out, size


def _size(folder: Path) -> str:
    """What a folder takes on the disk."""
    from hmrlab.doctor import gigabytes

    return gigabytes(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
