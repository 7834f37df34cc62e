"""BlazePose's landmark network: 39 points of the one person in a crop, in the picture and in space.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose tracking", 2020 (arXiv 2006.10204),
fig. 3, as published with MediaPipe in three sizes: the regression shares the backbone with the heat
maps; world joints were taught by the body model GHUM (Xu et al., CVPR 2020; Grishchenko et al.,
"BlazePose GHUM Holistic", 2022, arXiv 2206.11678); the mask came later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hmrlab.models.blazepose.blocks import (
    Backbone,
    BackboneConfig,
    BlazeBlock,
    UpwardPath,
    blaze_stage,
    doubled,
)

SIDE = 256  # of the crops, pixels
LANDMARK_NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel",
    "left_foot_index", "right_foot_index",
)  # fmt: skip
POINTS = len(LANDMARK_NAMES) + 6  # two say where the person is; MediaPipe drops the other four
VALUES = 5  # x, y, z, and logits of visibility and presence
Maps = dict[str, Tensor]


@dataclass(frozen=True)
class LandmarkConfig:
    """How large a landmark network is."""

    backbone: BackboneConfig
    width: int  # channels of the way up
    regression: int  # channels of the maps that the points are read from
    blocks: tuple[int, int]  # there, at 4x4 and at 2x2
    refinement: tuple[tuple[int, int], ...] = ()  # heavy: channels and blocks on a second way down


VARIANTS = {
    "lite": LandmarkConfig(
        BackboneConfig(8, (16, 24, 40, 56, 96), (2, 2, 3, 3, 4)), 32, 192, (3, 4)
    ),
    "full": LandmarkConfig(
        BackboneConfig(16, (24, 32, 64, 88, 144), (2, 2, 3, 3, 4)), 48, 288, (5, 6)
    ),
    "heavy": LandmarkConfig(
        BackboneConfig(24, (32, 56, 112, 160, 272), (4, 4, 6, 6, 8), narrow=2),
        48,
        288,
        (8, 8),
        refinement=((96, 7), (192, 8), (288, 8)),
    ),
}


class PoseOutput(NamedTuple):
    """What the landmark network says of B crops.

    Attributes:
        landmarks: x, y, z in crop pixels, z from the hips' depth and negative towards us; then
            logits of being visible and of being in the crop at all.
        world: metres from the middle of the hips, axes as the crop's: x right, y down, z away.
        presence: probability that there is a person.
        mask: logits of a pixel being the person's.
        heatmaps: logits of a landmark being in a cell.
    """

    landmarks: Float[Tensor, "b 39 5"]
    world: Float[Tensor, "b 39 3"]
    presence: Float[Tensor, " b"]
    mask: Float[Tensor, "b 256 256"]
    heatmaps: Float[Tensor, "b 39 64 64"]


class BlazePoseLandmarks(nn.Module):
    """A backbone, a way up to heat maps and mask, and a way down to numbers: all of it learns.

    Args:
        config: see `VARIANTS`.
        maps: with heat maps, mask and presence. Without, only `features`, `landmarks_of` and
            `world_of` can be asked, and there is no layer that these do not need.
    """

    def __init__(self, config: LandmarkConfig, maps: bool = True) -> None:
        super().__init__()
        stages, channels = config.backbone.channels, config.regression
        self.has_maps = maps
        self.backbone = Backbone(config.backbone)
        top = 6 * stages[-1]
        if maps or config.refinement:
            self.upward = UpwardPath(top, (stages[3], stages[1], stages[0]), config.width)
        self.refinement = Refinement(config) if config.refinement else None
        self.regression = Regression(top, channels, config.blocks)
        self.landmarks = nn.Conv2d(channels, POINTS * VALUES, 2)  # 2x2: over the whole map
        self.world = nn.Conv2d(channels, POINTS * 3, 2)
        if maps:
            self.presence = nn.Conv2d(channels, 1, 2)
            self.heatmaps = nn.Conv2d(config.width, POINTS, 1)
            self.mask = MaskDecoder(config.backbone.stem, config.width)

    def forward(self, images: Float[Tensor, "b 3 256 256"]) -> PoseOutput:
        """Everything about crops of colours in [0, 1].

        Raises:
            ValueError: the crops have another size, or the network was built without maps.
        """
        if not self.has_maps:
            raise ValueError("this network has no heat maps and no mask; ask for its features")
        _check_side(images)
        maps = self.backbone(images)
        fine = self._fine(maps)
        f2 = self._regressed(maps, fine)["f2"]
        return PoseOutput(
            self.landmarks_of(f2),
            self.world_of(f2),
            torch.sigmoid(self.presence(f2)).flatten(),
            self.mask(fine, maps[2]),
            self.heatmaps(fine),
        )

    def features(self, images: Float[Tensor, "b 3 256 256"]) -> Maps:
        """Maps by name, without the way up (heavy needs it) and without the mask.

        Returns:
            f64, f32, f16: (B, C, 64, 64) and so on, of the backbone; f8, f4, f2: of the regression,
            full's of 288 channels, lite's of 192. The number is the map's side.

        Raises:
            ValueError: the crops have another size.
        """
        _check_side(images)
        maps = self.backbone(images)
        fine = None if self.refinement is None else self._fine(maps)
        ours = {f"f{SIDE // scale}": maps[scale] for scale in (4, 8, 16)}
        return ours | self._regressed(maps, fine)

    def landmarks_of(self, f2: Float[Tensor, "b c 2 2"]) -> Float[Tensor, "b 39 5"]:
        """`PoseOutput.landmarks`, from the last map."""
        return self.landmarks(f2).flatten(1).unflatten(1, (POINTS, VALUES))

    def world_of(self, f2: Float[Tensor, "b c 2 2"]) -> Float[Tensor, "b 39 3"]:
        """`PoseOutput.world`, from the last map."""
        return self.world(f2).flatten(1).unflatten(1, (POINTS, 3))

    def _fine(self, maps: dict[int, Tensor]) -> Tensor:
        return self.upward(maps[32], (maps[16], maps[8], maps[4]))

    def _regressed(self, maps: dict[int, Tensor], fine: Tensor | None) -> Maps:
        refined = None if self.refinement is None else self.refinement(fine, maps)
        return self.regression(maps[32], refined)


class Regression(nn.Module):
    """From the backbone's 8x8 map down to 2x2, where the numbers are read."""

    def __init__(self, top: int, channels: int, blocks: tuple[int, int]) -> None:
        super().__init__()
        self.start = BlazeBlock(top, channels)
        self.stages = nn.ModuleList(blaze_stage(channels, channels, count) for count in blocks)

    def forward(
        self, top: Float[Tensor, "b _ 8 8"], refined: Float[Tensor, "b c 8 8"] | None = None
    ) -> Maps:
        """f8, f4 and f2; `refined` is added to the first."""
        f8 = self.start(top)
        f8 = f8 if refined is None else f8 + refined
        f4 = self.stages[0](f8)
        return {"f8": f8, "f4": f4, "f2": self.stages[1](f4)}


