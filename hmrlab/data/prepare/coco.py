"""COCO 2014: people in photographs from everywhere, 17 keypoints each.

Layout of the official download (`train2014.zip`, `annotations_trainval2014.zip`):

    annotations/person_keypoints_train2014.json
    train2014/COCO_train2014_000000000009.jpg ...

As SPIN: people whose 12 joints of the limbs are all annotated, in a square 1.2 times the longer
side of the annotated box; a keypoint that is annotated counts, visible or not.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.data.prepare.recipe import Found, Job, Needed, Recipe
from hmrlab.data.prepare.samples import as_found, in_lots, named
from hmrlab.files import FileProblem

BOX_FACTOR = 1.2
ANNOTATIONS = "annotations/person_keypoints_train2014.json"
LIMBS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)


def needed(root: Path, split: str) -> list[Needed]:
    """Annotations and pictures."""
    return [
        Needed(ANNOTATIONS, "keypoints", "annotations_trainval2014.zip"),
        Needed("train2014/COCO_train2014_*.jpg", "pictures", "train2014.zip"),
    ]


def jobs(root: Path, split: str) -> list[Job]:
    """All people with whole limbs, some hundreds in a job."""
    arrays, skipped = read_annotations(root / ANNOTATIONS)
    return [
        Job("left-out", partial(as_found, Found({}, skipped))),
        *(Job(name, partial(as_found, lot)) for name, lot in in_lots(arrays)),
    ]


def read_annotations(path: Path) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """The people of a file of keypoints, in its order, and those left out by reason.

    Raises:
        FileProblem: it is damaged, or of another layout.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileProblem(
            f"{path} is not readable JSON ({error}). It may be cut short: unpack "
            "annotations_trainval2014.zip again."
        ) from error
    try:
        names = tuple(content["categories"][0]["keypoints"])
        pictures = {image["id"]: str(image["file_name"]) for image in content["images"]}
        return _people(content["annotations"], pictures, names)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise FileProblem(
            f"{path}: not the layout of COCO's keypoints ({type(error).__name__}: {error})."
        ) from error


def _people(
    annotations: list[dict[str, Any]], pictures: dict[Any, str], names: tuple[str, ...]
) -> tuple[dict[str, np.ndarray], Counter[str]]:
    if not set(names) <= set(ANNOTATED_NAMES) or not set(LIMBS) <= set(names):
        raise ValueError(f"the keypoints are {', '.join(names)}")
    limbs = [names.index(name) for name in LIMBS]
    kept, keypoints, skipped = [], [], Counter()
    for annotation in annotations:
        points = np.array(annotation.get("keypoints") or np.zeros(3 * len(names)), np.float64)
        points = points.reshape(len(names), 3)
        points[:, 2] = points[:, 2] > 0
        if annotation.get("iscrowd"):
            skipped["a crowd"] += 1
        elif not points[:, 2].any():
            skipped["no keypoints annotated"] += 1
        elif not points[limbs, 2].all():
            skipped["not all 12 joints of the limbs annotated"] += 1
        else:
            kept.append(annotation)
            keypoints.append(points * points[:, 2:])
    box = np.array([annotation["bbox"] for annotation in kept], np.float64).reshape(-1, 4)
    arrays = {
        "imgname": np.array([f"train2014/{pictures[one['image_id']]}" for one in kept], str),
        "center": box[:, :2] + box[:, 2:] / 2,
        "scale": BOX_FACTOR * box[:, 2:].max(1) / 200,
        "part": named(np.array(keypoints).reshape(-1, len(names), 3), names),
    }
    return arrays, skipped


RECIPE = Recipe(
    name="coco",
    splits=("train",),
    title="COCO 2014 keypoints",
    registration="https://cocodataset.org/#download",
    licence="annotations CC BY 4.0, pictures under Flickr's terms of use; no registration",
    disk="train2014.zip, 13 GB, as much again unpacked; annotations_trainval2014.zip, 241 MB",
    box_factor=BOX_FACTOR,
    needed=needed,
    jobs=jobs,
    folders=("COCO", "coco2014"),
)
