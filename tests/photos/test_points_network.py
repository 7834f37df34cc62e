"""Networks that are made for larger crops, and those that read what the eyes have seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.bodies.joints import OPENPOSE
from hmrlab.data.batch import Batch, in_the_boxes
from hmrlab.data.dataset import open_set
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.evaluation.metrics import keypoint_error
from hmrlab.geometry import SPIN_FOCAL, SPIN_IMAGE_SIZE, project_normalised
from hmrlab.models import HMR, HMRConfig, create_encoder
from hmrlab.models.blazepose import LANDMARK_NAMES
from hmrlab.models.blazepose.points import EyePoints
from hmrlab.models.hmr import t_pose
from hmrlab.photos.boxes import Boxes
from hmrlab.photos.finding import FoundPeople
from hmrlab.photos.network import answers_about, predict
from hmrlab.smplify.objective import project

PHOTO = np.full((400, 300, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    encoder = create_encoder("blazepose_lite:points")
    config = HMRConfig(resolution=256, relu=True, dropout=0.0, crop_factor=1.15, feedback=True)
    return HMR(encoder, config).eval()


@pytest.fixture
def found():
    """Somebody whose keypoints are known in the picture and in space."""
    keypoints = np.zeros((1, 25, 3))
    rng = np.random.default_rng(0)
    keypoints[0, :, :2] = rng.uniform((80, 60), (220, 340), (25, 2))
    keypoints[..., 2] = 0.9
    world = rng.normal(0, 0.3, (1, len(LANDMARK_NAMES), 3))
    extra = {"world": world, "agreement": np.ones(1)}
    return FoundPeople(Boxes.around(keypoints), (0,), keypoints=keypoints, extra=extra)


def test_a_network_that_reads_points_gets_those_that_the_eyes_saw(model, found):
    said = answers_about(model, PHOTO, found, 256)
    side = 1.15 * float(found.boxes.side)
    places = (found.keypoints[..., :2] - found.boxes.center.numpy()) / (side / 2)
    points = EyePoints.of_openpose(
        *(torch.as_tensor(v, dtype=torch.float32)
          for v in (places, found.keypoints[..., 2], found.extra["world"]))
    )  # fmt: skip
    wanted = model(points.features())
    torch.testing.assert_close(said.rotations, wanted.rotations, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(said.camera[:, 0], 1.15 * wanted.camera[:, 0])
    torch.testing.assert_close(said.camera[:, 1:], wanted.camera[:, 1:], atol=1e-4, rtol=1e-4)


def test_without_such_points_it_looks_at_the_crop(model, found):
    blind = replace(found, keypoints=None, extra={})
    said = answers_about(model, PHOTO, blind, 256)
    crop = found.boxes.enlarged(1.15).crops(PHOTO, 256)
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    torch.testing.assert_close(said.rotations, model((crop - mean) / std).rotations)


def test_a_body_lies_in_the_photo_where_it_lay_in_the_larger_crop(model, found):
    """The camera is brought from the crop to the box: the same pixels."""
    body = load_body("free", "light")
    made = predict(model, PHOTO, found, body, 256)
    points = body.keypoints(made.posed.rotations, made.posed.betas)[:, OPENPOSE]
    in_box = project(points, made.posed.translation) / SPIN_IMAGE_SIZE  # 0 to 1
    box = found.boxes
    pixels = box.center[:, None] + (in_box - 0.5) * box.side[:, None, None]
    scale = made.extra["camera"][:, :1] / 1.15  # in the crop
    camera = torch.cat([scale, made.extra["camera"][:, 1:]], 1)
    depth = 2 * SPIN_FOCAL / (SPIN_IMAGE_SIZE * scale)[..., None]
    far = points[..., 2:] + depth  # SPIN's camera is far, not infinitely so
    flat = project_normalised(points, camera)
    direct = box.center[:, None] + flat * (1.15 * box.side / 2)[:, None, None]
    assert float((pixels - direct).norm(dim=-1).max()) < 0.5
    assert float(far.min()) > 0


def test_errors_are_of_the_boxes_whatever_the_crops_are():
    body = load_body("free", "light")
    rotations, betas = t_pose()[None], torch.zeros(1, 10)
    true, predicted = torch.tensor([[0.7, 0.0, 0.1]]), torch.tensor([[0.72, 0.02, 0.1]])
    points = body.keypoints(rotations, betas)

    def scored(camera, labels):
        return keypoint_error(project_normalised(points, camera), labels)

    def labels(camera):
        return torch.cat([project_normalised(points, camera), torch.ones(1, 49, 1)], 2)

    nothing = torch.zeros(1)
    batch = Batch(nothing, labels(true), *[nothing] * 9)
    plain = scored(predicted, labels(true))
    smaller = [c * torch.tensor([1 / 1.15, 1, 1]) for c in (true, predicted)]
    in_crop = SMPLParams(rotations, betas, smaller[1])
    again, larger = in_the_boxes(in_crop, replace(batch, keypoints_2d=labels(smaller[0])), 1.15)
    torch.testing.assert_close(again.camera, predicted)
    # SPIN's camera is far, not infinitely so: nearer by 1.15, it sees a little otherwise
    torch.testing.assert_close(
        scored(again.camera, larger.keypoints_2d), plain, rtol=5e-3, atol=0.0
    )


def test_a_set_in_larger_crops_has_larger_boxes_and_the_same_people(tmp_path):
    people = open_set(ensure_set(SetSpec("studio", "test", 3, 64), Path(tmp_path), progress=False))
    larger = people.in_larger_crops(1.5)
    np.testing.assert_allclose(larger.records.scale, 1.5 * people.records.scale)
    np.testing.assert_array_equal(larger.records.center, people.records.center)
    assert people.in_larger_crops(1) is people