class Refinement(nn.Module):
    """Heavy's second way down, from the heat maps' features, with laterals of the backbone."""

    def __init__(self, config: LandmarkConfig) -> None:
        super().__init__()
        widths = [config.width, *(channels for channels, _ in config.refinement)]
        stages = config.backbone.channels
        self.stages = nn.ModuleList(
            blaze_stage(before, channels, count)
            for before, (channels, count) in zip(widths[:-1], config.refinement, strict=True)
        )
        self.laterals = nn.ModuleList(
            BlazeBlock(stages[stage], channels)
            for stage, (channels, _) in zip((1, 3), config.refinement[:2], strict=True)
        )

    def forward(
        self, fine: Float[Tensor, "b _ 64 64"], maps: dict[int, Float[Tensor, "b _ _ _"]]
    ) -> Float[Tensor, "b c 8 8"]:
        """What is added to f8."""
        features = self.stages[0](fine) + self.laterals[0](maps[8])
        features = self.stages[1](features) + self.laterals[1](maps[16])
        return self.stages[2](features)


class MaskDecoder(nn.Module):
    """Further up, to a mask of the crop's own size, in eight channels."""

    def __init__(self, stem: int, width: int, channels: int = 8) -> None:
        super().__init__()
        self.lateral = BlazeBlock(stem, channels)
        self.narrow = BlazeBlock(width, channels)
        self.blocks128 = nn.Sequential(*(BlazeBlock(channels, channels) for _ in range(2)))
        self.blocks256 = nn.Sequential(*(BlazeBlock(channels, channels) for _ in range(2)))
        self.logits = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(
        self, fine: Float[Tensor, "b _ 64 64"], stem: Float[Tensor, "b _ 128 128"]
    ) -> Float[Tensor, "b 256 256"]:
        """Logits."""
        features = doubled(self.narrow(fine)) + self.lateral(stem)
        return self.logits(self.blocks256(doubled(self.blocks128(features)))).squeeze(1)


def _check_side(images: Tensor) -> None:
    if images.shape[1:] != (3, SIDE, SIDE):
        raise ValueError(
            f"expected crops (B, 3, {SIDE}, {SIDE}) of colours in [0, 1], got {tuple(images.shape)}"
        )
