"""Trainings in parts: one that is not finished, to go on elsewhere, and a finished one's weights.

A checkpoint of ResNet-50's network has 320 MB, most of them what AdamW keeps of each weight. In
parts it has 54: the weights in half precision, and all else but AdamW's moments, which start anew.
So the training that goes on is not bit for bit the one that was never stopped, and its record says
`resumed`.
"""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmrlab.files import FileProblem, scratch_folder, write_text_whole, write_whole
from hmrlab.models.safe_load import read_torch, shown
from hmrlab.trainer import CHECKPOINT
from hmrlab.training.equal_time import STEPS, keep_steps, kept_steps
from hmrlab.training.micro_batches import MICRO_BATCH, keep_micro_batch, kept_micro_batch
from hmrlab.training.parts import NAME, read_parts, whole_names, write_parts
from hmrlab.training.results import WEIGHTS

RESUMED = "resumed.txt"  # beside a checkpoint that came in parts
CHECKPOINT_KIND, WEIGHTS_KIND = "checkpoint", "weights"
_MOST_STEPS = 10**9


@dataclass(frozen=True)
class PartsOf:
    """What the parts of a training say of it."""

    kind: str
    folder: str  # of the training, by name
    key: str  # the run's, see `run_key`
    step: int = 0
    steps: int = 0
    micro_batch: int = 0

    def __post_init__(self) -> None:
        if self.kind not in (CHECKPOINT_KIND, WEIGHTS_KIND) or not NAME.fullmatch(self.folder):
            raise ValueError(f"kind {shown(self.kind)!r} of {shown(self.folder)!r} is none of ours")
        if not 0 <= self.step <= _MOST_STEPS or not 0 <= self.steps <= _MOST_STEPS:
            raise ValueError(f"step {self.step} of {self.steps} cannot be")


def split_checkpoint(folder: Path, into: Path, most: int = 8) -> list[Path]:
    """Write an unfinished training's checkpoint as parts.

    Args:
        folder: of the training.
        into: folder for the parts.
        most: parts.

    Raises:
        FileProblem: there is no whole checkpoint, or the parts cannot be written.
        ValueError: it does not fit into so many parts.
    """
    state = read_torch(folder / CHECKPOINT)
    try:
        content = state | {
            "model": {key: _halved(value) for key, value in state["model"].items()},
            "optimizer": {"state": {}, "param_groups": state["optimizer"]["param_groups"]},
        }
        key, step = state["fingerprint"], int(state["step"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileProblem(f"{folder / CHECKPOINT} is no checkpoint of a training") from error
    steps = kept_steps(folder) if (folder / STEPS).is_file() else 0
    micro_batch = kept_micro_batch(folder) if (folder / MICRO_BATCH).is_file() else 0
    said = PartsOf(CHECKPOINT_KIND, folder.name, key, step, steps, micro_batch)
    return write_parts(_saved(content), _name(said), into, asdict(said), most)


def split_weights(folder: Path, key: str, into: Path, most: int = 8) -> list[Path]:
    """Write a finished training's weights as parts, in half precision.

    Args:
        folder: of the training.
        key: of its run.
        into: folder for the parts.
        most: parts.

    Raises:
        FileProblem: there are no whole weights, or the parts cannot be written.
        ValueError: they do not fit into so many parts.
    """
    content = read_torch(folder / WEIGHTS)
    try:
        model = {name: _half(value) for name, value in content["model"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise FileProblem(f"{folder / WEIGHTS} holds no weights of a training") from error
    said = PartsOf(WEIGHTS_KIND, folder.name, key)
    return write_parts(_saved(content | {"model": model}), _name(said), into, asdict(said), most)


def parts_in(folder: Path) -> dict[str, PartsOf]:
    """The trainings whose parts lie in a folder, by the name of their parts; all are checked.

    Raises:
        FileProblem: a part is missing, damaged or another file's.
    """
    return {name: _told(folder, name, read_parts(folder, name)[1]) for name in whole_names(folder)}


def join_parts(folder: Path, name: str, trainings: Path) -> Path:
    """Put a training's parts together, in its own folder among the trainings.

    From a checkpoint the same run goes on; weights are those of a finished run. A file that is
    there already stays as it is: it is at least as far.

    Args:
        folder: of the parts.
        name: of the parts, see `parts_in`.
        trainings: parent of the trainings' folders.

    Returns:
        The training's folder.

    Raises:
        FileProblem: a part is missing, damaged or another file's, or what they hold is not what a
            training left; nothing is written.
    """
    content, said = read_parts(folder, name)
    told = _told(folder, name, said)
    target = trainings / told.folder
    place = target / (CHECKPOINT if told.kind == CHECKPOINT_KIND else WEIGHTS)
    if place.exists() or (target / WEIGHTS).exists():
        return target
    state = _opened(content, folder / name)
    if not isinstance(state, dict) or not isinstance(state.get("model"), dict):
        raise FileProblem(f"the parts of {name} in {folder} hold no training; copy them anew")
    if told.kind == CHECKPOINT_KIND:
        _check_resumable(state, told, folder / name)
        state["model"] = {key: _single(value) for key, value in state["model"].items()}
        content = _saved(state)
        if told.steps:
            keep_steps(target, told.steps)
        if told.micro_batch:
            keep_micro_batch(target, told.micro_batch)
        write_text_whole(target / RESUMED, f"from step {told.step}\n")
    write_whole(place, lambda file: file.write(content))
    return target


def _name(said: PartsOf) -> str:
    return f"{said.kind}-{said.folder}"


def _told(folder: Path, name: str, said: dict[str, Any]) -> PartsOf:
    try:
        told = PartsOf(**said)
    except (TypeError, ValueError) as error:
        raise FileProblem(f"{folder / name}: its parts are no training's ({error})") from error
    if name != _name(told):
        raise FileProblem(
            f"{folder / name}: its parts speak of {shown(told.folder)!r}; remove them"
        )
    return told


def _check_resumable(state: dict[str, Any], told: PartsOf, place: Path) -> None:
    if state.get("fingerprint") != told.key or state.get("step") != told.step:
        raise FileProblem(f"{place}: its parts hold another training than they say; remove them")
    if not all(isinstance(value, Tensor) for value in state["model"].values()):
        raise FileProblem(f"{place}: its parts hold something else than weights; remove them")
    seconds = state.get("seconds")
    if not isinstance(seconds, float) or not 0 <= seconds < math.inf:
        raise FileProblem(f"{place}: its parts do not say how long was trained; copy them anew")


def _opened(content: bytes, place: Path) -> Any:
    with scratch_folder() as scratch:
        path = write_whole(scratch / "joined.pt", lambda file: file.write(content), durable=False)
        try:
            return read_torch(path)
        except FileProblem as error:
            raise FileProblem(f"{place}: its parts hold no training; copy them anew") from error


def _saved(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _halved(value: Tensor) -> Tensor:
    """Matrices in half precision; statistics and biases are few, and some are beyond its range."""
    return _half(value) if value.dim() > 1 else value.clone()


def _half(value: Tensor) -> Tensor:
    return value.half() if value.is_floating_point() else value.clone()


def _single(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
