"""Who is in a photo: boxes that were given, OpenPose's keypoints, a detector, or just one person.

The `key` of each way says what decides its result, by which a photo that is done is known again.
The detector is torchvision's keypoint R-CNN (He et al., ICCV 2017).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.files import FileProblem, read_bytes, read_json
from hmrlab.models.detections import Detections
from hmrlab.models.hub import hub_path, hub_weights
from hmrlab.photos.boxes import BOX_FACTOR, FARTHEST, LEAST_PIXELS, Boxes, shrunk, why_no_box
from hmrlab.smplify import Points3D

KEYPOINT_FILES = ("{stem}_keypoints.json", "{stem}.json")  # OpenPose's own name first
N_KEYPOINTS = len(OPENPOSE_NAMES)
MOST_PEOPLE = 100  # of one picture: each takes about a second to draw
WEIGHTS_URL = (  # torchvision's KeypointRCNN_ResNet50_FPN_Weights.COCO_V1
    "https://download.pytorch.org/models/keypointrcnn_resnet50_fpn_coco-fc266e95.pth"
)
DETECTOR_LONGEST = 1333  # pixels: what the network would shrink a photo to anyway
PERSON = 1  # of the network's two classes; 0 is the background
N_COCO = 17  # keypoints
_MAX_BYTES = 16 * 2**20  # 100 people with hands and face take 1
_OTHER_MODELS = {18: "COCO", 15: "MPI"}
_REMEDY = "Expected what OpenPose writes with --write_json; write it anew."


class NobodyError(ValueError):
    """There is nobody to show or to fit in a photo; the message says why."""


def by_person(reasons: dict[int, str]) -> str:
    """Reasons by the numbers of people, in words."""
    return "; ".join(f"person {number}: {reason}" for number, reason in sorted(reasons.items()))


@dataclass(frozen=True)
class FoundPeople:
    """N people of a photo."""

    boxes: Boxes
    numbers: tuple[int, ...]  # which person of the input each is
    left_out: dict[int, str] = field(default_factory=dict)  # the others' numbers, and why
    keypoints: np.ndarray | None = None  # (N, 25, 3) OpenPose's: pixels of the photo, confidence
    points: Points3D | None = None  # of the same, where it is known how far away they are
    # What else is known of each, an array of N by its name: a detector's `score` that it is a
    # person, and `coco_keypoints` (N, 17, 3), pixels of the photo and score.
    extra: dict[str, np.ndarray | Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, index: Tensor) -> FoundPeople:
        """Some of the people, by position."""
        places = index.numpy()
        return replace(
            self,
            boxes=self.boxes.rows(index),
            numbers=tuple(self.numbers[k] for k in places),
            keypoints=None if self.keypoints is None else self.keypoints[places],
            points=None if self.points is None else self.points[index],
            extra={name: values[places] for name, values in self.extra.items()},
        )


@dataclass(frozen=True)
class InBoxes:
    """Everybody has a box that was given."""

    rectangles: np.ndarray  # (N, 4) left, top, width, height, pixels
    factor: float = 1.0  # of the box's side

    def key(self, photo: Path) -> str:
        return f"boxes {self.rectangles.tolist()} x {self.factor:g}"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        """The people of a photo (H, W, 3) uint8, as of all ways below.

        Raises:
            NobodyError: there are none.
            FileProblem: a file that says where they are cannot be used.
        """
        try:
            boxes = Boxes.of(self.rectangles, image.shape[:2], self.factor)
        except ValueError as error:
            raise NobodyError(str(error)) from error
        return FoundPeople(boxes, tuple(range(len(boxes))))


@dataclass(frozen=True)
class Whole:
    """Each photo shows one person and little else."""

    def key(self, photo: Path) -> str:
        return "whole"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        height, width = image.shape[:2]
        return InBoxes(np.array([[0, 0, width, height]])).find(photo, image)


@dataclass(frozen=True)
class ByKeypoints:
    """OpenPose has seen the photo: its JSON file, or a folder with one for each photo."""

    where: Path

    def key(self, photo: Path) -> str:
        return f"keypoints {openpose_digest(self.file(photo))}"

    def file(self, photo: Path) -> Path:
        """The file of one photo's keypoints.

        Raises:
            FileProblem: there is none in the folder.
        """
        if not self.where.is_dir():
            return self.where
        names = [name.format(stem=photo.stem) for name in KEYPOINT_FILES]
        for name in names:
            if (self.where / name).is_file():
                return self.where / name
        raise FileProblem(f"{self.where} has no keypoints of {photo.name}: no {' or '.join(names)}")

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        people = read_openpose(self.file(photo))
        size = image.shape[:2]
        reasons = {k: why for k, one in enumerate(people) if (why := why_no_box(one, size))}
        kept = [k for k in range(len(people)) if k not in reasons]
        if not kept:
            raise NobodyError(f"nobody to show ({by_person(reasons)})")
        return FoundPeople(Boxes.around(people[kept]), tuple(kept), reasons, keypoints=people[kept])


@dataclass(frozen=True)
class ByDetector:
    """A detector looks for people; those who are surely people are numbered by its score."""

    detector: Callable[[np.ndarray], Detections]  # (H, W, 3) uint8 -> all that might be a person
    least_score: float

    def key(self, photo: Path) -> str:
        return f"detected at {self.least_score:g} or more"

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        guesses = self.detector(image)
        people = people_among(guesses, self.least_score)
        if not len(people.scores):
            best = f"the best guess is {guesses.scores.max():.0%}" if len(guesses.scores) else ""
            raise NobodyError(
                f"the detector saw nobody with {self.least_score:.0%} or more "
                f"({best or 'no guess'}). Give a box (--box), or ask for less (--least-score)"
            )
        corners = people.boxes
        rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        try:
            found = InBoxes(rectangles, BOX_FACTOR).find(photo, image)
        except NobodyError as error:
            raise NobodyError(f"the detector's {error}") from error
        return replace(found, extra={"score": people.scores, "coco_keypoints": people.keypoints})


class Finder(Protocol):
    """A way to say who is in a photo."""

    def key(self, photo: Path) -> str:
        """What decides whom it finds."""

    def find(self, photo: Path, image: np.ndarray) -> FoundPeople:
        """See `InBoxes.find`."""


@dataclass(frozen=True)
class _Person:
    """In both of OpenPose's spellings: since version 1.2, and before."""

    pose_keypoints_2d: list[float] | None = None
    pose_keypoints: list[float] | None = None


