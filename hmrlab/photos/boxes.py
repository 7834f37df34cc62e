"""A photograph, a square about each person in it, and what is seen in the square."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hmrlab.bodies.joints import KEYPOINT_NAMES, OPENPOSE
from hmrlab.data.augment import crop_picture
from hmrlab.files import MAX_PIXELS, FileProblem, read_rgb
from hmrlab.geometry import SPIN_IMAGE_SIZE, apply_affine, crop_matrix
from hmrlab.geometry.crops import REFERENCE_SIDE
from hmrlab.smplify import Targets

BOX_FACTOR = 1.2  # SPIN's, for all sets but Human3.6M
CONFIDENT = 0.2  # least confidence of a keypoint that a box must hold; SPIN's demo
LEAST_PIXELS = 10.0  # size of a person, below which hardly anything is in pixels
FARTHEST = 1e6  # pixels; photos have a tenth of that on a side
_STRIP = 1 << 22  # pixels of a photo that are averaged at a time


def read_photo(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file as uint8 RGB (H, W, 3), upright, whatever its mode (see `read_rgb`).

    Raises:
        FileProblem: it is missing, damaged, no picture, or has more than `max_pixels`.
    """
    try:
        return read_rgb(path, max_pixels)
    except FileProblem as error:
        raise FileProblem(f"{error} Give a photo, for example a .jpg or a .png.") from error


