"""The people of a photo with their bodies, and the cameras that see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import OPENPOSE, SMPL_JOINTS
from hmrlab.geometry import (
    SPIN_FOCAL,
    SPIN_IMAGE_SIZE,
    apply_affine,
    axis_angle_to_matrix,
    invert_affine,
)
from hmrlab.photos.boxes import CONFIDENT, Boxes, shrunk
from hmrlab.photos.finding import FoundPeople
from hmrlab.photos.limbs import in_words, joints_guessed, limbs_seen
from hmrlab.rendering import over_photo, paler
from hmrlab.rendering.backends import Pinhole
from hmrlab.smplify import Fits
from hmrlab.smplify.objective import project

COLOURS = np.array([
    (0.68, 0.78, 0.90), (0.93, 0.72, 0.55), (0.70, 0.87, 0.66), (0.89, 0.68, 0.84),
    (0.93, 0.88, 0.58), (0.62, 0.86, 0.86),
])  # fmt: skip
"""Of the people in turn, the same in all of their files."""
LONGEST = 2000  # pixels of a picture's longer side
PALE = 0.6  # how far on the way to white is what nobody saw
DRAWN_AT = 60.0  # metres: where renderers, which see 200 m, draw whoever stands further away


@dataclass(frozen=True)
class Scene:
    """N bodies in the frame of one camera, whose principal point is the photo's middle."""

    rotations: Tensor  # (N, 24, 3, 3), the root in the camera's frame
    translation: Tensor  # (N, 3) metres
    focal: float  # pixels of the photo


@dataclass(frozen=True, kw_only=True)
class PhotoBodies(FoundPeople):
    """N people of a photo with their bodies, by whatever way these were found.

    In its own crop each person stands before SPIN's far camera, f = 5000 pixels at 224. Over the
    whole photo the same rays are those of a pinhole of 5000 / 224 times the box's side, with its
    principal point in the box's middle: through it a body is seen in the whole photo exactly where
    it is in its crop.

    Beside what a detector gives, `extra` has of fits `reprojection` (SPIN's mark) and `objective`
    (what was minimised), and of a network's answer its `camera` (scale, tx, ty).
    """

    image: np.ndarray  # (H, W, 3) uint8
    body: Body  # whose bodies they are
    posed: SMPLParams | Fits  # of each, in front of its own crop's camera

    def describe(self, row: int) -> str:
        """How one person's body came about, and how well it sits, in words."""
        words = []
        if "camera" in self.extra:
            (x, y), side = self.boxes.center[row].tolist(), float(self.boxes.side[row])
            words.append(f"box of {side:.0f} px about ({x:.0f}, {y:.0f})")
        if "score" in self.extra:
            words.append(f"detected at {self.extra['score'][row]:.0%}")
        if self.keypoints is not None:
            seen = self.seen()[row]
            words.append(
                f"{seen.sum()} of {len(seen)} keypoints seen, the body's are "
                f"{self.pixel_errors()[row]:.1f} px from them"
            )
            guessed = in_words(limbs_seen(self.seen())[row])
            words += [f"guessed: {guessed}"] if guessed else []
        return ", ".join(words)

    def cameras(self) -> list[Pinhole]:
        """Each person's own camera over the whole photo."""
        height, width = self.image.shape[:2]
        return [
            Pinhole(float(focal), tuple(center.tolist()), height, width)
            for focal, center in zip(own_focals(self.boxes), self.boxes.center, strict=True)
        ]

    def vertices(self) -> np.ndarray:
        """(N, V, 3) metres, each in its own camera's frame."""
        with torch.no_grad():
            points = self.body.vertices(self.posed.rotations, self.posed.betas)
        return (points + self.posed.translation[:, None]).numpy()

    def seen(self) -> np.ndarray:
        """(N, 25) bool, which keypoints have a confidence of 0.2 or more."""
        return self.keypoints[..., 2] >= CONFIDENT

    def pixel_errors(self) -> np.ndarray:
        """(N,) mean distance of the body's keypoints from those seen, pixels of the photo.

        Raises:
            ValueError: there are no keypoints.
        """
        return self._pixel_errors

    @cached_property
    def _pixel_errors(self) -> np.ndarray:
        if self.keypoints is None:
            raise ValueError("there are no keypoints to compare with")
        with torch.no_grad():
            points = self.body.keypoints(self.posed.rotations, self.posed.betas)[:, OPENPOSE]
        in_crop = project(points, self.posed.translation)
        places = apply_affine(invert_affine(self.boxes.to_crop()), in_crop).numpy()
        away = np.linalg.norm(places - self.keypoints[..., :2], axis=-1)
        seen = self.seen()
        return (away * seen).sum(1) / seen.sum(1)

    def colours(self) -> np.ndarray:
        """(N, 3) in [0, 1], of each person in every picture and mesh, where they were seen."""
        return COLOURS[np.array(self.numbers) % len(COLOURS)]

    def pale(self) -> np.ndarray:
        """(N, 24) in [0, 1], how much paler than the person the part of each SMPL joint is drawn.

        What no keypoint shows (see `limbs.LIMBS`) is paler; nothing, where there are no keypoints.
        """
        if self.keypoints is None:
            return np.zeros((len(self), len(SMPL_JOINTS)))
        return PALE * joints_guessed(limbs_seen(self.seen()))

    def vertex_colours(self) -> np.ndarray:
        """(N, V, 3) in [0, 1], `colours` but `pale` where nobody saw."""
        weights = self.body.weights.numpy()
        return np.stack(
            [
                paler(colour, shares, weights)
                for colour, shares in zip(self.colours(), self.pale(), strict=True)
            ]
        )

    def overlay(self, *, opacity: float = 0.9, longest: int = LONGEST) -> np.ndarray:
        """Everybody over the photo (h, w, 3) uint8, those who are larger, so nearer, last.

        A photo with a side of more than `longest` pixels is shrunk to it first.
        """
        photo, zoom = shrunk(self.image, longest, Image.Resampling.LANCZOS)
        height, width = photo.shape[:2]
        order = pixels_per_metre(self.posed, self.boxes).numpy().argsort()
        own = self.cameras()
        cameras = [
            Pinhole(own[k].focal * zoom, tuple(zoom * c for c in own[k].center), height, width)
            for k in order
        ]
        colours = self.vertex_colours()[order]
        # Brought nearer along their rays, where renderers see them, bodies give the same picture.
        vertices = self.vertices()[order]
        depth = vertices[..., 2].mean(1)[:, None, None]
        vertices = vertices * np.minimum(1, DRAWN_AT / np.maximum(depth, DRAWN_AT))
        return over_photo(
            photo, vertices, self.body.faces, cameras, colours=colours, opacity=opacity
        )

    def scene(self, *, turned: bool = True) -> Scene:
        """Everybody before one camera in the middle of the photo (see `one_camera`)."""
        size = self.image.shape[:2]
        return one_camera(self.posed, self.boxes, self.body, size, turned=turned)

    def scene_vertices(self) -> np.ndarray:
        """(N, V, 3) metres, in the frame of the one camera: x right, y down, z forward."""
        scene = self.scene()
        with torch.no_grad():
            points = self.body.vertices(scene.rotations, self.posed.betas)
        return (points + scene.translation[:, None]).numpy()


