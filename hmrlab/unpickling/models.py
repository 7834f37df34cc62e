"""Files of arrays that are pickles, wholly or in part: SMPL's, SPIN's, 3DPW's."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmrlab.files import MAX_BYTES, BadArrayError, FileProblem, NpzArchive, open_npz, open_regular
from hmrlab.files.arrays import in_words
from hmrlab.unpickling.arrays import NUMPY, Resolver
from hmrlab.unpickling.program import BYTES, MADE, Call, Global, UnpicklingError, read_program

_SPARSE = {
    (f"scipy.sparse.{module}", f"{kind}_{form}"): kind
    for kind in ("csc", "csr", "coo")
    for module in (kind, f"_{kind}")
    for form in ("matrix", "array")
}
_OBJECTS = {("__builtin__", "object"), ("builtins", "object")}  # what Python 2 made objects of
MAX_MATRIX = 50_000_000  # numbers of a sparse matrix, written out
_MAX_NESTED = 8  # chumpy objects inside one another


@dataclass(frozen=True)
class ModelFile:
    """What a body model's file holds."""

    arrays: dict[str, np.ndarray]
    stored_as: dict[str, str]  # of each array: "numpy", "chumpy" or "scipy.sparse"


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The numeric arrays among what `load_plain` gives; raises as it does."""
    arrays = {str(key): _numeric(value) for key, value in load_plain(path).items()}
    return {key: value for key, value in arrays.items() if value is not None}


def load_plain(path: str | Path) -> dict[Any, Any]:
    """What a pickled dictionary or an `.npz` holds: lists, texts, numbers, arrays, also nested.

    The pickle may be of Python 2, whose byte strings come as texts (latin-1). Nothing that it names
    is imported or called; one that names anything but what numpy's arrays are made of is refused.

    Raises:
        FileProblem: it is no such file, is cut short, or asks for something else.
    """
    return _content(path, _of_arrays)


def load_model_file(path: str | Path, wanted: Collection[str] = ()) -> ModelFile:
    """The numeric arrays of a body model's file: a pickled dictionary, or an `.npz`.

    As the official files of SMPL are: arrays may be chumpy's, matrices scipy's sparse ones. Neither
    library is imported: their objects are read as what they store. A file that names anything else
    is refused; entries that are no numbers are left out.

    Entries that are `wanted` must be readable if they are there; of the others those are left out
    that would have to be computed.

    Raises:
        FileProblem: it is no such file, is cut short, asks for something else, or what is wanted of
            it cannot be read.
    """
    arrays, stored_as = {}, {}
    for key, value in _content(path, _of_models).items():
        try:
            array = _to_array(value)
        except Exception as error:  # of a damaged file's objects anything may be missing
            if key in wanted:
                raise FileProblem(
                    f"{path}: {key} cannot be read as numbers ({type(error).__name__}: {error})."
                ) from error
            continue
        if array is not None:
            arrays[str(key)] = array
            is_sparse = isinstance(value, Call) and value.function in _SPARSE
            other = "scipy.sparse" if is_sparse else "chumpy"
            stored_as[str(key)] = other if isinstance(value, Call) else "numpy"
    return ModelFile(arrays, stored_as)


def _to_array(value: Any, depth: int = 0) -> np.ndarray | None:
    """A numeric array of what a pickle held, `depth` objects deep; None where it is no numbers."""
    if isinstance(value, Call):
        state = value.state if isinstance(value.state, dict) else {}
        kind = _SPARSE.get(value.function)
        return _from_sparse(kind, state) if kind else _from_chumpy(value.function, state, depth)
    return _numeric(value)


def _numeric(value: Any) -> np.ndarray | None:
    """An array of numbers; None for anything else."""
    if isinstance(value, list | tuple) and not _holds_numbers_alone(value):
        return None
    if not isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # lists of different lengths, numbers too large
        return None
    return array if array.dtype.kind in "fiub" else None


def _holds_numbers_alone(values: list | tuple) -> bool:
    return all(
        _holds_numbers_alone(value)
        if isinstance(value, list | tuple)
        else isinstance(value, np.ndarray | np.generic | int | float)
        for value in values
    )


def _of_arrays(name: Global) -> bool:
    return name in NUMPY or name in BYTES


def _of_models(name: Global) -> bool:
    """chumpy's and scipy's objects, too, and what Python 2 makes them by."""
    is_chumpy = name.module.split(".")[0] == "chumpy"
    return is_chumpy or any(name in names for names in (_SPARSE, _OBJECTS, MADE, NUMPY))


def _from_chumpy(name: Global, state: dict[str, Any], depth: int) -> np.ndarray:
    """What a chumpy object stands for: its own numbers, or another's in another order."""
    kind = name.name
    if depth > _MAX_NESTED:
        raise ValueError(f"chumpy objects more than {_MAX_NESTED} deep in one another")
    inner = _to_array(state.get("x" if kind == "Ch" else "a"), depth + 1)
    if inner is None or kind not in ("Ch", "Reshape", "Select", "transpose"):
        raise ValueError(
            f"it is a {name}, which would have to be computed; only numbers that are stored are "
            "read"
        )
    if kind == "Reshape":
        return inner.reshape(_whole(state["newshape"]))
    if kind == "Select":
        picked = inner.ravel()[np.asarray(state["idxs"]).astype(np.int64)]
        shape = state.get("preferred_shape")
        return picked if shape is None else picked.reshape(_whole(shape))
    if kind == "transpose":
        axes = state.get("axes")
        return inner.transpose(None if axes is None else _whole(axes))
    return inner


