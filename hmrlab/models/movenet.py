"""MoveNet MultiPose: everybody in a photograph, each with a box and COCO's seventeen keypoints.

Google's "MoveNet.MultiPose.Lightning" (Votel and Li, TensorFlow Blog, May 2021), a network that was
trained on photographs of people. It has three parts: MobileNetV2 1.5 times as wide (Sandler et al.,
CVPR 2018) looks, a feature pyramid (Lin et al., CVPR 2017) brings what it saw back to cells of 4
pixels, and six small heads say of each cell what CenterNet says (Zhou et al., "Objects as Points",
2019): whether the middle of somebody is here, how large they are, and where their keypoints lie.
`hmrlab.models.people.find_people` uses it on pictures of any size.

`tools/convert_movenet.py` took the weights from the published graph; its batch normalisation is
folded into the convolutions, so there is none here. They come under the Apache License 2.0, see
`assets/movenet_multipose.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Int
from torch import Tensor, nn

from hmrlab.models.detections import COCO_KEYPOINTS
from hmrlab.models.tensor_files import read_safetensors

ASSET = Path(__file__).parent / "assets" / "movenet_multipose.safetensors"
KEYPOINTS = len(COCO_KEYPOINTS)
STRIDE = 4  # pixels of the picture in each cell of the maps
MULTIPLE = 32  # of which the network's pictures have to be, in both sides
SPREAD = 0.3  # of the smaller side of the maps: how far a keypoint may lie from its rough place
LIKELY = 0.127  # of a keypoint, to count for its person's score
# MobileNetV2's table 2, 1.5 times as wide: expansion, channels, how many blocks, first one's stride
STAGES = (
    (1, 24, 1, 1),
    (6, 40, 2, 2),
    (6, 48, 3, 2),
    (6, 96, 4, 2),
    (6, 144, 3, 1),
    (6, 240, 3, 2),
    (6, 480, 1, 1),
)
STEM, LAST = 48, 1280  # channels before and after the blocks
TAPPED = (1, 2, 3)  # stages that the pyramid takes from, at strides 4, 8 and 16


class Maps(NamedTuple):
    """What the heads say of each cell of a picture; y before x, all lengths in cells."""

    center: Tensor  # (B, 1, h, w) logits of being the middle of somebody
    box_size: Tensor  # (B, 2, h, w) of whose middle it is
    box_offset: Tensor  # (B, 2, h, w) from the cell to the middle of the box
    heatmap: Tensor  # (B, 17, h, w) logits of being somebody's keypoint, no matter whose
    regression: Tensor  # (B, 34, h, w) y, x of each keypoint as seen from the middle: rough
    keypoint_offset: Tensor  # (B, 34, h, w) y, x from the cell to the keypoint that is in it: fine


class MoveNet(nn.Module):
    """Pictures to maps, see `Maps`; `decode` reads people off them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MobileNetV2()
        self.pyramid = Pyramid()
        width = self.pyramid.width
        channels = (1, 2, 2, KEYPOINTS, 2 * KEYPOINTS, 2 * KEYPOINTS)
        heads = {n: Head(width, c) for n, c in zip(Maps._fields, channels, strict=True)}
        self.heads = nn.ModuleDict(heads)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Maps:
        """Look at pictures.

        Args:
            images: (B, 3, H, W) RGB from -1 to 1, H and W multiples of 32.

        Raises:
            ValueError: they are of another size.
        """
        if any(side % MULTIPLE or not side for side in images.shape[2:]):
            raise ValueError(
                f"expected sides that are multiples of {MULTIPLE} pixels, got "
                f"{tuple(images.shape[2:])}; `people.letterbox` makes such pictures"
            )
        features = self.pyramid(self.backbone(images))
        return Maps(*(self.heads[name](features) for name in Maps._fields))


