"""SPIN's training losses, each a small function, and their weighted sum.

Source: Kolotouros et al., "Learning to Reconstruct 3D Human Pose and Shape via Model-fitting in the
Loop", ICCV 2019, and its `train/trainer.py`. Labels that a sample does not have are left out by a
mask; what stands in their place, NaN too, reaches neither the loss nor its gradient.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hmrlab.bodies.joints import ANNOTATED, ANNOTATED_NAMES, OPENPOSE
from hmrlab.bodies.params import SMPLParams
from hmrlab.config import LossWeights
from hmrlab.data.batch import Batch
from hmrlab.geometry import project_normalised
from hmrlab.geometry.constants import constant
from hmrlab.models.heatmaps import cell_centers

HIPS = (ANNOTATED_NAMES.index("right_hip"), ANNOTATED_NAMES.index("left_hip"))
STEEPEST_SCALE = -1.5  # of a camera; below it the camera's loss rises no more steeply


def compute_losses(
    prediction: SMPLParams,
    batch: Batch,
    keypoints: Float[Tensor, "b 49 3"],
    weights: LossWeights,
    vertices: tuple[Float[Tensor, "b v 3"], Float[Tensor, "b v 3"]] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Every term of positive weight, and their weighted sum.

    Args:
        prediction: the network's bodies.
        batch: the pictures' labels.
        keypoints: (B, 49, 3) the predicted bodies' keypoints, root rotated, metres.
        weights: of the terms.
        vertices: the predicted and the labelled bodies' vertices, (B, V, 3) each, metres; only
            needed where `weights.vertices` is not 0.

    Returns:
        The terms by name, before their weights, and "total", to be minimised. All are scalars.

    Raises:
        ValueError: the vertex term has a weight and no vertices.
    """
    terms: dict[str, Tensor] = {}
    if weights.keypoints:
        projected = project_normalised(keypoints, prediction.camera)
        terms["keypoints"] = keypoint_loss(
            projected, batch.keypoints_2d, weights.openpose, weights.annotated
        )
    if weights.keypoints_3d:
        terms["keypoints_3d"] = keypoint_3d_loss(
            keypoints[:, ANNOTATED], batch.keypoints_3d, batch.has_pose_3d
        )
    if weights.pose:
        terms["pose"] = pose_loss(prediction.rotations, batch.rotations, batch.has_smpl)
    if weights.betas:
        terms["betas"] = betas_loss(prediction.betas, batch.betas, batch.has_smpl)
    if weights.vertices:
        if vertices is None:
            raise ValueError(
                "the vertex loss has a weight: pass vertices=(predicted, labelled), (B, V, 3) each"
            )
        terms["vertices"] = vertex_loss(*vertices, batch.has_smpl)
    if weights.camera:
        terms["camera"] = camera_loss(prediction.camera)
    total = sum(
        (getattr(weights, name) * term for name, term in terms.items()),
        start=prediction.camera.new_zeros(()),
    )
    return terms | {"total": weights.overall * total}


def keypoint_loss(
    predicted: Float[Tensor, "b 49 2"],
    labelled: Float[Tensor, "b 49 3"],
    openpose_weight: float,
    annotated_weight: float,
) -> Float[Tensor, ""]:
    """Squared 2D error, weighted by confidence; the mean over all samples, joints and x, y.

    >>> predicted, labelled = torch.zeros(1, 49, 2), torch.zeros(1, 49, 3)
    >>> labelled[0, 30] = torch.tensor([0.3, 0.4, 1.0])  # an annotated joint, seen
    >>> loss = keypoint_loss(predicted, labelled, openpose_weight=0.0, annotated_weight=1.0)
    >>> round(98 * float(loss), 4)  # 49 joints, x and y
    0.25

    Args:
        predicted: (B, 49, 2) normalised crop coordinates.
        labelled: (B, 49, 3) normalised x, y and confidence.
        openpose_weight: multiplies the confidence of the 25 OpenPose joints.
        annotated_weight: multiplies the confidence of the 24 annotated joints.
    """
    confidence = labelled[..., 2].clone()
    confidence[:, OPENPOSE] *= openpose_weight
    confidence[:, ANNOTATED] *= annotated_weight
    squared = _masked_difference(predicted, labelled[..., :2], confidence > 0).square()
    return (confidence[..., None] * squared).mean()


def keypoint_3d_loss(
    predicted: Float[Tensor, "b 24 3"],
    labelled: Float[Tensor, "b 24 4"],
    has_pose_3d: Bool[Tensor, " b"],
) -> Float[Tensor, ""]:
    """Squared 3D error about the middle of the hips, weighted by confidence; square metres.

    Args:
        predicted: (B, 24, 3) annotated joints, metres.
        labelled: (B, 24, 4) metres, in the camera's axes, and confidence.
        has_pose_3d: (B,) bool, which samples have these labels.

    Returns:
        The mean over the samples that have labels, joints and x, y, z; 0 if none has.
    """
    points, confidence = labelled[..., :3], labelled[..., 3]
    hips = constant(HIPS, torch.long, predicted.device)
    predicted = predicted - predicted[:, hips].mean(dim=1, keepdim=True)
    points = points - points[:, hips].mean(dim=1, keepdim=True)
    known = has_pose_3d.bool()[:, None] & (confidence > 0)
    squared = _masked_difference(predicted, points, known).square()
    weighted = torch.where(known, confidence, 0)[..., None] * squared
    return _mean_of_labelled(weighted, has_pose_3d)