def shrunk(photo: np.ndarray, longest: int, way: Image.Resampling) -> tuple[np.ndarray, float]:
    """A photo (H, W, 3) uint8 with at most `longest` pixels a side, and the factor it took.

    It is averaged in strips: 200 megapixels take no more memory than a small photo.
    """
    height, width = photo.shape[:2]
    zoom = min(1.0, longest / max(height, width))
    if zoom == 1:
        return photo, zoom
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    blocks = max(1, int(0.5 / zoom))  # the rest of the way is at least by half
    rows = max(1, _STRIP // (width * blocks)) * blocks
    strips = [Image.fromarray(photo[top : top + rows]) for top in range(0, height, rows)]
    small = np.concatenate([np.asarray(strip.reduce(blocks)) for strip in strips])
    # the last block of a side may be a part of one
    whole = (0, 0, width / blocks, height / blocks)
    return np.asarray(Image.fromarray(small).resize(size, way, box=whole)), zoom


@dataclass(frozen=True)
class Boxes:
    """Squares in a photo; SPIN's `scale` is a side / 200."""

    center: Tensor  # (N, 2) pixels
    side: Tensor  # (N,) pixels

    @classmethod
    def around(cls, keypoints: np.ndarray) -> Boxes:
        """The square about each person's confident keypoints (N, 25, 3), 1.2 times as large.

        Raises:
            ValueError: the confident keypoints of a person are in one place, or there are none.
        """
        points = torch.as_tensor(keypoints, dtype=torch.float32)
        seen = (points[..., 2] >= CONFIDENT)[..., None]
        high = torch.where(seen, points[..., :2], -torch.inf).amax(1)
        low = torch.where(seen, points[..., :2], torch.inf).amin(1)
        side = BOX_FACTOR * (high - low).amax(1)
        if not bool((side > 0).all()):
            bad = torch.nonzero(~(side > 0)).flatten().tolist()
            raise ValueError(
                f"the keypoints of person {bad} span no box: it takes two of confidence "
                f"{CONFIDENT} or more in different places"
            )
        return cls((low + high) / 2, side)

    @classmethod
    def of(cls, rectangles: np.ndarray, size: tuple[int, int], factor: float = 1.0) -> Boxes:
        """The square about the middle of each rectangle, its longer side times a factor long.

        SPIN's demo takes a box as it is given, with a tenth of room about the person. A box may
        reach beyond the photo, where everything is black.

        Args:
            rectangles: (N, 4) left, top, width, height, pixels.
            size: height and width of the photo, pixels.
            factor: 1.2 for rectangles that touch their people.

        Raises:
            ValueError: a number is NaN or infinite, or a box is empty, too small to show anything,
                or wholly outside.
        """
        given = np.asarray(rectangles, dtype=np.float64).reshape(-1, 4)
        for number, rectangle in enumerate(given):
            reason = _why_no_crop(rectangle, size)
            if reason:
                values = ", ".join(f"{value:g}" for value in rectangle)
                raise ValueError(f"box {number} ({values}) {reason}")
        corners = torch.as_tensor(given, dtype=torch.float32)
        return cls(corners[:, :2] + corners[:, 2:] / 2, factor * corners[:, 2:].amax(1))

    def __len__(self) -> int:
        return len(self.side)

    def to_crop(self, resolution: int = SPIN_IMAGE_SIZE) -> Tensor:
        """(N, 3, 3) from pixels of the photo to pixels of a crop; SPIN's 224-pixel one."""
        return crop_matrix(self.center, self.side / REFERENCE_SIDE, resolution)

    def enlarged(self, factor: float) -> Boxes:
        """Boxes about the same places, their sides so many times as long."""
        return Boxes(self.center, self.side * factor)

    def rows(self, index: Tensor) -> Boxes:
        """Some of the boxes, by position or by mask."""
        return Boxes(self.center[index], self.side[index])

    def crops(self, image: np.ndarray, resolution: int) -> Tensor:
        """What is in each box of a photo (H, W, 3) uint8: (N, 3, R, R) in [0, 1], black beyond it.

        A photo of 100 megapixels takes no more memory here than a small one (see `crop_picture`).
        """
        photo = torch.from_numpy(image if image.flags.writeable else image.copy()).permute(2, 0, 1)
        crops = [crop_picture(photo, matrix, resolution) for matrix in self.to_crop(resolution)]
        if not crops:
            return torch.zeros(0, 3, resolution, resolution)
        return torch.stack(crops).clamp(0, 1)


def why_no_box(keypoints: np.ndarray, size: tuple[int, int]) -> str | None:
    """Why there is no box about a person's keypoints (25, 3) in a photo of this size, or None."""
    places = keypoints[keypoints[:, 2] >= CONFIDENT, :2]
    if len(places) < 2:
        return f"{len(places)} keypoints have a confidence of {CONFIDENT} or more: no box of them"
    extent = float(np.ptp(places, axis=0).max())
    if extent < LEAST_PIXELS:
        return (
            f"its keypoints span {extent:.2g} pixels, and it takes {LEAST_PIXELS:g}; "
            "OpenPose gives pixels with --keypoint_scale 0"
        )
    height, width = size
    if not ((places >= 0) & (places < (width, height))).all(1).any():
        return f"its keypoints lie outside the photo ({width} x {height}): are they another's?"
    return None


def targets_in(boxes: Boxes, keypoints: np.ndarray) -> Targets:
    """What to fit: OpenPose's keypoints (N, 25, 3) in each person's crop, and no annotated ones."""
    points = torch.as_tensor(keypoints, dtype=torch.float32)
    everything = points.new_zeros(len(points), len(KEYPOINT_NAMES), 3)
    everything[:, OPENPOSE, :2] = apply_affine(boxes.to_crop(), points[..., :2])
    everything[:, OPENPOSE, 2] = points[..., 2]
    return Targets.of(everything)


def _why_no_crop(rectangle: np.ndarray, size: tuple[int, int]) -> str:
    if not np.isfinite(rectangle).all():
        return "has a number that is NaN or infinite; expected x, y, width, height in pixels"
    if np.abs(rectangle).max() > FARTHEST:
        return f"has a number beyond {FARTHEST:,.0f} pixels, which no photo has"
    left, top, width, height = rectangle
    if width <= 0 or height <= 0:
        return "has no area: width and height are positive, in pixels; x, y is the upper left"
    if max(width, height) < LEAST_PIXELS:
        return f"is smaller than the {LEAST_PIXELS:g} pixels that a person takes"
    if left >= size[1] or top >= size[0] or left + width <= 0 or top + height <= 0:
        return f"lies outside the photo ({size[1]} x {size[0]}); are its numbers of another?"
    return ""