class MobileNetV2(nn.Module):
    """Pictures to features at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, size=3, stride=2)
        self.stages = nn.ModuleList()
        before = STEM
        for expansion, channels, count, stride in STAGES:
            blocks = [InvertedResidual(before, channels, expansion, stride)]
            blocks += [InvertedResidual(channels, channels, expansion) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
            before = channels
        self.last = Convolution(before, LAST)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """(B, 3, H, W) -> (B, 40, H / 4, W / 4), then 48, 96 and 1280 channels."""
        features = nnf.relu6(self.stem(images), inplace=True)
        tapped = []
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number in TAPPED:
                tapped.append(features)
        return [*tapped, nnf.relu6(self.last(features), inplace=True)]


class InvertedResidual(nn.Module):
    """Widen, look about in each channel by itself, narrow; MobileNetV2's block."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int = 1) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide) if expansion > 1 else None
        self.depthwise = Convolution(wide, wide, size=3, stride=stride, groups=wide)
        self.project = Convolution(wide, outputs)
        self.adds = inputs == outputs and stride == 1

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        inner = features if self.expand is None else nnf.relu6(self.expand(features), inplace=True)
        inner = self.project(nnf.relu6(self.depthwise(inner), inplace=True))
        return features + inner if self.adds else inner


class Pyramid(nn.Module):
    """Features at strides 4 to 32, brought together at stride 4 from the coarsest on."""

    def __init__(self) -> None:
        super().__init__()
        tapped = [STAGES[number][1] for number in TAPPED] + [LAST]
        widths = (24, 32, 64, 64)
        self.lateral = nn.ModuleList(
            Convolution(inputs, outputs) for inputs, outputs in zip(tapped, widths, strict=True)
        )
        self.merge = nn.ModuleList(Separable(*pair) for pair in ((24, 24), (32, 24), (64, 32)))
        self.width = 24

    def forward(self, features: list[Tensor]) -> Float[Tensor, "b 24 y x"]:
        """What `MobileNetV2` gives -> (B, 24, H / 4, W / 4)."""
        *finer, merged = (one(each) for one, each in zip(self.lateral, features, strict=True))
        for merge, fine in reversed(list(zip(self.merge, finer, strict=True))):
            coarse = nnf.interpolate(merged, scale_factor=2, mode="bilinear", align_corners=False)
            merged = merge(fine + coarse)
        return merged


class Separable(nn.Module):
    """A 3x3 convolution in each channel by itself, a 1x1 convolution, a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = Convolution(inputs, inputs, size=3, groups=inputs, bias=False)
        self.pointwise = Convolution(inputs, outputs)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return torch.relu(self.pointwise(self.depthwise(features)))


class Head(nn.Module):
    """Features to one of the `Maps`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.hidden = Separable(inputs, 96)
        self.out = Convolution(96, outputs)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.out(self.hidden(features))


class Convolution(nn.Conv2d):
    """A convolution that pads as TensorFlow's "SAME": at stride 2 below and to the right only."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        padding = size // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, size, stride, padding, groups=groups, bias=bias)

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), H and W even at stride 2."""
        if self.stride != (1, 1):
            features = nnf.pad(features, (0, 1, 0, 1))
        return super().forward(features)


def load_movenet(path: str | Path = ASSET) -> MoveNet:
    """The network with the weights that come with the package, in evaluation mode.

    Raises:
        FileProblem: the file is missing or damaged, or of another network.
    """
    network = MoveNet()
    network.load_state_dict(read_safetensors(path, network.state_dict()))
    return network.eval().to(memory_format=torch.channels_last)  # a quarter faster on CPUs


