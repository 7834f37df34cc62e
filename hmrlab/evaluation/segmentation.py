"""Predicted bodies against masks of the person and of its parts, in the original pictures.

Counted as SPIN's `eval.py` counts (which follows Lassner et al., "Unite the People", CVPR 2017):
true and false positives are summed over all pixels of all pictures before anything is divided.
Pixels marked 255 in a part mask are left open by the annotation. They do not count in the F1 of the
parts; in the accuracy of the parts the original takes them for background, and so does this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.data.images import ImageSource
from hmrlab.data.part_masks import CLASSES, OPEN, PartPainter
from hmrlab.data.shards import JPEG_MARK, RAW_MARK
from hmrlab.files import FileProblem, open_picture
from hmrlab.geometry import project_normalised, weak_perspective_to_translation
from hmrlab.geometry.crops import REFERENCE_SIDE

MAX_MASK_PIXELS = 16_000_000
_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # in EXIF
_MIRRORED = (0, 1, 2, 4, 3, 6, 5)  # the classes with left and right exchanged


def predicted_parts(
    prediction: SMPLParams,
    body: Body,
    center: Tensor,
    scale: Tensor,
    sizes: Sequence[tuple[int, int]],
) -> Iterator[np.ndarray]:
    """Predicted bodies as the network's cameras see them, drawn in the original pictures.

    Args:
        prediction: of B people, before the crops' cameras.
        body: on the same device.
        center: (B, 2) middles of the crops, pixels of the picture.
        scale: (B,) their sides / 200 pixels.
        sizes: height and width of each picture; (H, W) uint8 comes, drawn when it is asked for: 0
            background, 1 to 6 as `UPI_S1H_PARTS`.
    """
    painter = PartPainter.of(body)
    vertices = body.vertices(prediction.rotations, prediction.betas)
    flat = project_normalised(vertices, prediction.camera)
    half = (REFERENCE_SIDE / 2 * scale)[:, None, None]
    points = (center[:, None] + half * flat).double().cpu().numpy()
    ahead = weak_perspective_to_translation(prediction.camera)[:, 2:]
    depth = (vertices[..., 2] + ahead).double().cpu().numpy()
    return (painter.paint(points[k], depth[k], size) for k, size in enumerate(sizes))


def mask_confusion(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pixels by true (row) and predicted class: (H, W) bool twice -> (2, 2) int64."""
    return _counts(true.astype(np.int64), predicted.astype(np.int64), 2, 2)


def parts_confusion(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Pixels by true (row) and predicted part: (H, W) 0 to 6, the truth also 255 -> (8, 7) int64.

    The last row counts those left open. ValueError: the truth holds another value.
    """
    values = true.astype(np.int64)
    others = values[(values >= CLASSES) & (values != OPEN)]
    if others.size:
        raise ValueError(
            f"a part mask holds 0 to {CLASSES - 1} and {OPEN}, found {int(others.max())}"
        )
    values[values == OPEN] = CLASSES
    return _counts(values, predicted.astype(np.int64), CLASSES + 1, CLASSES)


def _counts(true: np.ndarray, predicted: np.ndarray, rows: int, columns: int) -> np.ndarray:
    if true.shape != predicted.shape:
        raise ValueError(f"a mask of {true.shape} cannot be compared with one of {predicted.shape}")
    flat = (columns * true + predicted).ravel()
    return np.bincount(flat, minlength=rows * columns).reshape(rows, columns)


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of pixels that are right: (..., C or C + 1, C) -> (...); open ones are background."""
    classes = confusion.shape[-1]
    right = np.trace(confusion[..., :classes, :], axis1=-2, axis2=-1)
    if confusion.shape[-2] > classes:
        right = right + confusion[..., classes, 0]
    return right / confusion.sum((-2, -1))


def f1_of_classes(confusion: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of each class: (..., C or C + 1, C) -> (..., C), without open ones.

    NaN for a class that is neither there nor predicted.
    """
    counted = confusion[..., : confusion.shape[-1], :]
    right = np.diagonal(counted, axis1=-2, axis2=-1)
    both = counted.sum(-1) + counted.sum(-2)  # 2 TP + FN + FP
    with np.errstate(invalid="ignore"):
        return 2 * right / both


def mean_f1(confusion: np.ndarray) -> np.ndarray:
    """The mean over the classes that are there or predicted: (..., C or C + 1, C) -> (...)."""
    scores = f1_of_classes(confusion)
    there = ~np.isnan(scores)
    return np.where(there, scores, 0).sum(-1) / there.sum(-1)


def sides_are_swapped(parts: np.ndarray) -> bool:
    """Whether part masks (8, 7) fit better with left and right exchanged: numbered otherwise?"""
    exchanged = parts[:, list(_MIRRORED)]
    return bool(mean_f1(exchanged) > mean_f1(parts))


def picture_size(images: ImageSource, name: str) -> tuple[int, int]:
    """Height and width of a picture, pixels, read off its head."""
    if RAW_MARK in name or JPEG_MARK in name:
        height, width = images.packed(name.rpartition("#")[0]).shape[1:3]
        return int(height), int(width)
    with open_picture(images.folder / name) as picture:
        width, height = picture.size
        turned = picture.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
    return (width, height) if turned else (height, width)


def read_mask(path: Path, what: str) -> np.ndarray:
    """A mask picture's values (H, W) uint8; FileProblem if it is no picture of single numbers."""
    try:
        with open_picture(path, MAX_MASK_PIXELS) as picture:
            values = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    except FileProblem as problem:
        raise FileProblem(
            f"the {what} of a sample: {problem} Unpack the masks again; UPi-S1h's belong beside "
            "LSP's pictures."
        ) from problem
    if values.ndim == 3 and (values[..., :1] == values[..., :3]).all():
        values = values[..., 0]  # grey, saved in colour
    if values.ndim != 2 or values.dtype != np.uint8:
        raise FileProblem(
            f"{path}, the {what} of a sample: expected one number from 0 to 255 a pixel, found "
            f"{values.dtype} {values.shape}."
        )
    return values
