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

from hmrlab.bodies.joints import KEYPOINT_NAMES, OPENPOSE_NAMES
from hmrlab.models.blazepose import (
    LANDMARK_NAMES,
    BlazePoseLandmarks,
    Regions,
    confidence,
    crop_regions,
    load_blazepose,
    refine,
    regions_of_landmarks,
    to_picture,
    turn_world,
)
from hmrlab.models.blazepose.landmarks import SIDE
from hmrlab.models.blazepose.points import PAIRS
from hmrlab.models.detections import COCO_KEYPOINTS, Detections, oks
from hmrlab.models.people import find_people
from hmrlab.photos.boxes import BOX_FACTOR, Boxes, why_no_box
from hmrlab.photos.finding import FoundPeople, NobodyError, by_person, people_among
from hmrlab.smplify import Points3D
from hmrlab.tensors import TensorRecord

EYES = ("lite", "full")  # of BlazePose's networks, which come along
LEAST_SCORE = 0.2  # of MoveNet's, that somebody is a person
LEAST_AGREEMENT = 0.3  # of BlazePose with MoveNet
LEAST_PRESENCE = 0.3  # of BlazePose's, that there is somebody in the crop
SURELY = 0.4  # score of MoveNet's that outweighs a BlazePose which sees nobody
BELIEVED = 0.3  # score of MoveNet's keypoints from which on BlazePose's are wholly believed
LIKELY = 0.2  # score of MoveNet's keypoints that say where a person is
SEEN = 0.35  # score of hips, knees and ankles below which they are hardly in the picture
HIDDEN = 0.3  # how far to believe in the place in space of what is not seen
CROP = 1.15  # crops over boxes of ours: what BlazePose's own convention comes to
UPRIGHT = 30.0  # degrees; whoever leans further is turned upright before BlazePose looks
LIMB_JOINTS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
SHOULDERS, HIPS, KNEES, ANKLES = (5, 6), (11, 12), (13, 14), (15, 16)  # in COCO's order
TORSO = 1.4  # shoulders to hips over the shoulders' width
WHOLE = 4.5  # sides of the square about somebody who stands, over shoulders to hips


def openpose_of(
    landmarks: Float[np.ndarray, "n 33 2"], visibility: Float[np.ndarray, "n 33"]
) -> Float[np.ndarray, "n 25 3"]:
    """BlazePose's landmarks as OpenPose's keypoints: x, y and confidence.

    What BlazePose has no landmark of (the small toes) is 0, 0, 0. The confidence of a middle is the
    lesser of the two.
    """
    keypoints = np.zeros((len(landmarks), len(OPENPOSE_NAMES), 3))
    for name, pair in PAIRS.items():
        k = OPENPOSE_NAMES.index(name)
        keypoints[:, k, :2] = landmarks[:, pair].mean(1)
        keypoints[:, k, 2] = visibility[:, pair].min(1)
    return keypoints


def openpose_of_coco(keypoints: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "25 3"]:
    """MoveNet's keypoints of a person as OpenPose's; the neck is the middle of the shoulders."""
    found = np.zeros((len(OPENPOSE_NAMES), 3))
    for k, name in enumerate(COCO_KEYPOINTS):
        found[OPENPOSE_NAMES.index(name.replace(" ", "_"))] = keypoints[k]
    for name, pair in (("neck", SHOULDERS), ("mid_hip", HIPS)):
        both = keypoints[list(pair)]
        found[OPENPOSE_NAMES.index(name)] = *both[:, :2].mean(0), both[:, 2].min()
    return found


def _trust(scores: Float[np.ndarray, " 25"]) -> Float[np.ndarray, " 25"]:
    """How far to believe BlazePose of each OpenPose keypoint, 0 to 1, by MoveNet's scores.

    BlazePose has whole people in mind: of a portrait it sees the legs as well, within the picture.
    MoveNet does not. It has no feet; these are believed as the ankles are.
    """
    scores = scores.copy()
    for k, name in enumerate(OPENPOSE_NAMES):
        side = name.partition("_")[0]
        if name.endswith(("toe", "heel")):
            scores[k] = scores[OPENPOSE_NAMES.index(f"{side}_ankle")]
    return np.clip(scores / BELIEVED, 0, 1)


