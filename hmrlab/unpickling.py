"""Arrays out of a user's pickle without running anything that the file says."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np

from hmrlab.files import FileProblem

# What numpy's own pickles call, under the names of its old and new modules. Nothing else is found.
_ALLOWED = {
    (module, name): getattr(target, name)
    for modules, target, names in (
        (("numpy.core.multiarray", "numpy._core.multiarray"), np._core.multiarray,
         ("_reconstruct", "scalar")),
        (("numpy.core.numeric", "numpy._core.numeric"), np._core.numeric, ("_frombuffer",)),
        (("numpy",), np, ("ndarray", "dtype")),
    )
    for module in modules
    for name in names
}  # fmt: skip
_HARMLESS_BYTES = {("_codecs", "encode"): lambda text, encoding="latin1": text.encode(encoding)}
_SPARSE = {
    (f"scipy.sparse.{module}", f"{kind}_{form}"): kind
    for kind in ("csc", "csr", "coo")
    for module in (kind, f"_{kind}")
    for form in ("matrix", "array")
}
MOST_NUMBERS = 200_000_000  # of one array: more is a broken file, and would fill the memory
_DEEPEST = 8  # chumpy objects inside one another


@dataclass(frozen=True)
class ModelFile:
    """What a body model's file holds."""

    arrays: dict[str, np.ndarray]
    stored_as: dict[str, str]  # of each array: "numpy", "chumpy" or "scipy.sparse"


class Inert:
    """Stands in for an instance of a class of another library: keeps its state, can do nothing.

    Attributes:
        origin: the name of the class that the file asked for.
        state: the attributes that the file gives it.
    """

    origin = ""
    state: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, *_arguments: Any) -> None:
        """Whatever the file makes it with is left aside."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"the state of a {self.origin} is a {type(state)}")
        self.state = state


class _Call:
    """A function that a pickle may call, and can do nothing else to."""

    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _state: Any) -> None:
        raise pickle.UnpicklingError("it sets the state of a function")


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = (_ALLOWED | _HARMLESS_BYTES).get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return found


class _ModelsOnly(_ArraysOnly):
    """Takes chumpy's and scipy's objects, too, as `Inert` ones, and what Python 2 makes them by."""

    def find_class(self, module: str, name: str) -> Any:
        is_chumpy = module.split(".")[0] == "chumpy"
        if is_chumpy or (module, name) in _SPARSE:
            return type("Inert", (Inert,), {"origin": f"{module}.{name}"})
        found = _PYTHON_2.get((module, name))
        return found or super().find_class(module, name)


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The numeric arrays of a pickled dictionary, of Python 2 or 3.

    Only what numpy's arrays are made of is unpickled; a file that names anything else is refused
    before that is called.

    Raises:
        FileProblem: it is no such file, is cut short, or asks for something else.
    """
    content = _unpickle(Path(path), _ArraysOnly)
    arrays = {str(key): np.asarray(value) for key, value in content.items()}
    return {key: value for key, value in arrays.items() if value.dtype.kind in "fiub"}


def load_plain(path: str | Path) -> dict[Any, Any]:
    """What a pickled dictionary or an `.npz` holds: lists, texts, numbers, arrays, also nested.

    Python 2's byte strings come as texts (latin-1). Refuses as `load_arrays` does.

    Raises:
        FileProblem: it is no such file, is cut short, or asks for something else.
    """
    path = Path(path)
    return _members(path) if zipfile.is_zipfile(path) else _unpickle(path, _ArraysOnly)


def load_model_file(path: str | Path, wanted: Collection[str] = ()) -> ModelFile:
    """The numeric arrays of a body model's file: a pickled dictionary, or an `.npz`.

    As the official files of SMPL are, of Python 2 or 3: arrays may be chumpy's, matrices scipy's
    sparse ones. Neither library is imported: their objects are read as what they store (see
    `to_array`). A file that names anything else is refused before that is called; entries that are
    no numbers are left out.

    Args:
        path: of the file.
        wanted: entries whose numbers must be readable if they are there; of the others those are
            left out that would have to be computed.

    Raises:
        FileProblem: it is no such file, is cut short, asks for something else, or what is wanted of
            it cannot be read.
    """
    path = Path(path)
    content = _members(path) if zipfile.is_zipfile(path) else _unpickle(path, _ModelsOnly)
    arrays, stored_as = {}, {}
    for key, value in content.items():
        try:
            array = to_array(value)
        except Exception as error:  # of a damaged file's objects anything may be missing
            if key in wanted:
                raise FileProblem(
                    f"{path}: {key} cannot be read as numbers ({type(error).__name__}: {error})."
                ) from error
            continue
        if array is not None:
            arrays[str(key)] = array
            is_sparse = isinstance(value, Inert) and _sparse_kind(value) is not None
            other = "scipy.sparse" if is_sparse else "chumpy"
            stored_as[str(key)] = other if isinstance(value, Inert) else "numpy"
    return ModelFile(arrays, stored_as)


