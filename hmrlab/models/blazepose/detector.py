"""BlazePose's detector: where people are, by circles about them rather than by boxes.

Bazarevsky et al., "BlazePose", 2020 (arXiv 2006.10204), section 3.1: a face detector like BlazeFace
(2019, arXiv 1907.05047) that also says where the middle of the hips is, and how large and how
inclined the circle about the whole person.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu6

from hmrlab.models.blazepose.blocks import (
    Backbone,
    BackboneConfig,
    BlazeBlock,
    depthwise,
    doubled,
)

SIDE = 224  # of the pictures, pixels
BACKBONE = BackboneConfig(16, (24, 40, 80, 112, 192), (2, 2, 3, 3, 4))
ANCHORS = {8: 2, 16: 2, 32: 6}  # by stride: how many in each cell
NUMBERS = 12  # box: x, y, width, height; four points
POINTS = 4  # middle of the hips, a point on the circle, middle of the shoulders, one on theirs
LOGIT_LIMIT = 100.0
MIN_SCORE = 0.5
MIN_OVERLAP = 0.3  # of boxes that are taken for one person's


class BlazeDetections(NamedTuple):
    """N faces with their people, best first, in shares of the square picture.

    Attributes:
        boxes: left, top, right, bottom of the face.
        points: middle of the hips; a point on the circle about the whole person, in the direction
            of the head; middle of the shoulders; a point on the circle about the upper body.
        scores: probabilities.
    """

    boxes: Float[Tensor, "n 4"]
    points: Float[Tensor, "n 4 2"]
    scores: Float[Tensor, " n"]


class BlazePoseDetector(nn.Module):
    """The landmark network's backbone at 224 pixels, with heads on three maps.

    Three of four weights of its 1x1 convolutions are zero: it was pruned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone(BACKBONE)
        stages, top = BACKBONE.channels, 6 * BACKBONE.channels[-1]
        self.upward16 = Upward(top, stages[3], 192)
        self.upward8 = Upward(192, stages[1], 96)
        channels = {8: 96, 16: 192, 32: top}
        self.scores = nn.ModuleList(Head(channels[k], count) for k, count in ANCHORS.items())
        self.boxes = nn.ModuleList(
            Head(channels[k], count, NUMBERS) for k, count in ANCHORS.items()
        )

    def forward(
        self, images: Float[Tensor, "b 3 224 224"]
    ) -> tuple[Float[Tensor, "b 2254 12"], Float[Tensor, "b 2254"]]:
        """Numbers of each anchor's box and points, pixels from the anchor, and logits.

        Args:
            images: colours in [0, 1]; the whole picture, black where it is no square.

        Raises:
            ValueError: the pictures have another size.
        """
        if images.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(f"expected (B, 3, {SIDE}, {SIDE}), got {tuple(images.shape)}")
        maps = self.backbone(2 * images - 1)
        m16 = self.upward16(maps[32], maps[16])
        m8 = self.upward8(m16, maps[8])
        # The heads see each map at twice its sides, from a quarter of its channels
        fine = [depth_to_space(features) for features in (m8, m16, maps[32])]
        boxes = [head(features) for head, features in zip(self.boxes, fine, strict=True)]
        logits = [head(features) for head, features in zip(self.scores, fine, strict=True)]
        return torch.cat(boxes, 1), torch.cat(logits, 1).squeeze(-1)


