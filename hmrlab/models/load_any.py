"""Whoever's checkpoint: hmrlab's own, SPIN's, and those of its kin, recognised by their keys.

The layouts of others that are read, each verified on the code that writes it:

- SPIN's, also FrankMocap's and VIBE's copies of it: `{'model': ...}`, the ResNet's and the
  regressor's layers side by side (`conv1.weight`, `fc1.weight`); with or without what else a
  training saves (`optimizer`, `epoch`, `dataset_perm`, ...).
- mmhuman3d's HMR and SPIN, so also HMR-benchmarks': `{'state_dict': ...}` with `backbone.` and
  `head.` before the same names.
- PARE's HMR: the same under `model.`, as PyTorch Lightning has it.

All of these have SPIN's regressor (6D rotations, no nonlinearity between its layers) on a ResNet.
A bare state dict does as well, and `module.` in front, as DataParallel has it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hmrlab.files import FileProblem
from hmrlab.models.checkpoints import (
    build_model,
    describe_content,
    is_ours,
    load_spin_state_dict,
    named_state,
)
from hmrlab.models.encoders import create_encoder
from hmrlab.models.hmr import HMR
from hmrlab.models.safe_load import not_finite, read_torch

OWN, SPIN, KIN, BARE = "hmrlab's", "SPIN's", "mmhuman3d's or PARE's", "hmrlab's, bare"
_LAYOUTS = {SPIN: ("", ""), KIN: ("backbone.", "head."), BARE: ("encoder.backbone.", "regressor.")}
"""What stands before the encoder's and before the regressor's names."""
_CONTAINERS = ("model", "state_dict", "gen_state_dict")  # the last is VIBE's, never a picture's
_WRAPPERS = ("module.", "model.")  # DataParallel's, Lightning's
BESIDE = ("smpl.", "body_model.", "body_model_train.", "body_model_test.", "disc.")
"""Parts that others' files hold beside the network: SMPL's arrays, and a discriminator."""
_OPENED = ("resnet18", "resnet50")  # ResNets that hmrlab has
_LARGEST = 1000.0  # number of a regressor: those of trained ones are below 10
_RESNETS = {
    (2, 2, 2, 2, False): "resnet18",
    (3, 4, 6, 3, False): "resnet34",
    (3, 4, 6, 3, True): "resnet50",
    (3, 4, 23, 3, True): "resnet101",
    (3, 8, 36, 3, True): "resnet152",
}
"""Residual blocks of the four stages, and whether they have three convolutions (He et al. 2016)."""
_DENSENETS = {
    (6, 12, 24, 16): "densenet121",
    (6, 12, 36, 24): "densenet161",
    (6, 12, 32, 32): "densenet169",
    (6, 12, 48, 32): "densenet201",
}
"""Layers of the four blocks (Huang et al. 2017)."""
_MARKS = (
    (r"(^|\.)gru\.", "a recurrent network over videos, such as VIBE's, which takes no pictures"),
    (r"(^|\.)transition\d\.|(^|\.)stage4\.\d+\.branches\.", "an HRNet"),
    (r"(^|\.)patch_embed\.|(^|\.)pos_embed$", "a vision transformer"),
    (r"(^|\.)features\.\d+\.conv\.", "a MobileNetV2"),
    (r"(^|\.)features\.\d+\.block\.\d+\.fc1\.", "a MobileNetV3"),
    (r"(^|\.)features\.\d+\.\d+\.block\.\d+\.fc1\.", "an EfficientNet"),
    (r"(^|\.)features\.\d+\.\d+\.layer_scale$", "a ConvNeXt"),
    (r"(^|\.)stage[234]\.\d+\.branch[12]\.", "a ShuffleNetV2"),
    (r"(^|\.)stages\.\d+\.\d+\.shortcut\.", "hmrlab's small network"),
)
_WIDE = 64  # channels within the first block of an ordinary ResNet


@dataclass(frozen=True)
class Opened:
    """A network from a file, and what the file was."""

    model: HMR  # in evaluation mode
    layout: str  # whose
    beside: dict[str, int] = field(default_factory=dict)  # entries that are no network's, by part

    def __str__(self) -> str:
        held = "".join(f"; left out {count} entries {part}*" for part, count in self.beside.items())
        return f"{self.layout} layout, encoder {self.model.encoder.name}{held}"


def open_model(path: str | Path) -> HMR:
    """The network in a checkpoint, in evaluation mode; see `open_checkpoint`."""
    return open_checkpoint(path).model


def open_checkpoint(path: str | Path) -> Opened:
    """The network in a checkpoint of hmrlab's, SPIN's or its kin, and what the file was.

    Nothing in the file is run, and every entry of the network has to fit.

    Raises:
        FileProblem: the file is missing, damaged, holds more than tensors and arrays, is of a newer
            hmrlab, holds NaN, or another network: then the message lists which keys are missing,
            unexpected or of another shape, and says what the file looks like.
    """
    content = read_torch(path)
    if is_ours(path, content):
        opened = Opened(build_model(path, content), OWN)
        _check_numbers(path, content["model"], opened.model)
        return opened
    state, beside = _parted(_unwrapped(_state_in(path, content)))
    layout = _layout_of(path, state)
    encoder, regressor = _LAYOUTS[layout]
    flat = {_flat(key, encoder, regressor): value for key, value in state.items()}
    look = looks_like(flat)
    with torch.device("meta"):  # every number comes from the file: none is drawn before
        model = HMR(create_encoder(look if look in _OPENED else _OPENED[-1]))
    model.to_empty(device="cpu")
    try:
        load_spin_state_dict(model, flat)
    except ValueError as error:
        raise FileProblem(f"{path} ({layout} layout): {error}\n{_hint(look)}") from error
    _check_numbers(path, state, model)
    return Opened(model.eval(), layout, beside)


def _state_in(path: str | Path, content: Any) -> dict[str, Any]:
    """The state dict in a file, wherever it lies."""
    if isinstance(content, Mapping):
        for name in _CONTAINERS:
            if isinstance(content.get(name), Mapping) and content[name]:
                return named_state(path, content[name])
        if any(isinstance(value, Tensor) for value in content.values()):
            return named_state(path, content)
    raise FileProblem(
        f"{path} holds no network: expected hmrlab's weights, SPIN's {{'model': ...}}, or a state "
        f"dict, found {describe_content(content)}"
    )


def _unwrapped(state: dict[str, Any]) -> dict[str, Any]:
    """Without what training wrappers put before the names.

    `module.` goes where all names have it. Lightning's `model.` does not stand before its own parts
    (a body, metrics).
    """
    everywhere, lightning = _WRAPPERS
    if all(key.startswith(everywhere) for key in state):
        state = {key.removeprefix(everywhere): value for key, value in state.items()}
    return {key.removeprefix(lightning): value for key, value in state.items()}


def _parted(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """The network's entries, and how many of each part beside it there were."""
    beside = Counter(part for key in state for part in BESIDE if key.startswith(part))
    return {k: value for k, value in state.items() if not k.startswith(BESIDE)}, dict(beside)


