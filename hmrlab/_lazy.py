"""Faces of rooms: a module is imported when one of its names is first asked for (PEP 562)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(room: str) -> Callable[[str], Any]:
    """The `__getattr__` of a room's face, whose `__dir__` and `__all__` are set as well.

    The names are those that the face imports of the package, those under `if TYPE_CHECKING:` only
    when they are asked for: they are written once, for editors and for Python.

    Args:
        room: the room's `__name__`.

    Returns:
        A function that imports a name's module, and leaves the name in the face: the next time
        Python finds it there.
    """
    face = sys.modules[room]
    tree = ast.parse(Path(face.__file__).read_text(encoding="utf-8"))
    places = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module.startswith("hmrlab.")
        and node.module != __name__
        for alias in node.names
    }
    face.__all__ = sorted(places)
    face.__dir__ = lambda: sorted({*vars(face), *places})  # so that Tab completes them

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(import_module(places[name]), name)
        setattr(face, name, value)
        return value

    return get
