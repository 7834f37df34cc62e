"""People of their own crops brought before one camera."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.fitting import Fits
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, axis_angle_to_matrix
from hmrlab.photos.boxes import Boxes


@dataclass(frozen=True)
class Scene:
    """N bodies in the frame of one camera, whose principal point is the photo's middle."""

    rotations: Tensor  # (N, 24, 3, 3), the root in the camera's frame
    translation: Tensor  # (N, 3) metres
    focal: float  # pixels of the photo


def own_focals(boxes: Boxes) -> Tensor:
    """(N,) pixels: SPIN's far camera, 5000 pixels at 224, as the whole photo has it."""
    return SPIN_FOCAL * boxes.side / SPIN_IMAGE_SIZE


def pixels_per_metre(fits: Fits, boxes: Boxes) -> Tensor:
    """(N,) how large each person is in the photo."""
    return own_focals(boxes) / fits.translation[:, 2]


def one_camera(fits: Fits, boxes: Boxes, body: Body, size: tuple[int, int]) -> Scene:
    """Place and turn everybody as one camera in the middle of the photo sees them.

    A photo does not tell its focal length. It is taken to be the diagonal (53 degrees from corner
    to corner), as Kissos et al. ("Beyond weak perspective", ECCV workshops 2020) and CLIFF (Li et
    al., ECCV 2022) do. Depth follows from size: focal * metres / pixels, so a child that is fitted
    as an adult stands too far away.

    A crop's camera looks straight at its person. Before the shared camera the same view is had
    along the ray through the box's middle, so each body is turned by that ray's angle, the
    perspective correction of Mehta et al. (3DV 2017). Without it, whoever stands at the edge of a
    photo would be turned away, by up to 27 degrees in a corner.

    Args:
        fits: of N people, each before its own crop's camera.
        boxes: of the same.
        body: that was fitted.
        size: height and width of the photo, pixels.
    """
    height, width = size
    focal = float((height**2 + width**2) ** 0.5)
    off = (boxes.center - boxes.center.new_tensor([width / 2, height / 2])) / focal
    ray = torch.cat([off, torch.ones_like(off[:, :1])], 1)
    turn = _from_axis(ray)
    rotations = fits.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]

    pelvis = body.rest_joints(fits.betas)[:, 0]  # the root turns about it
    ahead = fits.translation * fits.translation.new_tensor([0.0, 0.0, 1.0])
    beside = turn @ (pelvis + fits.translation - ahead)[..., None]
    depth = focal / pixels_per_metre(fits, boxes)[:, None]
    return Scene(rotations, beside[..., 0] + ray * depth - pelvis, focal)


def _from_axis(rays: Tensor) -> Tensor:
    """The least rotations (N, 3, 3) that turn the camera's axis to rays (N, 3)."""
    across = torch.stack([-rays[:, 1], rays[:, 0], torch.zeros_like(rays[:, 0])], 1)
    sine = across.norm(dim=1, keepdim=True)
    angle = torch.atan2(sine, rays[:, 2:])
    return axis_angle_to_matrix(across / sine.clamp_min(1e-9) * angle)
