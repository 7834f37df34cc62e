"""A folder's manifest: which files it holds, with a checksum of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmrlab.files.jsons import read_json
from hmrlab.files.opening import FileProblem, sha256_of
from hmrlab.files.writing import write_text_whole

MANIFEST = "manifest.json"
_checked: dict[Path, float] = {}  # folder -> when its manifest was written, as last verified


@dataclass(frozen=True)
class _File:
    """What a manifest says of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class _Manifest:
    """What is read of a manifest."""

    files: dict[str, _File]


def write_manifest(folder: Path, about: Mapping[str, Any]) -> Path:
    """Describe all files that are in a folder now, beside what else there is to say about it.

    Args:
        folder: whose files.
        about: plain JSON, such as the settings that the files were made with.
    """
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.iterdir())
    }
    text = json.dumps({**about, "files": files}, indent=1)
    return write_text_whole(folder / MANIFEST, text + "\n")


def find_damage(folder: Path, expected: Iterable[str] = ()) -> str | None:
    """What is wrong with a folder's files, or None; checksums are read once a process.

    Args:
        folder: with a manifest.
        expected: names of files that it has to speak of.
    """
    manifest = folder / MANIFEST
    try:
        stamp = manifest.stat().st_mtime
        files = read_json(manifest, _Manifest).files
    except (OSError, FileProblem):
        return "its manifest is missing or damaged"
    if not set(expected) <= set(files):
        return "its manifest does not speak of all its files"
    seen = _checked.get(folder) == stamp
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != wanted.bytes:
            return f"{name} is missing or cut short"
        if not seen and sha256_of(path) != wanted.sha256:
            return f"{name} has changed since it was written"
    _checked[folder] = stamp
    return None
