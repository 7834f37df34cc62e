"""Image encoders by name: pictures in, one feature vector each out.

A name may carry a wiring. "mobilenet_v2" gives the features that the last map averages to, as SPIN
takes them from its ResNet. "mobilenet_v2:logits" keeps torchvision's whole classifier and hands on
its 1000 ImageNet logits, as the diary did.
"""

from __future__ import annotations

import difflib
import re

import torch
from torch import Tensor, nn

from hmrlab.models.hub import hub_weights
from hmrlab.models.small import SmallNet

TORCHVISION_ENCODERS = (
    "resnet18",
    "resnet50",
    "densenet121",
    "densenet169",
    "densenet201",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "shufflenet_v2_x1_0",
    "efficientnet_b0",
    "convnext_tiny",
)
ENCODER_NAMES = ("small", *TORCHVISION_ENCODERS)
LOGITS = "logits"  # the wiring that a name may carry after a colon


class Encoder(nn.Module):
    """A backbone that turns (B, 3, H, W) pictures into (B, feature_size) features.

    Pictures are normalised by ImageNet's mean and deviation. Any side from 32 pixels up will do,
    since the features are averaged over the picture.

    Args:
        name: the whole name, wiring included; checkpoints carry it.
        backbone: the network.
        feature_size: length of its output.
        map_channels: channels of `maps`; by default the backbone's own word, else `feature_size`.
    """

    def __init__(
        self, name: str, backbone: nn.Module, feature_size: int, map_channels: int | None = None
    ) -> None:
        super().__init__()
        self.name = name
        self.feature_size = feature_size
        self.backbone = backbone
        self._map_channels = map_channels or getattr(backbone, "map_channels", None)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, feature_size)."""
        return self.backbone(images)

    @property
    def map_channels(self) -> int:
        """Channels of `maps`."""
        return self._map_channels or self.feature_size

    @torch.no_grad()
    def measure(self) -> None:
        """Set `feature_size` and `map_channels` anew, after layers were changed.

        Raises:
            RuntimeError: the layers do not fit each other.
        """
        image = torch.zeros(1, 3, 64, 64, device=next(self.parameters()).device)
        was_training = self.training
        self.eval()
        try:
            sizes = self(image).shape[1], self.maps(image).shape[1]
        finally:
            self.train(was_training)
        self.feature_size, self._map_channels = sizes

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, map_channels, h, w): the last feature map, before it is pooled."""
        network = self.backbone
        if isinstance(network, SmallNet):
            return network.maps(images)
        from torchvision.models import DenseNet  # see `create_encoder`

        if isinstance(network, DenseNet):
            return torch.relu(network.features(images))  # ends in a norm, rectified on pooling
        if hasattr(network, "features"):
            return network.features(images)
        for name, layer in network.named_children():  # ResNet, ShuffleNet: layers in their order
            if name not in ("avgpool", "fc"):
                images = layer(images)
        return images


def create_encoder(
    name: str, weights: str | None = None, *, allow_download: bool = False
) -> Encoder:
    """An encoder by name.

    Args:
        name: one of `ENCODER_NAMES`: "small" for laptops at 64 pixels, or a network of
            torchvision's, whose classifier is removed; with ":logits" behind it, torchvision's
            network with its classifier.
        weights: None for a random start, "imagenet" for torchvision's IMAGENET1K_V1 weights (for
            ResNet-50 those that SPIN starts from). They are read from torch hub's cache.
        allow_download: fetch the ImageNet weights if the cache lacks them.

    Raises:
        ValueError: no encoder has that name (the message suggests the nearest) or that wiring, or
            `weights` is neither, or there are none for this encoder.
        FileProblem: the ImageNet weights are not in the cache, damaged there, or not to be fetched.
    """
    plain, wiring = split_name(name)
    if weights not in (None, "imagenet"):
        raise ValueError(f"weights must be None or 'imagenet', got {weights!r}")
    if name == "small":
        if weights is not None:
            raise ValueError("there are no ImageNet weights for 'small'; use weights=None")
        network = SmallNet()
        return Encoder(name, network, network.feature_size)
    import torchvision  # it loads torch's compiler, which takes seconds: not for the small one

    network = torchvision.models.get_model(plain, weights=None)
    if weights is not None:
        network.load_state_dict(_imagenet_state(plain, allow_download), strict=True)
    attribute = "fc" if hasattr(network, "fc") else "classifier"
    head = getattr(network, attribute)
    linear = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    pooled_size = linear[0].in_features
    if wiring:
        return Encoder(name, network, linear[-1].out_features, map_channels=pooled_size)
    setattr(network, attribute, _before_linear(head))
    return Encoder(name, network, pooled_size)


def split_name(name: str) -> tuple[str, str]:
    """The encoder and the wiring ("" or "logits") that a whole name stands for.

    Raises:
        ValueError: there is no such encoder, or not in that wiring.
    """
    plain, colon, wiring = name.partition(":")
    if plain not in ENCODER_NAMES:
        near = difflib.get_close_matches(plain.lower(), ENCODER_NAMES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown encoder {plain!r}.{hint} There are: {', '.join(ENCODER_NAMES)}")
    if colon and wiring != LOGITS:
        near = difflib.get_close_matches(wiring.lower(), [LOGITS], n=1)
        hint = f" Did you mean '{plain}:{LOGITS}'?" if near else ""
        raise ValueError(
            f"unknown wiring {wiring!r} of {plain!r}.{hint} {plain!r} alone gives pooled features, "
            f"'{plain}:{LOGITS}' the whole classifier's {LOGITS}"
        )
    if wiring and plain == "small":
        raise ValueError(
            f"'small' has no classifier, so there is no 'small:{LOGITS}'; use 'small', or another "
            "encoder"
        )
    return plain, wiring


def _before_linear(head: nn.Module) -> nn.Module:
    """What a classifier does to its pooled features before its first linear layer.

    Dropout is left out: the regressor has its own.
    """
    if isinstance(head, nn.Linear):
        return nn.Identity()
    kept: list[nn.Module] = []
    for layer in head:
        if isinstance(layer, nn.Linear):
            break
        if not isinstance(layer, nn.Dropout):
            kept.append(layer)
    return nn.Sequential(*kept) if kept else nn.Identity()


def _imagenet_state(name: str, allow_download: bool) -> dict[str, Tensor]:
    """torchvision's IMAGENET1K_V1 state dict from torch hub's cache, checked against its hash."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name)["IMAGENET1K_V1"].url
    state = hub_weights(url, f"ImageNet weights of {name}", allow_download=allow_download)
    return _rename_densenet_keys(state) if name.startswith("densenet") else state


def _rename_densenet_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published DenseNet files say `norm.1.weight` where today's module says `norm1.weight`."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): value
        for key, value in state.items()
    }
