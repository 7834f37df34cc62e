"""Cameras: perspective projection, SPIN's weak-perspective camera, camera from keypoints.

Camera frame: x right, y down, z forward into the scene; metres.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hmrlab.geometry._checks import check_trailing

SPIN_FOCAL = 5000.0  # pixels, for SPIN's 224-pixel crop
SPIN_IMAGE_SIZE = 224  # pixels


def perspective_projection(
    points: Float[Tensor, "*#batch n 3"],
    translation: Float[Tensor, "*#batch 3"],
    focal: Float[Tensor, "*#batch"] | float,
    center: Float[Tensor, "*#batch 2"] | None = None,
    rotation: Float[Tensor, "*#batch 3 3"] | None = None,
) -> Float[Tensor, "*_ n 2"]:
    """Project points with a pinhole camera: xy / z times the focal length.

    Args:
        points: (B, N, 3) metres.
        translation: (B, 3) from the points' frame to the camera's, metres.
        focal: focal length, pixels; a number or (B,).
        center: (B, 2) or (2,) principal point, pixels; default the origin.
        rotation: (B, 3, 3), applied before the translation; default none.

    Returns:
        (B, N, 2) image points, pixels. Points on the camera's plane (z = 0) give infinities.

    Raises:
        ValueError: a last dimension does not fit.
    """
    check_trailing(points, "points", 3)
    check_trailing(translation, "translation", 3)
    if rotation is not None:
        check_trailing(rotation, "rotation", 3, 3)
        points = points @ rotation.transpose(-1, -2)
    in_camera = points + translation[..., None, :]
    image = _for_each(focal, points) * in_camera[..., :2] / in_camera[..., 2:]
    if center is not None:
        check_trailing(center, "center", 2)
        image = image + center[..., None, :]
    return image


def weak_perspective_to_translation(
    camera: Float[Tensor, "*batch 3"],
    focal: float = SPIN_FOCAL,
    image_size: float = SPIN_IMAGE_SIZE,
) -> Float[Tensor, "*batch 3"]:
    """Place a body so that a perspective camera sees it at a weak-perspective camera's scale.

    SPIN, `models/hmr.py` and `train/trainer.py`: tz = 2 f / (image_size * s + 1e-9). The network
    predicts scale and shift relative to the crop; the depth follows.

    Args:
        camera: (..., 3) scale s (crop half-sides per metre), tx, ty (metres).
        focal: pixels.
        image_size: side of the crop, pixels. Only focal / image_size matters.

    Returns:
        (..., 3) translation, metres.

    Raises:
        ValueError: the last dimension is not 3.
    """
    check_trailing(camera, "camera", 3)
    depth = 2 * focal / (image_size * camera[..., :1] + 1e-9)
    return torch.cat((camera[..., 1:], depth), dim=-1)


def translation_to_weak_perspective(
    translation: Float[Tensor, "*batch 3"],
    focal: float = SPIN_FOCAL,
    image_size: float = SPIN_IMAGE_SIZE,
) -> Float[Tensor, "*batch 3"]:
    """The inverse of `weak_perspective_to_translation`.

    Raises:
        ValueError: the last dimension is not 3.
    """
    check_trailing(translation, "translation", 3)
    scale = 2 * focal / (image_size * translation[..., 2:])
    return torch.cat((scale, translation[..., :2]), dim=-1)


def project_normalised(
    points: Float[Tensor, "*batch n 3"], camera: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch n 2"]:
    """Project body points with a predicted camera into normalised crop coordinates.

    SPIN's focal length of 5000 pixels at 224, whatever the crop's real resolution: normalised
    coordinates do not know it.

    >>> points = torch.tensor([[[0.0, 0, 0], [0.5, -1, 0]]])  # y points down
    >>> camera = torch.tensor([[0.5, 0, 0]])  # a metre is half of half of the crop
    >>> project_normalised(points, camera).round(decimals=4).tolist()
    [[[0.0, 0.0], [0.25, -0.5]]]

    Args:
        points: (B, N, 3) metres, root rotation applied.
        camera: (B, 3) weak-perspective scale, tx, ty.

    Returns:
        (B, N, 2) in [-1, 1] over the crop, x right and y down.

    Raises:
        ValueError: a last dimension is not 3.
    """
    translation = weak_perspective_to_translation(camera)
    return perspective_projection(points, translation, SPIN_FOCAL / (SPIN_IMAGE_SIZE / 2))


def estimate_translation(
    points: Float[Tensor, "*batch n 3"],
    keypoints: Float[Tensor, "*batch n 3"],
    focal: Float[Tensor, "*#batch"] | float = SPIN_FOCAL,
    image_size: float = SPIN_IMAGE_SIZE,
) -> Float[Tensor, "*batch 3"]:
    """The translation that best explains 2D keypoints, by weighted linear least squares.

    A projection u = f (X + tx) / (Z + tz) is linear in the translation once multiplied by the
    depth: tx - (u / f) tz = (u / f) Z - X, and alike for y. Subtracting the weighted means leaves
    tz alone; tx and ty follow from the means. Same least squares as SPIN's `estimate_translation`
    (`utils/geometry.py`), which solves it sample by sample; there the points are the 24 annotated
    joints.

    Args:
        points: (B, N, 3) metres.
        keypoints: (B, N, 3) x, y in pixels and confidence, the weight of the squared error.
        focal: pixels; a number or (B,).
        image_size: side of the image, pixels; its middle is the principal point.

    Returns:
        (B, 3) translation, metres.

    Raises:
        ValueError: a last dimension is not 3, or a sample has fewer than two distinct keypoints of
            positive confidence, which do not determine a depth.
    """
    translation, sure = translation_if_determined(points, keypoints, focal, image_size)
    if not bool(sure.all()):
        bad = torch.nonzero(~sure).flatten().tolist()
        raise ValueError(
            f"sample(s) {bad} have fewer than two distinct keypoints of positive confidence, "
            "which do not determine a translation; leave them out"
        )
    return translation


def translation_if_determined(
    points: Float[Tensor, "*batch n 3"],
    keypoints: Float[Tensor, "*batch n 3"],
    focal: Float[Tensor, "*#batch"] | float = SPIN_FOCAL,
    image_size: float = SPIN_IMAGE_SIZE,
) -> tuple[Float[Tensor, "*batch 3"], Bool[Tensor, "*batch"]]:
    """`estimate_translation` that asks a GPU for no answer: who has none is told in a tensor.

    Args:
        points, keypoints, focal, image_size: as there.

    Returns:
        (B, 3) translation, metres, and (B,) bool, whether it is determined; where it is not, the
        numbers mean nothing.

    Raises:
        ValueError: a last dimension is not 3.
    """
    check_trailing(points, "points", 3)
    check_trailing(keypoints, "keypoints", 3)
    weight = keypoints[..., 2:]
    ray = (keypoints[..., :2] - image_size / 2) / _for_each(focal, points)
    offset = ray * points[..., 2:] - points[..., :2]

    total = weight.sum(-2, keepdim=True)
    safe_total = torch.where(total > 0, total, torch.ones_like(total))
    mean_ray = (weight * ray).sum(-2, keepdim=True) / safe_total
    mean_offset = (weight * offset).sum(-2, keepdim=True) / safe_total
    ray_spread = weight * (ray - mean_ray)
    steepness = (ray_spread * (ray - mean_ray)).sum((-2, -1))
    # One keypoint's distance from its own mean is 0 up to rounding.
    rounding = (8 * torch.finfo(ray.dtype).eps) ** 2 * (weight * ray.square()).sum((-2, -1))
    depth = -(ray_spread * (offset - mean_offset)).sum((-2, -1)) / steepness
    shift = mean_offset[..., 0, :] + mean_ray[..., 0, :] * depth[..., None]
    return torch.cat((shift, depth[..., None]), dim=-1), steepness > rounding


def _for_each(number: Tensor | float, points: Tensor) -> Tensor | float:
    """One number, or (B,) of them, as a factor of (B, N, D) points.

    A plain number stays one: made a tensor, it would be copied to the points' device.
    """
    if isinstance(number, (int, float)):
        return number
    number = torch.as_tensor(number, dtype=points.dtype, device=points.device)
    return number[..., None, None]
