"""People of a photo and the cameras that see them: each its own, or all the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image

from hmrlab.bodies import Body
from hmrlab.bodies.joints import OPENPOSE
from hmrlab.geometry import apply_affine, invert_affine
from hmrlab.photos.boxes import CONFIDENT, Boxes
from hmrlab.photos.picture import shrunk
from hmrlab.photos.scene import Posed, Scene, one_camera, own_focals, pixels_per_metre
from hmrlab.rendering import over_photo
from hmrlab.rendering.backends import Pinhole
from hmrlab.smplify import Fits
from hmrlab.smplify.objective import project

COLOURS = np.array([
    (0.68, 0.78, 0.90), (0.93, 0.72, 0.55), (0.70, 0.87, 0.66), (0.89, 0.68, 0.84),
    (0.93, 0.88, 0.58), (0.62, 0.86, 0.86),
])  # fmt: skip
"""Of the people in turn, the same in all of their files."""
LONGEST = 2000  # pixels of a picture's longer side
DRAWN_AT = 60.0  # metres: where renderers, which see 200 m, draw whoever stands further away


@dataclass(frozen=True, kw_only=True)
class PhotoBodies:
    """N people of a photo, by whatever way their bodies were found.

    In its own crop each person stands before SPIN's far camera, f = 5000 pixels at 224. Over the
    whole photo the same rays are those of a pinhole of 5000 / 224 times the box's side, with its
    principal point in the box's middle: through it a body is seen in the whole photo exactly where
    it is in its crop.
    """

    image: np.ndarray  # (H, W, 3) uint8
    boxes: Boxes  # of each
    body: Body  # whose bodies they are
    numbers: tuple[int, ...]  # which person of the input each is
    left_out: dict[int, str]  # the others' numbers, and why
    keypoints: np.ndarray | None = None  # (N, 25, 3) pixels of the photo, confidence, if known

    @property
    def posed(self) -> Posed:
        """The bodies, each in front of its own crop's camera."""
        raise NotImplementedError

    def told(self, row: int) -> str:
        """How one person's body came about, and how well it sits, in words."""
        raise NotImplementedError

    def more_parameters(self, row: int) -> dict[str, Any]:
        """What there is to save of one person besides the body (see `save.parameters`)."""
        return {}

    def __len__(self) -> int:
        return len(self.numbers)

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

    def pixel_errors(self) -> np.ndarray:
        """(N,) mean distance of the body's keypoints from those found, pixels of the photo.

        Of the keypoints with a confidence of 0.2 or more, neck and hips included.

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

    def nearness(self, row: int) -> str:
        """How many of one person's keypoints are known, and how near the body's are, in words."""
        seen = self.seen()[row]
        return (
            f"{seen.sum()} of {len(seen)} keypoints seen, the body's are "
            f"{self.pixel_errors()[row]:.1f} px from them"
        )

    def seen(self) -> np.ndarray:
        """(N, 25) bool, which keypoints have a confidence of 0.2 or more."""
        return self.keypoints[..., 2] >= CONFIDENT

    def colours(self) -> np.ndarray:
        """(N, 3) in [0, 1], of each person in every picture and mesh."""
        return COLOURS[np.array(self.numbers) % len(COLOURS)]

    def overlay(self, *, opacity: float = 0.9, longest: int = LONGEST) -> np.ndarray:
        """Everybody over the photo, those who are larger, so nearer, last.

        Args:
            opacity: of the bodies, 0 to 1.
            longest: a photo with a longer side is shrunk to it first, pixels.

        Returns:
            (h, w, 3) uint8.
        """
        photo, zoom = shrunk(self.image, longest, Image.Resampling.LANCZOS)
        height, width = photo.shape[:2]
        order = pixels_per_metre(self.posed, self.boxes).numpy().argsort()
        own = self.cameras()
        cameras = [
            Pinhole(own[k].focal * zoom, tuple(zoom * c for c in own[k].center), height, width)
            for k in order
        ]
        colours = np.repeat(self.colours()[order, None], self.body.n_vertices, axis=1)
        return over_photo(
            photo, _in_sight(self.vertices()[order]), self.body.faces, cameras,
            colours=colours, opacity=opacity,
        )  # fmt: skip

    def scene(self) -> Scene:
        """Everybody before one camera in the middle of the photo (see `one_camera`)."""
        return self._scenes[0]

    def cliff_scene(self) -> Scene:
        """The same as CLIFF has it, without a turn."""
        return self._scenes[1]

    @cached_property
    def _scenes(self) -> tuple[Scene, Scene]:
        given = self.posed, self.boxes, self.body, self.image.shape[:2]
        return one_camera(*given), one_camera(*given, turned=False)

    def scene_vertices(self) -> np.ndarray:
        """(N, V, 3) metres, in the frame of the one camera: x right, y down, z forward."""
        scene = self.scene()
        with torch.no_grad():
            points = self.body.vertices(scene.rotations, self.posed.betas)
        return (points + scene.translation[:, None]).numpy()


@dataclass(frozen=True, kw_only=True)
class PhotoFits(PhotoBodies):
    """People whose bodies were fitted to their keypoints."""

    fits: Fits  # of each, in front of its own crop's camera
    keypoints: np.ndarray  # (N, 25, 3) what was fitted to

    @property
    def posed(self) -> Fits:
        """The fits."""
        return self.fits

    def told(self, row: int) -> str:
        """How many keypoints were seen, and how far the body's are from them."""
        return self.nearness(row)

    def more_parameters(self, row: int) -> dict[str, Any]:
        """SPIN's mark of the fit, and what the fit minimised."""
        return {"reprojection": self.fits.reprojection[row], "objective": self.fits.objective[row]}


def _in_sight(vertices: np.ndarray) -> np.ndarray:
    """Bodies (N, V, 3) brought nearer along their rays, where renderers see them; same pictures."""
    depth = vertices[..., 2].mean(1)[:, None, None]
    return vertices * np.minimum(1, DRAWN_AT / np.maximum(depth, DRAWN_AT))