@dataclass(frozen=True)
class _Picture:
    people: list[_Person]


def read_openpose(path: str | Path) -> np.ndarray:
    """The people in a file that OpenPose wrote with `--write_json`, its BODY_25 model.

    Both of its version 1's spellings are read, `pose_keypoints_2d` and the older `pose_keypoints`.

    Returns:
        (N, 25, 3) x and y in pixels of the picture (for OpenPose's default `--keypoint_scale 0`)
        and confidence; 0, 0, 0 where a keypoint was not found. N is 1 to 100.

    Raises:
        FileProblem: it is missing or not such a file, a person has other than 25 keypoints or a
            number that is none, or nobody is in it, or more than 100 are.
    """
    people = read_json(
        path, _Picture, max_bytes=_MAX_BYTES, remedy=_REMEDY, missing=_missing(path)
    ).people
    if not people:
        raise FileProblem(f"{path}: OpenPose found nobody in this picture. Try another one.")
    if len(people) > MOST_PEOPLE:
        raise FileProblem(
            f"{path}: {len(people):,} people; at most {MOST_PEOPLE} are taken at a time. Write "
            'some of the list "people" into a file of its own.'
        )
    return np.stack([_keypoints(path, number, person) for number, person in enumerate(people)])


def openpose_digest(path: str | Path) -> str:
    """The SHA-256 of such a file, hexadecimal.

    Raises:
        FileProblem: it is missing, no regular file, or too large for one.
    """
    return hashlib.sha256(read_bytes(path, _MAX_BYTES, _missing(path))).hexdigest()


def _missing(path: str | Path) -> str:
    return (
        f"{path} is missing. OpenPose writes one such file a picture: "
        "openpose --image_dir FOLDER --write_json FOLDER"
    )


