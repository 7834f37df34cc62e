"""Training one of the presets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from hmrlab.cli.shared import ScaleName, Seed, bad_parameter, fail, scale_named

if TYPE_CHECKING:
    from hmrlab.config import Config, Scale

app = typer.Typer()


@app.command()
def train(
    name: Annotated[str | None, typer.Argument(help="Name of a training; see --list.")] = None,
    scale: ScaleName = "laptop",
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a setting, such as losses.pose=0; --show."
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="torchvision's name, timm:NAME, or small; with :logits its logits."),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at its peak.")] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Images a step; auto: the scale's, added up from parts that fit into memory.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="SET,...",
            help="Train on these, mixed by SPIN's shares: studio, wild, or prepared real sets.",
        ),
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Fetch ImageNet weights that are missing.")
    ] = False,
    list_them: Annotated[
        bool, typer.Option("--list", help="List the trainings and their results so far.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print every setting of the training, and stop.")
    ] = False,
) -> None:
    """Train one of the presets, or show its recorded result."""
    if list_them or name is None:
        _list_trainings(scale_named(scale), seed)
        return
    given = dict(_setting(text) for text in settings or ())
    given |= {} if encoder is None else {"encoder": encoder}
    given |= {} if lr is None else {"lr": lr}
    with bad_parameter():
        config = _config(name, scale_named(scale), seed, given, data, batch_size)
    if show:
        typer.echo(_shown(config, name))
    else:
        _train(config, device, allow_download)


def _config(
    name: str,
    scale: Scale,
    seed: int,
    settings: dict[str, object],
    data: str | None,
    batch_size: str | None,
) -> Config:
    """The preset with what the command line changes; its name says so."""
    from hmrlab.overrides import with_settings
    from hmrlab.presets import preset

    config = preset(name, scale, seed)
    if batch_size is not None:
        settings |= _batch_size(batch_size)
    if data is not None:
        from hmrlab.training.sets import on_data

        config = on_data(config, tuple(one.strip() for one in data.split(",") if one.strip()))
    if settings:
        words = ", ".join(f"{key}={value}" for key, value in settings.items())
        config = replace(
            with_settings(config, settings),
            name=f"{config.name}-changed",
            description=f"{config.description}; {words}",
        )
    return config


def _train(config: Config, device: str, allow_download: bool) -> None:
    import torch

    from hmrlab.device import choose_device
    from hmrlab.runs import run_training
    from hmrlab.tables import runs_table
    from hmrlab.trainer import TrainingDivergedError
    from hmrlab.training.micro_batches import DoesNotFitError

    with bad_parameter():
        choose_device(device)
    try:
        result = run_training(config, device=device, allow_download=allow_download)
    except (TrainingDivergedError, DoesNotFitError) as error:
        fail(str(error))
    except torch.OutOfMemoryError as error:
        first_line = str(error).partition("\n")[0]
        fail(f"{first_line}\nTry the same with --batch-size auto: smaller parts, the same step.")
    typer.echo("From the ledger:" if result.reused else "Trained:")
    typer.echo(runs_table([result.record]).to_markdown())
    typer.echo(f"Its files are in {result.folder}")


def _setting(text: str) -> tuple[str, str]:
    """The name and the value of "name=value"."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise typer.BadParameter(f"--set takes NAME=VALUE, such as n_iter=1; not {text!r}")
    return name.strip(), value.strip()


def _batch_size(text: str) -> dict[str, object]:
    """The settings of a number of at least 1, or of "auto"."""
    if text == "auto":
        return {"find_micro_batch": True}
    if text.isdecimal() and int(text) > 0:
        return {"batch_size": int(text)}
    raise ValueError(f"--batch-size is a number of at least 1, or auto; not {text!r}")


def _shown(config: Config, name: str) -> str:
    """Every setting on a line of its own; those that differ from the scale's are marked."""
    from hmrlab.overrides import changes, flat
    from hmrlab.presets import plain

    changed = changes(plain(config.scale, config.seed), config)
    settings = flat(config)
    width = max(map(len, settings))
    lines = [
        f"{'*' if key in changed else ' '} {key:<{width}}  {_text(value)}"
        for key, value in settings.items()
    ]
    return "\n".join(
        [
            f"{config.name}: {config.description}",
            *lines,
            f"* changed by {name} or the command; the others are the {config.scale.name} scale's.",
        ]
    )


def _text(value: object) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def _list_trainings(scale: Scale, seed: int) -> None:
    from hmrlab.presets import PRESETS, preset
    from hmrlab.runs import find_result
    from hmrlab.tables import trainings_table

    rows = []
    for name, listed in PRESETS.items():
        found = find_result(preset(name, scale, seed))
        rows.append((name, listed.description, found.record if found else None))
    typer.echo(f"Results at {scale.name} scale, seed {seed}; a dash: not run here yet.\n")
    typer.echo(trainings_table(rows).to_markdown())
