"""Bodies for the people of a photo by a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.data.augment import IMAGENET_MEAN, IMAGENET_STD
from hmrlab.geometry import (
    SPIN_IMAGE_SIZE,
    apply_affine,
    pixels_to_normalised,
    weak_perspective_to_translation,
)
from hmrlab.models import HMR
from hmrlab.models.blazepose.points import EyePoints
from hmrlab.photos.bodies import PhotoBodies
from hmrlab.photos.boxes import Boxes
from hmrlab.photos.finding import FoundPeople, NobodyError, by_person
from hmrlab.smplify import from_camera

LEAST_SCALE = 0.05  # crop half-sides per metre: a person would be a twentieth of the crop tall
LARGEST = 5.0  # metres from its own origin, that a body's vertices are at most
MOST_CROPS = 32  # that are held at a time


@torch.inference_mode()
def answer(model: HMR, crops: Tensor) -> SMPLParams:
    """A network's N bodies for crops (N, 3, R, R) in [0, 1]: on the CPU, not always finite."""
    device = next(model.parameters()).device
    mean, deviation = (
        torch.tensor(values, device=device)[:, None, None]
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return model((crops.to(device) - mean) / deviation).float().to("cpu")


def bodies_of(image: np.ndarray, found: FoundPeople, params: SMPLParams, body: Body) -> PhotoBodies:
    """A network's answer about the crops of N people of a photo (H, W, 3), as those people.

    Whoever the network's camera does not see is left out, with the reason in `left_out`.

    Raises:
        NobodyError: there are none.
    """
    reasons = [_why_no_body(params, row, body) for row in range(len(found))]
    left_out = found.left_out | {
        number: reason for number, reason in zip(found.numbers, reasons, strict=True) if reason
    }
    kept = torch.tensor([row for row, reason in enumerate(reasons) if not reason], dtype=torch.long)
    if not len(kept):
        raise NobodyError(f"no body for anybody ({by_person(left_out)})")
    some = found.rows(kept)
    camera = params.camera[kept].clone()
    return PhotoBodies(
        image=image,
        body=body,
        posed=SMPLParams(
            params.rotations[kept].clone(),
            params.betas[kept].clone(),
            translation=weak_perspective_to_translation(camera),
        ),
        **vars(some) | {"left_out": left_out, "extra": {"camera": camera, **some.extra}},
    )


def predict(
    model: HMR, image: np.ndarray, found: FoundPeople, body: Body, resolution: int
) -> PhotoBodies:
    """The bodies that a network in evaluation mode gives the people of a photo (H, W, 3) uint8.

    No other photo's people are in a batch with them: a network's last digits depend on how many
    there are, and the answer is to be the same whichever photos come before and after.

    Raises:
        NobodyError: not one of the answers is a body before the camera.
    """
    return bodies_of(image, found, answers_about(model, image, found, resolution), body)


@torch.inference_mode()
def answers_about(model: HMR, image: np.ndarray, found: FoundPeople, resolution: int) -> SMPLParams:
    """A network's N bodies, each before the camera of its box.

    A network that is made for larger crops looks at these. One that reads points gets those that
    the eyes saw, where they are known: they have looked twice, and turned whoever leans.
    """
    boxes = found.boxes.enlarged(model.config.crop_factor)
    if model.reads_points and found.keypoints is not None and "world" in found.extra:
        seen = _eye_points(found, boxes).to(next(model.parameters()).device)
        said = model(seen.features()).float().to("cpu")
    else:
        rows = torch.arange(len(boxes)).split(MOST_CROPS)
        crops = (boxes.rows(some).crops(image, resolution) for some in rows)
        said = SMPLParams.cat([answer(model, each) for each in crops])
    scale = model.config.crop_factor * said.camera[:, :1]
    return replace(said, camera=torch.cat([scale, said.camera[:, 1:]], 1))


def _eye_points(found: FoundPeople, boxes: Boxes) -> EyePoints:
    keypoints = torch.as_tensor(found.keypoints, dtype=torch.float32)
    in_crop = apply_affine(boxes.to_crop(), keypoints[..., :2])
    return EyePoints.of_openpose(
        pixels_to_normalised(in_crop, SPIN_IMAGE_SIZE),
        keypoints[..., 2],
        torch.as_tensor(found.extra["world"], dtype=torch.float32),
    )


def guess(model: HMR, image: np.ndarray, found: FoundPeople, resolution: int) -> SMPLParams:
    """A network's bodies as a fit's beginning: whoever it hardly sees stands far away."""
    said = answers_about(model, image, found, resolution)
    scale = said.camera[:, :1].clamp_min(LEAST_SCALE)
    return from_camera(said.rotations, said.betas, torch.cat([scale, said.camera[:, 1:]], 1))


def _why_no_body(params: SMPLParams, row: int, body: Body) -> str:
    values = (params.rotations[row], params.betas[row], params.camera[row])
    if not all(bool(value.isfinite().all()) for value in values):
        return "the network's answer is not finite: are its weights whole?"
    scale = float(params.camera[row, 0])
    if scale < LEAST_SCALE:
        return f"the network saw nobody in its box: its camera's scale is {scale:.2f}"
    points = body.vertices(params.rotations[row, None], params.betas[row, None])[0]
    away = float(points.abs().max())
    depth = float(weak_perspective_to_translation(params.camera[row, None])[0, 2])
    if not away < min(LARGEST, depth):
        return f"the network's body is {away:.1f} metres large: are its weights whole?"
    return ""
