"""People of their own crops brought before one camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, axis_angle_to_matrix
from hmrlab.photos.boxes import Boxes


class Posed(Protocol):
    """N bodies, each in front of SPIN's far camera: fits, or a network's answers."""

    @property
    def rotations(self) -> Tensor:
        """(N, 24, 3, 3), the root in the camera's frame."""
        ...

    @property
    def pose(self) -> Tensor:
        """(N, 24, 3) the same as axis-angles, radians."""
        ...

    @property
    def betas(self) -> Tensor:
        """(N, 10)."""
        ...

    @property
    def translation(self) -> Tensor:
        """(N, 3) metres."""
        ...


@dataclass(frozen=True)
class Scene:
    """N bodies in the frame of one camera, whose principal point is the photo's middle."""

    rotations: Tensor  # (N, 24, 3, 3), the root in the camera's frame
    translation: Tensor  # (N, 3) metres
    focal: float  # pixels of the photo


def own_focals(boxes: Boxes) -> Tensor:
    """(N,) pixels: SPIN's far camera, 5000 pixels at 224, as the whole photo has it."""
    return SPIN_FOCAL * boxes.side / SPIN_IMAGE_SIZE


def pixels_per_metre(posed: Posed, boxes: Boxes) -> Tensor:
    """(N,) how large each person is in the photo."""
    return own_focals(boxes) / posed.translation[:, 2]


def one_camera(
    posed: Posed, boxes: Boxes, body: Body, size: tuple[int, int], *, turned: bool = True
) -> Scene:
    """Place and turn everybody as one camera in the middle of the photo sees them.

    A photo does not tell its focal length. It is taken to be the diagonal (53 degrees from corner
    to corner), as Kissos et al. ("Beyond weak perspective", ECCV workshops 2020) and CLIFF (Li et
    al., ECCV 2022) do. Depth follows from size: focal * metres / pixels, so a child that is fitted
    as an adult stands too far away.

    A crop's camera looks straight at its person. Before the shared camera the same view is had
    along the ray through the box's middle, so each body is turned by that ray's angle, the
    perspective correction of Mehta et al. (3DV 2017). Without it, whoever stands at the edge of a
    photo would be turned away, by up to 27 degrees in a corner.

    CLIFF moves and does not turn: a camera (s, tx, ty) in a box of side b about (cx, cy) becomes
    the translation (tx + 2 (cx - W/2) / (b s), ty + 2 (cy - H/2) / (b s), 2 f / (b s)), which is
    this function without the turn. It suits CLIFF's network, which is told where the box is and so
    answers in the photo's own frame. A network or a fit that sees nothing but the crop answers in
    the crop's frame, and its body has to be turned.

    No near camera sees exactly what a crop's far one does. CLIFF's is exact in the plane of the
    translation, and off by h |z| / (d + z) for a point z metres behind it that lies h pixels from
    the photo's middle, d the plane's depth: what is behind moves inwards, so that somebody at the
    edge is seen from the side. Turned, a point on the ray through the box's middle is met exactly,
    and the body is seen from where the crop showed it, stretched away from the middle as wide
    lenses do. For pictures there is each person's own camera, which is exact everywhere
    (`PhotoBodies.cameras`).

    Args:
        posed: N people, each before its own crop's camera.
        boxes: of the same.
        body: whose they are.
        size: height and width of the photo, pixels.
        turned: with False, CLIFF's translation.
    """
    height, width = size
    focal = float((height**2 + width**2) ** 0.5)
    off = (boxes.center - boxes.center.new_tensor([width / 2, height / 2])) / focal
    ray = torch.cat([off, torch.ones_like(off[:, :1])], 1)
    depth = focal / pixels_per_metre(posed, boxes)[:, None]
    beside = posed.translation * posed.translation.new_tensor([1.0, 1.0, 0.0])
    if not turned:
        return Scene(posed.rotations, beside + ray * depth, focal)
    turn = _from_axis(ray)
    rotations = posed.rotations.clone()
    rotations[:, 0] = turn @ rotations[:, 0]
    pelvis = body.rest_joints(posed.betas)[:, 0]  # the root turns about it
    moved = turn @ (pelvis + beside)[..., None]
    return Scene(rotations, moved[..., 0] + ray * depth - pelvis, focal)


def _from_axis(rays: Tensor) -> Tensor:
    """The least rotations (N, 3, 3) that turn the camera's axis to rays (N, 3)."""
    across = torch.stack([-rays[:, 1], rays[:, 0], torch.zeros_like(rays[:, 0])], 1)
    sine = across.norm(dim=1, keepdim=True)
    angle = torch.atan2(sine, rays[:, 2:])
    return axis_angle_to_matrix(across / sine.clamp_min(1e-9) * angle)
