"""Fitted people and the cameras that see them: each its own, or all the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import OPENPOSE
from hmrlab.fitting import Fits
from hmrlab.fitting.objective import project
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, apply_affine
from hmrlab.photos.boxes import CONFIDENT, Boxes
from hmrlab.rendering import over_photo
from hmrlab.rendering.backends import Pinhole

COLOURS = np.array([
    (0.68, 0.78, 0.90), (0.93, 0.72, 0.55), (0.70, 0.87, 0.66), (0.89, 0.68, 0.84),
    (0.93, 0.88, 0.58), (0.62, 0.86, 0.86),
])  # fmt: skip
"""Of the people in turn, the same in all of their files."""
LONGEST = 2000  # pixels of a picture's longer side


@dataclass(frozen=True)
class PhotoFits:
    """N people of a photo.

    In its own crop each person stands before SPIN's far camera, f = 5000 pixels at 224. Over the
    whole photo the same rays are those of a pinhole of 5000 / 224 times the box's side, with its
    principal point in the box's middle.
    """

    image: np.ndarray  # (H, W, 3) uint8
    keypoints: np.ndarray  # (N, 25, 3) pixels of the photo, confidence
    boxes: Boxes  # of each
    fits: Fits  # of each, in front of its own crop's camera
    body: Body  # that was fitted
    numbers: tuple[int, ...]  # which person of the input each is
    left_out: dict[int, str]  # the others' numbers, and why

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def focals(self) -> Tensor:
        """(N,) pixels of the photo, of each person's own camera."""
        return SPIN_FOCAL * self.boxes.side / SPIN_IMAGE_SIZE

    @property
    def pixels_per_metre(self) -> Tensor:
        """(N,) how large each is in the photo."""
        return self.focals / self.fits.translation[:, 2]

    def cameras(self) -> list[Pinhole]:
        """Each person's own camera over the whole photo."""
        height, width = self.image.shape[:2]
        return [
            Pinhole(float(focal), tuple(center.tolist()), height, width)
            for focal, center in zip(self.focals, self.boxes.center, strict=True)
        ]

    def vertices(self) -> np.ndarray:
        """(N, V, 3) metres, each in its own camera's frame."""
        with torch.no_grad():
            points = self.body.vertices(self.fits.pose, self.fits.betas)
        return (points + self.fits.translation[:, None]).numpy()

    def pixel_errors(self) -> np.ndarray:
        """(N,) mean distance of the body's keypoints from those found, pixels of the photo.

        Of the keypoints with a confidence of 0.2 or more, neck and hips included.
        """
        with torch.no_grad():
            points = self.body.keypoints(self.fits.pose, self.fits.betas)[:, OPENPOSE]
        in_crop = project(points, self.fits.translation)
        places = apply_affine(torch.linalg.inv(self.boxes.to_crop()), in_crop).numpy()
        away = np.linalg.norm(places - self.keypoints[..., :2], axis=-1)
        seen = self.seen()
        return (away * seen).sum(1) / seen.sum(1)

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
        photo, zoom = _shrunk(self.image, longest)
        height, width = photo.shape[:2]
        order = self.pixels_per_metre.numpy().argsort()
        own = self.cameras()
        cameras = [
            Pinhole(own[k].focal * zoom, tuple(zoom * c for c in own[k].center), height, width)
            for k in order
        ]
        colours = np.repeat(self.colours()[order, None], self.body.n_vertices, axis=1)
        return over_photo(
            photo, self.vertices()[order], self.body.faces, cameras,
            colours=colours, opacity=opacity,
        )  # fmt: skip

    def scene_translations(self) -> np.ndarray:
        """(N, 3) metres, everybody in one camera's frame (see `scene`)."""
        height, width = self.image.shape[:2]
        middle = torch.tensor([width / 2, height / 2])
        scale = self.pixels_per_metre[:, None]
        across = self.fits.translation[:, :2] + (self.boxes.center - middle) / scale
        return torch.cat([across, self.scene_focal / scale], 1).numpy()

    @property
    def scene_focal(self) -> float:
        """Pixels; assumed: the photo's diagonal."""
        return float(np.hypot(*self.image.shape[:2]))

    def scene(self) -> np.ndarray:
        """Everybody before one camera in the middle of the photo.

        A photo does not tell its focal length. It is taken to be the diagonal (about 53 degrees
        from corner to corner), as Kissos et al. ("Beyond weak perspective", 2020) and CLIFF (Li et
        al., ECCV 2022) do. A body's depth follows from its size: focal * metres / pixels, so
        a child that is fitted as an adult stands too far away.

        Returns:
            (N, V, 3) metres, camera frame (x right, y down, z forward).
        """
        with torch.no_grad():
            points = self.body.vertices(self.fits.pose, self.fits.betas).numpy()
        return points + self.scene_translations()[:, None]


def _shrunk(photo: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    height, width = photo.shape[:2]
    zoom = min(1.0, longest / max(height, width))
    if zoom == 1:
        return photo, zoom
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)), zoom
