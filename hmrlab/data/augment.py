"""Crops at sub-pixel accuracy, and SPIN's augmentations of a whole batch, on any device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from hmrlab.bodies.joints import ANNOTATED_FLIP, KEYPOINT_FLIP, POSE_FLIP
from hmrlab.config import AugmentationSettings
from hmrlab.data.batch import Batch
from hmrlab.geometry import (
    apply_affine,
    axis_angle_to_matrix,
    crop_matrix,
    flip_keypoints,
    flip_rotations,
    invert_affine,
    pixels_to_normalised,
    rotate_in_image_plane,
)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_STRIP = 1 << 20  # pixels of a picture that are averaged at a time


def warp(images: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """Sample crops (B, C, R, R) from pictures (B, C, H, W) float, bilinearly; black outside.

    The left edge of a picture is 0, its right edge W, the middle of pixel i is i + 0.5, and nothing
    is rounded to whole pixels (SPIN's crops are). `matrix` (B, 3, 3) leads from picture pixels to
    crop pixels.
    """
    height, width = images.shape[-2:]
    inverse = invert_affine(matrix)
    middle = torch.arange(resolution, dtype=images.dtype, device=images.device) + 0.5
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    crop_points = torch.stack([x, y], -1).reshape(1, -1, 2).expand(len(images), -1, -1)
    points = apply_affine(inverse.to(images.dtype), crop_points)
    size = images.new_tensor([width, height])
    grid = (2 * points / size - 1).view(len(images), resolution, resolution, 2)
    return nnf.grid_sample(images, grid, align_corners=False, padding_mode="zeros")


def crop_picture(picture: Tensor, matrix: Tensor, resolution: int) -> Tensor:
    """One crop (C, R, R) float from one picture (C, H, W) of any size, as `warp` makes it.

    Where the crop shrinks the picture by four or more, whole blocks of pixels are averaged first,
    so that fine patterns do not turn into moire. Bytes become [0, 1], and only what the crop shows
    is made floats, strip by strip: of 100 megapixels, too, that takes little memory.
    """
    zoom = float(torch.linalg.det(matrix[:2, :2]).abs().sqrt())
    block = min(max(1, int(0.5 / max(zoom, 1e-6))), *picture.shape[1:])
    height, width = (length // block * block for length in picture.shape[1:])  # in whole blocks
    if picture.is_floating_point():
        low, high = (0, 0), (width, height)
    else:
        corners = resolution * matrix.new_tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        ends = apply_affine(invert_affine(matrix), corners).numpy() / block
        low = np.floor(ends.min(0) - 2).astype(int) * block  # two blocks to interpolate from
        high = np.ceil(ends.max(0) + 2).astype(int) * block
    left, top = np.clip(low, 0, (width - block, height - block))
    right, bottom = np.clip(high, (left + block, top + block), (width, height))
    rows = max(1, _STRIP // (int(right - left) * block)) * block
    strips = picture[:, top:bottom, left:right].split(rows, 1)
    small = torch.cat([nnf.avg_pool2d(strip.float()[None], block) for strip in strips], 2)
    small = small if picture.is_floating_point() else small / 255
    back = matrix.new_tensor([[block, 0, left], [0, block, top], [0, 0, 1]])
    return warp(small, (matrix @ back)[None], resolution)[0]


@dataclass(frozen=True)
class Augmentation:
    """One draw for each of B samples."""

    flip: Tensor  # (B,) bool
    channels: Tensor  # (B, 3) factors
    scale: Tensor  # (B,) factors of the box side
    rotation: Tensor  # (B,) degrees

    @classmethod
    def none(cls, n: int) -> Augmentation:
        """Leaves everything as it is."""
        return cls(
            torch.zeros(n, dtype=torch.bool), torch.ones(n, 3), torch.ones(n), torch.zeros(n)
        )

    def split(self, counts: Sequence[int]) -> list[Augmentation]:
        """The draws of the first `counts[0]` samples, of the next `counts[1]`, and so on."""
        fields = (value.split(list(counts)) for value in vars(self).values())
        return [Augmentation(*values) for values in zip(*fields, strict=True)]


@dataclass(frozen=True, kw_only=True)
class RawLabels(ABC):
    """What is known of B samples, in the pixels of their pictures as stored."""

    center: Tensor  # (B, 2) pixels
    scale: Tensor  # (B,) box side / 200 pixels
    keypoints: Tensor  # (B, 49, 3) pixels, confidence
    joints_3d: Tensor  # (B, 24, 4) metres, confidence
    pose: Tensor  # (B, 24, 3) axis-angles, radians
    betas: Tensor  # (B, 10)
    has_smpl: Tensor  # (B,) bool
    has_pose_3d: Tensor  # (B,) bool
    index: Tensor  # (B,) long
    source: int | Tensor = 0  # number of the set, or of each sample's (B,) long

    @property
    def sources(self) -> Tensor:
        """(B,) long, the number of each sample's set."""
        return torch.as_tensor(self.source, device=self.index.device).expand(len(self))

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> Self:
        """The same samples on a device."""
        tensors = {key: value for key, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{key: value.to(device) for key, value in tensors.items()})

    @abstractmethod
    def augmented(self, augmentation: Augmentation, resolution: int) -> Batch:
        """Crop, turn, mirror and colour; pictures and labels through the same maps.

        The crops have a side of `resolution` pixels; for testing there is `Augmentation.none`.
        """


@dataclass(frozen=True, kw_only=True)
class RawBatch(RawLabels):
    """B samples of one set as stored, with their pictures, of one size."""

    images: Tensor  # (B, H, W, 3) uint8

    def augmented(self, augmentation: Augmentation, resolution: int) -> Batch:
        """See `RawLabels`."""
        matrix = matrix_to_crop(self, augmentation, resolution)
        device = self.images.device
        flip, channels = augmentation.flip.to(device), augmentation.channels.to(device)
        crops = _pictures(self.images, matrix, flip, channels, resolution)
        return with_labels(crops, self, augmentation, matrix, resolution)


def draw(settings: AugmentationSettings, n: int, generator: torch.Generator) -> Augmentation:
    """Draw an augmentation for each of n samples."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    spread = settings.scale_std
    scale = (1 + spread * torch.randn(n, generator=generator)).clamp(1 - spread, 1 + spread)
    turn = settings.rotation_std
    rotation = (turn * torch.randn(n, generator=generator)).clamp(-2 * turn, 2 * turn)
    rotation = torch.where(uniform(n) < settings.no_rotation_probability, 0.0, rotation)
    return Augmentation(
        flip=uniform(n) < settings.flip_probability,
        channels=1 + settings.channel_noise * (2 * uniform(n, 3) - 1),
        scale=scale,
        rotation=rotation,
    )


def matrix_to_crop(raw: RawLabels, augmentation: Augmentation, resolution: int) -> Tensor:
    """(B, 3, 3) from pixels of the stored pictures to those of the crops, not mirrored yet."""
    device = raw.center.device
    scale, rotation = augmentation.scale.to(device), augmentation.rotation.to(device)
    return crop_matrix(raw.center, raw.scale * scale, resolution, rotation)


def with_labels(
    crops: Tensor, raw: RawLabels, augmentation: Augmentation, matrix: Tensor, resolution: int
) -> Batch:
    """Crops (B, 3, R, R), augmented and normalised, with their labels, changed as they were.

    In place of the crops it takes features of them (B, F), too. The matrix is that of
    `matrix_to_crop`; the resolution R, of the crops, in pixels.
    """
    device = crops.device
    flip, rotation = augmentation.flip.to(device), augmentation.rotation.to(device)
    keypoints = apply_affine(matrix, raw.keypoints[..., :2])
    keypoints = torch.cat([pixels_to_normalised(keypoints, resolution), raw.keypoints[..., 2:]], -1)
    upright = torch.eye(3, device=device).expand(len(rotation), 3, 3)
    turn = rotate_in_image_plane(upright, rotation)
    joints = torch.cat([raw.joints_3d[..., :3] @ turn.mT, raw.joints_3d[..., 3:]], -1)
    rotations = axis_angle_to_matrix(raw.pose)
    rotations = torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], 1)
    return Batch(
        images=crops,
        keypoints_2d=_where(flip, flip_keypoints(keypoints, KEYPOINT_FLIP), keypoints),
        keypoints_3d=_where(flip, flip_keypoints(joints, ANNOTATED_FLIP), joints),
        rotations=_where(flip, flip_rotations(rotations, POSE_FLIP), rotations),
        betas=raw.betas,
        has_smpl=raw.has_smpl,
        has_pose_3d=raw.has_pose_3d,
        index=raw.index,
        source=raw.sources,
        is_flipped=flip,
        rot_angle=rotation,
    )


def _pictures(
    images: Tensor, matrix: Tensor, flip: Tensor, channels: Tensor, resolution: int
) -> Tensor:
    """Normalised crops (B, 3, R, R) of stored pictures (B, H, W, 3)."""
    if images.device.type == "cpu":
        return _pictures_in_one_pass(images, matrix, flip, channels, resolution)
    crops = warp(images.permute(0, 3, 1, 2).float() / 255, matrix, resolution)
    return coloured(_where(flip, crops.flip(-1), crops), channels)


def coloured(crops: Tensor, channels: Tensor) -> Tensor:
    """Pictures (B, 3, R, R) in [0, 1], each colour times its factor (B, 3), normalised."""
    crops = (crops * channels[:, :, None, None]).clamp(0, 1)
    mean = crops.new_tensor(IMAGENET_MEAN)[:, None, None]
    deviation = crops.new_tensor(IMAGENET_STD)[:, None, None]
    return (crops - mean) / deviation


def _pictures_in_one_pass(
    images: Tensor, matrix: Tensor, flip: Tensor, channels: Tensor, resolution: int
) -> Tensor:
    """The same, several times as fast: see `hmrlab.data.warping`."""
    from hmrlab.data.warping import warp_and_colour  # numba: half a second for who only evaluates

    crops = torch.empty(len(images), 3, resolution, resolution)
    mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    warp_and_colour(
        images.contiguous().numpy(),
        invert_affine(matrix.double()).numpy(),
        flip.numpy(),
        (channels.float() / 255 / deviation).numpy(),
        (-mean / deviation).numpy(),
        ((1 - mean) / deviation).numpy(),
        crops.numpy(),
    )
    return crops


def _where(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(condition.view(-1, *[1] * (no.ndim - 1)), yes, no)


def to_pictures(images: Tensor) -> Tensor:
    """Undo the normalisation, for looking: (B, 3, R, R) float -> (B, R, R, 3) uint8."""
    mean = images.new_tensor(IMAGENET_MEAN)[:, None, None]
    deviation = images.new_tensor(IMAGENET_STD)[:, None, None]
    colours = ((images * deviation + mean).clamp(0, 1) * 255).round()
    return colours.permute(0, 2, 3, 1).to(torch.uint8)
