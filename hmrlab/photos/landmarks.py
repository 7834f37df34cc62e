"""Who is in a photo and how they stand, without a file or a box: MoveNet finds, BlazePose looks.

MoveNet sees everybody and hardly more than where they are; BlazePose sees one person in a crop and
knows 33 points of them, in the picture and in space. What it says is brought to OpenPose's 25
keypoints, which SMPLify and SPIN speak of.

The conventions differ. BlazePose's hips lie in the joints, some centimetres lower and farther out
than annotators put them, and OpenPose's neck and middle of the hips are means of two points here.
Fits leave out the hips and the neck for that reason (`smplify.problem.IGNORED`). Its heels and toes
are OpenPose's but for the small toe, which it does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.models.blazepose import (
    BlazePoseLandmarks,
    Regions,
    confidence,
    crop_regions,
    load_blazepose,
    refine,
    to_picture,
    turn_world,
)
from hmrlab.models.blazepose.landmarks import LANDMARKS, SIDE
from hmrlab.models.detections import COCO_KEYPOINTS, Detections
from hmrlab.models.people import find_people
from hmrlab.photos.boxes import BOX_FACTOR, Boxes, why_no_box
from hmrlab.photos.finding import FoundPeople, NobodyError, people_among

EYES = ("lite", "full")  # of BlazePose's networks, which come along
LEAST_SCORE = 0.2  # of MoveNet's, that somebody is a person
LEAST_PRESENCE = 0.3  # of BlazePose's, that there is somebody in the crop
LIKELY = 0.2  # score of MoveNet's keypoints that say where a person is
CROP = 1.15  # crops over boxes of ours: what BlazePose's own convention comes to
UPRIGHT = 30.0  # degrees; whoever leans further is turned upright before BlazePose looks
SHOULDERS, HIPS = (5, 6), (11, 12)  # in COCO's order
# OpenPose's keypoints among BlazePose's landmarks; two numbers: the middle of the two.
_NUMBERS = {
    "nose": (0,), "neck": (11, 12),
    "right_shoulder": (12,), "right_elbow": (14,), "right_wrist": (16,),
    "left_shoulder": (11,), "left_elbow": (13,), "left_wrist": (15,),
    "mid_hip": (23, 24),
    "right_hip": (24,), "right_knee": (26,), "right_ankle": (28,),
    "left_hip": (23,), "left_knee": (25,), "left_ankle": (27,),
    "right_eye": (5,), "left_eye": (2,), "right_ear": (8,), "left_ear": (7,),
    "left_big_toe": (31,), "left_heel": (29,),
    "right_big_toe": (32,), "right_heel": (30,),
}  # fmt: skip


def openpose_of(
    landmarks: Float[np.ndarray, "n 33 2"], visibility: Float[np.ndarray, "n 33"]
) -> Float[np.ndarray, "n 25 3"]:
    """BlazePose's landmarks as OpenPose's keypoints: x, y and confidence.

    What BlazePose has no landmark of (the small toes) is 0, 0, 0. The confidence of a middle is the
    lesser of the two.
    """
    keypoints = np.zeros((len(landmarks), len(OPENPOSE_NAMES), 3))
    for name, numbers in _NUMBERS.items():
        k = OPENPOSE_NAMES.index(name)
        keypoints[:, k, :2] = landmarks[:, list(numbers)].mean(1)
        keypoints[:, k, 2] = visibility[:, list(numbers)].min(1)
    return keypoints


@dataclass(frozen=True)
class Landmarks:
    """What BlazePose says of N people, in the photo's pixels and along its axes."""

    points: Float[np.ndarray, "n 33 2"]
    visibility: Float[np.ndarray, "n 33"]  # 0 to 1
    world: Float[np.ndarray, "n 33 3"]  # metres from the middle of the hips, x right, y down
    presence: Float[np.ndarray, " n"]  # 0 to 1, that there is somebody


@torch.inference_mode()
def landmarks_in(image: np.ndarray, regions: Regions, network: BlazePoseLandmarks) -> Landmarks:
    """Look at the people in some regions of a photo (H, W, 3) uint8, one after the other."""
    photo = torch.from_numpy(np.require(image, requirements="CW")).permute(2, 0, 1)
    points, visibility, world, presence = [], [], [], []
    for k in range(len(regions)):
        region = regions[k : k + 1]
        output = network(_crop(photo, region))
        marks = to_picture(refine(output.landmarks, output.heatmaps), region)[:, :LANDMARKS]
        points.append(marks[..., :2])
        visibility.append(confidence(marks))
        world.append(turn_world(output.world, region)[:, :LANDMARKS])
        presence.append(output.presence)
    return Landmarks(
        *(torch.cat(x).double().numpy() for x in (points, visibility, world, presence))
    )


