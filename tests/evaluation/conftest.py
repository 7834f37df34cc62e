"""Synthetic people that the tests of evaluations share: few and small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.bodies import Body, SMPLParams, load_body
from hmrlab.data.dataset import PoseDataset, open_set
from hmrlab.data.synthetic.mock_benchmarks import mock_benchmark
from hmrlab.evaluation.evaluate import evaluate_predictions
from hmrlab.evaluation.protocols import get_protocol
from hmrlab.evaluation.result import Evaluation
from hmrlab.geometry import axis_angle_to_matrix

PEOPLE, SIZE = 8, 64
FAR = 5000 / 112  # SPIN's focal length over half of its crop


@pytest.fixture(scope="session")
def body() -> Body:
    return load_body("free", "light")


@pytest.fixture(scope="session")
def synthetic_root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("synthetic")


@pytest.fixture(scope="session")
def twin(synthetic_root):
    """Opens a twin of eight people."""

    def open_twin(name: str) -> PoseDataset:
        return mock_benchmark(name, PEOPLE, SIZE, root=synthetic_root, progress=False)

    return open_twin


@pytest.fixture(scope="session")
def truths(synthetic_root, twin):
    """What the sets' people really look like, by the name of a twin: pose, betas, cameras."""

    def look_up(name: str) -> SMPLParams:
        dataset = twin(name)
        people = synthetic_root / str(dataset.records.imgname[0]).partition("/")[0]
        rows = [int(picture.rpartition("#")[2]) for picture in dataset.records.imgname]
        records = open_set(people).records
        with np.load(people / "cameras.npz") as file:
            far = {key: file[key][rows] for key in file.files}
        cameras = seen_by_the_network(records.center[rows], records.scale[rows], **far)
        rotations = axis_angle_to_matrix(torch.from_numpy(records.pose[rows]))
        if name == "lsp":  # the network looks straight at everybody, the pictures' camera past them
            back = to_the_axis(torch.from_numpy(far["translation"]).float())
            rotations[:, 0] = back @ rotations[:, 0]
        return SMPLParams(rotations, torch.from_numpy(records.betas[rows]), cameras)

    return look_up


def seen_by_the_network(center, scale, translation, focal, principal, **_) -> torch.Tensor:
    """The weak-perspective camera that comes nearest to a real one, (N, 3)."""
    half = 100 * scale
    depth = translation[:, 2] * FAR * half / focal
    shift = focal[:, None] * translation[:, :2] / translation[:, 2:] + principal - center
    place = shift / half[:, None] * depth[:, None] / FAR
    size = 2 * 5000 / (224 * depth)
    return torch.from_numpy(np.concatenate([size[:, None], place], 1)).float()


def to_the_axis(rays: torch.Tensor) -> torch.Tensor:
    """The least rotations (N, 3, 3) that turn rays (N, 3) to the camera's axis."""
    rays = torch.nn.functional.normalize(rays, dim=1)
    across = torch.stack([rays[:, 1], -rays[:, 0], torch.zeros(len(rays))], 1)
    angle = torch.acos(rays[:, 2:])
    return axis_angle_to_matrix(torch.nn.functional.normalize(across, dim=1) * angle)


@pytest.fixture(scope="session")
def evaluate():
    """Evaluates given bodies by a protocol."""

    def run(name: str, dataset, prediction: SMPLParams, body, **options) -> Evaluation:
        return evaluate_predictions(
            lambda batch: prediction[batch.index], get_protocol(name), dataset, body,
            resolution=32, batch_size=3, **options,
        )  # fmt: skip

    return run
