"""BlazePose as an encoder: eyes that have seen real people.

`create_encoder("blazepose_full")` gives its last map and what it reads from it;
`create_encoder("blazepose_full:points")` a person's points alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from jaxtyping import Float
from torch import Tensor, nn

from hmrlab.models.blazepose.landmarks import POINTS, SIDE, VALUES, VARIANTS
from hmrlab.models.blazepose.points import FEATURES, EyePoints
from hmrlab.models.blazepose.regions import (
    Regions,
    crop_regions,
    refine,
    regions_of_landmarks,
    to_picture,
    turn_world,
)
from hmrlab.models.blazepose.weights import feature_statistics, load_blazepose

# ImageNet's, which all encoders' pictures are normalised by (`hmrlab.data.augment` does it)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LOGITS = 8.0  # what is beyond says no more
LOST = 0.1  # presence; where the second look sees so much less of a person, the first one counts
CONTRADICTION = 0.04  # distance of two looks' landmarks, sides of a crop; most are 0.02 apart
TURN = 45.0  # degrees
WORLD_SCALE = 2.0  # joints are up to a metre from the hips, most of them half of that


class BlazePoseEncoder(nn.Module):
    """The landmark network without heat maps and mask.

    Its features are the last map, 2x2, and what the network reads from it, landmarks and world
    joints; each less its mean over synthetic people and divided by its standard deviation there.
    There is no batch normalisation in it, so it is the same network in training, and small batches
    do it no harm.

    Args:
        variant: "lite" or "full".
    """

    channels_fixed = True  # the places of the landmarks in the features have a meaning

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        self.map_channels = VARIANTS[variant].regression
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self._prepare()

    def _prepare(self) -> None:
        self.network = load_blazepose(self.variant, maps=False)
        self.feature_size = 4 * self.map_channels + POINTS * (VALUES + 3)
        for name, values in feature_statistics(self.variant, self.feature_size).items():
            self.register_buffer(name, values)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b features"]:
        """Pictures of any size, normalised as ImageNet's, to (B, feature_size)."""
        f2 = self.network.features(self.crops(images))["f2"]
        return self.features(f2, self.network.landmarks_of(f2), self.network.world_of(f2))

    def features(
        self,
        f2: Float[Tensor, "b _ 2 2"],
        landmarks: Float[Tensor, "b 39 5"],
        world: Float[Tensor, "b 39 3"],
    ) -> Float[Tensor, "b features"]:
        """What the network gives, as features."""
        features = torch.cat([f2.flatten(1), *head_features(landmarks, world)], 1)
        return (features - self.feature_mean) / self.feature_std

    def maps(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b _ 8 8"]:
        """The regression's first map, 8x8."""
        return self.network.features(self.crops(images))["f8"]

    def crops(self, images: Tensor) -> Tensor:
        """Colours in [0, 1] at the side that the network was trained for."""
        images = images * self.std + self.mean
        if images.shape[-2:] == (SIDE, SIDE):
            return images
        shrinks = max(images.shape[-2:]) > SIDE
        return nnf.interpolate(
            images, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=shrinks
        )


class BlazePosePoints(BlazePoseEncoder):
    """The same eyes; of what they see, a person's points and nothing else: see `EyePoints`.

    They look twice, as MediaPipe does from frame to frame: the second time at the square that the
    first look's landmarks ask for, turned upright. The heat maps then say where exactly. Where the
    second look contradicts the first, the person may lean too far for BlazePose, and the crop is
    turned to either side as well.
    """

    def _prepare(self) -> None:
        self.feature_size = FEATURES
        self.network = load_blazepose(self.variant)

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 138"]:
        """Pictures of any size, normalised as ImageNet's, to points."""
        # One crop after the other: on a CPU three times as fast as many, for its memory's sake.
        return torch.cat([self._points(crop).features() for crop in self.crops(images)])

    def _points(self, crop: Float[Tensor, "3 256 256"]) -> EyePoints:
        found, away = self._look_twice(crop, 0.0)
        if away > CONTRADICTION:
            turned = [self._look_twice(crop, angle) for angle in (-TURN, TURN)]
            best, least = min(turned, key=lambda each: each[1])
            found = best if least < away / 2 else found
        return found

    def _look_twice(
        self, crop: Float[Tensor, "3 256 256"], angle: float
    ) -> tuple[EyePoints, float]:
        """Points, and how far the looks are apart, in sides of the square of the second one."""
        whole = Regions(*(crop.new_tensor(v) for v in ([[SIDE / 2] * 2], [SIDE], [angle])))
        first = self._look(crop, whole)
        square = regions_of_landmarks(first[0][..., :2])
        marks, world, _ = second = self._look(crop, square)
        away = (marks - first[0])[0, :, :2].norm(dim=-1).mean() / square.side
        if second[2] < first[2] - LOST:
            marks, world, _ = first
        return EyePoints.of_crops(marks, world), float(away.detach())

    def _look(self, crop: Tensor, region: Regions) -> tuple[Tensor, Tensor, Tensor]:
        """Landmarks and world joints as the crop has them, and presence."""
        output = self.network(crop_regions(crop, region))
        marks = refine(output.landmarks, output.heatmaps)
        return to_picture(marks, region), turn_world(output.world, region), output.presence


def head_features(
    landmarks: Float[Tensor, "b 39 5"], world: Float[Tensor, "b 39 3"]
) -> tuple[Float[Tensor, "b 195"], Float[Tensor, "b 117"]]:
    """Landmarks and world joints as numbers of the order of 1."""
    half = SIDE / 2
    places = torch.cat([landmarks[..., :2] / half - 1, landmarks[..., 2:3] / half], -1)
    logits = landmarks[..., 3:].clamp(-LOGITS, LOGITS) / (LOGITS / 2)
    return torch.cat([places, logits], -1).flatten(1), WORLD_SCALE * world.flatten(1)
