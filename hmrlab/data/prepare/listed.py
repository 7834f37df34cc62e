"""The objects of a large JSON file's lists, one by one.

A parsed file takes many times its size in memory. Here only brackets and texts are looked at to
find where each object begins and ends; whoever asks for one gets it parsed, and lets it go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hmrlab.files import FileProblem, parse_json, read_bytes

MAX_BYTES = 2**30  # of a file
MAX_ITEMS = 500_000  # of a list
MAX_ITEM_BYTES = 2**24
MAX_TOKENS = 30_000_000  # brackets and texts: three times those of the largest file there is
_DEEPEST = 64
# Whatever stands before a whole text, a bracket, or the quotation mark of a text that does not end.
# The plus signs behind + and * keep a match from being tried again another way, which could take
# for ever.
_TOKEN = re.compile(rb'[^"\[\]{}]*+(?:("(?:[^"\\]++|\\.)*+"|[\[\]{}"])|\Z)', re.DOTALL)
_BLANK = b" \t\r\n"


class ListedJson:
    """A JSON object whose members are lists of objects, as annotations come.

    Raises:
        FileProblem: the file is missing, too large or cut short.
    """

    def __init__(self, path: Path, keys: Collection[str], remedy: str) -> None:
        self._path, self._remedy = path, remedy
        self._data = read_bytes(path, MAX_BYTES, f"{path} is missing. {remedy}")
        self._places: dict[str, list[tuple[int, int]]] = {}
        try:
            self._find({f'"{key}"'.encode(): key for key in keys})
        except ValueError as error:
            raise FileProblem(f"{path} is not readable JSON ({error}). {remedy}") from error
        lacking = [key for key in keys if key not in self._places]
        if lacking:
            raise self.problem(f"it has no list '{lacking[0]}'")

    def items(self, key: str, layout: Any) -> Iterator[Any]:
        """The objects of a list, each parsed as a type describes it (see `parse_json`).

        Raises:
            FileProblem: one is of another layout; the message says which, and where in it.
        """
        for number, (begin, end) in enumerate(self._places[key]):
            try:
                yield parse_json(self._data[begin:end], layout)
            except ValueError as error:
                raise self.problem(f"{key}[{number}]: {error}") from error

    def problem(self, why: str) -> FileProblem:
        """That the file is of another layout, to be raised."""
        return FileProblem(f"{self._path} is of another layout: {why}. {self._remedy}")

    def _find(self, wanted: dict[bytes, str]) -> None:
        """Note where each object of the lists wanted begins and ends."""
        data, depth, text, places, begin, before = self._data, 0, b"", None, 0, 0
        for number, token in enumerate(_TOKEN.finditer(data)):
            mark, at = token[1], token.start(1)
            if mark is None:  # the end
                break
            if number > MAX_TOKENS or depth > _DEEPEST:
                raise ValueError("more lists and texts than annotations have, or too deep ones")
            if mark[0] == 0x22:  # a quotation mark
                if len(mark) == 1:
                    raise ValueError(f"a text that begins at byte {at:,} does not end")
                text = mark if depth == 1 else text
            elif mark in b"[{":
                depth += 1
                if depth == 2 and mark == b"[" and text in wanted:
                    places = self._places.setdefault(wanted[text], [])
                    before = token.end()
                elif depth == 3 and places is not None:
                    begin = at
                    self._check_gap(before, begin, b"," if places else b"")
            else:
                depth -= 1
                if depth == 2 and places is not None:
                    before = token.end()
                    places.append((begin, before))
                    if len(places) > MAX_ITEMS or before - begin > MAX_ITEM_BYTES:
                        raise ValueError(
                            f"a list of more than {MAX_ITEMS:,} objects, or one of them of more "
                            f"than {MAX_ITEM_BYTES:,} bytes"
                        )
                elif depth == 1 and places is not None:
                    self._check_gap(before, at, b"")
                    places = None
        if depth != 0 or not data.lstrip(_BLANK).startswith(b"{"):
            raise ValueError("it is cut short, or no object")

    def _check_gap(self, begin: int, end: int, expected: bytes) -> None:
        """Between a list's objects there is a comma, and nothing else."""
        found = self._data[begin : min(end, begin + 1000)].strip(_BLANK)
        if found != expected:
            raise ValueError(f"byte {begin:,}: expected an object of a list, found {found[:40]!r}")
