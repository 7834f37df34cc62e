"""BlazePose's eyes on people whom somebody else has found, in boxes or by OpenPose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.models.blazepose import (
    LANDMARK_NAMES,
    BlazePoseLandmarks,
    Regions,
    load_blazepose,
)
from hmrlab.models.detections import COCO_KEYPOINTS, Detections
from hmrlab.models.people import find_people
from hmrlab.photos.boxes import BOX_FACTOR, Boxes, why_no_box
from hmrlab.photos.finding import Finder, FoundPeople
from hmrlab.photos.landmarks import CROP, LEAST_PRESENCE, LIKELY, found_among, landmarks_in, look_at


@dataclass(frozen=True)
class EyesOn:
    """The people whom another way finds, with the keypoints that BlazePose sees, or with theirs."""

    within: Finder
    variant: str = "full"  # of BlazePose

    @cached_property
    def network(self) -> BlazePoseLandmarks:
        return load_blazepose(self.variant).eval()

    def key(self, photo: Path) -> str:
        return f"blazepose {self.variant} on {self.within.key(photo)}"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        """See `InBoxes.find`; `extra` has what `look_at` says.

        Keypoints that are known already stay as they are, and nobody who has them is left out.
        """
        first = self.within.find(photo, image)
        people = Detections.joined([self._person(image, first, k) for k in range(len(first))])
        keypoints, seen = look_at(image, people, self.network)
        reasons = {}
        if first.keypoints is not None:
            keypoints = first.keypoints
        else:
            for k, there in enumerate(seen["presence"]):
                if why_no_box(keypoints[k], image.shape[:2]):
                    reasons[k] = f"nobody was seen in the box ({there:.0%})"
        found = found_among(keypoints, first.extra | seen, reasons)
        reasons = {first.numbers[k]: why for k, why in reasons.items()}
        return replace(
            found,
            numbers=tuple(first.numbers[k] for k in found.numbers),
            left_out=first.left_out | reasons,
        )

    def _person(self, image: np.ndarray, first: FoundPeople, row: int) -> Detections:
        """By which BlazePose is to look: the keypoints, or those of whoever fills the box."""
        if first.keypoints is not None:
            return _guess(first.keypoints[row], OPENPOSE_NAMES)
        box = first.boxes.rows(torch.tensor([row]))
        filling = _filling(image, box)
        if filling is not None:
            return filling
        seen = landmarks_in(image, Regions(box.center, CROP * box.side, 0 * box.side), self.network)
        there = seen.presence >= LEAST_PRESENCE
        marks = torch.cat([seen.points, (there * seen.visibility)[..., None]], 2)[0]
        return _guess(marks.double().numpy(), LANDMARK_NAMES)


def _guess(marks: np.ndarray, names: Sequence[str]) -> Detections:
    """One person's marks (K, 3), pixels and confidence, as a detection that is surely somebody."""
    rows = [names.index(name.replace(" ", "_")) for name in COCO_KEYPOINTS]
    sure = marks[marks[:, 2] >= LIKELY, :2]
    sure = sure if len(sure) else marks[:, :2]
    box = np.concatenate([sure.min(0), sure.max(0)])
    return Detections(box[None], np.ones(1), marks[None, rows])


def _filling(image: np.ndarray, box: Boxes) -> Detections | None:
    """Who fills a box best of those whom MoveNet sees in it, if it sees anybody."""
    middle, side = box.center[0].double().numpy(), float(box.side[0])
    size = np.array(image.shape[1::-1])
    left, top = np.clip(middle - side / 2, 0, size - 1).astype(int)
    right, bottom = np.clip(middle + side / 2, (left + 1, top + 1), size).astype(int)
    found = find_people(image[top:bottom, left:right])
    if not len(found):
        return None
    corner = np.array([left, top])
    boxes = found.boxes + np.tile(corner, 2)
    off = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1)
    off += np.abs(BOX_FACTOR * (boxes[:, 2:] - boxes[:, :2]).max(1) - side)
    best = [int(off.argmin())]
    keypoints = found.keypoints[best] + np.array([left, top, 0])
    return Detections(boxes[best], np.ones(1), keypoints)
