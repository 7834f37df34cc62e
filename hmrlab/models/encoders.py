"""Image encoders by name: pictures in, one feature vector each out.

"small" is ours, "blazepose_lite" and "blazepose_full" are eyes that real people have taught (with
":points" behind them, of what they see a person's points alone),
"timm:NAME" is any network of timm's, every other name one of torchvision's, which may carry a
wiring. "mobilenet_v2" gives the features that the last map averages to, as SPIN takes them from its
ResNet. "mobilenet_v2:logits" keeps torchvision's whole classifier and hands on its 1000 ImageNet
logits, as the diary did.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

import torch
from jaxtyping import Float
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
ENCODER_NAMES = ("small", *TORCHVISION_ENCODERS)  # which the chapters compare
BLAZEPOSE = "blazepose_"  # how these begin, which bring their weights along:
BLAZEPOSE_ENCODERS = tuple(BLAZEPOSE + variant for variant in ("lite", "full"))
LOGITS = "logits"  # the wiring that a name may carry after a colon
POINTS = "points"  # and that of BlazePose
CLASSES = 1000  # of ImageNet
TIMM = "timm:"  # how a name of timm's begins
Maps = Callable[[nn.Module, Tensor], Tensor]  # a backbone's last feature map of pictures


class Encoder(nn.Module):
    """A backbone that turns (B, 3, H, W) images into (B, feature_size) features.

    Images are normalised by ImageNet's mean and standard deviation. Convolutional networks take any
    side from 32 pixels up, since the features are averaged over the image. Checkpoints carry the
    whole name. What is not given is the backbone's own `feature_size`, `map_channels` and `maps`.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        feature_size: int | None = None,
        map_channels: int | None = None,
        maps: Maps | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.feature_size = backbone.feature_size if feature_size is None else feature_size
        self.backbone = backbone
        self._map_channels = map_channels or getattr(backbone, "map_channels", None)
        self._maps = maps or (_own_maps if hasattr(backbone, "maps") else None)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b features"]:
        """One feature vector for each image."""
        return self.backbone(images)

    @property
    def has_maps(self) -> bool:
        """Whether the backbone gives `maps`."""
        return self._maps is not None

    @property
    def map_channels(self) -> int:
        """Channels of `maps`."""
        return self._map_channels or self.feature_size

    @torch.no_grad()
    def measure(self) -> None:
        """Set `feature_size` and `map_channels` anew; RuntimeError where layers do not fit."""
        image = torch.zeros(1, 3, 64, 64, device=next(self.parameters()).device)
        was_training = self.training
        self.eval()
        try:
            feature_size = self(image).shape[1]
            map_channels = self.maps(image).shape[1] if self.has_maps else None
        finally:
            self.train(was_training)
        self.feature_size, self._map_channels = feature_size, map_channels

    def maps(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b channels y x"]:
        """The last feature map, before it is pooled.

        Raises:
            ValueError: the backbone gives none.
        """
        if not self.has_maps:
            raise ValueError(
                f"the encoder {self.name!r} gives no feature maps; for keypoint maps take a "
                "convolutional network, or give your own module a method `maps`"
            )
        return self._maps(self.backbone, images)


def create_encoder(
    name: str, weights: str | None = None, *, allow_download: bool = False
) -> Encoder:
    """An encoder by name.

    A network of your own needs no name: `HMR` takes any module that has a `feature_size`.

    >>> encoder = create_encoder("small")
    >>> encoder(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 512])
    >>> create_encoder("resnet18").feature_size
    512
    >>> create_encoder("resnet81")
    Traceback (most recent call last):
    ValueError: unknown encoder 'resnet81'. Did you mean 'resnet18'? ...

    Args:
        name: "small" for laptops at 64 pixels; "blazepose_lite" or "blazepose_full", MediaPipe's
            pose networks with their weights, which look at 256 pixels; any of torchvision's
            classification networks ("resnet50"), whose classifier is removed; with ":logits" behind
            it, torchvision's network with its classifier; or any network of timm's
            ("timm:resnet10t").
        weights: None for a random start (BlazePose has its own), "imagenet" for torchvision's
            IMAGENET1K_V1 weights (for ResNet-50 those that SPIN starts from), or those of timm that
            its name says. They are read from the caches of torch hub and Hugging Face.
        allow_download: fetch the weights if the cache lacks them.

    Raises:
        ValueError: no encoder has that name (the message suggests the nearest) or that wiring, its
            classifier cannot be removed, or `weights` is neither, or there are none for it.
        FileProblem: the weights are not in the cache, damaged there, or not to be fetched; or
            BlazePose's are missing from the installation.
    """
    if weights not in (None, "imagenet"):
        raise ValueError(f"weights must be None or 'imagenet', got {weights!r}")
    if name.startswith(TIMM):
        from hmrlab.models.timm_backbone import TimmBackbone  # slow to import

        pretrained = weights is not None
        plain = name.removeprefix(TIMM)
        return Encoder(
            name, TimmBackbone(plain, pretrained=pretrained, allow_download=allow_download)
        )
    plain, wiring = split_name(name)
    if name == "small":
        if weights is not None:
            raise ValueError("there are no ImageNet weights for 'small'; use weights=None")
        return Encoder(name, SmallNet())
    if plain in BLAZEPOSE_ENCODERS:
        from hmrlab.models.blazepose import encoder as eyes  # it reads its weights

        if weights is not None:
            raise ValueError(f"{plain!r} brings its own weights along; use weights=None")
        kind = eyes.BlazePosePoints if wiring else eyes.BlazePoseEncoder
        return Encoder(name, kind(plain.removeprefix(BLAZEPOSE)))
    import torchvision  # it loads torch's compiler, which takes seconds: not for the small one

    network = torchvision.models.get_model(plain, weights=None)
    if weights is not None:
        network.load_state_dict(_imagenet_state(plain, allow_download), strict=True)
    listed = plain in TORCHVISION_ENCODERS
    attribute, classes = _own_classes(network) if listed else _only_classes(name, network)
    size = getattr(classes[0], "in_features", None) or classes[0].in_channels
    if not wiring:
        setattr(network, attribute, _without(getattr(network, attribute), classes))
    encoder = Encoder(name, network, CLASSES if wiring else size, size, _maps_of(network))
    if not listed and encoder.has_maps:
        encoder.measure()
    return encoder


def encoder_name(encoder: nn.Module) -> str:
    """What a checkpoint says of an encoder: its name, or its class's."""
    return getattr(encoder, "name", type(encoder).__name__)


def split_name(name: str) -> tuple[str, str]:
    """Encoder and wiring ("", "logits", "points") of a name of ours or torchvision's.

    Raises:
        ValueError: there is no such encoder, or not in that wiring.
    """
    plain, colon, wiring = name.partition(":")
    ours = (*ENCODER_NAMES, *BLAZEPOSE_ENCODERS)
    if plain not in ours and plain not in _torchvision_names():
        near = _nearest(plain)
        hint = f" Did you mean {near!r}?" if near else ""
        raise ValueError(
            f"unknown encoder {plain!r}.{hint} There are: {', '.join(ours)}; all other "
            "classification networks of torchvision's; timm:NAME for any of timm's"
        )
    if colon and wiring == POINTS and plain in BLAZEPOSE_ENCODERS:
        return plain, wiring
    if colon and wiring != LOGITS:
        near = difflib.get_close_matches(wiring.lower(), [LOGITS], n=1)
        hint = f" Did you mean '{plain}:{LOGITS}'?" if near else ""
        raise ValueError(
            f"unknown wiring {wiring!r} of {plain!r}.{hint} {plain!r} alone gives pooled features, "
            f"'{plain}:{LOGITS}' the whole classifier's {LOGITS}"
        )
    if wiring and plain in ("small", *BLAZEPOSE_ENCODERS):
        raise ValueError(
            f"{plain!r} has no classifier, so there is no '{plain}:{LOGITS}'; use {plain!r}, or "
            "another encoder"
        )
    return plain, wiring


def _torchvision_names() -> list[str]:
    import torchvision  # see `create_encoder`

    return torchvision.models.list_models(module=torchvision.models)


def _nearest(name: str) -> str:
    """The encoder of ours, torchvision's or timm's whose name is most alike; "" for none."""
    from hmrlab.models.timm_backbone import timm_names  # see `create_encoder`

    known = {one: TIMM + one for one in timm_names()}
    ours = (*ENCODER_NAMES, *BLAZEPOSE_ENCODERS)
    known |= {one: one for one in (*ours, *_torchvision_names())}
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    return known[near[0]] if near else ""


def _own_classes(network: nn.Module) -> tuple[str, list[nn.Module]]:
    """Where a network of our list has its classifier, and all in it from its first linear layer."""
    attribute = "fc" if hasattr(network, "fc") else "classifier"
    layers = list(getattr(network, attribute).children()) or [getattr(network, attribute)]
    first = next(k for k, layer in enumerate(layers) if isinstance(layer, nn.Linear))
    return attribute, layers[first:]


def _only_classes(name: str, network: nn.Module) -> tuple[str, list[nn.Module]]:
    """Where another network has the layer that gives its classes, and that layer."""
    classes = [
        (path, layer)
        for path, layer in network.named_modules()
        if getattr(layer, "out_features", getattr(layer, "out_channels", 0)) == CLASSES
    ]
    if len(classes) != 1:
        raise ValueError(
            f"torchvision knows {name!r}, but its classifier cannot be taken off: expected one "
            f"layer of {CLASSES} classes, found {', '.join(p for p, _ in classes) or 'none'}; take "
            f"another encoder, or timm:NAME"
        )
    ((path, layer),) = classes
    return path.partition(".")[0], [layer]


def _without(head: nn.Module, layers: list[nn.Module]) -> nn.Module:
    """A classifier without some layers, and without dropout: the regressor has its own."""
    if head in layers:
        return nn.Identity()
    kept = [each for each in head if each not in layers and not isinstance(each, nn.Dropout)]
    return nn.Sequential(*kept) if kept else nn.Identity()


def _maps_of(network: nn.Module) -> Maps | None:
    """How a network of torchvision's gives its last feature map, if it gives one."""
    kind = type(network).__name__
    if kind == "DenseNet":
        return _densenet_maps
    if kind in ("ResNet", "ShuffleNetV2", "RegNet", "MNASNet"):
        return _maps_before_pooling
    if kind == "SwinTransformer":
        return _swin_maps
    return _feature_maps if hasattr(network, "features") else None


def _own_maps(network: nn.Module, images: Tensor) -> Tensor:
    return network.maps(images)


def _feature_maps(network: nn.Module, images: Tensor) -> Tensor:
    return network.features(images)


def _densenet_maps(network: nn.Module, images: Tensor) -> Tensor:
    return torch.relu(network.features(images))  # ends in a norm, relu on pooling


def _swin_maps(network: nn.Module, images: Tensor) -> Tensor:
    return network.permute(network.norm(network.features(images)))


def _maps_before_pooling(network: nn.Module, images: Tensor) -> Tensor:
    for name, layer in network.named_children():  # in the order of the forward pass
        if name not in ("avgpool", "fc", "classifier"):
            images = layer(images)
    return images


def _imagenet_state(name: str, allow_download: bool) -> dict[str, Tensor]:
    """torchvision's IMAGENET1K_V1 state dict from torch hub's cache, checked against its hash."""
    from torchvision.models import get_model_weights

    url = get_model_weights(name)["IMAGENET1K_V1"].url
    state = hub_weights(url, f"ImageNet weights of {name}", allow_download=allow_download)
    if not name.startswith("densenet"):
        return state
    return {  # the published files say `norm.1.weight` where today's module says `norm1.weight`
        re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): value
        for key, value in state.items()
    }