def to_array(value: Any, depth: int = 0) -> np.ndarray | None:
    """A numeric array of what a pickle held; None where it is no numbers.

    Args:
        value: an array, a number, a list, or an `Inert` object of chumpy's or of scipy.sparse.
        depth: how many objects it is in.

    Raises:
        ValueError: a chumpy object that would have to be computed, or a sparse matrix that is none.
    """
    if isinstance(value, Inert):
        kind = _sparse_kind(value)
        return _from_sparse(kind, value.state) if kind else _from_chumpy(value, depth)
    if not isinstance(value, np.ndarray | np.generic | int | float | list | tuple):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array if array.dtype.kind in "fiub" else None


def _sparse_kind(value: Inert) -> str | None:
    """csc, csr or coo; None for what is chumpy's."""
    return _SPARSE.get(tuple(value.origin.rsplit(".", 1)))


def _from_chumpy(value: Inert, depth: int) -> np.ndarray:
    """What a chumpy object stands for: its own numbers, or another's in another order."""
    name, state = value.origin.rsplit(".", 1)[1], value.state
    if depth > _DEEPEST:
        raise ValueError(f"chumpy objects more than {_DEEPEST} deep in one another")
    inner = to_array(state.get("x" if name == "Ch" else "a"), depth + 1)
    if inner is None or name not in ("Ch", "Reshape", "Select", "transpose"):
        raise ValueError(
            f"it is a {value.origin}, which would have to be computed; only numbers that are "
            "stored are read"
        )
    if name == "Reshape":
        return inner.reshape(_whole(state["newshape"]))
    if name == "Select":
        picked = inner.ravel()[np.asarray(state["idxs"]).astype(np.int64)]
        shape = state.get("preferred_shape")
        return picked if shape is None else picked.reshape(_whole(shape))
    if name == "transpose":
        axes = state.get("axes")
        return inner.transpose(None if axes is None else _whole(axes))
    return inner


def _from_sparse(kind: str, state: dict[str, Any]) -> np.ndarray:
    """A dense matrix of what scipy's sparse matrices store."""
    rows, columns = _whole(state["_shape"] if "_shape" in state else state["shape"])
    if rows < 0 or columns < 0 or rows * columns > MOST_NUMBERS:
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
    return tuple(int(value) for value in np.atleast_1d(values))


def _unpickle(path: Path, unpickler: type[pickle.Unpickler]) -> dict[Any, Any]:
    try:
        with path.open("rb") as file:
            content = unpickler(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise FileProblem(f"no file at {path}.") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise FileProblem(
            f"{path} is not a pickle of plain arrays ({type(error).__name__}: {error}). Anything "
            "but arrays is refused, because reading it could run code."
        ) from error
    if not isinstance(content, dict):
        raise FileProblem(f"{path}: expected a dictionary of arrays, found {type(content)}.")
    return content


def _members(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz`; one that was saved as a pickle is unpickled with the same care."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for name in archive.namelist():
                if name.endswith(".npy"):
                    with archive.open(name) as file:
                        found[name.removesuffix(".npy")] = _read_member(file)
            return found
    except Exception as error:  # a damaged archive or pickle may raise anything
        raise FileProblem(
            f"{path} is not a readable .npz of arrays ({type(error).__name__}: {error}). It may be "
            "cut short; and anything but arrays in it is refused, because reading it could run "
            "code."
        ) from error


def _read_member(file: BinaryIO) -> Any:
    start = np.lib.format.read_magic(file)
    header = {(1, 0): np.lib.format.read_array_header_1_0}.get(
        start, np.lib.format.read_array_header_2_0
    )
    shape, by_columns, dtype = header(file)
    count = int(np.prod(shape, dtype=np.int64))
    if count > MOST_NUMBERS:
        raise ValueError(f"an array of {count:,} numbers")
    if dtype.hasobject:
        array = _ModelsOnly(file, encoding="latin1").load()
        return array.item() if isinstance(array, np.ndarray) and array.size == 1 else array
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ValueError("an array that is cut short")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")


def _make_instance(kind: Any, *_others: Any) -> Inert:
    """`copy_reg._reconstructor`, by which pickles of protocols 0 and 1 make instances."""
    if not (isinstance(kind, type) and issubclass(kind, Inert)):
        raise pickle.UnpicklingError(f"it makes an instance of {kind}")
    return kind()


_PYTHON_2 = {
    ("copy_reg", "_reconstructor"): _Call(_make_instance),
    ("copyreg", "_reconstructor"): _Call(_make_instance),
    ("__builtin__", "object"): _Call(lambda *_: None),
    ("builtins", "object"): _Call(lambda *_: None),
    ("__builtin__", "set"): _Call(lambda *_: None),  # chumpy's own bookkeeping
    ("builtins", "set"): _Call(lambda *_: None),
    ("collections", "OrderedDict"): _Call(dict),
}
