"""What makes two runs the same: a hash of their settings, and digests of the code behind them.

Of code, what counts is what Python runs: comments, docstrings, types of arguments, blank lines and
the breaking of lines do not. To import it takes the standard library only, and nothing of what is
looked at is imported.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = "hmrlab"
_SHORT = 16  # hexadecimal digits of each module's digest
# What is not run: functions' annotations (those of a dataclass's fields are another kind of node);
# and what Python's versions differ in.
_UNREAD = ("returns", "type_comment", "type_params", "type_ignores", "kind")


def settings_hash(settings: Any) -> str:
    """Hash a (nested) dataclass or mapping of plain values: 64 hexadecimal digits.

    It is SHA-256 over canonical JSON: sorted keys, each dataclass with its class's name, floats by
    their shortest exact text, and a whole-numbered float as the integer that it equals, so that
    settings which compare equal hash equally, in every process.

    Raises:
        TypeError: a value of another type, named by its place in the settings.
    """
    text = json.dumps(_plain(settings, "settings"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def code_digests(
    roots: tuple[str, ...], without: tuple[str, ...] = (), folder: Path | None = None
) -> dict[str, str]:
    """A digest for each of the package's modules that some modules import, directly or not.

    Names are followed through the faces of rooms: `from hmrlab.models import HMR` counts the module
    that HMR is in, not the whole room. Imports within functions count, those for type checkers do
    not matter: what they name is imported elsewhere, if it is used.

    Args:
        roots: modules, such as "hmrlab.spin".
        without: modules and rooms that decide no number; they are not entered.
        folder: of the package; by default this one.
    """
    package = _Package(folder or Path(__file__).resolve().parent.parent)
    seen: set[str] = set()
    waiting = list(roots)
    for root in roots:
        if package.path(root) is None:
            raise ValueError(f"{root} is no module of {PACKAGE}")
    while waiting:
        module = waiting.pop()
        if module in seen or any(f"{module}.".startswith(f"{one}.") for one in without):
            continue
        seen.add(module)
        waiting += package.imports(module)
    return {module: package.digest(module) for module in sorted(seen)}


def times_written(folder: Path | None = None) -> dict[str, int]:
    """When each of the package's modules was last written, ns since 1970, by module."""
    folder = folder or Path(__file__).resolve().parent.parent
    return {
        ".".join(
            (PACKAGE, *path.relative_to(folder).with_suffix("").parts)
        ): path.stat().st_mtime_ns
        for path in folder.rglob("*.py")
    }


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The modules whose code differs, or that only one of the two has."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def digest_of_source(source: str) -> str:
    """A digest of a module's code, the same for all ways to write, comment and document it."""
    text = "".join(_canonical(_without_docstrings(ast.parse(source))))
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]


class _Package:
    """The sources of a package, read as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, module: str) -> Path | None:
        """The file of a module or of a room's face; None if there is no such module."""
        first, *rest = module.split(".")
        if first != PACKAGE:
            return None
        place = self._folder.joinpath(*rest)
        face, file = place / "__init__.py", place.with_suffix(".py")
        return face if face.is_file() else file if file.is_file() else None

    def digest(self, module: str) -> str:
        return _read(*_stamp(self.path(module)))[0]

    def imports(self, module: str) -> list[str]:
        """The modules that one names in its imports."""
        found = []
        for name, of in _read(*_stamp(self.path(module)))[1]:
            found += self._where(name, of)
        return found

    def _where(self, name: str, of: str | None) -> list[str]:
        """The module of `import name`, or of the thing `of` that is imported from it."""
        if of is None:
            return [name] if self.path(name) else []
        if self.path(f"{name}.{of}"):
            return [f"{name}.{of}"]
        path = self.path(name)
        if path is None:
            return []
        if path.name != "__init__.py":
            return [name]
        through = [m for m, thing in _read(*_stamp(path))[1] if thing == of and m != name]
        found = [each for m in through for each in self._where(m, of)]
        return found or ([] if name == PACKAGE else [name])  # a version decides no number


def _stamp(path: Path) -> tuple[Path, int, int]:
    """A file and what changes with it, so that it is read again when it was edited."""
    about = path.stat()
    return path, about.st_mtime_ns, about.st_size


@lru_cache(maxsize=1024)
def _read(path: Path, changed: int, size: int) -> tuple[str, tuple[tuple[str, str | None], ...]]:
    """A module's digest, and its imports from the package as (module, thing) or (module, None)."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    imports: list[tuple[str, str | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [(name.name, None) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imports += [(node.module, name.name) for name in node.names]
    ours = tuple(one for one in imports if one[0].split(".")[0] == PACKAGE)
    return digest_of_source(source), ours


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                each
                for each in node.body
                if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            ]
    return tree


def _canonical(node: object) -> Iterator[str]:
    """A syntax tree as text that Python's versions agree on, unlike `ast.dump`'s."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        unread = (*_UNREAD, "annotation") if isinstance(node, ast.arg) else _UNREAD
        for name, value in ast.iter_fields(node):
            if name not in unread and value not in (None, []):
                yield f" {name}="
                yield from _canonical(value)
        yield ")"
    elif isinstance(node, list):
        for each in node:
            yield from _canonical(each)
            yield ","
    else:
        yield f"{type(node).__name__}:{node!r}"


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _plain(getattr(value, field.name), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
        }
        return {"class": type(value).__qualname__, "fields": fields}
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise TypeError(f"{where} has the key {odd[0]!r}; only text can be a key here")
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which has no stable text; "
        "use numbers, text, lists, mappings and dataclasses of them"
    )
