"""Networks of timm as backbones: `create_encoder("timm:resnet10t")`. Only that imports timm."""

from __future__ import annotations

import difflib
from typing import Any

import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from hmrlab.models.hub import hub_weights, hugging_face_file

WEIGHTS_FILE = "model.safetensors"  # of a repository of timm's that names no other


class TimmBackbone(nn.Module):
    """A network of timm without its classifier.

    Pictures come normalised by ImageNet's mean and standard deviation; for a network that was
    trained with others they are changed to those.

    The name is timm's, a tag of its weights included: "resnet10t", "resnet50.a1_in1k".

    Raises:
        ValueError: timm has no network of that name (the message suggests the nearest), no such tag
            of it, or no weights for it.
        FileProblem: the weights are not in the cache, or not to be fetched.
    """

    def __init__(
        self, name: str, *, pretrained: bool = False, allow_download: bool = False
    ) -> None:
        super().__init__()
        _check_name(name)
        source = _weights(name, allow_download) if pretrained else {}
        self.name = name
        self.network = _network(name, pretrained, source)
        self.feature_size = self.network.head_hidden_size
        self.map_channels = self.network.num_features
        about = self.network.pretrained_cfg
        mean, std = torch.tensor(about["mean"]), torch.tensor(about["std"])
        factor = torch.tensor(IMAGENET_DEFAULT_STD) / std
        shift = (torch.tensor(IMAGENET_DEFAULT_MEAN) - mean) / std
        self.register_buffer("factor", factor[:, None, None], persistent=False)
        self.register_buffer("shift", shift[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, feature_size)."""
        return self.network(self._renormalised(images))

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, map_channels, h, w).

        Raises:
            ValueError: the network gives no map, as most transformers.
        """
        maps = self.network.forward_features(self._renormalised(images))
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise ValueError(
                f"'timm:{self.name}' gives no feature maps (B, C, h, w) but {shape}, as "
                "transformers do; for keypoint maps take a convolutional network"
            )
        last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        return maps.permute(0, 3, 1, 2) if last else maps

    def _renormalised(self, images: Tensor) -> Tensor:
        return images * self.factor + self.shift


def timm_names() -> list[str]:
    """All networks of timm, without tags of weights."""
    return timm.list_models()


def _check_name(name: str) -> None:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.lower(), timm_names(), n=1, cutoff=0.4)
        hint = f" Did you mean 'timm:{near[0]}'?" if near else ""
        raise ValueError(
            f"unknown encoder 'timm:{name}'.{hint} timm.list_models() lists all that there are"
        )
    network, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{network}.*")]
    if tag and tag not in tags:
        raise ValueError(
            f"timm has no weights {tag!r} of {network!r}; there are: {', '.join(tags) or 'none'}"
        )


def _network(name: str, pretrained: bool, source: dict[str, Any]) -> nn.Module:
    """timm's network; transformers for one size of pictures take others, if they can."""
    settings = {"pretrained": pretrained, "num_classes": 0, "pretrained_cfg_overlay": source}
    about = timm.get_pretrained_cfg(name)
    if about is not None and about.fixed_input_size:
        try:
            return timm.create_model(name, dynamic_img_size=True, **settings)
        except TypeError:
            pass  # this one cannot
    return timm.create_model(name, **settings)


def _weights(name: str, allow_download: bool) -> dict[str, Any]:
    """Where timm is to read a network's weights, so that it asks no server itself."""
    about = timm.get_pretrained_cfg(name)
    if about is None or not about.has_weights:
        raise ValueError(f"timm has no pretrained weights for {name!r}; use weights=None")
    what = f"pretrained weights of timm:{name}"
    if not about.hf_hub_id:
        return {"state_dict": hub_weights(about.url, what, allow_download=allow_download)}
    file = about.hf_hub_filename or WEIGHTS_FILE
    path = hugging_face_file(about.hf_hub_id, file, what, allow_download=allow_download)
    return {"file": str(path), "custom_load": False}
