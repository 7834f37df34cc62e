"""One chunk of synthetic people: drawn, posed, photographed and labelled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hmrlab.bodies import Body, body_digest, load_body
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.bodies.paths import FREE
from hmrlab.data.synthetic import raster, scene
from hmrlab.data.synthetic.appearance import Wardrobe, dress
from hmrlab.data.synthetic.poses import sample_betas, sample_poses
from hmrlab.geometry.normals import vertex_normals

SUPERSAMPLING = 2
BOX_FACTOR = 1.2  # box side over the extent of the keypoints
HIDDEN_CONFIDENCE = 0.3
TILT = 8.0  # degrees
OFF_AXIS = {False: 4.0, True: 15.0}  # degrees sideways; up and down 0.4 of it


@dataclass(frozen=True)
class Chunk:
    """n people. Coordinates: pixels of the picture, metres in the camera frame."""

    images: np.ndarray  # (n, S, S, 3) uint8
    masks: np.ndarray  # (n, S, S) uint8, 0 background, else 1 + SMPL part
    lsp_masks: np.ndarray  # (n, S, S) uint8, 0 background, else 1 + index into LSP_PARTS
    center: np.ndarray  # (n, 2)
    scale: np.ndarray  # (n,)
    keypoints: np.ndarray  # (n, 49, 3)
    joints_3d: np.ndarray  # (n, 24, 4)
    pose: np.ndarray  # (n, 24, 3), the root in the camera frame
    betas: np.ndarray  # (n, 10)
    translation: np.ndarray  # (n, 3) metres
    focal: np.ndarray  # (n,) pixels
    principal: np.ndarray  # (n, 2) pixels
    activity: np.ndarray  # (n,) index into ACTIVITIES


@dataclass(frozen=True)
class Placed:
    """n bodies before their cameras, as `Chunk` has them."""

    pose: np.ndarray  # (n, 24, 3)
    betas: np.ndarray  # (n, 10)
    activity: np.ndarray  # (n,)
    keypoints: np.ndarray  # (n, 49, 3) metres, about the body's own origin
    translation: np.ndarray  # (n, 3)
    focal: np.ndarray  # (n,)
    principal: np.ndarray  # (n, 2)
    flat: np.ndarray  # (n, 49, 2) the keypoints in the picture, pixels

    @property
    def center(self) -> np.ndarray:
        """(n, 2) middle of each person's box, pixels."""
        return (self.flat.min(1) + self.flat.max(1)) / 2

    @property
    def side(self) -> np.ndarray:
        """(n,) of each person's box, pixels."""
        return BOX_FACTOR * (self.flat.max(1) - self.flat.min(1)).max(1)


@lru_cache(maxsize=1)
def dressed_body(body: str, digest: str) -> tuple[Body, Wardrobe]:
    """A body by name or path, and what it can wear; the digest is its file's."""
    loaded = load_body(body, "light")
    return loaded, Wardrobe.of(loaded)


