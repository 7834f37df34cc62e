import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from checks import first_people, predict, score_table, show
from checks.look import far_camera
from hmrlab.bodies import load_body
from hmrlab.data.dataset import open_set
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.geometry import project_normalised
from hmrlab.models import HMR
from hmrlab.models.small import SmallNet


def test_a_far_camera_is_found_again():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(5, 24, 3, generator=generator) * 0.4
    camera = torch.tensor([[0.9, 0.1, -0.2]]).repeat(5, 1) + 0.05 * torch.randn(
        5, 3, generator=generator
    )
    places = project_normalised(points, camera)
    found = far_camera(points, torch.cat([places, torch.ones(5, 24, 1)], -1))
    torch.testing.assert_close(found, camera, atol=1e-3, rtol=0)


def test_a_look_shows_the_first_people_with_truth_and_answer(tmp_path):
    dataset = open_set(ensure_set(SetSpec("studio", "test", 8, 48), tmp_path, progress=False))
    torch.manual_seed(0)
    model = HMR(SmallNet((16, 16, 16), channels=8, hidden=16)).eval()
    body = load_body("free", "light")
    people = first_people(dataset, body, count=3, resolution=32, size=40)
    answers = predict(model, people, body)
    assert people.pictures.shape == (3, 40, 40, 3)
    assert people.batch.index.tolist() == [0, 1, 2]
    assert answers.mesh.shape == people.mesh.shape == (3, body.n_vertices, 3)
    truth = people.truth
    assert torch.equal(body.vertices(truth.rotations, truth.betas), people.mesh)
    assert torch.equal(truth.camera, people.camera)
    with torch.no_grad():
        again = model(people.batch.images)
    torch.testing.assert_close(answers.prediction.rotations, again.rotations)
    # The truth, through its far camera, lies near its keypoints: the real camera was near.
    points = body.keypoints(people.batch.rotations, people.batch.betas)[:, 25:]
    off = project_normalised(points, people.camera) - people.batch.keypoints_2d[:, 25:, :2]
    assert off.norm(dim=-1).mean() < 0.08


def test_shown_pictures_are_jpeg():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    for picture, size in ((figure, (90, 90)), (np.zeros((5, 7, 3), np.uint8), (7, 5))):
        image = Image.open(io.BytesIO(show(picture).data))
        assert image.format == "JPEG"
        assert image.size == size


def test_a_table_has_a_column_for_each_model():
    rows = {"mpjpe_mm": "MPJPE, mm", "mean_abs_beta": "betas"}
    table = score_table({"a": {"mpjpe_mm": 123.44, "mean_abs_beta": 0.5},
                         "b": {"mpjpe_mm": 9.0, "mean_abs_beta": 2.0}}, rows)  # fmt: skip
    assert table.data.splitlines() == [
        "| | a | b |",
        "| --- | ---: | ---: |",
        "| MPJPE, mm | 123.4 | 9.00 |",
        "| betas | 0.50 | 2.00 |",
    ]
    with pytest.raises(KeyError):
        score_table({"a": {}})
