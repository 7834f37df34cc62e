"""What both of BlazePose's networks are built of. No batch normalisation: it is in the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu6

KERNELS = (3, 5, 3, 5, 5)  # of the backbone's five stages, as in EfficientNet-B0
STRIDES = (2, 2, 2, 1, 2)


@dataclass(frozen=True)
class BackboneConfig:
    """Widths and depths of a backbone."""

    stem: int  # channels at half of the picture's side
    channels: tuple[int, ...]  # of the five stages
    blocks: tuple[int, ...]  # in each
    narrow: int = 1  # how many of the first blocks widen four-fold; the others do six-fold


class Backbone(nn.Module):
    """EfficientNet without squeeze-and-excitation: inverted residual blocks in five stages.

    Tan and Le, "EfficientNet", ICML 2019, table 1: its first block, stages 3 to 7 of it, and of the
    eighth all but the last convolution. ReLU6 as in EfficientNet-Lite.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem)
        stages, before, built = [], config.stem, 0
        for channels, count, kernel, stride in zip(
            config.channels, config.blocks, KERNELS, STRIDES, strict=True
        ):
            blocks = []
            for k in range(count):
                widening = 4 if built < config.narrow else 6
                blocks.append(
                    InvertedResidual(before, channels, kernel, stride if k == 0 else 1, widening)
                )
                before, built = channels, built + 1
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.top = Widening(before, 6 * before)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> dict[int, Float[Tensor, "b _ _ _"]]:
        """The last map of each size, by how many times smaller than the picture it is: 2 to 32."""
        features = self.stem(images)
        maps, scale = {2: features}, 2
        for stage, stride in zip(self.stages, STRIDES, strict=True):
            features, scale = stage(features), scale * stride
            maps[scale] = features
        return maps | {scale: self.top(features)}


class Stem(nn.Module):
    """A convolution of stride 2, and a depthwise separable one."""

    def __init__(self, outputs: int, channels: int = 24) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.depthwise = depthwise(channels)
        self.project = nn.Conv2d(channels, outputs, 1)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b _ y x"]:
        """Half of the sides."""
        return self.project(relu6(self.depthwise(relu6(self.conv(images)))))


class Widening(nn.Module):
    """More channels, and a depthwise convolution: an inverted residual block's first half."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, outputs, 1)
        self.depthwise = depthwise(outputs, kernel, stride)

    def forward(self, features: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        return relu6(self.depthwise(relu6(self.expand(features))))


class InvertedResidual(Widening):
    """Widen, convolve depthwise, project without a nonlinearity; a shortcut where sizes agree.

    Sandler et al., "MobileNetV2", CVPR 2018, fig. 4d.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, widening: int = 6
    ) -> None:
        super().__init__(inputs, widening * inputs, kernel, stride)
        self.project = nn.Conv2d(widening * inputs, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, features: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        inner = self.project(super().forward(features))
        return inner + features if self.shortcut else inner


class BlazeBlock(nn.Module):
    """A depthwise separable convolution with a shortcut, where there can be one.

    Bazarevsky et al., "BlazeFace", 2019 (arXiv 1907.05047), fig. 1. At stride 2 the shortcut is
    max-pooled, and new channels begin at zero.

    Args:
        inputs: channels.
        outputs: channels; if they are others at stride 1, there is no shortcut.
        stride: 1 or 2.
        linear: no ReLU6 between the two convolutions, as the detector has it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, linear: bool = False) -> None:
        super().__init__()
        self.depthwise = depthwise(inputs, stride=stride, same=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.stride = stride
        self.linear = linear
        self.more = outputs - inputs
        self.shortcut = stride == 2 or inputs == outputs

    def forward(self, features: Float[Tensor, "b _ _ _"]) -> Float[Tensor, "b _ _ _"]:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride); even sides at stride 2."""
        # TensorFlow's "same": at stride 2 all of the border is on the right and below
        border = (0, 1, 0, 1) if self.stride == 2 else (1, 1, 1, 1)
        inner = self.depthwise(nnf.pad(features, border))
        inner = self.pointwise(inner if self.linear else relu6(inner))
        return relu6(inner + self._carried(features) if self.shortcut else inner)

    def _carried(self, features: Tensor) -> Tensor:
        if self.stride == 2:
            features = nnf.max_pool2d(features, 2)
        return nnf.pad(features, (0, 0, 0, 0, 0, self.more)) if self.more else features


class UpwardPath(nn.Module):
    """The U's way up: what lies below, doubled, plus a lateral of the backbone, and so on."""

    def __init__(self, top: int, laterals: Sequence[int], width: int) -> None:
        super().__init__()
        self.top = BlazeBlock(top, width)
        self.laterals = nn.ModuleList(BlazeBlock(channels, width) for channels in laterals)

    def forward(
        self, top: Float[Tensor, "b _ _ _"], maps: Sequence[Float[Tensor, "b _ _ _"]]
    ) -> Float[Tensor, "b width _ _"]:
        """A map of the size of the last of `maps`, which go from small to large."""
        features = self.top(top)
        for lateral, beside in zip(self.laterals, maps, strict=True):
            features = doubled(features) + lateral(beside)
        return features


def blaze_stage(inputs: int, outputs: int, count: int) -> nn.Sequential:
    """Blaze blocks of which the first halves the map."""
    rest = [BlazeBlock(outputs, outputs) for _ in range(count - 1)]
    return nn.Sequential(BlazeBlock(inputs, outputs, stride=2), *rest)


def depthwise(channels: int, kernel: int = 3, stride: int = 1, same: bool = True) -> nn.Conv2d:
    """A convolution of each channel by itself, with or without its border."""
    border = kernel // 2 if same else 0
    return nn.Conv2d(channels, channels, kernel, stride, padding=border, groups=channels)


def doubled(features: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c 2*y 2*x"]:
    """Twice the sides, bilinearly."""
    return nnf.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