def _from_sparse(kind: str, state: dict[str, Any]) -> np.ndarray:
    """A dense matrix of what scipy's sparse matrices store."""
    rows, columns = _whole(state["_shape"] if "_shape" in state else state["shape"])
    if rows < 0 or columns < 0 or rows * columns > MAX_MATRIX:
        raise ValueError(f"a sparse matrix of {rows} x {columns}")
    data = np.asarray(state["data"], np.float64).ravel()
    if kind == "coo":
        row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
        places = np.asarray(row).astype(np.int64), np.asarray(column).astype(np.int64)
    else:
        starts = np.asarray(state["indptr"]).astype(np.int64)
        other = np.asarray(state["indices"]).astype(np.int64)
        if len(starts) != (columns if kind == "csc" else rows) + 1 or (np.diff(starts) < 0).any():
            raise ValueError("a sparse matrix whose pointers do not fit its shape")
        if starts[-1] - starts[0] != len(data):
            raise ValueError("a sparse matrix with more numbers than places, or fewer")
        own = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        places = (other, own) if kind == "csc" else (own, other)
    if not len(places[0]) == len(places[1]) == len(data):
        raise ValueError("a sparse matrix with more numbers than places, or fewer")
    if len(data) and min(int(p.min()) for p in places) < 0:
        raise ValueError("a sparse matrix with a place below 0")
    dense = np.zeros((rows, columns))
    np.add.at(dense, places, data)
    return dense


def _whole(values: Any) -> tuple[int, ...]:
    values = np.atleast_1d(values)
    if values.size > 32:
        raise ValueError(f"a shape of {values.size} lengths")
    return tuple(int(value) for value in values)


def _content(path: str | Path, allowed: Callable[[Global], bool]) -> dict[Any, Any]:
    with open_regular(path) as file:
        if zipfile.is_zipfile(file):
            return _members(path, allowed)
        file.seek(0)
        try:
            program = read_program(file, os.fstat(file.fileno()).st_size, allowed)
            content = Resolver().resolve(program)
        except (UnpicklingError, ValueError, OSError, MemoryError) as error:
            raise FileProblem(
                f"{path} is not a pickle of plain arrays ({in_words(error)}). "
                "Anything but arrays is refused, because reading it could run code."
            ) from error
    if not isinstance(content, dict):
        raise FileProblem(f"{path}: expected a dictionary of arrays, found {type(content)}.")
    return content


def _members(path: str | Path, allowed: Callable[[Global], bool]) -> dict[str, Any]:
    """The arrays of an `.npz`; one that was saved as a pickle is read with the same care."""
    remedy = (
        "It may be cut short; and anything but arrays in it is refused, because reading it could "
        "run code."
    )
    with open_npz(path, remedy=remedy) as archive:
        found, left = {}, MAX_BYTES
        for key in archive.keys:
            if archive.header(key).dtype is None:
                found[key] = _pickled_member(archive, key, left, allowed)
            else:
                found[key] = archive.read(key, left)
            left -= getattr(found[key], "nbytes", 0)
        return found


def _pickled_member(
    archive: NpzArchive, key: str, max_bytes: int, allowed: Callable[[Global], bool]
) -> Any:
    with archive.member(key) as (file, _, size):
        if size > max_bytes:
            raise BadArrayError(f"a pickle of {size:,} bytes")
        return Resolver().resolve(read_program(file, size, allowed))
