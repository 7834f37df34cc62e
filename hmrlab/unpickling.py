"""Arrays out of a user's pickle without running anything that the file says."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

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


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = (_ALLOWED | _HARMLESS_BYTES).get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return found


def load_plain(path: str | Path) -> Any:
    """What a pickle of Python 2 or 3 holds: lists, dictionaries, texts, numbers, numpy's arrays.

    Only what these are made of is unpickled; a file that names anything else is refused before
    that is called. Python 2's byte strings come as texts (latin-1).

    Raises:
        FileProblem: it is no such file, is cut short, or asks for something else.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise FileProblem(f"no file at {path}.") from error
    except Exception as error:  # a damaged pickle may raise anything
        raise FileProblem(
            f"{path} is not a pickle of plain arrays ({type(error).__name__}: {error}). Anything "
            "but arrays is refused, because reading it could run code."
        ) from error


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The numeric arrays of a pickled dictionary, of Python 2 or 3.

    Raises:
        FileProblem: see `load_plain`; or it holds no dictionary.
    """
    content = load_plain(path)
    if not isinstance(content, dict):
        raise FileProblem(f"{path}: expected a dictionary of arrays, found {type(content)}.")
    arrays = {str(key): np.asarray(value) for key, value in content.items()}
    return {key: value for key, value in arrays.items() if value.dtype.kind in "fiub"}
