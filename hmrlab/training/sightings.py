"""People whom nobody draws: what BlazePose would say of them, with errors as it makes them.

A regressor that reads points (`hmrlab.models.blazepose.points`) needs no pictures to learn from.
Bodies are posed and placed before cameras as in the other synthetic sets, and their points are
given to it as the eyes would give them: where BlazePose has its landmarks, a little off, some of
them hidden or cut off, in metres of another size and seen from a wrong angle.

On drawn people BlazePose errs otherwise than on photographs: it is not used to them. What learns
from drawn people learns that, too; what learns from here does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import ANNOTATED, OPENPOSE, SMPL_JOINTS
from hmrlab.bodies.points import global_rotations
from hmrlab.config import AugmentationSettings, SimulatedEyes
from hmrlab.data.augment import Augmentation
from hmrlab.data.batch import Batch
from hmrlab.data.features import FeatureSet, FeatureSpec
from hmrlab.data.records import Records
from hmrlab.data.synthetic.people import BOX_FACTOR, Placed, place_people
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.models.blazepose.points import EYE_POINTS, FEATURES, IN_OPENPOSE, EyePoints

SIGHTINGS_VERSION = 1  # raise it when a sighting would come out differently
NAME = "sightings"
SIZE = 256  # side of the pictures that nobody takes, pixels
CHUNK = 1024  # people at a time
# Where BlazePose's landmarks lie from the body's keypoints, mm, in the frame of a joint: x to the
# left, y up, z forwards; of the right side x has the other sign. Measured on synthetic people at a
# first look; `tools/measure_landmarks.py`, which looks twice, gives the same to 13 mm.
OFFSETS = {
    "nose": ("head", (0, 15, -26)),
    "eye": ("head", (-12, -14, -32)),
    "ear": ("head", (-44, -14, 32)),
    "neck": ("spine3", (0, -66, 12)),
    "shoulder": ("spine3", (-25, 28, 0)),
    "elbow": ("shoulder", (-20, -9, 12)),
    "wrist": ("elbow", (22, -2, 10)),
    "mid_hip": ("pelvis", (0, -7, 39)),
    "hip": ("pelvis", (-25, -3, 39)),
    "knee": ("hip", (-1, -8, -11)),
    "ankle": ("knee", (-8, 29, 12)),
    "big_toe": ("ankle", (27, 9, -37)),
    "heel": ("ankle", (-17, 9, 26)),
}


def sighted_people(
    count: int,
    views: int,
    errors: SimulatedEyes,
    augmentation: AugmentationSettings,
    body: Body,
    body_name: str,
    crop_factor: float = 1.0,
    seed: int = 0,
) -> FeatureSet:
    """People as the eyes would see them, with all labels, each in some views.

    Args:
        count: of people.
        views: of each, with other errors and another augmentation.
        errors: of the eyes.
        augmentation: of the views; their colours do not matter.
        body: whose points are looked at.
        body_name: name or path of the same body.
        crop_factor: sides of crops over the boxes.
        seed: of all.
    """
    rng = np.random.default_rng([seed, SIGHTINGS_VERSION])
    placed = place_people(count, SIZE, True, rng, body_name, errors.tilt)
    records = _records(placed, errors, crop_factor, rng)
    spec = FeatureSpec(NAME, "", count, FEATURES, SIZE, views, augmentation, seed)
    draws = spec.draws()
    features = np.zeros((views * count, FEATURES), np.float16)
    people = FeatureSet(records, NAME, features, draws, SIZE)
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(people), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(people)))
        raw = people.gather(rows, SIZE)
        batch = raw.augmented(Augmentation.none(len(rows)), SIZE)
        features[rows] = sight(batch, body, errors, generator).features().half().numpy()
    return people


@torch.inference_mode()
def sight(batch: Batch, body: Body, errors: SimulatedEyes, generator: torch.Generator) -> EyePoints:
    """What the eyes say of B people.

    Args:
        batch: their labels; keypoints of confidence 0 are cut off.
        body: whose they are.
        errors: of the eyes.
        generator: source of all randomness, on the CPU.
    """
    n, count = len(batch), len(EYE_POINTS)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    keypoints = body.keypoints(batch.rotations, batch.betas)[:, OPENPOSE]
    offsets = landmark_offsets(global_rotations(batch.rotations))
    flat, cut = batch.keypoints_2d[:, IN_OPENPOSE, :2], batch.keypoints_2d[:, IN_OPENPOSE, 2] == 0
    places = flat + scale_of(keypoints, batch.keypoints_2d[:, OPENPOSE]) * offsets[..., :2]
    hidden = cut | (uniform(n, count) < errors.hidden)
    seldom = torch.where(cut, 0.1, 0.6) * uniform(n, count)
    confidence = torch.where(hidden, seldom, 1 - 0.2 * uniform(n, count))
    worse = torch.where(hidden, errors.hidden_factor, 1.0)[..., None]
    places = places + errors.place * worse * normal(n, count, 2)

    world = keypoints[:, IN_OPENPOSE] + offsets
    world = world - world[:, EYE_POINTS.index("mid_hip"), None]
    size = (errors.size + errors.size_std * normal(n, 1, 1)).clamp(0.6, 1.3)
    turn = np.radians(errors.turn) * normal(n, 3) * torch.tensor([1.0, 0.7, 0.3])
    world = size * world @ axis_angle_to_matrix(turn).mT
    spread = torch.tensor([errors.across, errors.across, errors.depth])
    world = world + spread * (1 + worse) / 2 * normal(n, count, 3)
    return EyePoints(places, confidence, world - world[:, EYE_POINTS.index("mid_hip"), None])


def landmark_offsets(global_rot: Tensor) -> Tensor:
    """(B, 23, 3) metres, from a body's keypoints to BlazePose's landmarks of the same name.

    Args:
        global_rot: (B, 24, 3, 3) of the body's joints.
    """
    joints, offsets = zip(*(_offset(name) for name in EYE_POINTS), strict=True)
    local = torch.tensor(offsets, dtype=global_rot.dtype) / 1000
    return torch.einsum("bnij,nj->bni", global_rot[:, list(joints)], local)


def _offset(name: str) -> tuple[int, tuple[float, ...]]:
    side, _, rest = name.partition("_")
    sided = side in ("left", "right")
    joint, (x, y, z) = OFFSETS[rest if sided else name]
    joint = f"{side}_{joint}" if f"{side}_{joint}" in SMPL_JOINTS else joint
    return SMPL_JOINTS.index(joint), (-x if side == "right" else x, y, z)


def scale_of(points: Tensor, flat: Tensor) -> Tensor:
    """(B, 1, 1) crop half-sides per metre that suit best, by least squares.

    Args:
        points: (B, K, 3) metres.
        flat: (B, K, 3) the same in the crop, x and y in [-1, 1]; the third number is not used.
    """
    metres, seen = points[..., :2], flat[..., :2]
    metres = metres - metres.mean(1, keepdim=True)
    seen = seen - seen.mean(1, keepdim=True)
    return ((metres * seen).sum((1, 2)) / metres.square().sum((1, 2)))[:, None, None]


def _records(
    placed: Placed, errors: SimulatedEyes, crop_factor: float, rng: np.random.Generator
) -> Records:
    """With boxes as a detector gives them: about what is seen, and not quite in the middle."""
    n = len(placed.pose)
    seen = np.ones((n, 49))
    seen[:, OPENPOSE] = ~_cut_off(placed.flat[:, OPENPOSE], errors.cut, rng)
    shown = np.where(seen[:, OPENPOSE, None] > 0, placed.flat[:, OPENPOSE], np.nan)
    low, high = np.nanmin(shown, 1), np.nanmax(shown, 1)
    side = crop_factor * BOX_FACTOR * (high - low).max(1)
    center = (low + high) / 2 + errors.shift * side[:, None] * rng.normal(size=(n, 2))
    joints = placed.keypoints[:, ANNOTATED] + placed.translation[:, None]
    single = {
        "center": center,
        "scale": side / 200,
        "keypoints": np.concatenate([placed.flat, seen[..., None]], 2),
        "joints_3d": np.concatenate([joints, np.ones((n, 24, 1))], 2),
        "pose": placed.pose,
        "betas": placed.betas,
    }
    everybody = np.ones(n, bool)
    return Records(
        path=Path(NAME),
        imgname=np.full(n, ""),
        has_smpl=everybody,
        has_pose_3d=everybody,
        texts={},
        **{key: value.astype(np.float32) for key, value in single.items()},
    )


def _cut_off(flat: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """(n, 25) bool, which keypoints lie beyond an edge that cuts off a share of the people below.

    The edge leaves 35 to 85 % of a person's height.
    """
    low, high = flat[..., 1].min(1), flat[..., 1].max(1)
    edge = low + rng.uniform(0.35, 0.85, len(flat)) * (high - low)
    edge = np.where(rng.random(len(flat)) < share, edge, np.inf)
    cut = flat[..., 1] > edge[:, None]
    return cut & ((~cut).sum(1, keepdims=True) >= 8)  # somebody is left to be seen
