"""An encoder taught where the joints are: one map of likelihood for each keypoint."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

KEYPOINTS = 24  # the annotated ones


class HeatmapNet(nn.Module):
    """An encoder's last feature map, enlarged by transposed convolutions, one channel a keypoint.

    Xiao, Wu, Wei: "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018. The head
    is there for the encoder's sake and thrown away afterwards.

    Args:
        encoder: from `create_encoder`, or any module with `map_channels` and a method `maps`.
        num_deconv: transposed convolutions, each of which doubles the map's sides.
        width: their channels.
    """

    def __init__(self, encoder: nn.Module, num_deconv: int = 2, width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder
        layers: list[nn.Module] = []
        channels = encoder.map_channels
        for _ in range(num_deconv):
            layers += [
                nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        self.head = nn.Sequential(*layers, nn.Conv2d(channels, KEYPOINTS, 1))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 24 y x"]:
        """Normalised images -> logits over the cells of each map."""
        return self.head(self.encoder.maps(images))


def expected_places(logits: Float[Tensor, "b k y x"]) -> Float[Tensor, "b k 2"]:
    """The mean place under each map's likelihood (Sun et al., "Integral Human Pose", ECCV 2018).

    (B, K, h, w) -> (B, K, 2) x, y in [-1, 1] over the picture.
    """
    height, width = logits.shape[-2:]
    likelihood = logits.flatten(2).softmax(-1).unflatten(2, (height, width))
    x = likelihood.sum(-2) @ cell_centers(width, logits)
    y = likelihood.sum(-1) @ cell_centers(height, logits)
    return torch.stack([x, y], -1)


def cell_centers(count: int, like: Tensor) -> Tensor:
    """(count,) middles of cells that share [-1, 1] evenly."""
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1
