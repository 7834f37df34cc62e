"""Which network a state dict is of, by its names and shapes: for messages, and to build it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

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
WIDE = 64  # channels within the first block of an ordinary ResNet


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
    if bottleneck and isinstance(inner, Tensor) and inner.ndim == 4 and inner.shape[0] > WIDE:
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