def _layout_of(path: str | Path, state: Mapping[str, Any]) -> str:
    for layout, (encoder, regressor) in _LAYOUTS.items():
        if f"{regressor}fc1.weight" in state and f"{encoder}conv1.weight" in state:
            return layout
    look = looks_like(state)
    raise FileProblem(
        f"{path} is no network of SPIN's kind: expected conv1.weight of a ResNet and fc1.weight of "
        "SPIN's regressor, by themselves, behind backbone. and head., or behind encoder.backbone. "
        f"and regressor.; found {describe_content(state)}.\n{_hint(look)}"
    )


def _flat(key: str, encoder: str, regressor: str) -> str:
    """SPIN's name of an entry; what belongs to neither part keeps its own."""
    if encoder and key.startswith(encoder):
        return key.removeprefix(encoder)
    return key.removeprefix(regressor)


def _hint(look: str) -> str:
    readable = f"hmrlab opens {' and '.join(_OPENED)} with SPIN's regressor from others' files"
    if look in _OPENED:
        return f"Its encoder's keys look like {look}; {readable}. Is the file whole, and HMR's?"
    return f"Its keys look like {look or 'nothing that is known here'}; {readable}."


def _check_numbers(path: str | Path, state: Mapping[str, Any], model: HMR) -> None:
    problem = not_finite(state) or _too_large(model)
    if problem:
        raise FileProblem(f"{path} holds a damaged network: {problem}. Take an earlier checkpoint.")


def _too_large(model: HMR) -> str:
    """The first entry of the regressor with a number that no training gives; "" without one."""
    for key, value in model.regressor.state_dict().items():
        largest = float(value.abs().max()) if value.numel() else 0.0
        if largest > _LARGEST:
            return f"regressor.{key}: expected numbers up to {_LARGEST:,.0f}, found {largest:.4g}"
    return ""


def looks_like(state: Mapping[str, Any]) -> str:
    """A name of torchvision's ("resnet50"), or some words ("an HRNet"), or "" for no idea."""
    return _resnet(state) or _densenet(state) or _other(state)


def _resnet(state: Mapping[str, Any]) -> str:
    counts = _counted(state, r"(?:^|\.)layer([1-4])\.(\d+)\.")
    if not counts:
        return ""
    bottleneck = any(re.search(r"(?:^|\.)layer\d\.\d+\.conv3\.weight$", key) for key in state)
    name = _RESNETS.get((*counts, bottleneck))
    inner = next(
        (value for key, value in state.items() if key.endswith("layer1.0.conv2.weight")), None
    )
    if bottleneck and isinstance(inner, Tensor) and inner.ndim == 4 and inner.shape[0] > _WIDE:
        return "a wide ResNet or a ResNeXt"
    return name or f"a ResNet of {', '.join(map(str, counts))} blocks"


def _densenet(state: Mapping[str, Any]) -> str:
    counts = _counted(state, r"denseblock([1-4])\.denselayer(\d+)\.")
    if not counts:
        return ""
    return _DENSENETS.get(counts) or f"a DenseNet of {', '.join(map(str, counts))} layers"


def _counted(state: Mapping[str, Any], pattern: str) -> tuple[int, ...]:
    """How many different second numbers there are for each first number 1 to 4; () for none."""
    found = {match.groups() for key in state if (match := re.search(pattern, key))}
    counts = tuple(sum(first == str(stage) for first, _ in found) for stage in range(1, 5))
    return counts if any(counts) else ()


def _other(state: Mapping[str, Any]) -> str:
    return next(
        (words for pattern, words in _MARKS if any(re.search(pattern, key) for key in state)), ""
    )
