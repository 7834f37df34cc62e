"""BlazePose's weights on disk: safetensors in half precision, as MediaPipe keeps them itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from hmrlab.files import FileProblem, read_bytes, write_whole
from hmrlab.models.blazepose.detector import BlazePoseDetector
from hmrlab.models.blazepose.landmarks import VARIANTS, BlazePoseLandmarks
from hmrlab.models.checkpoints import describe_differences
from hmrlab.models.safe_load import shown

FORMAT = "hmrlab-blazepose-1"
ABOUT = "hmrlab"  # where in safetensors' metadata a file says what it is
FOLDER = Path(__file__).parent.parent / "assets"
SHIPPED = ("lite", "full", "detector")
MAX_BYTES = 64 * 2**20  # heavy has 28 million
_KEPT, _WHERE = ".kept", ".where"  # of a weight that is mostly zeros: its other numbers, and where

Network = TypeVar("Network", bound=nn.Module)


def load_blazepose(
    variant: str = "full", path: str | Path | None = None, maps: bool = True
) -> BlazePoseLandmarks:
    """The landmark network with its published weights, in evaluation mode, ready to be tuned.

    Args:
        variant: "lite" or "full", which come with the package, or "heavy", which does not.
        path: of a file that `tools/convert_blazepose.py` wrote; by default the package's own.
        maps: see `BlazePoseLandmarks`.

    Raises:
        FileProblem: there is no such file, it is damaged, or it holds another network.
        ValueError: there is no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"BlazePose comes as {', '.join(VARIANTS)}; there is no {variant!r}")
    network = BlazePoseLandmarks(VARIANTS[variant], maps)
    return load_into(network, variant, path, partly=not maps)


def load_detector(path: str | Path | None = None) -> BlazePoseDetector:
    """The detector with its published weights, in evaluation mode.

    Raises:
        FileProblem: see `load_blazepose`.
    """
    return load_into(BlazePoseDetector(), "detector", path)


def load_into(
    network: Network, variant: str, path: str | Path | None = None, partly: bool = False
) -> Network:
    """Fill a network of that variant, and give it in evaluation mode.

    Args:
        network: to be filled.
        variant: that the file has to name.
        path: of the file; by default the package's own.
        partly: the network may lack layers that the file has.

    Raises:
        FileProblem: see `load_blazepose`; then the network is left as it was.
    """
    path = shipped_file(variant) if path is None else Path(path)
    state = read_weights(path, variant)
    wanted = network.state_dict()
    if partly:
        state = {name: value for name, value in state.items() if name in wanted}
    differences = describe_differences(wanted, state)
    if differences:
        raise FileProblem(f"{path} does not fit BlazePose's {variant!r} network.\n{differences}")
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return network.eval()


def feature_statistics(variant: str, size: int) -> dict[str, Tensor]:
    """`feature_mean` and `feature_std` (F,) of an encoder's features over synthetic people.

    Raises:
        FileProblem: the package's file is not there, damaged, or has another number of features.
    """
    path = FOLDER / "blazepose_features.safetensors"
    try:
        state = safetensors.torch.load(read_bytes(path, MAX_BYTES))
        found = {f"feature_{end}": state[f"{variant}.{end}"].float() for end in ("mean", "std")}
    except (SafetensorError, KeyError) as error:
        raise FileProblem(f"{path} is damaged ({shown(error)}); install hmrlab again") from error
    if any(value.shape != (size,) for value in found.values()):
        raise FileProblem(f"{path} is of another version of hmrlab; install hmrlab again")
    return found


def shipped_file(variant: str, folder: Path = FOLDER) -> Path:
    """The package's own file of a network.

    Raises:
        FileProblem: there is none.
    """
    path = folder / f"blazepose_{variant}.safetensors"
    if path.is_file():
        return path
    if variant in SHIPPED:
        raise FileProblem(
            f"{path} is missing from this installation; make it anew: python "
            "tools/convert_blazepose.py ARCHIVE (see tools/README.md)"
        )
    raise FileProblem(
        f"BlazePose {variant!r} does not come with the package. Make its file from MediaPipe's "
        f"(python tools/convert_blazepose.py ARCHIVE --networks {variant} --folder .; see "
        "tools/README.md), and give its path"
    )


