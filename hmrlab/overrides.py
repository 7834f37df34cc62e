"""Any field of a `Config` by its dotted name: listed, changed, compared.

`--set losses.pose=0` on the command line and `with_settings` in Python both come here.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from hmrlab.config import Config


@cache
def setting_names(of: type | None = None) -> tuple[str, ...]:
    """Every field by its dotted name, such as "n_iter" and "losses.pose"."""
    of = of or Config
    words = [each.name for each in fields(of) if each.metadata.get("words")]
    names: list[str] = []
    for name, hint in _hints(of).items():
        if name not in words:
            part = _part_of(hint)
            inner = setting_names(part) if part else ()
            names += [name, *(f"{name}.{each}" for each in inner)]
    return tuple(names)


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """A config with some fields changed.

    A part that is not there (`fits` of a config without them) is made when a field of it is set.
    Values may be text, as from a command line: "0.5", "true", "studio,wild", "none".

    >>> from hmrlab.presets import preset
    >>> config = preset("with_smpl", "smoke")
    >>> changed = with_settings(config, {"n_iter": "1", "losses.pose": 0})
    >>> changed.n_iter, changed.losses.pose, config.n_iter
    (1, 0.0, 3)
    >>> with_settings(config, {"n_iters": 1})
    Traceback (most recent call last):
    ValueError: a training has no setting 'n_iters'. Did you mean n_iter? ...

    Args:
        config: to begin with.
        settings: values by dotted name: {"losses.pose": 0, "n_iter": "1"}.

    Raises:
        ValueError: there is no such field (the message suggests the nearest), or its value is of
            another kind.
    """
    known = setting_names()
    for name, value in settings.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"a training has no setting {name!r}.{hint} (hmrlab train NAME --show lists them)"
            )
        config = _changed(config, name.split("."), value, name)
    return config


def changes(config: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The fields that decide numbers and differ, by dotted name: (of the first, of the second)."""
    mine, theirs = flat(config), flat(other)
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return {name: (mine.get(name), theirs.get(name)) for name in names}


def flat(config: Config) -> dict[str, Any]:
    """Every field by its dotted name, parts taken apart; the words are left out."""
    settings: dict[str, Any] = {}
    for name, value in config.decisive.items():
        settings |= _flattened(name, value)
    return settings


def _flattened(name: str, value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        return {name: value}
    parts = [_flattened(f"{name}.{each.name}", getattr(value, each.name)) for each in fields(value)]
    return {key: one for part in parts for key, one in part.items()}


def _changed(part: Any, path: list[str], value: Any, whole: str) -> Any:
    """The (part of a) config with the field at the end of the path changed."""
    name, *rest = path
    hint = _hints(type(part))[name]
    if rest:
        inner = getattr(part, name)
        inner = _part_of(hint)() if inner is None else inner
        return replace(part, **{name: _changed(inner, rest, value, whole)})
    return replace(part, **{name: _read(value, hint, whole)})


def _read(value: Any, hint: Any, name: str) -> Any:
    """A value of the kind that a field wants."""
    if isinstance(value, str):
        if value == "none" and type(None) in typing.get_args(hint):
            return None
        if typing.get_origin(hint) is tuple:
            value = [one.strip() for one in value.split(",") if one.strip()]
    if is_dataclass(value) and isinstance(value, _part_of(hint) or ()):
        return value
    from pydantic import TypeAdapter, ValidationError  # slow to import, and seldom needed

    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise ValueError(f"{name}={value!r}: {message[0].lower()}{message[1:]}") from error


@cache
def _hints(of: type) -> dict[str, Any]:
    """The types of a dataclass's fields; to resolve them anew takes milliseconds."""
    return typing.get_type_hints(of)


def _part_of(hint: Any) -> type | None:
    """The dataclass that a field holds, if it holds one."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return next((one for one in typing.get_args(hint) if dataclasses.is_dataclass(one)), None)
    return hint if isinstance(hint, type) and is_dataclass(hint) else None
