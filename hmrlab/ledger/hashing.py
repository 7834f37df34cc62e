"""A stable name for settings: equal settings give equal hashes, in every process."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any


def settings_hash(settings: Any) -> str:
    """Hash a (nested) dataclass or mapping of settings.

    The hash is SHA-256 over canonical JSON: sorted keys, each dataclass with its class's name,
    floats by their shortest exact text, and a whole-numbered float as the integer that it equals,
    so that settings which compare equal hash equally.

    Args:
        settings: a dataclass or a mapping of None, bool, int, float, str, lists, tuples, mappings
            with string keys, and dataclasses of these.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: a value of another type, named by its place in the settings.
    """
    text = json.dumps(_canonical(settings, "settings"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _canonical(getattr(value, field.name), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
        }
        return {"class": type(value).__qualname__, "fields": fields}
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise TypeError(f"{where} has the key {odd[0]!r}; only text can be a key here")
        return {key: _canonical(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which has no stable text; "
        "use numbers, text, lists, mappings and dataclasses of them"
    )
