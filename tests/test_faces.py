"""What the rooms' faces promise: names that are there, and nothing heavy before it is asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from hmrlab._lazy import lazy_names

PACKAGE = Path(__file__).resolve().parent.parent / "hmrlab"
LAZY = [
    path
    for path in sorted(PACKAGE.rglob("__init__.py"))
    if "lazy_names(" in path.read_text(encoding="utf-8")
]
HEAVY = ("torch", "matplotlib", "numba", "scipy", "torchvision")


def room_at(path: Path) -> str:
    return ".".join(path.parent.relative_to(PACKAGE.parent).parts)


@pytest.fixture(params=LAZY, ids=room_at)
def face(request):
    return request.param


def test_a_face_gives_all_that_it_names(face):
    room = import_module(room_at(face))
    assert [name for name in room.__all__ if not hasattr(room, name)] == []


def test_tab_completes_the_names_of_a_face_before_their_first_use(face):
    room = room_at(face)
    program = f"import {room}\nprint(set({room}.__all__) - set(dir({room})))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_what_an_editor_sees_of_a_face_is_what_python_gives(face):
    """Each name for type checkers is of the module that it comes from."""
    tree = ast.parse(face.read_text(encoding="utf-8"))
    (seen,) = (node for node in tree.body if isinstance(node, ast.If))
    room = import_module(room_at(face))
    for each in seen.body:
        for alias in each.names:
            assert alias.name in room.__all__
            assert getattr(room, alias.name) is getattr(import_module(each.module), alias.name)


def test_a_name_that_a_face_has_not_is_said_as_python_says_it():
    get = lazy_names("hmrlab.data")
    with pytest.raises(AttributeError, match=r"module 'hmrlab\.data' has no attribute 'Btch'"):
        get("Btch")


def test_faces_load_nothing_heavy_before_they_are_asked():
    rooms = ("bodies", "data", "evaluation", "tables")
    program = (
        f"import sys\nfrom hmrlab import {', '.join(rooms)}\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