def _keypoints(path: str | Path, number: int, person: _Person) -> np.ndarray:
    where = f"{path}: person {number}"
    numbers = (
        person.pose_keypoints if person.pose_keypoints_2d is None else person.pose_keypoints_2d
    )
    if numbers is None:
        raise FileProblem(f"{where} has no pose_keypoints_2d. {_REMEDY}")
    if len(numbers) != 3 * N_KEYPOINTS:
        raise FileProblem(f"{where}: {_wrong_count(len(numbers))}")
    values = np.array(numbers)
    usable = np.abs(values) <= FARTHEST
    if not usable.all():
        first = int((~usable).argmax())
        raise FileProblem(
            f"{where}: the {OPENPOSE_NAMES[first // 3]}'s keypoint is {values[first]}, no number "
            "of a pixel. OpenPose writes 0, 0, 0 for what it did not find."
        )
    return values.reshape(N_KEYPOINTS, 3)


def _wrong_count(found: int) -> str:
    expected = f"expected {3 * N_KEYPOINTS} numbers (x, y, confidence of BODY_25's 25 keypoints)"
    model = _OTHER_MODELS.get(found // 3) if found % 3 == 0 else None
    if model is None:
        return f"{expected}, found {found}."
    return (
        f"{expected}, found {found}: the {found // 3} keypoints of OpenPose's {model} model. Run "
        "it with --model_pose BODY_25."
    )


def people_among(guesses: Detections, least_score: float) -> Detections:
    """Those who are surely people and of some size, the surest first; all numbers are finite."""
    sides = (guesses.boxes[:, 2:] - guesses.boxes[:, :2]).max(1)
    finite = np.isfinite(guesses.boxes).all(1) & np.isfinite(guesses.scores)
    sure = np.flatnonzero(finite & (guesses.scores >= least_score) & (sides >= LEAST_PIXELS))
    return guesses.rows(sure[np.argsort(-guesses.scores[sure], kind="stable")])


class NetworkDetector:
    """torchvision's keypoint R-CNN (see `build_network`), on any device."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    @torch.inference_mode()
    def __call__(self, image: np.ndarray) -> Detections:
        """Look at a photo (H, W, 3) uint8; a large one is shrunk first."""
        height, width = image.shape[:2]
        image, _ = shrunk(image, DETECTOR_LONGEST, Image.Resampling.BILINEAR)
        back = np.array([width / image.shape[1], height / image.shape[0]])
        device = next(self.network.parameters()).device
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1).to(device).float() / 255
        (output,) = self.network([picture])
        output = {name: values.cpu().double().numpy() for name, values in output.items()}
        places = output["keypoints"][..., :2] * back
        guesses = Detections(
            output["boxes"] * np.tile(back, 2),
            output["scores"],
            np.concatenate([places, output["keypoints_scores"][..., None]], 2),
        )
        return guesses.rows(output["labels"] == PERSON)


def load_detector(
    device: torch.device | str = "cpu", *, allow_download: bool = False
) -> NetworkDetector:
    """The published network, from torch hub's cache; where that lacks it, 237 MB may be fetched.

    Raises:
        FileProblem: the weights are not there, damaged, or cannot be fetched.
    """
    state = hub_weights(
        WEIGHTS_URL,
        "weights of torchvision's keypoint R-CNN",
        allow_download=allow_download,
        hint=" Or say where the people are: --box x,y,w,h.",
    )
    network = build_network()
    network.load_state_dict(state, strict=True)
    return NetworkDetector(network.to(device))


def build_network() -> nn.Module:
    """torchvision's `keypointrcnn_resnet50_fpn` as its published weights want it, at random.

    They go with frozen normalisation without an epsilon. torchvision itself builds that only
    together with the weights, which it would fetch and unpickle.
    """
    # torchvision's models take seconds to import; who gives boxes or keypoints needs none.
    from torchvision.models.detection import KeypointRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.misc import FrozenBatchNorm2d

    norm = partial(FrozenBatchNorm2d, eps=0.0)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=norm)
    return KeypointRCNN(backbone, num_classes=2, num_keypoints=N_COCO)


def detector_is_here() -> bool:
    """Whether its weights are in torch hub's cache."""
    return hub_path(WEIGHTS_URL).exists()
