"""What a training step gets: people cropped, with whatever is known about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from hmrlab.bodies.params import SMPLParams
from hmrlab.tensors import TensorRecord


@dataclass(frozen=True)
class Batch(TensorRecord):
    """B people, each in the middle of a square crop of R pixels; camera frame x right, y down."""

    images: Tensor  # (B, 3, R, R) float, normalised as ImageNet's; or features of them (B, F)
    keypoints_2d: Tensor  # (B, 49, 3) x, y in [-1, 1] over the crop, confidence
    keypoints_3d: Tensor  # (B, 24, 4) annotated joints, metres, camera frame, confidence
    rotations: Tensor  # (B, 24, 3, 3) SMPL pose, the root in the camera frame
    betas: Tensor  # (B, 10)
    has_smpl: Tensor  # (B,) bool, rotations and betas are known
    has_pose_3d: Tensor  # (B,) bool, keypoints_3d is known
    index: Tensor  # (B,) long, row of the record file
    source: Tensor  # (B,) long, number of the sample's data set among the loader's `names`
    is_flipped: Tensor  # (B,) bool, whether the crop is mirrored
    rot_angle: Tensor  # (B,) degrees by which the crop is turned, before it is mirrored


def in_the_boxes(
    predicted: SMPLParams, batch: Batch, crop_factor: float
) -> tuple[SMPLParams, Batch]:
    """Predictions and labels as the boxes have them, of crops that are so many times as large."""
    if crop_factor == 1:
        return predicted, batch
    scale = predicted.camera.new_tensor([crop_factor, 1, 1])
    places = batch.keypoints_2d.new_tensor([crop_factor, crop_factor, 1])
    return (
        replace(predicted, camera=predicted.camera * scale),
        replace(batch, keypoints_2d=batch.keypoints_2d * places),
    )
