"""Weights of others that come with the package, in the format of Hugging Face's safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from hmrlab.files import FileProblem, read_bytes
from hmrlab.models.checkpoints import describe_differences
from hmrlab.models.safe_load import not_finite, shown


def read_safetensors(path: str | Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors, which must be those of a network.

    Args:
        path: of the file.
        wanted: the network's state dict; what is read fits it, and has its types.

    Raises:
        FileProblem: the file is missing, damaged, or holds other tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    most = sum(value.nbytes for value in wanted.values()) + 2**20  # a megabyte of names
    again = "Install hmrlab anew."
    content = read_bytes(path, most, f"{path} is missing from this installation. {again}")
    try:
        state = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FileProblem(
            f"{path} cannot be read as safetensors ({shown(error)}): it is cut off, damaged, or "
            f"another kind of file. {again}"
        ) from error
    wrong = describe_differences(wanted, state) or not_finite(state)
    if wrong:
        raise FileProblem(f"{path} does not hold this network's weights: {wrong}\n{again}")
    return {name: value.to(wanted[name].dtype) for name, value in state.items()}