@dataclass(frozen=True)
class Landmarks(TensorRecord):
    """What BlazePose says of N people, in the photo's pixels and along its axes."""

    points: Float[Tensor, "n 39 2"]
    visibility: Float[Tensor, "n 39"]  # 0 to 1
    world: Float[Tensor, "n 39 3"]  # metres from the middle of the hips, x right, y down
    presence: Float[Tensor, " n"]  # 0 to 1, that there is somebody

    def openpose(self) -> Float[np.ndarray, "n 25 3"]:
        """See `openpose_of`."""
        count = len(LANDMARK_NAMES)
        points, visibility = self.points[:, :count], self.visibility[:, :count]
        return openpose_of(points.double().numpy(), visibility.double().numpy())


@torch.inference_mode()
def landmarks_in(image: np.ndarray, regions: Regions, network: BlazePoseLandmarks) -> Landmarks:
    """Look at the people in some regions of a photo (H, W, 3) uint8, one after the other."""
    photo = torch.from_numpy(np.require(image, requirements="CW")).permute(2, 0, 1)
    size = torch.tensor([photo.shape[2], photo.shape[1]])
    parts = []
    for k in range(len(regions)):
        region = regions[k : k + 1]
        output = network(_crop(photo, region))
        marks = to_picture(refine(output.landmarks, output.heatmaps), region)
        inside = ((marks[..., :2] >= 0) & (marks[..., :2] <= size)).all(-1)
        visibility = confidence(marks) * inside  # beyond the edge it only guesses
        world = turn_world(output.world, region)
        parts.append(Landmarks(marks[..., :2], visibility, world, output.presence))
    return Landmarks.cat(parts)


def look_twice(
    image: np.ndarray, people: Detections, network: BlazePoseLandmarks
) -> tuple[Landmarks, Float[np.ndarray, " n"]]:
    """BlazePose's landmarks of people whom MoveNet found; and how much the two agree, 0 to 1.

    The second look is at the square that the first one's landmarks ask for, as MediaPipe takes it
    from frame to frame: it suits those who are cut off or bent. In a crowd it may be somebody
    else's. So each person keeps the look that agrees more with MoveNet (COCO's keypoint similarity
    over what MoveNet is sure of).
    """
    looks = [landmarks_in(image, regions_about(people), network)]
    looks.append(landmarks_in(image, regions_of_landmarks(looks[0].points), network))
    agreement = np.array([_agreement(look, people) for look in looks])
    best = agreement.argmax(0)
    chosen = Landmarks.cat([looks[best[k]][k : k + 1] for k in range(len(people))])
    return chosen, agreement.max(0)