def pose_loss(
    predicted: Float[Tensor, "b 24 3 3"],
    labelled: Float[Tensor, "b 24 3 3"],
    has_smpl: Bool[Tensor, " b"],
) -> Float[Tensor, ""]:
    """Mean squared difference of the rotation matrices' entries.

    Args:
        predicted: (B, 24, 3, 3).
        labelled: (B, 24, 3, 3).
        has_smpl: (B,) bool, which samples have these labels.

    Returns:
        The mean over the samples that have labels; 0 if none has.
    """
    squared = _masked_difference(predicted, labelled, has_smpl).square()
    return _mean_of_labelled(squared, has_smpl)


def betas_loss(
    predicted: Float[Tensor, "b 10"], labelled: Float[Tensor, "b 10"], has_smpl: Bool[Tensor, " b"]
) -> Float[Tensor, ""]:
    """Mean squared difference of the shape coefficients, as `pose_loss`."""
    squared = _masked_difference(predicted, labelled, has_smpl).square()
    return _mean_of_labelled(squared, has_smpl)


def vertex_loss(
    predicted: Float[Tensor, "b v 3"],
    labelled: Float[Tensor, "b v 3"],
    has_smpl: Bool[Tensor, " b"],
) -> Float[Tensor, ""]:
    """Mean absolute difference of the vertices, metres, as `pose_loss`."""
    absolute = _masked_difference(predicted, labelled, has_smpl).abs()
    return _mean_of_labelled(absolute, has_smpl)


def camera_loss(camera: Float[Tensor, "b 3"]) -> Float[Tensor, ""]:
    """Keeps the camera's scale positive: the mean of exp(-10 s) squared (SPIN's `train_step`).

    Where the scale crosses 0 the body is at infinity, then behind the camera, and the 2D loss
    explodes. Below `STEEPEST_SCALE`, where no camera of a training that goes well ever is, the
    curve goes on as its tangent. SPIN's own is infinite in float32 from -4.4 on, and the norm of
    its gradient sooner: one thrown camera in one batch would end the training, where its gradient,
    clipped, can bring it back.

    Args:
        camera: (B, 3) weak-perspective scale, tx, ty.
    """
    bounded = camera[:, 0].clamp_min(STEEPEST_SCALE)
    tangent = 1 - 20 * (camera[:, 0] - bounded)
    return (torch.exp(-10 * bounded).square() * tangent).mean()


def heatmap_loss(
    logits: Float[Tensor, "b k y x"], labelled: Float[Tensor, "b k 3"], deviation: float
) -> Float[Tensor, ""]:
    """How surprised each keypoint's map is by where the keypoint is: cross-entropy.

    The truth is a round Gaussian about the keypoint, so that a near miss is half right.

    Args:
        logits: (B, K, h, w) over the cells of each map.
        labelled: (B, K, 3) x, y in [-1, 1] over the picture, and confidence.
        deviation: of the Gaussian, cells.

    Returns:
        The mean over the keypoints that are labelled and within the picture; 0 if none is.
    """
    height, width = logits.shape[-2:]
    across = _gaussian(labelled[..., 0], width, deviation)
    down = _gaussian(labelled[..., 1], height, deviation)
    truth = (down[..., :, None] * across[..., None, :]).flatten(2)
    inside = (labelled[..., :2].abs() <= 1).all(-1) & (labelled[..., 2] > 0)
    truth = torch.where(inside[..., None], truth / truth.sum(-1, keepdim=True), 0)
    cross_entropy = -(truth * logits.flatten(2).log_softmax(-1)).sum(-1)
    return cross_entropy.sum() / inside.sum().clamp_min(1)


def _gaussian(place: Tensor, count: int, deviation: float) -> Tensor:
    """(B, K) in [-1, 1] -> (B, K, count): a Gaussian over the middles of that many cells."""
    cells = (place[..., None] - cell_centers(count, place)) * count / 2
    return torch.exp(-cells.square() / (2 * deviation**2))


def _masked_difference(predicted: Tensor, labelled: Tensor, known: Tensor) -> Tensor:
    """predicted - labelled, and a constant 0 where the label is not known.

    The mask has the leading dimensions of the tensors. Masking the difference, not a power of it,
    keeps a NaN label out of the gradient as well.
    """
    known = known.bool().reshape(known.shape + (1,) * (predicted.ndim - known.ndim))
    return torch.where(known, predicted - labelled, 0)


def _mean_of_labelled(values: Tensor, known: Tensor) -> Tensor:
    """The mean over the samples with labels, of values that are 0 for the others."""
    count = known.sum().clamp_min(1) * values[0].numel()
    return values.sum() / count
