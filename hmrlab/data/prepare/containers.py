"""What the readers of motion capture's containers share: limits, and arrays of the right shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrlab.files import FileProblem

AGAIN = "Unpack the archive again, and download it again if that does not help."
MAX_BYTES = 2**27
"""Of one array that is read, unpacked: many times what any of these data sets has."""
_MAX_NUMBERS = MAX_BYTES // 4  # as float64 twice that


def missing(path: Path) -> str:
    """The message for a file of a download that is not there."""
    return f"{path} is missing. Unpack the download again."


def numbers(path: Path, name: str, value: object, shape: tuple[int | None, ...]) -> np.ndarray:
    """A float64 array of this shape, None for any length.

    Raises:
        FileProblem: it is something else.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FileProblem(f"{path}: '{name}' holds no numbers ({error}). {AGAIN}") from error
    fits = array.ndim == len(shape) and all(
        want in (None, have) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiub" or array.size > _MAX_NUMBERS:
        expected = " x ".join("n" if want is None else str(want) for want in shape)
        raise FileProblem(
            f"{path}: '{name}' must hold {expected} numbers, found {array.dtype} {array.shape}. "
            f"{AGAIN}"
        )
    return array.astype(np.float64)