def make_chunk(n: int, size: int, hard: bool, rng: np.random.Generator, body: str = FREE) -> Chunk:
    """Draw n people and take their pictures.

    The camera is a real one: 3 to 8 m away, perspective and all. In the studio it is pointed at
    the person; in the wild the person is up to 15 degrees off its axis, and looks turned by as
    much. Training later assumes SPIN's far camera instead (f = 5000 pixels for 224, on the axis),
    as SPIN does with its photographs.

    Args:
        n: people.
        size: side of the pictures, pixels; a person's box has about two thirds of it.
        hard: `wild` (patterns, things in front, a second person, noise) or `studio`.
        rng: source of all randomness.
        body: whose, a name or path.
    """
    smpl, wardrobe = dressed_body(body, body_digest(body))
    placed = place_people(n, size, hard, rng, body)
    pose, betas = torch.from_numpy(placed.pose).float(), torch.from_numpy(placed.betas).float()
    with torch.no_grad():
        vertices = smpl.vertices(pose, betas).double().numpy()
    flat, translation = placed.flat, placed.translation
    images = np.empty((n, size, size, 3), np.uint8)
    seen = np.empty((n, size, size), np.int64)
    hidden = np.empty((n, 49), bool)
    for k in range(n):
        before = None
        if hard and rng.random() < 0.2:
            before = vertices[k - 1] + translation[k] + beside(1, rng)[0]
        images[k], seen[k], hidden[k] = _photograph(
            vertices[k] + translation[k], before, placed.focal[k], placed.principal[k],
            flat[k], size, hard, wardrobe, rng,
        )  # fmt: skip
    joints = placed.keypoints[:, ANNOTATED] + translation[:, None]
    return Chunk(
        images, raster.label_picture(seen, wardrobe.part),
        raster.label_picture(seen, wardrobe.lsp_part), placed.center, placed.side / 200,
        observe(placed, size, hidden, hard, rng),
        np.concatenate([joints, np.ones((n, 24, 1))], 2),
        placed.pose, placed.betas, translation, placed.focal, placed.principal, placed.activity,
    )  # fmt: skip


def place_people(
    n: int,
    size: float,
    hard: bool,
    rng: np.random.Generator,
    body: str = FREE,
    tilt: float = TILT,
) -> Placed:
    """Draw n bodies, and for each a camera that looks at it: see `make_chunk`.

    `tilt` is the standard deviation, degrees, of how far cameras look down or up.
    """
    smpl, _ = dressed_body(body, body_digest(body))
    poses, activity = sample_poses(n, rng)
    poses[:, 0] = _to_camera(poses[:, 0], rng, tilt)
    betas = sample_betas(n, rng)
    with torch.no_grad():
        keypoints = smpl.keypoints(torch.from_numpy(poses).float(), torch.from_numpy(betas).float())
    keypoints = keypoints.double().numpy()
    distance = rng.uniform(3, 8, n)
    most = OFF_AXIS[hard]
    aside = np.tan(np.radians(rng.uniform(-most, most, n))) * distance
    above = np.tan(np.radians(rng.uniform(-most, most, n) * 0.4)) * distance
    translation = np.stack([aside, above, distance], 1)
    cameras = _frame(keypoints + translation[:, None], size, rng)
    flat = _project(keypoints + translation[:, None], *cameras)
    return Placed(poses, betas, activity, keypoints, translation, *cameras, flat)


def observe(
    placed: Placed, size: float, hidden: np.ndarray, hard: bool, rng: np.random.Generator
) -> np.ndarray:
    """The 2D keypoints as a data set has them: (n, 49, 3), pixels and confidence.

    Args:
        placed: the people.
        size: side of their pictures, pixels.
        hidden: (n, 49) bool, what stands behind something.
        hard: make the OpenPose keypoints as imperfect as a detector's.
        rng: source of all randomness.
    """
    flat = placed.flat.copy()
    confidence = ((flat >= 0) & (flat < size)).all(-1).astype(np.float64)
    if hard:
        _worsen_detections(flat, confidence, hidden, placed.side, rng)
    return np.concatenate([flat, confidence[..., None]], 2)


def beside(n: int, rng: np.random.Generator) -> np.ndarray:
    """Where a second person stands relative to the first: (n, 3) metres."""
    aside = rng.choice([-1, 1], n) * rng.uniform(0.45, 0.9, n)
    return np.stack([aside, np.zeros(n), rng.uniform(-0.8, 1.5, n)], 1)


def _to_camera(roots: np.ndarray, rng: np.random.Generator, tilt: float) -> np.ndarray:
    """From the body's frame (y up) to the camera's (y down), the camera tilted a little."""
    n = len(roots)
    turns = np.stack([rng.normal(0, tilt, n), np.zeros(n), rng.normal(0, 4, n)], 1)
    half_turn = Rotation.from_rotvec([np.pi, 0, 0])
    return (
        Rotation.from_rotvec(np.radians(turns)) * half_turn * Rotation.from_rotvec(roots)
    ).as_rotvec()


