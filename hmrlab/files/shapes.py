"""What shapes the arrays of a file must have, held against those that it says."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType

from hmrlab.files.problem import BadArrayError

Shape = tuple[int | str | EllipsisType, ...]
"""Lengths of the axes; a letter stands for any length, the same wherever it stands, and `...` at
the end for any further axes."""


def check_shapes(
    found: Mapping[str, tuple[int, ...]], expected: Mapping[str, Shape]
) -> dict[str, int]:
    """Hold shapes against those that are expected, `{"pose": ("N", 24, 3), "betas": ("N", 10)}`.

    Args:
        found: of the arrays, by name.
        expected: of those that must be there.

    Returns:
        what each letter stands for.

    Raises:
        BadArrayError: one is missing, or is of another shape.
    """
    lengths: dict[str, int] = {}
    for key, shape in expected.items():
        if key not in found:
            raise BadArrayError(f"it has no '{key}'")
        if not _fits(found[key], shape, lengths):
            wanted = ["..." if one is ... else str(lengths.get(one, one)) for one in shape]
            in_words = ", ".join(wanted) + ("," if len(wanted) == 1 else "")
            raise BadArrayError(f"'{key}' must have shape ({in_words}), found {found[key]}")
    return lengths


def _fits(found: tuple[int, ...], shape: Shape, lengths: dict[str, int]) -> bool:
    """Whether a shape is the expected one; lengths that are new are noted."""
    if shape[-1:] == (...,):
        shape = shape[:-1]
        found = found[: len(shape)]
    return len(found) == len(shape) and all(
        length == (lengths.setdefault(name, length) if isinstance(name, str) else name)
        for length, name in zip(found, shape, strict=True)
    )
