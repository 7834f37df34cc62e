"""The samples that went worst, to look at: a mean does not say what goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from hmrlab.bodies import Body
from hmrlab.data.augment import to_pictures
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import load_rows
from hmrlab.evaluation.result import Evaluation
from hmrlab.rendering import overlay, save_png

WORST = 20
PICTURE = "worst.png"
_SIDE = 224  # pixels of a picture
_ACROSS = 4  # pairs in a row
_LONGEST_NAME = 34  # letters of a picture's name that a caption shows, the last ones


def save_worst(
    evaluation: Evaluation,
    dataset: PoseDataset,
    body: Body,
    path: str | Path,
    count: int = WORST,
) -> Path:
    """Write `worst_gallery` as a PNG."""
    return save_png(path, worst_gallery(evaluation, dataset, body, count))


def worst_gallery(
    evaluation: Evaluation, dataset: PoseDataset, body: Body, count: int = WORST
) -> Figure:
    """Up to `count` of the worst samples of a set: picture beside overlay, the error as a title."""
    rows = evaluation.worst(count)
    batch = load_rows(dataset, evaluation.index[rows], _SIDE)  # without those that cannot be read
    crops = zip(batch.index, to_pictures(batch.images).numpy(), strict=True)
    pictures = {int(row): picture for row, picture in crops}
    rows = [row for row in rows if int(evaluation.index[row]) in pictures]
    images = np.stack([pictures[int(evaluation.index[row])] for row in rows])
    drawn = _overlays(evaluation, np.array(rows), images, body)
    lines = -(-len(rows) // _ACROSS)
    figure = Figure(figsize=(3.4 * _ACROSS, 2.1 * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, _ACROSS, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for place, (axis, row) in enumerate(zip(axes, rows, strict=False)):
        axis.imshow(np.concatenate([images[place], drawn[place]], 1), interpolation="nearest")
        axis.set_title(_caption(evaluation, row, place), fontsize=8)
    called = "SYNTHETIC: " if evaluation.synthetic else ""
    figure.suptitle(
        f"{called}{evaluation.protocol.name}, worst {evaluation.protocol.ranked_by.label}",
        fontsize=10,
    )
    return figure


def _caption(evaluation: Evaluation, row: int, place: int) -> str:
    metric = evaluation.protocol.ranked_by
    value = evaluation.values(metric.name)[row]
    name = str(evaluation.imgname[row])
    name = name.rpartition("/")[2] if "#" in name else name
    short = name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"
    return f"{place + 1}. {metric.label} {metric.format(value)}\n{short}"


def _overlays(
    evaluation: Evaluation, rows: np.ndarray, images: np.ndarray, body: Body
) -> np.ndarray:
    predicted = evaluation.predictions[rows].params()
    on_body = predicted.to(body.faces.device)
    with torch.no_grad():
        vertices = body.vertices(on_body.rotations, on_body.betas)
    return overlay(images, vertices.cpu(), body.faces.cpu(), predicted.camera.numpy())
