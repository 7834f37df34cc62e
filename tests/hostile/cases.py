"""Targets, their damages, and one case of each."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from judging import FIRST_SECONDS, run
from mutations import ANY, IN_ITS_PLACE, Damage
from worlds import linked, replace

SEEDS = int(os.environ.get("HMRLAB_HOSTILE_SEEDS", "1"))
NINTHS = 9 if SEEDS > 1 else 4
"""Of all cases, by their names' digests: `make test` tries a part, `make hostile` all."""


@dataclass(frozen=True)
class Target:
    """A file that a command reads.

    Attributes:
        name: for the reports.
        file: its place in a folder of whole files.
        words: of the command; `{file}`, `{folder}` and `{out}` are paths.
        fill: writes the whole files into a folder.
        damages: to this file, besides those of `ANY` and `IN_ITS_PLACE`.
        env: variables for the command; the same names are filled in.
        names: one of which a message must have; by default the file's.
        any_damage: whether `ANY` and `IN_ITS_PLACE` are tried, too.
    """

    name: str
    file: str
    words: tuple[str, ...]
    fill: Callable[[Path], None]
    damages: Mapping[str, Damage] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    any_damage: bool = True

    def __hash__(self) -> int:
        return hash(self.name)

    def labels(self) -> list[str]:
        """Of all its damages."""
        places = [f"in its place {words}" for words in IN_ITS_PLACE]
        return [*self.damages, *([*ANY, *places] if self.any_damage else [])]


@pytest.mark.filterwarnings("ignore")  # they are what a user may see
def test_the_whole_files_are_taken(target, home, tmp_path, monkeypatch):
    _, words = filled_in(target, tmp_path, monkeypatch)
    done = run(words, tmp_path, FIRST_SECONDS)
    assert done.code == 0, done.err


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_ends_in_a_message_or_does_no_harm(
    target, words, seed, home, tmp_path, monkeypatch
):
    assert judge(target, words, seed, tmp_path, monkeypatch) == ""


@cache
def _whole(target: Target) -> Path:
    folder = Path(mkdtemp(prefix="whole_"))
    target.fill(folder)
    return folder


def filled_in(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of the target's whole files, and the command's words."""
    folder, out = tmp_path / "given", tmp_path / "out"
    linked(_whole(target), folder)
    out.mkdir()
    places = {"file": folder / target.file, "folder": folder, "out": out}
    for name, value in target.env.items():
        monkeypatch.setenv(name, value.format(**places))
    return folder / target.file, tuple(word.format(**places) for word in target.words)


def judge(
    target: Target, words: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What is wrong with how a command takes a damaged file, in words; nothing if nothing is."""
    path, command = filled_in(target, tmp_path, monkeypatch)
    if words.startswith("in its place "):
        path.unlink()
        IN_ITS_PLACE[words.removeprefix("in its place ")](path)
    else:
        rng = np.random.default_rng([seed, zlib.crc32(words.encode())])
        damage = target.damages.get(words) or ANY[words]
        replace(path, damage(path.read_bytes(), rng))
    return run(command, tmp_path).problem(target.names or (path.name,))
