"""People that a detector found in a picture, and which of them are one and the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COCO_KEYPOINTS = (
    "nose", "left eye", "right eye", "left ear", "right ear",
    "left shoulder", "right shoulder", "left elbow", "right elbow", "left wrist", "right wrist",
    "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
)  # fmt: skip
# How far labellers differ from each other, as a share of the person's size; COCO's evaluation
# (cocodataset.org/#keypoints-eval) takes twice as much for its constants k.
_FACE = (0.026, 0.025, 0.025, 0.035, 0.035)
_LIMBS = (0.079, 0.072, 0.062, 0.107, 0.087, 0.089)  # shoulder, elbow, wrist, hip, knee, ankle
COCO_SIGMAS = np.array(_FACE + tuple(np.repeat(_LIMBS, 2).tolist()))


@dataclass(frozen=True)
class Detections:
    """N guesses, in pixels of the photo."""

    boxes: np.ndarray  # (N, 4) left, top, right, bottom
    scores: np.ndarray  # (N,) from 0 to 1, that it is a person
    keypoints: np.ndarray  # (N, 17, 3) COCO's: x, y, and a score, whose scale is the detector's

    def __len__(self) -> int:
        return len(self.scores)

    def rows(self, index: np.ndarray) -> Detections:
        """Some of them, by position or by mask."""
        return Detections(self.boxes[index], self.scores[index], self.keypoints[index])

    @classmethod
    def nobody(cls) -> Detections:
        """N = 0."""
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros((0, len(COCO_KEYPOINTS), 3)))

    @classmethod
    def joined(cls, several: list[Detections]) -> Detections:
        """Those of all, one after the other."""
        several = [cls.nobody(), *several]
        boxes, scores, keypoints = zip(
            *((one.boxes, one.scores, one.keypoints) for one in several), strict=True
        )
        return cls(np.concatenate(boxes), np.concatenate(scores), np.concatenate(keypoints))


SAME_KEYPOINTS = 0.4  # object keypoint similarity of two guesses about one person
SAME_BOX = 0.6  # intersection over union
A_PART = 0.8  # of a box within another


def without_doubles(found: Detections, likely: float) -> Detections:
    """Each person once, the surest guess first.

    A guess is dropped if a surer one is about the same person: their boxes are the same, or the
    keypoints that both are sure of lie in the same places. The guess may so be about a part of the
    person only, such as the legs. Where the two share no such keypoint, it is dropped if its box
    lies within the other's. Keypoints tell people apart who stand before each other.

    Args:
        found: guesses in any order.
        likely: score of a keypoint that one can be sure of.
    """
    found = found.rows(np.argsort(-found.scores, kind="stable"))
    kept: list[int] = []
    for one in range(len(found)):
        if not any(_same(found, other, one, likely) for other in kept):
            kept.append(one)
    return found.rows(np.array(kept, int))


def _same(found: Detections, surer: int, other: int, likely: float) -> bool:
    """Whether two guesses are about one person."""
    boxes, keypoints = found.boxes[[surer, other]], found.keypoints[[surer, other]]
    areas = (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(1)
    common = (boxes[:, 2:].min(0) - boxes[:, :2].max(0)).clip(min=0).prod()
    if common == 0:
        return False
    if common > SAME_BOX * (areas.sum() - common):
        return True
    seen = (keypoints[..., 2] > likely).all(0)
    if not seen.any():
        return bool(common > A_PART * areas[1])
    return oks(*keypoints[..., :2], areas[0], seen) > SAME_KEYPOINTS


def oks(one: np.ndarray, other: np.ndarray, area: float, seen: np.ndarray) -> float:
    """COCO's object keypoint similarity of two guesses, from 0 to 1.

    exp(-d^2 / (2 area k^2)), k twice the labellers' deviation, the mean of the keypoints that are
    seen.

    Args:
        one: (17, 2) pixels.
        other: (17, 2) pixels.
        area: of the person, pixels squared.
        seen: (17,) which of the keypoints count; one at least.
    """
    squared = ((other - one) ** 2).sum(-1)
    likeness = np.exp(-squared / (2 * max(area, 1.0) * (2 * COCO_SIGMAS) ** 2))
    return float(likeness[seen].mean())