def _crop(photo: Tensor, region: Regions) -> Float[Tensor, "1 3 256 256"]:
    """A region's crop, colours in [0, 1], cut out before anything is done to the whole photo."""
    reach = int(region.side[0]) + 2  # whichever way the square is turned
    x, y = (int(v) for v in region.center[0])
    height, width = photo.shape[1:]
    left, top = min(max(0, x - reach), width - 1), min(max(0, y - reach), height - 1)
    part = photo[:, top : max(top + 1, y + reach), left : max(left + 1, x + reach)].float() / 255
    corner = region.center.new_tensor([left, top])
    return crop_regions(
        part, Regions(region.center - corner, region.side, region.rotation_deg), SIDE
    )


def regions_about(people: Detections) -> Regions:
    """Where BlazePose is to look: a square about each person, turned for those who lean far.

    The square is that of the keypoints which MoveNet is sure of, where it is of some, and else of
    its box.
    """
    centers, sides, turns = [], [], []
    for box, keypoints in zip(people.boxes, people.keypoints, strict=True):
        seen = keypoints[keypoints[:, 2] >= LIKELY, :2]
        corners = box.reshape(2, 2) if len(seen) < len(COCO_KEYPOINTS) // 2 else seen
        low = np.minimum(corners.min(0), box[:2]) if len(seen) else box[:2]
        high = np.maximum(corners.max(0), box[2:]) if len(seen) else box[2:]
        centers.append((low + high) / 2)
        sides.append(CROP * BOX_FACTOR * max(high - low))
        turns.append(_leaning(keypoints))
    return Regions(
        torch.tensor(np.array(centers), dtype=torch.float32).reshape(-1, 2),
        torch.tensor(sides, dtype=torch.float32),
        torch.tensor(turns, dtype=torch.float32),
    )


def _leaning(keypoints: np.ndarray) -> float:
    """Degrees clockwise from upright, of whoever leans further than `UPRIGHT`; else 0."""
    torso = keypoints[[*SHOULDERS, *HIPS]]
    if (torso[:, 2] < LIKELY).any():
        return 0.0
    x, y = torso[:2, :2].mean(0) - torso[2:, :2].mean(0)
    angle = float(np.degrees(np.arctan2(x, -y)))
    return angle if abs(angle) > UPRIGHT else 0.0


@dataclass(frozen=True)
class ByEyes:
    """Everybody whom MoveNet finds, with the keypoints that BlazePose sees."""

    variant: str = "full"  # of BlazePose
    least_score: float = LEAST_SCORE

    @cached_property
    def network(self) -> BlazePoseLandmarks:
        return load_blazepose(self.variant).eval()

    def key(self, photo: Path) -> str:
        return f"movenet at {self.least_score:g} or more, blazepose {self.variant}"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        """See `InBoxes.find`; `extra` has `score`, `world` (N, 33, 3) metres, and `visibility`."""
        people = people_among(find_people(image), self.least_score)
        if not len(people):
            raise NobodyError(
                "nobody was seen. If there is somebody, say where (--box x,y,w,h), or ask for less "
                "(--least-score)"
            )
        seen = landmarks_in(image, regions_about(people), self.network)
        keypoints = openpose_of(seen.points, seen.visibility)
        reasons = {}
        for k, presence in enumerate(seen.presence):
            if presence < LEAST_PRESENCE:
                reasons[k] = f"a second look saw no person there (with {presence:.0%})"
            elif why := why_no_box(keypoints[k], image.shape[:2]):
                reasons[k] = why
        kept = [k for k in range(len(people)) if k not in reasons]
        if not kept:
            listed = "; ".join(f"person {k}: {why}" for k, why in reasons.items())
            raise NobodyError(f"nobody to show ({listed})")
        return FoundPeople(
            Boxes.around(keypoints[kept]),
            tuple(kept),
            reasons,
            keypoints=keypoints[kept],
            extra={
                "score": people.scores[kept],
                "world": seen.world[kept],
                "visibility": seen.visibility[kept],
            },
        )