def own_focals(boxes: Boxes) -> Tensor:
    """(N,) pixels: SPIN's far camera, 5000 pixels at 224, as the whole photo has it."""
    return SPIN_FOCAL * boxes.side / SPIN_IMAGE_SIZE


def pixels_per_metre(posed: SMPLParams | Fits, boxes: Boxes) -> Tensor:
    """(N,) how large each person is in the photo."""
    return own_focals(boxes) / posed.translation[:, 2]


def one_camera(
    posed: SMPLParams | Fits,
    boxes: Boxes,
    body: Body,
    size: tuple[int, int],
    *,
    turned: bool = True,
) -> Scene:
    """Place and turn everybody as one camera in the middle of the photo sees them.

    The focal length, which a photo does not tell, is taken to be its diagonal (53 degrees from
    corner to corner), as by Kissos et al. ("Beyond weak perspective", ECCV workshops 2020) and
    CLIFF (Li et al., ECCV 2022). Depth follows from size: focal * metres / pixels.

    A crop's camera looks straight at its person. Before the shared camera the same view is had
    along the ray through the box's middle, so each body is turned by that ray's angle, the
    perspective correction of Mehta et al. (3DV 2017), by up to 27 degrees in a corner.

    CLIFF moves and does not turn: a camera (s, tx, ty) in a box of side b about (cx, cy) becomes
    the translation (tx + 2 (cx - W/2) / (b s), ty + 2 (cy - H/2) / (b s), 2 f / (b s)), which is
    this function without the turn. It suits a network that is told where the box is, as CLIFF's; a
    network or a fit that sees nothing but the crop answers in the crop's frame.

    No near camera sees exactly what a crop's far one does. CLIFF's is exact in the plane of the
    translation, and off by h |z| / (d + z) for a point z metres behind it that lies h pixels from
    the photo's middle, d the plane's depth. Turned, a point on the ray through the box's middle is
    met exactly, and the body is stretched away from the middle as wide lenses do. For pictures
    there is each person's own camera, which is exact everywhere (`PhotoBodies.cameras`).

    Args:
        posed: N people, each before its own crop's camera; `boxes` are of the same.
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
