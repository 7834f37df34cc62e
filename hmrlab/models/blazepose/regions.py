"""From a picture to the upright square about a person, and from its landmarks back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from hmrlab.geometry import apply_affine, crop_matrix, invert_affine
from hmrlab.geometry.crops import REFERENCE_SIDE
from hmrlab.models.blazepose.detector import (
    MIN_SCORE,
    BlazeDetections,
    anchors,
    decode,
    suppress,
)
from hmrlab.models.blazepose.detector import SIDE as DETECTOR_SIDE
from hmrlab.models.blazepose.landmarks import SIDE
from hmrlab.tensors import TensorRecord

MARGIN = 1.25  # the square's side over the circle's diameter
HIPS, ABOVE = 33, 34  # landmarks: middle of the hips, and a point on the circle about the person
KERNEL = 7  # cells along each side that a landmark is refined by
MIN_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Regions(TensorRecord):
    """N squares of a picture, each turned so that the person in it stands upright.

    Attributes:
        center: picture pixels.
        side: picture pixels.
        rotation_deg: by which the square's content is turned counter-clockwise, degrees.
    """

    center: Float[Tensor, "n 2"]
    side: Float[Tensor, " n"]
    rotation_deg: Float[Tensor, " n"]

    def matrix(self, resolution: int = SIDE) -> Float[Tensor, "n 3 3"]:
        """Maps from picture pixels to those of crops of `resolution` pixels, see `crop_matrix`."""
        return crop_matrix(self.center, self.side / REFERENCE_SIDE, resolution, self.rotation_deg)


def region_about(hips: Float[Tensor, "n 2"], above: Float[Tensor, "n 2"]) -> Regions:
    """The square about the circle around `hips` through `above`, turned until that is on top.

    BlazePose, section 3.1 and fig. 2; MediaPipe makes it a quarter larger.

    Args:
        hips: middles of the hips, picture pixels.
        above: points on the circle about the whole person, in the direction of the head.
    """
    x, y = (above - hips).unbind(-1)
    leaning = torch.atan2(x, -y) * 180 / math.pi  # clockwise from upright
    return Regions(hips, 2 * MARGIN * torch.hypot(x, y).clamp(min=1.0), leaning)


def regions_of_detections(found: BlazeDetections, side: float) -> Regions:
    """Where the detector sees whole people.

    Args:
        found: in shares of a picture.
        side: of that square picture, pixels.
    """
    return region_about(found.points[:, 0] * side, found.points[:, 1] * side)


def regions_of_landmarks(points: Float[Tensor, "n 39 _"]) -> Regions:
    """Where the landmarks say that the people are: for a second look, or for the next frame.

    Args:
        points: x and y first, picture pixels, see `to_picture`.
    """
    return region_about(points[:, HIPS, :2], points[:, ABOVE, :2])


def crop_regions(
    picture: Float[Tensor, "3 h w"], regions: Regions, resolution: int = SIDE, border: bool = True
) -> Float[Tensor, "n 3 r r"]:
    """Crops, bilinearly sampled; where they shrink a picture by two or more, blocks are averaged.

    Args:
        picture: colours.
        regions: of it.
        resolution: side of the crops, pixels.
        border: outside of the picture goes on what is at its edge, as the landmark network learned
            it; else it is black, as the detector did.
    """
    crops = [_crop(picture, regions[k : k + 1], resolution, border) for k in range(len(regions))]
    return torch.cat(crops) if crops else picture.new_zeros(0, 3, resolution, resolution)


def _crop(picture: Tensor, region: Regions, resolution: int, border: bool) -> Tensor:
    step = max(1, int(region.side / resolution))
    if step > 1:
        picture = nnf.avg_pool2d(picture[None], step, ceil_mode=True)[0]
        region = Regions(region.center / step, region.side / step, region.rotation_deg)
    middles = torch.arange(resolution, dtype=picture.dtype, device=picture.device) + 0.5
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    matrix = invert_affine(region.matrix(resolution)).to(picture)
    points = apply_affine(matrix, torch.stack([x, y], -1).reshape(1, -1, 2))
    size = picture.new_tensor([picture.shape[2], picture.shape[1]])
    grid = (2 * points / size - 1).view(1, resolution, resolution, 2)
    mode = "border" if border else "zeros"
    return nnf.grid_sample(picture[None], grid, align_corners=False, padding_mode=mode)


def refine(
    landmarks: Float[Tensor, "b k v"],
    heatmaps: Float[Tensor, "b k y x"],
    min_confidence: float = MIN_CONFIDENCE,
) -> Float[Tensor, "b k v"]:
    """Move each landmark to the mean of its heat map in a window about it.

    MediaPipe's step after the network: cells are weighted by their probability (the sigmoid, not
    normalised), and stand where their upper left corner does. A landmark stays as it is if it is
    outside, or if no cell near it has `min_confidence`.

    Args:
        landmarks: x and y first, crop pixels; all else is handed on.
        heatmaps: logits, of square crops of `SIDE` pixels.
        min_confidence: probability.
    """
    height, width = heatmaps.shape[-2:]
    scale = landmarks.new_tensor([SIDE / width, SIDE / height])
    places = landmarks[..., :2] / scale
    column, row = places.long().unbind(-1)
    x = torch.arange(width, device=landmarks.device)
    y = torch.arange(height, device=landmarks.device)
    near_x = (x - column[..., None]).abs() <= KERNEL // 2
    near_y = (y - row[..., None]).abs() <= KERNEL // 2
    weights = heatmaps.sigmoid() * (near_y[..., :, None] & near_x[..., None, :])
    total = weights.sum((-2, -1)).clamp(min=1e-12)
    mean_x = (weights.sum(-2) * x).sum(-1) / total
    mean_y = (weights.sum(-1) * y).sum(-1) / total
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    sure = inside & (weights.amax((-2, -1)) >= min_confidence)
    moved = torch.where(sure[..., None], torch.stack([mean_x, mean_y], -1) * scale, places * scale)
    return torch.cat([moved, landmarks[..., 2:]], -1)


def confidence(landmarks: Float[Tensor, "b k 5"]) -> Float[Tensor, "b k"]:
    """Probability that a landmark is visible: a keypoint's weight in a fit."""
    return landmarks[..., 3].sigmoid()


