"""A room imports only from rooms on lower floors."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "hmrlab"

FLOORS = {
    "_lazy": 0,
    "device": 0,
    "files": 0,
    "geometry": 0,
    "graphs": 0,
    "tensors": 0,
    "paths": 1,
    "ledger": 1,
    "processes": 1,
    "unpickling": 1,
    "config": 2,
    "bodies": 2,  # importing one reads a pickle
    "overrides": 3,
    "presets": 4,
    "models": 3,
    "smplify": 3,
    "data": 3,
    "rendering": 4,  # without GL by the rasteriser of the synthetic people
    "viewer": 5,  # its still pictures are rendered
    "losses": 4,
    "trainer": 4,
    "evaluation": 5,
    "photos": 6,  # their pages are viewers
    "captures": 7,  # whose people the eyes of photos see
    "spin": 5,
    "training": 8,
    "keys": 9,
    "runs": 10,
    "tables": 11,
    "reproduce": 12,
    "doctor": 13,
    "cli": 14,
}


def room_of(module: str) -> str | None:
    """`hmrlab.bodies.joints` -> `bodies`; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports(tree: ast.AST, module: str, is_package: bool) -> list[str]:
    """All modules of hmrlab that a file imports anywhere, also inside functions."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                keep = len(parents) - node.level + (1 if is_package else 0)
                base = ".".join([*parents[:keep], *([base] if base else [])])
            # `from hmrlab import paths` names a room only in its second half
            found += [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            found += [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return [name for name in found if name.split(".")[0] == "hmrlab"]


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def offences(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of a file that its room's floor does not allow, in words."""
    own = room_of(module)
    bad = []
    for imported in imports(ast.parse(source), module, is_package):
        other = room_of(imported)
        if other in (None, own, "__version__"):
            continue
        if other not in FLOORS:
            bad.append(f"{module} imports {imported}, a room without a floor in this test")
        elif own is None or FLOORS[other] >= FLOORS[own]:
            bad.append(f"{module} imports {imported}, which does not stand on a lower floor")
    return bad


# the package's own face stands above all rooms
MODULES = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})


def test_every_room_has_a_floor():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms - {"__init__", "__main__"} <= set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_import_only_from_below(path):
    is_package = path.name == "__init__.py"
    parts = ("hmrlab", *path.relative_to(PACKAGE).with_suffix("").parts)
    module = ".".join(parts[:-1] if is_package else parts)
    assert offences(path.read_text(encoding="utf-8"), module, is_package) == []


@pytest.mark.parametrize(
    "line",
    [
        "import hmrlab.training",
        "from hmrlab.training.runs import Run",
        "from hmrlab import training",
        "from ..training import runs",
        "from .. import training",
        "def lazily():\n    from hmrlab.evaluation import metrics",
        "import importlib\nimportlib.import_module('hmrlab.rendering')",
        "from hmrlab.models import HMR",
        "from hmrlab.attic import lost",
    ],
)
def test_the_scan_sees_every_way_of_importing_from_above(line):
    assert len(offences(line, "hmrlab.data.crops")) == 1


@pytest.mark.parametrize(
    "line",
    ["from hmrlab.bodies import load_body", "from hmrlab import paths", "from . import batch",
     "from hmrlab.data.batch import Batch", "import numpy.training", "from .batch import Batch"],
)  # fmt: skip
def test_the_scan_lets_pass_what_is_below_or_at_home(line):
    assert offences(line, "hmrlab.data.crops") == []


# Where something begins: a command, a scale or a body that is asked for without a body's name.
EDGES = {"config", "doctor", "bodies.body", "bodies.paths", "smplify.prior"}
NAMED = {"body_path", "load_body", "load_gendered"}  # calls that take a body's name first


def test_only_edges_ask_which_body_the_user_chose():
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        if module.startswith("cli.") or module in EDGES:
            continue
        assert "chosen_body" not in text or module == "paths", module
        for call in calls(ast.parse(text)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            assert name not in NAMED or call.args, f"{module}, line {call.lineno}"
            keywords = {keyword.arg for keyword in call.keywords}
            assert name != "load_prior" or "body" in keywords, f"{module}, line {call.lineno}"


def test_the_bodys_name_is_read_from_the_environment_in_one_place():
    readers = [
        p.name for p in PACKAGE.rglob("*.py") if 'environ.get("HMRLAB_BODY")' in p.read_text()
    ]
    assert readers == ["paths.py"]


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