class Upward(nn.Module):
    """A map twice as large: what lies below, and a lateral of the backbone."""

    def __init__(self, below: int, beside: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(below, channels, 1)
        self.lateral = BlazeBlock(beside, channels, linear=True)
        self.blocks = nn.Sequential(
            *(BlazeBlock(channels, channels, linear=True) for _ in range(2))
        )

    def forward(
        self, below: Float[Tensor, "b _ y x"], beside: Float[Tensor, "b _ 2*y 2*x"]
    ) -> Float[Tensor, "b _ 2*y 2*x"]:
        """The larger map."""
        return self.blocks(relu6(self.conv(doubled(below))) + self.lateral(beside))


class Head(nn.Module):
    """A separable convolution of stride 2 that reads `size` numbers for each anchor of a cell."""

    def __init__(self, channels: int, count: int, size: int = 1) -> None:
        super().__init__()
        self.size = size
        self.depthwise = depthwise(channels // 4, stride=2)
        self.pointwise = nn.Conv2d(channels // 4, count * size, 1)

    def forward(self, features: Float[Tensor, "b _ y x"]) -> Float[Tensor, "b _ size"]:
        """(B, anchors, size), cell by cell."""
        numbers = self.pointwise(self.depthwise(features))
        return numbers.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, self.size))


def depth_to_space(features: Float[Tensor, "b _ y x"]) -> Float[Tensor, "b _ 2*y 2*x"]:
    """Each cell's channels as four cells of a quarter of them, in TensorFlow's order.

    `torch.pixel_shuffle` does it in another: the place within the cell varies fastest.
    """
    return nn.functional.pixel_shuffle(
        features.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2
    )


def anchors() -> Float[Tensor, "2254 2"]:
    """Middles of the cells that the detector speaks of, x and y in shares of the picture."""
    middles = []
    for stride, count in ANCHORS.items():
        steps = (torch.arange(SIDE // stride) + 0.5) / (SIDE // stride)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        middles.append(torch.stack([x, y], -1).reshape(-1, 2).repeat_interleave(count, 0))
    return torch.cat(middles)


def decode(
    numbers: Float[Tensor, "n 12"],
    logits: Float[Tensor, " n"],
    places: Float[Tensor, "n 2"],
    min_score: float = MIN_SCORE,
) -> BlazeDetections:
    """What the detector says of one picture, as boxes and points.

    Args:
        numbers: of each anchor, see `BlazePoseDetector.forward`.
        logits: of each anchor.
        places: of the anchors, see `anchors`.
        min_score: what has less is left out.

    Returns:
        Best first; many for each person.
    """
    scores = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT).sigmoid()
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] >= min_score]
    pairs = numbers[order].unflatten(1, (2 + POINTS, 2)) / SIDE
    middle, half = places[order] + pairs[:, 0], pairs[:, 1] / 2
    boxes = torch.cat([middle - half, middle + half], 1)
    return BlazeDetections(boxes, places[order][:, None] + pairs[:, 2:], scores[order])


def suppress(found: BlazeDetections, min_overlap: float = MIN_OVERLAP) -> BlazeDetections:
    """One detection for each person: the mean of all that overlap, weighted by their scores.

    Blending instead of suppression, as in BlazeFace (arXiv 1907.05047, section 3.3): the mean moves
    less from frame to frame than the best one.

    Args:
        found: best first.
        min_overlap: intersection over union with the best one, from which on they are blended.

    Returns:
        As many as there are people, best first; each has its best score.
    """
    left, people = found, []
    while len(left.scores):
        same = overlaps(left.boxes[0], left.boxes) > min_overlap
        same[0] = True  # also a box without an area
        weights = left.scores[same] / left.scores[same].sum()
        boxes = (weights[:, None] * left.boxes[same]).sum(0)
        points = (weights[:, None, None] * left.points[same]).sum(0)
        people.append((boxes, points, left.scores[0]))
        left = BlazeDetections(*(value[~same] for value in left))
    if not people:
        return left
    return BlazeDetections(*(torch.stack(values) for values in zip(*people, strict=True)))


def overlaps(box: Float[Tensor, 4], boxes: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    """Intersection over union of one box with others; 0 where both have no area."""
    low, high = torch.maximum(box[:2], boxes[:, :2]), torch.minimum(box[2:], boxes[:, 2:])
    common = (high - low).clamp(min=0).prod(1)
    areas = [(b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1) for b in (box, boxes)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-12)
