"""Faces of rooms: a module is imported when one of its names is first asked for (PEP 562)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(room: str, modules: Mapping[str, str] | None = None) -> Callable[[str], Any]:
    """The `__getattr__` of a room's face, whose `__dir__` and `__all__` are set as well.

    Args:
        room: the room's `__name__`.
        modules: name of a module, in the room or whole ("hmrlab.runs") -> the names that the face
            gives of it, by spaces; by default what the face imports under `if TYPE_CHECKING:`.

    Returns:
        A function that imports a name's module, and leaves the name in the face: the next time
        Python finds it there.
    """
    face = sys.modules[room]
    if modules is None:
        places = _shown_to_type_checkers(Path(face.__file__))
    else:
        places = {name: module for module, names in modules.items() for name in names.split()}
    vars(face).setdefault("__all__", sorted(places))
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


def _shown_to_type_checkers(file: Path) -> dict[str, str]:
    """The names that a face imports for type checkers, and their modules."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    blocks = [node.body for node in tree.body if isinstance(node, ast.If)]
    return {
        alias.name: each.module
        for block in blocks
        for each in block
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
