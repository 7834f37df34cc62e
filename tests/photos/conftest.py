"""Two synthetic people before a camera whose numbers are known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hmrlab.bodies import Body, load_body
from hmrlab.data.synthetic.people import make_chunk
from hmrlab.files import save_npz_whole
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.models.shipped import load_reference_model
from hmrlab.photos import PhotoBodies, fit_photo, folder
from hmrlab.photos.landmarks import ByEyes
from hmrlab.smplify import PosePrior, load_prior


@dataclass(frozen=True)
class Street:
    """Person 0 stands near on the left, person 1 behind on the right."""

    image: np.ndarray  # (480, 640, 3)
    focal: float  # pixels: the photo's diagonal
    rotations: Tensor  # (2, 24, 3, 3)
    translation: Tensor  # (2, 3)
    keypoints: np.ndarray  # (2, 25, 3)

    def seen(self, points: Tensor) -> Tensor:
        """(..., 3) metres before the photo's camera -> (..., 2) pixels."""
        return _seen(points, self.focal)


def _seen(points: Tensor, focal: float) -> Tensor:
    return focal * points[..., :2] / points[..., 2:] + points.new_tensor([320.0, 240.0])


@pytest.fixture(scope="session")
def body() -> Body:
    return load_body("free", "light")


@pytest.fixture(scope="session")
def prior() -> PosePrior:
    return load_prior()


@pytest.fixture(scope="session")
def street(body, prior) -> Street:
    focal = 800.0  # of 480 x 640
    pose = prior.mean_pose().view(23, 3).repeat(2, 1, 1)
    pose = torch.cat([torch.zeros(2, 1, 3), pose], 1)
    rotations = axis_angle_to_matrix(pose)
    upright = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    about = torch.tensor([[0.0, 0.5, 0.0], [0.0, -0.3, 0.0]])
    rotations[:, 0] = upright @ axis_angle_to_matrix(about)
    translation = torch.tensor([[-1.0, 0.1, 4.0], [2.0, 0.1, 7.0]])
    points = body.keypoints(rotations, torch.zeros(2, 10))[:, :25] + translation[:, None]
    places = _seen(points, focal)
    keypoints = torch.cat([places, torch.ones(2, 25, 1)], 2).numpy().astype(np.float64)
    image = np.full((480, 640, 3), 40, np.uint8)
    return Street(image, focal, rotations, translation, keypoints)


@pytest.fixture(scope="session")
def fitted(street, body, prior) -> PhotoBodies:
    return fit_photo(street.image, street.keypoints, body, prior)


@pytest.fixture(scope="session")
def model():
    return load_reference_model()


@pytest.fixture(scope="session")
def scenery():
    """A picture without two places alike."""
    y, x = np.mgrid[:480, :640]
    colours = [x / 640, y / 480, 0.5 + 0.5 * np.sin(x / 17) * np.cos(y / 11)]
    return (255 * np.stack(colours, 2)).astype(np.uint8)


@pytest.fixture
def light_files(monkeypatch):
    """Numbers in place of meshes and pictures, which others test; gives the order of writing."""
    written = []

    def save(result, where, **_):
        written.append(Path(where).name)
        numbers = {"camera": result.extra["camera"].numpy(), "number": np.array(result.numbers)}
        return [save_npz_whole(Path(where) / "person_0.npz", **numbers)]

    monkeypatch.setattr(folder, "save_bodies", save)
    return written


@pytest.fixture(scope="session")
def two_people():
    """A wide picture of two synthetic people, and their true keypoints (2, 25, 3)."""
    chunk = make_chunk(8, 320, False, np.random.default_rng(4))
    pair = [1, 3]
    keypoints = chunk.keypoints[pair, :25].copy()
    keypoints[1, :, 0] += 320
    return np.concatenate(list(chunk.images[pair]), 1), keypoints


@pytest.fixture(scope="session")
def found(two_people):
    return ByEyes("lite").find(None, two_people[0])


@pytest.fixture
def photos(tmp_path):
    """Three photos, one of which is grey, a broken one, and what is no photo."""
    where = tmp_path / "photos"
    where.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("a.png", (60, 40, 3)), ("b.png", (50, 70)), ("d.jpg", (64, 64, 3))):
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(where / name)
    whole = (where / "d.jpg").read_bytes()
    (where / "c.jpg").write_bytes(whole[: len(whole) // 2])
    (where / "notes.txt").write_text("holidays")
    (where / ".hidden.png").write_bytes(b"")
    return where