def decode(
    maps: Maps, most: int, least: float = 0.0
) -> tuple[Float[Tensor, "n 4"], Float[Tensor, " n"], Float[Tensor, "n 17 3"]]:
    """The people whom the maps of one picture tell of, as the published graph reads them.

    A person is a cell whose likelihood of being somebody's middle is the greatest of 5 x 5. Each
    of their keypoints is the cell of its heatmap that is likely in itself, near to where the middle
    says that it lies, and within the box; the likelihood and the nearness are multiplied.

    Args:
        maps: of one picture, (1, ...).
        most: people at most.
        least: likelihood of a middle, below which there is nobody; no score is larger than it.

    Returns:
        boxes (N, 4), left, top, right, bottom; scores (N,); keypoints (N, 17, 3), x, y, score.
        Pixels of the network's picture; the most likely middle first. A score is a likelihood; a
        person's is that of the middle times the mean of the likely keypoints'.
    """
    likelihood, rows, columns = _middles(maps.center[0, 0].sigmoid(), most, least)
    middle = torch.stack([rows, columns], 1).float()  # (N, 2), y and x as all that follows
    own = Maps(*(each[0, :, rows, columns].T for each in maps))  # (N, C) of each middle's cell
    limits = torch.tensor(maps.center.shape[2:], device=middle.device)
    box_middle, half = middle + own.box_offset, own.box_size.clamp(min=0) / 2
    low = torch.minimum(box_middle - half, limits).clamp(min=0)
    high = torch.minimum(box_middle + half, limits).clamp(min=0)
    rough = middle[:, None] + own.regression.unflatten(1, (KEYPOINTS, 2))
    keypoints, scores = _keypoints(maps, rough, low, high)
    likely = scores > LIKELY
    mean = (scores * likely).sum(1) / likely.sum(1).clamp(min=1)
    boxes = STRIDE * torch.cat([low.flip(1), high.flip(1)], 1)
    return boxes, likelihood * mean, torch.cat([STRIDE * keypoints.flip(2), scores[..., None]], 2)


def _middles(
    center: Float[Tensor, "h w"], most: int, least: float
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
    """The likeliest cells of those that are not less likely than any of 5 x 5 about them.

    Returns:
        likelihoods (N,), the greatest first, rows (N,), columns (N,); the first in any case, since
        what follows wants somebody.
    """
    peaks = center * (center == nnf.max_pool2d(center[None], 5, 1, 2)[0])
    likelihood, cells = peaks.flatten().topk(min(most, peaks.numel()))
    count = max(1, int((likelihood >= least).sum()))
    cells = cells[:count]
    return likelihood[:count], cells // center.shape[1], cells % center.shape[1]


def _keypoints(
    maps: Maps,
    rough: Float[Tensor, "n 17 2"],
    low: Float[Tensor, "n 2"],
    high: Float[Tensor, "n 2"],
) -> tuple[Float[Tensor, "n 17 2"], Float[Tensor, "n 17"]]:
    """Each person's keypoints, y before x, cells; and their scores.

    Args:
        maps: of one picture.
        rough: where each keypoint lies, as seen from the person's middle.
        low: top and left of each person's box.
        high: bottom and right.
    """
    heatmap = maps.heatmap[0].sigmoid()
    height, width = heatmap.shape[1:]
    spread = SPREAD * min(height, width)
    near = []
    for axis, length in enumerate((height, width)):  # the two factors of a Gaussian
        cells = torch.arange(length, device=rough.device)
        within = (cells >= low[:, axis, None]) & (cells < high[:, axis, None])
        squared = (cells - rough[..., axis, None]) ** 2
        near.append((-squared / spread).exp() * within[:, None])  # (N, 17, length)
    heat = heatmap * near[0][..., None] * near[1][..., None, :]  # (N, 17, h, w)
    best = heat.flatten(2).argmax(2)
    each = torch.arange(KEYPOINTS, device=best.device)
    # Where two people want the same cell, both get the score of the one to whom it fits better.
    scores = heat.amax(0).flatten(1)[each, best]
    offsets = maps.keypoint_offset[0].unflatten(0, (KEYPOINTS, 2)).flatten(2)
    return torch.stack([best // width, best % width], 2) + offsets[each, :, best], scores
