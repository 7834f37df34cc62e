"""Arrays out of the containers that motion capture is handed out in: CDF, MATLAB's old and new."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hmrlab.files import FileProblem

if TYPE_CHECKING:
    import h5py

# What the readers raise on damaged files, as files cut and overwritten at random showed.
_DAMAGE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError,
    NotImplementedError, OverflowError, MemoryError, EOFError, struct.error, zlib.error,
)  # fmt: skip
AGAIN = "Unpack the archive again, and download it again if that does not help."


def read_cdf(path: Path, variable: str) -> np.ndarray:
    """One variable of a CDF file (NASA's Common Data Format).

    Raises:
        FileProblem: the file is missing, damaged or cut short, or has no such variable.
    """
    import cdflib

    _must_be_there(path)
    try:
        file = cdflib.CDF(path)
        info = file.cdf_info()
        if variable in (*info.zVariables, *info.rVariables):
            return np.asarray(file.varget(variable))
    except _DAMAGE as error:
        raise FileProblem(f"{path}: is no CDF file, or damaged ({error}). {AGAIN}") from error
    have = ", ".join((*info.zVariables, *info.rVariables)) or "nothing"
    raise FileProblem(f"{path}: has no variable '{variable}'; it has: {have}. {AGAIN}")


def read_mat(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Variables of a MATLAB file up to version 7; cells come as arrays of objects.

    Nothing in such a file can run code: its objects are arrays, never pickles.

    Args:
        path: the file.
        names: those to read; what the file lacks is absent from the answer.

    Raises:
        FileProblem: the file is missing, damaged or cut short, or of version 7.3.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    _must_be_there(path)
    try:
        content = loadmat(str(path), variable_names=list(names), appendmat=False)
    except NotImplementedError as error:
        raise FileProblem(
            f"{path}: is a MATLAB file of version 7.3, where one up to version 7 is expected. "
            "Is it the file of the download?"
        ) from error
    except (*_DAMAGE, MatReadError) as error:
        raise FileProblem(f"{path}: is no MATLAB file, or damaged ({error}). {AGAIN}") from error
    return {name: content[name] for name in names if name in content}


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file, which MATLAB's are from version 7.3 on; axes are in the reverse order there.

    Raises:
        FileProblem: the file is missing, or damaged where it is read.
    """
    import h5py

    _must_be_there(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except _DAMAGE as error:
        raise FileProblem(
            f"{path}: is no HDF5 file (MATLAB 7.3), or damaged ({error}). {AGAIN}"
        ) from error


def numbers(path: Path, name: str, value: object, shape: tuple[int | None, ...]) -> np.ndarray:
    """A float64 array of this shape, None for any length.

    Raises:
        FileProblem: it is something else.
    """
    array = np.asarray(value)
    fits = array.ndim == len(shape) and all(
        want in (None, have) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in "fiub":
        expected = " x ".join("n" if want is None else str(want) for want in shape)
        raise FileProblem(
            f"{path}: '{name}' must hold {expected} numbers, found {array.dtype} {array.shape}. "
            f"{AGAIN}"
        )
    return array.astype(np.float64)


def _must_be_there(path: Path) -> None:
    if not path.is_file():
        raise FileProblem(f"{path} is missing. Unpack the download again.")
