"""Looking at what a network answers: the same people, several ways."""

from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image as Shown
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.augment import to_pictures
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import BatchLoader
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, estimate_translation, normalised_to_pixels
from hmrlab.models import HMR


@dataclass(frozen=True)
class People:
    """N people: their pictures and what is true of them."""

    pictures: np.ndarray  # (N, S, S, 3) uint8, enlarged crops
    batch: Batch
    mesh: Tensor  # (N, V, 3) metres, camera frame
    camera: Tensor  # (N, 3) the far camera that puts the mesh where the picture shows it

    @property
    def truth(self) -> SMPLParams:
        """What a perfect network would answer."""
        return SMPLParams(self.batch.rotations, self.batch.betas, self.camera)


@dataclass(frozen=True)
class Answers:
    """What a network answers for N people."""

    prediction: SMPLParams
    mesh: Tensor  # (N, V, 3) metres, camera frame


def first_people(
    dataset: PoseDataset, body: Body, *, count: int, resolution: int, size: int = 192
) -> People:
    """The first people of a set; nobody picks them.

    Args:
        dataset: whose people have true bodies.
        body: for the meshes.
        count: how many.
        resolution: of the crops that a network sees, pixels.
        size: of the pictures to look at, pixels.
    """
    batch = next(iter(BatchLoader(dataset, batch_size=count, resolution=resolution, prefetch=0)))
    pictures = np.stack(
        [
            np.asarray(Image.fromarray(picture).resize((size, size), Image.BICUBIC))
            for picture in to_pictures(batch.images).numpy()
        ]
    )
    keypoints = body.keypoints(batch.rotations, batch.betas)[:, ANNOTATED]
    camera = far_camera(keypoints, batch.keypoints_2d[:, ANNOTATED])
    return People(pictures, batch, body.vertices(batch.rotations, batch.betas), camera)


def predict(model: HMR, people: People, body: Body) -> Answers:
    """A network's bodies for these people; the model is in evaluation mode."""
    with torch.no_grad():
        prediction = model(people.batch.images).float()
        return Answers(prediction, body.vertices(prediction.rotations, prediction.betas))


def predict_step_by_step(model: HMR, people: People, body: Body, n_iter: int) -> list[Answers]:
    """The mean body that the regressor starts with, and the body after each correction."""
    with torch.no_grad():
        start = model.regressor.start(len(people.batch))
        steps = [start, *model.iterations(people.batch.images, n_iter=n_iter)]
        return [Answers(p.float(), body.vertices(p.rotations, p.betas)) for p in steps]


def far_camera(points: Tensor, keypoints: Tensor) -> Tensor:
    """The weak-perspective camera (s, tx, ty) that best puts points onto their keypoints.

    Args:
        points: (B, K, 3) metres, camera frame.
        keypoints: (B, K, 3) x, y in [-1, 1] over the crop, confidence.

    Returns:
        (B, 3).
    """
    places = normalised_to_pixels(keypoints[..., :2], int(SPIN_IMAGE_SIZE))
    translation = estimate_translation(points, torch.cat([places, keypoints[..., 2:]], -1))
    x, y, depth = translation.unbind(-1)
    return torch.stack([2 * SPIN_FOCAL / (SPIN_IMAGE_SIZE * depth), x, y], -1)


def show(picture: Figure | np.ndarray, dpi: int = 90, quality: int = 88) -> Shown:
    """A figure or a picture (H, W, 3) for a notebook, as JPEG: photographs stay small."""
    buffer = io.BytesIO()
    if isinstance(picture, Figure):
        plt.close(picture)  # or a notebook would show it a second time
        picture.savefig(
            buffer, format="jpeg", dpi=dpi, facecolor="white", pil_kwargs={"quality": quality}
        )
    else:
        Image.fromarray(picture).save(buffer, format="jpeg", quality=quality)
    return Shown(data=buffer.getvalue(), format="jpeg")
