"""Where a person's joints were, as several cameras agree: a truth without marks or suits.

It is a pseudo truth. Each camera's points are a network's, which is off by a hundredth of the box,
and off alike where a joint has no skin that shows it (hips). What the cameras disagree in is told
by `uncertainty`; what they are wrong in together is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from hmrlab.bodies.joints import ANNOTATED_NAMES, OPENPOSE_NAMES
from hmrlab.data.prepare.recipe import Samples, boxes, named
from hmrlab.evaluation.joint_sets import OPENPOSE_13
from hmrlab.evaluation.scores import ArrayRecord
from hmrlab.geometry import (
    CalibratedCameras,
    exchange_sides,
    find_exchanged_sides,
    triangulate_robustly,
)
from hmrlab.photos.boxes import BOX_FACTOR

SEEN = 0.1  # least confidence of a point that has a say; whether it is right, the others decide
THRESHOLD = 40.0  # pixels, 5 % of the box, from which on a camera's point is not believed
_POINTINGS = 4  # rounds; after them nothing moves by more than half a pixel
_LIMBS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "heel", "big_toe"))
LIMBS = tuple(
    tuple([OPENPOSE_NAMES.index(f"{side}_{joint}") for joint in limb] for side in ("left", "right"))
    for limb in _LIMBS
)
"""Arms and legs: what a network takes for the other side's as a whole."""
EVALUATED = [OPENPOSE_NAMES.index(name) for name in OPENPOSE_13.names]
HIPS = [OPENPOSE_NAMES.index(f"{side}_hip") for side in ("left", "right")]
LEFT_OUT = "with a joint on which fewer than three cameras agree"


@dataclass(frozen=True)
class Views(ArrayRecord):
    """What C cameras saw of one person in F frames; zeros where they saw nobody."""

    frame: np.ndarray  # (F,) number in the videos
    keypoints: np.ndarray  # (F, C, 25, 3) OpenPose's: pixels, confidence
    world: np.ndarray  # (F, C, 33, 3) BlazePose's own, metres about the hips, each camera's axes


@dataclass(frozen=True)
class Truth(ArrayRecord):
    """OpenPose's 25 keypoints in space, F frames; NaN where too few of C cameras agree."""

    points: np.ndarray  # (F, 25, 3) metres, the cameras' world
    uncertainty: np.ndarray  # (F, 25) metres, the standard error by leaving out cameras
    agrees: np.ndarray  # (F, 25, C) bool, whose points it was made of
    pixels_off: np.ndarray  # (F, 25, C) of those from the point's image
    exchanged: np.ndarray  # (F, 2, C) bool, whose arms, and whose legs, had left and right wrong

    @property
    def complete(self) -> np.ndarray:
        """(F,) bool, whether all of the joints that are evaluated are known."""
        return np.isfinite(self.uncertainty[:, EVALUATED]).all(1)

    def describe(self) -> str:
        """Joint by joint: how often it is known, how far off the cameras are, how sure it is."""
        lines = [f"{'joint':<16}{'known':>7}{'pixels off':>12}{'uncertain by':>14}"]
        for k in EVALUATED:
            known = np.isfinite(self.uncertainty[:, k])
            off = self.pixels_off[:, k][self.agrees[:, k]]
            sure = 1000 * np.median(self.uncertainty[known, k]) if known.any() else np.nan
            lines.append(
                f"{OPENPOSE_NAMES[k]:<16}{100 * known.mean():5.0f} %"
                f"{np.median(off) if off.size else np.nan:12.1f}{sure:11.0f} mm"
            )
        views = np.prod(self.exchanged.shape[::2])
        swaps = self.exchanged.any(1).sum()
        lines.append(f"all known in {self.complete.sum()} of {len(self.points)} frames")
        return "\n".join([*lines, f"left and right put right in {swaps} of {views} views"])


