"""Faces of rooms: a module is imported when one of its names is first asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(room: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a room's face, whose `__dir__` is set as well.

    Args:
        room: the room's `__name__`.
        modules: name of a module, in the room or whole ("hmrlab.runs") -> the names that the face
            gives of it, by spaces.

    Returns:
        A function that imports a name's module, and leaves the name in the face: the next time
        Python finds it there.
    """
    places = {name: module for module, names in modules.items() for name in names.split()}
    face = sys.modules[room]
    face.__dir__ = lambda: sorted({*vars(face), *places})  # so that Tab completes them

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        module = places[name]
        inside = not module.startswith("hmrlab.")
        value = getattr(import_module(f"{room}.{module}" if inside else module), name)
        setattr(face, name, value)
        return value

    return get