def _agreement(look: Landmarks, people: Detections) -> np.ndarray:
    numbers = [LANDMARK_NAMES.index(name.replace(" ", "_")) for name in COCO_KEYPOINTS]
    points = look.points[:, numbers].double().numpy()
    agreement = np.zeros(len(people))
    for k, (box, theirs) in enumerate(zip(people.boxes, people.keypoints, strict=True)):
        sure = theirs[:, 2] >= LIKELY
        if sure.any():
            agreement[k] = oks(theirs[:, :2], points[k], float(np.prod(box[2:] - box[:2])), sure)
    return agreement


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

    BlazePose knows whole people. Of somebody whose legs are not in the picture it would squeeze the
    legs into a square about what there is; so their square is as large as it would be about all of
    them, with the hips in its middle.
    """
    squares = [_square(*one) for one in zip(people.boxes, people.keypoints, strict=True)]
    x, y, side = np.array(squares, np.float32).reshape(-1, 3).T
    turns = np.array([_leaning(keypoints) for keypoints in people.keypoints], np.float32)
    return Regions(torch.tensor(np.stack([x, y], 1)), torch.tensor(side), torch.tensor(turns))


def _square(box: np.ndarray, keypoints: np.ndarray) -> tuple[float, float, float]:
    """Middle and side of a person's square, pixels: about the box and the keypoints that are sure.

    Args:
        box: (4,) left, top, right, bottom.
        keypoints: (17, 3) COCO's.
    """
    corners = np.concatenate([box.reshape(2, 2), keypoints[keypoints[:, 2] >= LIKELY, :2]])
    low, high = corners.min(0), corners.max(0)
    side = CROP * BOX_FACTOR * max(high - low)
    legless = (keypoints[[*KNEES, *ANKLES], 2] < SEEN).sum() >= 3
    shoulders, hips = (keypoints[list(pair)] for pair in (SHOULDERS, HIPS))
    if not legless or (shoulders[:, 2] < LIKELY).any():
        return (*(low + high) / 2, side)
    neck = shoulders[:, :2].mean(0)
    middle = hips[:, :2].mean(0)
    if (hips[:, 2] < SEEN).any():  # a portrait: they are somewhere below
        width = float(np.linalg.norm(np.diff(shoulders[:, :2], axis=0)))
        middle = neck + np.array([0, TORSO * width])
    return (*middle, max(side, WHOLE * float(np.linalg.norm(neck - middle))))


def _leaning(keypoints: np.ndarray) -> float:
    """Degrees clockwise from upright, of whoever leans further than `UPRIGHT`; else 0."""
    torso = keypoints[[*SHOULDERS, *HIPS]]
    if (torso[:, 2] < LIKELY).any():
        return 0.0
    x, y = torso[:2, :2].mean(0) - torso[2:, :2].mean(0)
    angle = float(np.degrees(np.arctan2(x, -y)))
    return angle if abs(angle) > UPRIGHT else 0.0


def look_at(
    image: np.ndarray, people: Detections, network: BlazePoseLandmarks
) -> tuple[Float[np.ndarray, "n 25 3"], dict[str, np.ndarray]]:
    """What MoveNet and BlazePose know together of N people in a photo (H, W, 3) uint8.

    Returns:
        OpenPose's keypoints, pixels and confidence; MoveNet's where BlazePose saw nobody, or
        somebody else. And `presence`, that somebody is there, `agreement` of the two, 0 where
        BlazePose saw nobody, both (N,) from 0 to 1, and `world`, BlazePose's 33 landmarks in
        metres, (N, 33, 3), see `Landmarks`.
    """
    seen, agreement = look_twice(image, people, network)
    presence = seen.presence.double().numpy()
    agreement = np.where(presence >= LEAST_PRESENCE, agreement, 0)
    keypoints = seen.openpose()
    for k, agrees in enumerate(agreement):
        theirs = openpose_of_coco(people.keypoints[k])
        keypoints[k, :, 2] *= _trust(theirs[:, 2])
        if agrees < LEAST_AGREEMENT:
            keypoints[k] = theirs
    world = seen.world[:, : len(LANDMARK_NAMES)].double().numpy()
    return keypoints, {"presence": presence, "agreement": agreement, "world": world}


def points_of(
    keypoints: Float[np.ndarray, "n 25 3"],
    world: Float[np.ndarray, "n 33 3"],
    agreement: Float[np.ndarray, " n"],
) -> Points3D:
    """BlazePose's shoulders to ankles in space, for a fit; those of somebody else count nothing.

    Face and feet made fits no better. What is hidden is guessed rather well, and counts a part.
    """
    points = np.zeros((len(keypoints), len(KEYPOINT_NAMES), 3), np.float32)
    confidence = np.zeros(points.shape[:2], np.float32)
    for name in LIMB_JOINTS:
        k = OPENPOSE_NAMES.index(name)
        points[:, k] = world[:, LANDMARK_NAMES.index(name)]
        confidence[:, k] = HIDDEN + (1 - HIDDEN) * keypoints[:, k, 2]
    confidence *= (agreement >= LEAST_AGREEMENT)[:, None]
    return Points3D(torch.from_numpy(points), torch.from_numpy(confidence))


def found_among(
    keypoints: np.ndarray, seen: dict[str, np.ndarray], reasons: dict[int, str]
) -> FoundPeople:
    """N people whom the eyes have seen, but for those with a reason to leave them out.

    Args:
        keypoints: (N, 25, 3).
        seen: what `look_at` says of them, and what else is known.
        reasons: by position.

    Raises:
        NobodyError: nobody is left.
    """
    kept = [k for k in range(len(keypoints)) if k not in reasons]
    if not kept:
        raise NobodyError(f"nobody to show ({by_person(reasons)})")
    some = keypoints[kept]
    extra = {name: values[kept] for name, values in seen.items()}
    points = points_of(some, extra["world"], extra["agreement"])
    return FoundPeople(Boxes.around(some), tuple(kept), reasons, some, points, extra)


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
        """See `InBoxes.find`; `extra` has `score`, and what `look_at` says."""
        people = people_among(find_people(image), self.least_score)
        if not len(people):
            raise NobodyError(
                "nobody was seen. If there is somebody, say where (--box x,y,w,h), or ask for less "
                "(--least-score)"
            )
        keypoints, seen = look_at(image, people, self.network)
        reasons = {}
        for k, there in enumerate(seen["presence"]):
            if there < LEAST_PRESENCE and people.scores[k] < SURELY:
                reasons[k] = f"a second look saw no person there ({there:.0%})"
            elif why := why_no_box(keypoints[k], image.shape[:2]):
                reasons[k] = why
        return found_among(keypoints, {"score": people.scores} | seen, reasons)