def read_weights(path: str | Path, variant: str) -> dict[str, Tensor]:
    """Entries of a file of that variant, in half precision.

    Raises:
        FileProblem: the file is missing, damaged, none of ours, or of another variant.
    """
    again = "Convert it again: python tools/convert_blazepose.py"
    content = read_bytes(path, MAX_BYTES)
    try:
        state = safetensors.torch.load(content)
        about = _about(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FileProblem(
            f"{path} cannot be read as safetensors ({shown(error)}): it is cut off, damaged, or "
            f"another kind of file. {again}"
        ) from error
    if about.get("format") != FORMAT:
        raise FileProblem(f"{path} holds no BlazePose of hmrlab's (format {FORMAT!r}). {again}")
    if about.get("network") != variant:
        raise FileProblem(
            f"{path} holds BlazePose's {shown(about.get('network'))!r} network, wanted is "
            f"{variant!r}"
        )
    try:
        return unpacked(state)
    except (ValueError, KeyError, RuntimeError) as error:
        raise FileProblem(f"{path} is damaged: {shown(error)}. {again}") from error


def write_weights(path: str | Path, state: dict[str, Tensor], variant: str, **about: str) -> Path:
    """Write entries in half precision, whole or not at all; those mostly of zeros are packed.

    Args:
        path: of the file.
        state: entries by name.
        variant: what network they are of.
        about: what else the file is to say of itself.

    Raises:
        FileProblem: the file cannot be written.
    """
    packed = {}
    for name, value in state.items():
        packed |= _packed(name, value.detach().half().contiguous())
    told = json.dumps({"format": FORMAT, "network": variant} | about)
    content = safetensors.torch.save(packed, {ABOUT: told})  # of several entries the order varies
    return write_whole(path, lambda file: file.write(content))


def unpacked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Entries with their zeros.

    Raises:
        KeyError, ValueError: what was packed does not fit together.
    """
    plain = {}
    for name, value in state.items():
        if name.endswith(_WHERE):
            stem = name.removesuffix(_WHERE)
            plain[stem] = _filled(stem, value, state[stem + _KEPT])
        elif not name.endswith(_KEPT):
            plain[name] = value
    return plain


def _packed(name: str, value: Tensor) -> dict[str, Tensor]:
    """A weight of a 1x1 convolution that was pruned, as its other numbers and a bit for each."""
    if value.shape[2:] != (1, 1) or value.shape[1] % 8:
        return {name: value}
    there = value != 0
    if there.float().mean() > 0.5:
        return {name: value}
    bits = np.packbits(there.flatten(1).numpy(), axis=1)
    return {name + _KEPT: value[there], name + _WHERE: torch.from_numpy(bits)}


def _filled(name: str, bits: Tensor, kept: Tensor) -> Tensor:
    if bits.dtype != torch.uint8 or bits.ndim != 2 or kept.ndim != 1:
        raise ValueError(f"the packed entry {name!r} has another layout")
    there = torch.from_numpy(np.unpackbits(bits.numpy(), axis=1)).bool()
    if int(there.sum()) != len(kept):
        raise ValueError(
            f"{name!r} is said to have {int(there.sum()):,} numbers beside zeros; it has "
            f"{len(kept):,}"
        )
    value = kept.new_zeros(there.shape)
    value[there] = kept
    return value[..., None, None]


def _about(content: bytes) -> dict[str, str]:
    """What a file says of itself; nothing if it is another's. Safetensors' reader keeps it back."""
    length = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + length]).get("__metadata__", {}).get(ABOUT, "{}")
    about = json.loads(told)
    if not isinstance(about, dict):
        raise ValueError("it says nothing of itself")
    return about
