"""Pictures for TensorBoard: where the joints are, and where the network puts them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from hmrlab.bodies import Body
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.augment import to_pictures
from hmrlab.data.batch import Batch
from hmrlab.geometry import normalised_to_pixels, project_normalised
from hmrlab.models import HMR
from hmrlab.trainer import PictureMaker


def keypoint_pictures(body: Body, people: int = 6) -> PictureMaker:
    """Make a maker of pictures: the first people of a batch, truth above prediction.

    The maker runs the network on the training thread and leaves the drawing to whoever calls what
    it returns, which is `BackgroundWriter`'s thread. It draws no random numbers, so a training
    with pictures gives the same weights as one without.
    """

    def prepare(batch: Batch, model: HMR) -> Callable[[], np.ndarray]:
        was_training = model.training
        model.eval()
        with torch.no_grad():
            prediction = model(batch.images[:people]).float()
            points = body.keypoints(prediction.rotations, prediction.betas)
            places = project_normalised(points, prediction.camera)[:, ANNOTATED].cpu()
        model.train(was_training)
        images = batch.images[:people].cpu()
        truth = batch.keypoints_2d[:people, ANNOTATED].cpu()
        return lambda: _sheet(images, truth, places)

    return prepare


def _sheet(images: torch.Tensor, truth: torch.Tensor, places: torch.Tensor) -> np.ndarray:
    """Two rows of pictures: (2 H, N W, 3) uint8, enlarged."""
    from hmrlab.rendering import contact_sheet, draw_keypoints  # only where something is drawn

    pictures = to_pictures(images).numpy()
    confidence = truth[..., 2:]
    rows = []
    for points in (truth[..., :2], places):
        pixels = normalised_to_pixels(points, pictures.shape[1])
        drawn = torch.cat([pixels, confidence], -1).numpy()
        rows += [draw_keypoints(image, k) for image, k in zip(pictures, drawn, strict=True)]
    return contact_sheet(np.stack(rows), columns=len(pictures))
