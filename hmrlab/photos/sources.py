"""Where one's own pictures come from: clips, and folders of photographs, each a source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hmrlab.files import FileProblem, resolve, sha256_of
from hmrlab.photos.folder import ENDINGS as PHOTOS

CLIPS = (".mp4", ".mov", ".m4v", ".3gp", ".avi", ".mkv", ".webm", ".ts", ".mts", ".m2ts")


@dataclass(frozen=True)
class Source:
    """A clip, or the photographs of one folder: what is trained on or tested as a whole."""

    path: Path  # of the clip, or of the folder
    photos: tuple[Path, ...] = ()  # none: a clip

    @cached_property
    def digest(self) -> str:
        """Of the files' contents; photographs by their names, too."""
        if not self.photos:
            return _content(self.path)
        text = "".join(f"{photo.name} {_content(photo)}\n" for photo in self.photos)
        return _sha256(text)

    @cached_property
    def lot(self) -> float:
        """From 0 to 1, to draw by: of a clip's content; of a folder's name, for it may grow."""
        digest = _sha256(self.path.name) if self.photos else self.digest
        return int(_sha256(digest)[:8], 16) / 16**8

    def is_named(self, words: Iterable[str]) -> bool:
        """Whether one of some words is its name, with or without ending, or a folder's above it."""
        return any(word in (*self.path.parts, self.path.stem) for word in words)


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """The clips and photographs that paths name; folders are looked through, all that is in them.

    Photographs that are named one by one belong together if they lie in one folder.

    Raises:
        FileProblem: a path is not there, or there is neither photograph nor clip.
    """
    files = dict.fromkeys(file for path in paths for file in _files_of(resolve(path)))
    if not files:
        raise FileProblem(
            f"{', '.join(map(str, paths))}: neither photographs ({', '.join(PHOTOS)}) nor clips "
            f"({', '.join(CLIPS)}) are there."
        )
    folders: dict[Path, list[Path]] = {}
    clips = []
    for file in files:
        if _is(CLIPS, file):
            clips.append(Source(file))
        else:
            folders.setdefault(file.parent, []).append(file)
    albums = [Source(folder, tuple(sorted(photos))) for folder, photos in folders.items()]
    return sorted([*clips, *albums], key=lambda source: str(source.path))


def by_digest(sources: Sequence[Source]) -> frozenset[Source]:
    """About a fifth of some sources, the same ones each time; of several one at least, never all.

    >>> by_digest([])
    frozenset()
    """
    order = sorted(sources, key=lambda source: source.lot)
    low = [source for source in order if source.lot < 0.2]
    count = min(max(len(low), 1), len(order) - 1)
    return frozenset(order[: max(count, 0)])


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        if not os.path.lexists(path):
            raise FileProblem(f"{path} is missing. Give photographs, clips, or folders of them.")
        return [path]
    found: list[Path] = []
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        files = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        found += [file for file in files if _is(PHOTOS, file) or _is(CLIPS, file)]
    return found


def _is(endings: Sequence[str], file: Path) -> bool:
    return file.suffix.lower() in endings


def _content(path: Path) -> str:
    try:
        return sha256_of(path)
    except FileProblem:  # which is told when it is looked at
        return f"unreadable {path}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