def point_cameras(views: Views, cameras: CalibratedCameras) -> CalibratedCameras:
    """The cameras with their principal points moved to where they agree best about the person.

    The capture's cameras disagree by up to twelve pixels, always the same way, as if each looked
    elsewhere than its calibration says by a third of a degree (a degree is 30 pixels). Two numbers
    for each camera, means over all joints and frames, hide no single error.
    """
    for _ in range(_POINTINGS):
        truth = find_truth(views, cameras)
        places = cameras.project(torch.from_numpy(truth.points))
        seen = torch.from_numpy(views.keypoints).double().transpose(1, 2)[..., :2]
        known = torch.from_numpy(truth.agrees & ~truth.exchanged.any(1)[:, None])[..., None]
        off = torch.where(known, seen - places, 0).sum((0, 1)) / known.sum((0, 1)).clamp_min(1)
        intrinsics = cameras.intrinsics.clone()
        intrinsics[:, :2, 2] += off
        cameras = replace(cameras, intrinsics=intrinsics)
    return cameras


def find_truth(views: Views, cameras: CalibratedCameras) -> Truth:
    """Triangulate each keypoint from the cameras that agree on it, sides put right first."""
    keypoints = torch.from_numpy(views.keypoints).double().transpose(1, 2)
    pixels, seen = keypoints[..., :2], keypoints[..., 2] >= SEEN
    exchanged = find_exchanged_sides(cameras, pixels, seen, LIMBS, THRESHOLD)
    pixels, seen = (exchange_sides(values, LIMBS, exchanged) for values in (pixels, seen))
    found = triangulate_robustly(cameras, pixels.flatten(0, 1), seen.flatten(0, 1), THRESHOLD)
    rows = pixels.shape[:2]
    return Truth.of(
        points=found.points.unflatten(0, rows),
        uncertainty=found.uncertainty.unflatten(0, rows),
        agrees=found.agrees.unflatten(0, rows),
        pixels_off=found.pixels_off.unflatten(0, rows),
        exchanged=exchanged,
    )


def samples_of(
    truth: Truth, views: Views, cameras: CalibratedCameras, names: Sequence[str]
) -> Samples:
    """Each camera's view of each frame whose joints are all known, in SPIN's vocabulary.

    `openpose` is what the camera's picture shows to a network, wrong sides included; `part` and `S`
    are the truth, in pixels and in metres about the middle of the hips. The box is about the truth,
    so that it is good where the network saw little. `world` is BlazePose's own answer.
    """
    rows = np.flatnonzero(truth.complete)
    points = torch.from_numpy(truth.points[rows])
    places = cameras.project(points).numpy()
    local = cameras.in_frames(points).numpy()
    shared = [k for k, name in enumerate(OPENPOSE_NAMES) if name in ANNOTATED_NAMES]
    words = [OPENPOSE_NAMES[k] for k in shared]
    parts = []
    for c, name in enumerate(names):
        pixels, metres = places[:, :, c], local[:, :, c]
        known = np.isfinite(metres).all(-1)
        metres = metres - metres[:, HIPS].mean(1, keepdims=True)
        center, scale = boxes(pixels, BOX_FACTOR, known)
        labels = {
            key: named(np.nan_to_num(values[:, shared]), words, confidence=known[:, shared])
            for key, values in (("part", pixels), ("S", metres))
        }
        for values in labels.values():
            values[..., :-1] *= values[..., -1:] > 0
        parts.append({
            "imgname": np.array([picture_name(name, number) for number in views.frame[rows]]),
            "center": center, "scale": scale, "openpose": views.keypoints[rows, c],
            **labels, "world": views.world[rows, c],
        })  # fmt: skip
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    left_out = len(names) * int((~truth.complete).sum())
    return Samples(arrays, +Counter({LEFT_OUT: left_out}))


def picture_name(camera: str, frame: int) -> str:
    """A frame's picture in the set's folder."""
    return f"{camera}_{frame:05d}.jpg"
