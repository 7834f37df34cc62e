"""A residual network that trains in minutes on a laptop's CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# oneDNN 3.12 (in torch 2.14) writes beyond its memory in the gradient of a strided 1x1 convolution
# of fewer input channels at odd batch sizes, on CPUs with AVX-512: the process dies.
NARROWEST = 16
GRID = 4  # fields along each side over which the last map is averaged


class SmallNet(nn.Module):
    """A stem, stages of residual blocks, and a layer that mixes what is seen where.

    Residual blocks as in He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
    fig. 5 left, on pictures of about 64 pixels, where a head has eight. So the first stage keeps
    the stem's 32 x 32, and the last map is pooled to `GRID` x `GRID` fields, not to one: whether
    somebody faces us or not is seen in few pixels.

    Args:
        widths: channels of the three stages; the second and the third halve the sides.
        channels: of the last map.
        hidden: length of the feature vector.

    Raises:
        ValueError: a stage narrower than `NARROWEST` channels.
    """

    def __init__(
        self,
        widths: tuple[int, int, int] = (32, 64, 128),
        channels: int = 64,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        if min(widths) < NARROWEST:
            raise ValueError(f"widths {tuple(widths)}: no stage can have fewer than {NARROWEST}")
        first, second, third = widths
        self.stem = _convolution(3, first // 2, size=3, stride=2)
        self.stages = nn.Sequential(
            nn.Sequential(ResidualBlock(first // 2, first)),
            nn.Sequential(ResidualBlock(first, second, stride=2)),
            nn.Sequential(ResidualBlock(second, third, stride=2)),
        )
        self.head = _convolution(third, channels, size=1)
        self.pool = nn.AdaptiveAvgPool2d(GRID)
        self.mix = nn.Sequential(
            nn.Linear(channels * GRID * GRID, hidden, bias=False), nn.BatchNorm1d(hidden)
        )
        self.apply(_he_start)

    @property
    def feature_size(self) -> int:
        """Length of the feature vector."""
        return self.mix[0].out_features

    @property
    def map_channels(self) -> int:
        """Channels of the last map."""
        return self.head[0].out_channels

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, feature_size)."""
        return torch.relu(self.mix(self.pool(self.maps(images)).flatten(1)))

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, map_channels, H / 8, W / 8), what is seen where."""
        features = torch.relu(self.stem(images))
        return torch.relu(self.head(self.stages(features)))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to a shortcut, which is a 1x1 convolution where sizes change."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, size=3, stride=stride)
        self.second = _convolution(outputs, outputs, size=3)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else _convolution(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        inner = self.second(torch.relu(self.first(features)))
        return torch.relu(inner + self.shortcut(features))


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution and its batch normalisation, which makes a bias of its own pointless."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


def _he_start(module: nn.Module) -> None:
    """Normal start with the deviation that keeps a ReLU network's signal (He et al., ICCV 2015)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