def to_picture(landmarks: Float[Tensor, "n k v"], regions: Regions) -> Float[Tensor, "n k v"]:
    """Landmarks of crops in the picture that they were cut from; z is scaled along.

    Args:
        landmarks: x, y, z first, crop pixels; all else is handed on.
        regions: one for each crop.
    """
    xy = apply_affine(invert_affine(regions.matrix()), landmarks[..., :2])
    z = landmarks[..., 2:3] * (regions.side / SIDE)[:, None, None]
    return torch.cat([xy, z, landmarks[..., 3:]], -1)


def turn_world(world: Float[Tensor, "n k 3"], regions: Regions) -> Float[Tensor, "n k 3"]:
    """World joints along the picture's axes instead of the turned crop's."""
    angle = regions.rotation_deg * math.pi / 180
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x, y, z = world.unbind(-1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], -1)


def detect(
    picture: Float[Tensor, "3 h w"], network: nn.Module, min_score: float = MIN_SCORE
) -> tuple[Regions, Float[Tensor, " n"]]:
    """The people of a picture whose faces the detector finds, best first, and their scores.

    It is made for one or two people who fill the picture; smaller ones it does not see.

    Args:
        picture: colours in [0, 1].
        network: a `BlazePoseDetector` in evaluation mode.
        min_score: probability.
    """
    height, width = picture.shape[1:]
    side, size = float(max(height, width)), picture.new_tensor([width, height])
    whole = Regions(size[None] / 2, size.new_tensor([side]), size.new_zeros(1))
    numbers, logits = network(crop_regions(picture, whole, DETECTOR_SIDE, border=False))
    places = anchors().to(picture)
    found = suppress(decode(numbers[0], logits[0], places, min_score))
    regions = regions_of_detections(found, side)
    corner = (size - side) / 2
    return Regions(regions.center + corner, regions.side, regions.rotation_deg), found.scores
