"""A number in a file of a training's folder, for a training that goes on later."""

from __future__ import annotations

from pathlib import Path

from hmrlab.files import FileProblem, read_text, write_text_whole


def keep_number(path: Path, count: int) -> None:
    """Write a number down.

    Raises:
        FileProblem: the file cannot be written.
    """
    write_text_whole(path, f"{count}\n")


def kept_number(path: Path, what: str, most: int) -> int:
    """What `keep_number` wrote.

    Args:
        path: of the file.
        what: is counted, in words.
        most: that can be.

    Raises:
        FileProblem: the file does not hold a number from 1 to `most`.
    """
    text = read_text(path, max_bytes=100).strip()
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise FileProblem(f"{path} should hold a number of {what}, it says {text!r}; delete it")
    return int(text)
