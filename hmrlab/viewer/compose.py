"""Viewers of many bodies: models beside one another, and bodies that change step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.viewer.scene import translation_of
from hmrlab.viewer.widget import BodyViewer


def compare(body: Body, answers: Mapping[str, Any], **options: Any) -> BodyViewer:
    """Several models' bodies for the same people, beside one another under one camera.

    Args:
        body: of all of them.
        answers: by the models' names, each with `rotations` (P, 24, 3, 3), `betas` (P, 10) and,
            if it has one, a `camera` or a `translation`, in the camera's frame.
        options: `truth`, alike, what they are held against, which stands last; and those of
            `BodyViewer`, such as `pictures`, `people`, `heat` and `start`.

    Raises:
        ValueError: no answers, or of different numbers of people.
    """
    return timeline(body, {name: [answer] for name, answer in answers.items()}, **options)


def timeline(
    body: Body,
    paths: Mapping[str, Sequence[Any]] | Sequence[Any],
    *,
    truth: Any | None = None,
    **options: Any,
) -> BodyViewer:
    """Bodies that change step by step: a regressor's corrections, an optimiser's steps, epochs.

    Args:
        body: of all of them.
        paths: the steps of one model, or of several by their names; each step as an answer of
            `compare`, for the same people.
        truth: as in `compare`; it stays where it is.
        options: of `BodyViewer`, such as `steps`, a label for each, and `step_name`.

    Raises:
        ValueError: nothing to show, or numbers of steps or of people that differ.
    """
    named = dict(paths) if isinstance(paths, Mapping) else {"answer": paths}
    lengths = {name: len(path) for name, path in named.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"every model needs the same number of steps, and at least one: {lengths}")
    if truth is not None:
        named["truth"] = [truth] * min(lengths.values())
    counts = {name: {len(one.betas) for one in path} for name, path in named.items()}
    if len({count for found in counts.values() for count in found}) != 1:
        raise ValueError(f"the same people everywhere, please; numbers of bodies: {counts}")
    translations = [[translation_of(one) for one in path] for path in named.values()]
    placed = all(place is not None for path in translations for place in path)
    return BodyViewer(
        body,
        _stacked([[one.rotations for one in path] for path in named.values()]),
        _stacked([[one.betas for one in path] for path in named.values()]),
        translation=_stacked(translations) if placed else None,
        names=list(named),
        truth=len(named) - 1 if truth is not None else None,
        **{"frame": "camera"} | options,
    )


def _stacked(paths: Sequence[Sequence[Tensor]]) -> Tensor:
    """Figures x steps of (P, ...) -> (P, steps, figures, ...)."""
    whole = torch.stack([torch.stack([one.detach().cpu() for one in path]) for path in paths])
    return whole.movedim(2, 0).swapaxes(1, 2)
