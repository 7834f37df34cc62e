"""Names that a file or a folder brings, fit for a message."""

from __future__ import annotations

from collections.abc import Iterable

MAX_LISTED = 12
MAX_NAME = 60


def printable(text: object) -> str:
    r"""Text that any terminal and any UTF-8 file takes; other characters as `\n`, `\udcff`."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in str(text)
    )


def listed(names: Iterable[str], nothing: str = "nothing") -> str:
    """The first of some names, "a, b, c and 40 more", each cut to a readable length."""
    names = list(names)
    shown = [name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}..." for name in names]
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return printable(", ".join(shown[:MAX_LISTED]) + more) or nothing
