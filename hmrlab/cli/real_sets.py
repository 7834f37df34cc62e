"""Commands about the real data sets: from official downloads to records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hmrlab.data.prepare.recipe import Recipe
    from hmrlab.data.prepared import PreparedSet

app = typer.Typer()
Root = Annotated[
    Path, typer.Option(metavar="DIR", help="Where the official download was unpacked.")
]


@app.command("prepare")
def data_prepare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Sets: see hmrlab data status; or all."),
    ],
    root: Root,
    split: Annotated[
        list[str] | None, typer.Option(help="A split; may be repeated. By default all.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where pictures made of videos go; by default in ROOT."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one for each core.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Make anew what is there.")] = False,
) -> None:
    """Turn the official download of a real set into records.

    All files are looked for before any work. A run that is stopped goes on. With several names, or
    all, DIR holds a folder for each set, called as the set or as its archive.
    """
    from hmrlab.data.prepare.checking import check_all
    from hmrlab.data.prepare.runner import prepare
    from hmrlab.files import resolve

    root = resolve(root)
    recipes = _recipes(names, split, root)
    if images is not None:
        recipes = [_with_pictures_in(images, recipe) for recipe in recipes]
    alone = len(names) == 1 and names != ["all"]
    plans = [
        (recipe, root if alone else recipe.root_below(root), name)
        for recipe in recipes
        for name in recipe.splits
        if not split or name in split
    ]
    check_all(plans)
    for recipe, folder, name in plans:
        found, made = prepare(recipe, folder, name, workers=workers, force=force)
        if not made:
            typer.echo("was prepared already, from the same files (--force makes it anew)")
        typer.echo(found.summary())
        _tell_of_expected(recipe, found)


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
        found, missing = adopt(file, root, name=name, split=split, masks=masks, fits=fits)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--name, --split") from error
    typer.echo(found.summary())
    if missing:
        typer.echo(f"{missing:,} of them have no picture there and are left out when read")
    if fits is not None:
        typer.echo(f"with the fits of {fits}")


def _recipes(names: list[str], splits: list[str] | None, root: Path) -> list[Recipe]:
    """The recipes named; of "all" those that have a folder in ROOT."""
    from hmrlab.data.prepare.catalogue import RECIPES, get_recipe

    if names == ["all"]:
        found = [recipe for recipe in RECIPES.values() if recipe.root_below(root) != root]
        if not found:
            wanted = ", ".join("/".join((one.name, *one.folders)) for one in RECIPES.values())
            raise typer.BadParameter(
                f"{root} has none of the folders {wanted}", param_hint="--root"
            )
    else:
        try:
            found = [get_recipe(name) for name in names]
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="NAME") from error
    for recipe in found:
        if splits and not set(splits) & set(recipe.splits):
            raise typer.BadParameter(
                f"{recipe.name} has the splits {', '.join(recipe.splits)}", param_hint="--split"
            )
    return found


def _with_pictures_in(images: Path, recipe: Recipe) -> Recipe:
    from hmrlab.files import resolve

    if recipe.elsewhere is None:
        raise typer.BadParameter(
            f"{recipe.name} comes as pictures, which stay where they are", param_hint="--images"
        )
    return recipe.elsewhere(resolve(images))


def _tell_of_expected(recipe: Recipe, found: PreparedSet) -> None:
    expected = recipe.expected.get(found.split)
    if expected is not None and expected != found.count:
        typer.echo(f"for comparison: SPIN's released file of it has {expected:,} samples")


def status() -> str:
    """A table of the real sets, and where to get those that are not prepared."""
    from hmrlab.data.prepare.catalogue import RECIPES
    from hmrlab.tables import Table

    rows, missing = [], []
    for recipe in RECIPES.values():
        states = [_state(recipe, split) for split in recipe.splits]
        rows += states
        if any(state[2].startswith("not prepared") for state in states):
            missing.append(
                f"{recipe.name}: {recipe.title}\n  register: {recipe.registration}\n"
                f"  licence: {recipe.licence}\n  size: {recipe.disk}"
            )
    header = ("set (real)", "split", "state", "people", "left out", "size")
    parts = ["", Table(header, tuple(rows)).to_markdown()]
    if missing:
        parts += ["", "Not prepared (hmrlab data prepare NAME --root DIR):", *missing]
    return "\n".join(parts)


def _state(recipe: Recipe, split: str) -> tuple[str, ...]:
    """A row of the table."""
    from hmrlab.data.packed import packed_folder, packed_problem
    from hmrlab.data.prepared import prepared_folder, read_set, set_problem
    from hmrlab.doctor import gigabytes

    folder = prepared_folder(recipe.name, split)
    if not (folder / "set.json").is_file():
        begun = (folder / ".parts").is_dir()
        state = "not prepared, but begun" if begun else "not prepared"
        return recipe.name, split, state, "-", "-", "-"
    size = gigabytes(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
    problem = set_problem(folder)
    if problem is not None:
        return recipe.name, split, f"damaged: {problem}", "-", "-", size
    found = read_set(folder)
    state = "prepared" if found.images.is_dir() else f"its pictures are gone from {found.images}"
    packed = packed_folder(folder)
    if packed.is_dir():
        problem = packed_problem(packed, found.records_sha256)
        state += f"; its packed form {problem}" if problem else ", packed"
    left_out = f"{sum(found.skipped.values()):,}"
    return recipe.name, split, state, f"{found.count:,}", left_out, size
