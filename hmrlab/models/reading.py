"""Files of torch's as plain data: nothing in them is run, and every failure says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmrlab.files import FileProblem

_KINDS = ("Bool", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64",
          "Float16", "Float32", "Float64")  # fmt: skip
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # before numpy 2, and since
_ARRAYS = [
    np.ndarray,
    np.dtype,
    *(getattr(np.dtypes, f"{kind}DType") for kind in _KINDS),
    *(
        (getattr(np._core.multiarray, name), f"{module}.{name}")
        for module in _MODULES
        for name in ("_reconstruct", "scalar")
    ),
]
"""What arrays of numbers are pickled as: SPIN's training checkpoints have them beside the weights.

An array of objects is not among them."""
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")  # how torch names what it was asked for and did not do


def read_torch(path: str | Path) -> Any:
    """What `torch.save` wrote, of tensors, numbers, text and numpy's arrays of numbers alone.

    Both of torch's formats are read, the zip and the older pickle, onto the CPU.

    Raises:
        FileProblem: there is no such file, it is cut off or damaged, or it holds anything else,
            which is refused before it is called.
    """
    path = Path(path)
    if not path.is_file():
        raise FileProblem(f"there is no file {path}; train a model first, or check the path")
    try:
        with torch.serialization.safe_globals(_ARRAYS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are cut off or foreign
        asked = _REFUSED.search(str(error))
        what = f"more than plain tensors: {asked[1]}" if asked else "more than plain tensors"
        raise FileProblem(
            f"{path} cannot be read as weights ({type(error).__name__}): it is cut off, damaged, "
            f"or holds {what}. Make it again, or check that it is the right file. Anything "
            "but tensors and arrays is refused, because reading it could run code."
        ) from error


def not_finite(state: dict[str, Any]) -> str:
    """The first entry of a state dict with a NaN or an infinity, in words; "" if there is none."""
    for key, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            count = int((~value.isfinite()).sum())
            if count:
                return f"{key}: expected finite numbers, {count} of {value.numel()} are not"
    return ""
