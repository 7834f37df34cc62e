"""A network's bodies for the people of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.data.augment import IMAGENET_MEAN, IMAGENET_STD
from hmrlab.geometry import weak_perspective_to_translation
from hmrlab.models import HMR
from hmrlab.photos.finding import FoundPeople
from hmrlab.photos.result import PhotoBodies

LEAST_SCALE = 0.05  # crop half-sides per metre: a person would be a twentieth of the crop tall
LARGEST = 5.0  # metres from its own origin, that a body's vertices are at most
MOST_CROPS = 32  # that are held at a time


class NoBodyError(ValueError):
    """The network's answer for not one of the people is a body before the camera."""


@dataclass(frozen=True, kw_only=True)
class PhotoPredictions(PhotoBodies):
    """People whose bodies a network gave."""

    guess: SMPLParams  # of each, in front of its own crop's camera
    camera: Tensor  # (N, 3) the network's own word: scale, tx, ty
    score: np.ndarray | None = None  # (N,) a detector's, that each is a person
    coco_keypoints: np.ndarray | None = None  # (N, 17, 3) a detector's: pixels of the photo, score

    @property
    def posed(self) -> SMPLParams:
        """The bodies, each in front of its own crop's camera."""
        return self.guess

    def told(self, row: int) -> str:
        """The box, and what is known about how well the body sits in it."""
        (x, y), side = self.boxes.center[row].tolist(), float(self.boxes.side[row])
        words = f"box of {side:.0f} px about ({x:.0f}, {y:.0f})"
        if self.score is not None:
            words += f", detected at {self.score[row]:.0%}"
        return words if self.keypoints is None else f"{words}, {self.nearness(row)}"

    def more_parameters(self, row: int) -> dict[str, Any]:
        """The network's camera, and what a detector said."""
        more = {"score": self.score, "coco_keypoints": self.coco_keypoints}
        known = {name: values[row] for name, values in more.items() if values is not None}
        return {"camera": self.camera[row], **known}


@torch.inference_mode()
def answer(model: HMR, crops: Tensor) -> SMPLParams:
    """What a network says about crops, on its own device.

    Args:
        model: in evaluation mode; the number of corrections is the one it was trained with.
        crops: (N, 3, R, R) in [0, 1].

    Returns:
        Of N bodies, on the CPU; not necessarily finite.
    """
    device = next(model.parameters()).device
    mean, deviation = (
        torch.tensor(values, device=device)[:, None, None]
        for values in (IMAGENET_MEAN, IMAGENET_STD)
    )
    said = model((crops.to(device) - mean) / deviation)
    return said.float().to("cpu")


def bodies_of(
    image: np.ndarray, found: FoundPeople, said: SMPLParams, body: Body
) -> PhotoPredictions:
    """A network's answer about the crops of a photo as people of that photo.

    Args:
        image: (H, W, 3) uint8.
        found: the N people.
        said: about each.
        body: whose parameters the network gives.

    Returns:
        The people before whom the network put a camera that sees them; the others with the reason
        in `left_out`.

    Raises:
        NoBodyError: there are none.
    """
    reasons = [_why_not(said, row, body) for row in range(len(found))]
    left_out = found.left_out | {
        number: reason for number, reason in zip(found.numbers, reasons, strict=True) if reason
    }
    kept = torch.tensor([row for row, reason in enumerate(reasons) if not reason], dtype=torch.long)
    if not len(kept):
        listed = "; ".join(f"person {number}: {why}" for number, why in sorted(left_out.items()))
        raise NoBodyError(f"no body for anybody ({listed})")
    some = found.rows(kept)
    camera = said.camera[kept].clone()
    return PhotoPredictions(
        image=image,
        boxes=some.boxes,
        body=body,
        numbers=some.numbers,
        left_out=left_out,
        keypoints=some.keypoints,
        guess=SMPLParams(
            said.rotations[kept].clone(),
            said.betas[kept].clone(),
            translation=weak_perspective_to_translation(camera),
        ),
        camera=camera,
        score=some.score,
        coco_keypoints=some.coco_keypoints,
    )


def predict(
    model: HMR, image: np.ndarray, found: FoundPeople, body: Body, resolution: int
) -> PhotoPredictions:
    """The bodies of one photo's people: crops, the network's answer, and both together.

    No other photo's people are in a batch with them: a network's last digits depend on how many
    there are, and the answer is to be the same whichever photos come before and after.

    Args:
        model: in evaluation mode.
        image: (H, W, 3) uint8.
        found: the people.
        body: whose parameters the network gives.
        resolution: side of the crops, pixels.

    Raises:
        NoBodyError: see `bodies_of`.
    """
    rows = torch.arange(len(found)).split(MOST_CROPS)
    parts = [answer(model, found.boxes.rows(some).crops(image, resolution)) for some in rows]
    names = ("rotations", "betas", "camera")
    said = SMPLParams(*(torch.cat([getattr(part, name) for part in parts]) for name in names))
    return bodies_of(image, found, said, body)


def _why_not(said: SMPLParams, row: int, body: Body) -> str:
    values = (said.rotations[row], said.betas[row], said.camera[row])
    if not all(bool(value.isfinite().all()) for value in values):
        return "the network's answer is not finite: are its weights whole?"
    scale = float(said.camera[row, 0])
    if scale < LEAST_SCALE:
        return f"the network saw nobody in its box: its camera's scale is {scale:.2f}"
    points = body.vertices(said.rotations[row, None], said.betas[row, None])[0]
    away = float(points.abs().max())
    depth = float(weak_perspective_to_translation(said.camera[row, None])[0, 2])
    if not away < min(LARGEST, depth):
        return f"the network's body is {away:.1f} metres large: are its weights whole?"
    return ""