def _frame(
    points: np.ndarray, size: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Focal length (n,) and principal point (n, 2) that put each box in the picture's middle."""
    n = len(points)
    flat = points[..., :2] / points[..., 2:]
    low, high = flat.min(1), flat.max(1)
    wanted = size / 1.5 * rng.uniform(0.9, 1.1, n)
    focal = wanted / (BOX_FACTOR * (high - low).max(1))
    middle = size / 2 + rng.uniform(-0.03, 0.03, (n, 2)) * size
    return focal, middle - focal[:, None] * (low + high) / 2


def _project(points: np.ndarray, focal: np.ndarray, principal: np.ndarray) -> np.ndarray:
    """(n, K, 3) camera frame -> (n, K, 2) pixels."""
    return focal[:, None, None] * points[..., :2] / points[..., 2:] + principal[:, None]


def _photograph(
    vertices: np.ndarray,
    other: np.ndarray | None,
    focal: float,
    principal: np.ndarray,
    flat: np.ndarray,
    size: int,
    hard: bool,
    wardrobe: Wardrobe,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One picture (S, S, 3), the person's triangle in each pixel (S, S), hidden keypoints (49,).

    The triangle is -1 where something else is seen.
    """
    picture = scene.background(size, hard, rng)
    drawn = [(vertices, True)] if other is None else [(vertices, True), (other, False)]
    drawn.sort(key=lambda item: -item[0][:, 2].mean())  # far to near
    seen = np.full((size, size), -1)
    for mesh, is_subject in drawn:
        triangle, covered = _draw(picture, mesh, focal, principal, wardrobe, rng)
        if is_subject:
            middle = triangle[1::SUPERSAMPLING, 1::SUPERSAMPLING]
            seen = np.where(middle >= 0, middle, seen)
        else:
            seen[covered > 0.5] = -1
    hidden = np.zeros((size, size), bool)
    if hard and rng.random() < 0.35:
        box = np.concatenate([flat.min(0), flat.max(0)])
        hidden = scene.occlude(picture, box, rng)
        seen[hidden] = -1
    column, row = np.clip(flat, 0, size - 1).astype(int).T
    return scene.photograph(picture, hard, rng), seen, hidden[row, column]


def _draw(
    picture: np.ndarray,
    vertices: np.ndarray,
    focal: float,
    principal: np.ndarray,
    wardrobe: Wardrobe,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Dress, light and paint one mesh over the picture, in place."""
    colours = dress(wardrobe, rng)
    light = scene.brightness(vertex_normals(vertices, wardrobe.faces), rng)
    points = focal * vertices[:, :2] / vertices[:, 2:] + principal
    side = len(picture) * SUPERSAMPLING
    triangle, _ = raster.rasterize(
        points * SUPERSAMPLING, vertices[:, 2].copy(), wardrobe.faces, side, side,
    )  # fmt: skip
    covered = raster.paint(picture, triangle, wardrobe.faces, colours, light, SUPERSAMPLING)
    return triangle, covered


def _worsen_detections(
    flat: np.ndarray,
    confidence: np.ndarray,
    hidden: np.ndarray,
    side: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Make the 25 OpenPose keypoints as imperfect as a detector's, in place.

    They are off by 1 % of the box, one in twenty is missed, and hidden ones are unsure.
    """
    n = len(flat)
    flat[:, :25] += rng.normal(0, 0.01, (n, 25, 2)) * side[:, None, None]
    found = rng.random((n, 25)) > 0.05
    sure = np.where(hidden[:, :25], HIDDEN_CONFIDENCE, rng.uniform(0.5, 1, (n, 25)))
    confidence[:, :25] *= found * sure
