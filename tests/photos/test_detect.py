"""Detected people: the network's code path, its weights' absence, what becomes of its guesses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection import keypointrcnn_resnet50_fpn

from hmrlab.bodies import SMPLParams
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.photos import NobodyError, finding
from hmrlab.photos.finding import (
    ByDetector,
    Detections,
    NetworkDetector,
    load_detector,
    people_among,
)
from hmrlab.photos.network import bodies_of
from hmrlab.photos.save import parameters

IMAGE = np.full((400, 600, 3), 80, np.uint8)


def guesses(*rows):
    """Detections of (left, top, right, bottom, score)."""
    table = np.array(rows, float).reshape(-1, 5)
    count = len(table)
    keypoints = np.arange(count * 51, dtype=float).reshape(count, 17, 3)
    return Detections(table[:, :4], table[:, 4], keypoints)


SEEN = guesses(
    (10, 20, 60, 120, 0.93),
    (300, 50, 420, 350, 0.99),
    (200, 30, 260, 170, 0.55),
    (5, 5, 11, 13, 0.98),  # too small
    (0, 0, 50, np.nan, 0.97),
    (0, 0, 50, 60, np.nan),
)


def test_people_are_the_sure_guesses_of_some_size_the_surest_first():
    people = people_among(SEEN, 0.9)
    assert people.scores.tolist() == [0.99, 0.93]
    np.testing.assert_array_equal(people.boxes, SEEN.boxes[[1, 0]])
    np.testing.assert_array_equal(people.keypoints, SEEN.keypoints[[1, 0]])
    assert people_among(SEEN, 0.5).scores.tolist() == [0.99, 0.93, 0.55]
    assert len(people_among(guesses(), 0.5).scores) == 0


def test_a_detected_persons_box_is_a_fifth_larger_and_square():
    found = ByDetector(lambda image: SEEN, 0.9).find(Path("a.jpg"), IMAGE)
    assert found.numbers == (0, 1)
    torch.testing.assert_close(found.boxes.center, torch.tensor([[360.0, 200.0], [35.0, 70.0]]))
    torch.testing.assert_close(found.boxes.side, torch.tensor([360.0, 120.0]))
    assert found.extra["score"].tolist() == [0.99, 0.93]
    np.testing.assert_array_equal(found.extra["coco_keypoints"], SEEN.keypoints[[1, 0]])


def test_nobody_sure_enough_is_an_error_that_tells_the_best_guess():
    with pytest.raises(NobodyError, match=r"nobody with 90% .*best guess is 55%.*--box"):
        ByDetector(lambda image: SEEN.rows(np.array([2])), 0.9).find(Path("a.jpg"), IMAGE)
    with pytest.raises(NobodyError, match=r"no guess.*--least-score"):
        ByDetector(lambda image: guesses(), 0.9).find(Path("a.jpg"), IMAGE)


def test_a_detected_persons_files_hold_what_the_detector_said(body):
    found = ByDetector(lambda image: SEEN, 0.9).find(Path("a.jpg"), IMAGE)
    rotations = torch.eye(3).expand(2, 24, 3, 3).clone()
    rotations[:, 0] = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    camera = torch.tensor([[-1.0, 0.0, 0.0], [0.9, 0.0, 0.0]])  # the first one is seen by nobody
    people = bodies_of(IMAGE, found, SMPLParams(rotations, torch.zeros(2, 10), camera), body)
    assert people.numbers == (1,)
    saved = parameters(people, 0)
    assert float(saved["score"]) == pytest.approx(0.93)
    np.testing.assert_array_equal(saved["coco_keypoints"], SEEN.keypoints[0])
    assert "detected at 93%" in people.describe(0)


class StubNetwork(torch.nn.Module):
    """Answers like torchvision's, one person who fills the left half, and a background."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.seen = None

    def forward(self, pictures):
        (picture,) = pictures
        assert not self.training
        self.seen = picture
        height, width = picture.shape[1:]
        person = torch.tensor([0.0, 0.0, width / 2, height])
        return [
            {
                "boxes": torch.stack([person, person]),
                "labels": torch.tensor([1, 0]),
                "scores": torch.tensor([0.95, 0.99]),
                "keypoints": torch.tensor([[[width / 4, height / 2, 1.0]] * 17] * 2),
                "keypoints_scores": torch.full((2, 17), 7.5),
            }
        ]


@pytest.mark.parametrize("size", [(400, 600), (900, 2666), (20, 16)])
def test_places_are_those_of_the_photo_whatever_its_size(size):
    network = StubNetwork()
    image = np.zeros((*size, 3), np.uint8)
    image[:, : size[1] // 2] = 255
    found = NetworkDetector(network)(image)
    height, width = size
    assert max(network.seen.shape) <= 1333
    assert 0.45 < float(network.seen.mean()) < 0.55  # scaled to [0, 1]
    np.testing.assert_allclose(found.boxes, [[0, 0, width / 2, height]])
    np.testing.assert_allclose(found.keypoints[0, 0], [width / 4, height / 2, 7.5])
    assert found.scores.tolist() == [pytest.approx(0.95)]


def test_the_real_architecture_runs_and_its_guesses_have_their_shapes():
    """Its weights are not to be had in a test: at random it sees anything, or nothing."""
    torch.manual_seed(0)
    network = finding.build_network()
    network.transform.min_size, network.transform.max_size = (96,), 128
    network.roi_heads.score_thresh = 0.0  # so that even a random network guesses
    network.roi_heads.detections_per_img = 5
    for module in network.modules():  # without an epsilon, features of random weights overflow
        if hasattr(module, "running_var"):
            module.running_var.fill_(50.0)
    found = NetworkDetector(network)(IMAGE)
    assert found.boxes.shape == (5, 4)
    assert found.keypoints.shape == (5, 17, 3)
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    inside = (found.boxes >= 0) & (found.boxes <= [600, 400, 600, 400])
    assert inside.all()


def test_the_network_is_torchvisions_as_its_published_weights_want_it():
    with torch.device("meta"):
        ours = finding.build_network()
        theirs = keypointrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    counters = {key for key in shapes if key.endswith("num_batches_tracked")}  # frozen: none
    found = {key: value.shape for key, value in ours.state_dict().items()}
    assert found == {key: shape for key, shape in shapes.items() if key not in counters}
    assert counters
    norms = [module for module in ours.modules() if hasattr(module, "running_var")]
    assert {module.eps for module in norms} == {0.0}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty torch hub cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


NAME = "keypointrcnn_resnet50_fpn_coco-fc266e95.pth"


def test_without_its_weights_a_box_is_asked_for_and_nothing_fetched(cache, monkeypatch):
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *a, **k: pytest.fail("fetched"))
    assert not finding.detector_is_here()
    with pytest.raises(FileProblem) as caught:
        load_detector()
    message = str(caught.value)
    assert str(cache / NAME) in message
    assert "--allow-download" in message
    assert f"https://download.pytorch.org/models/{NAME}" in message
    assert message.endswith("--box x,y,w,h.")


def test_damaged_weights_are_named(cache):
    (cache / NAME).write_bytes(b"half a file")
    with pytest.raises(FileProblem, match=rf"{NAME} is damaged"):
        load_detector()


def test_when_asked_the_weights_are_fetched_and_checked(cache, monkeypatch):
    asked = []

    def fetch(url, path, progress):
        asked.append((url, path))
        Path(path).write_bytes(b"something else")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(FileProblem, match=r"damaged .*fc266e95"):
        load_detector(allow_download=True)
    assert asked == [(finding.WEIGHTS_URL, str(cache / NAME))]

    def offline(url, path, progress):
        raise OSError("no route to host")

    (cache / NAME).unlink()
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(FileProblem, match=r"could not be fetched .*no route to host"):
        load_detector(allow_download=True)


def test_the_published_weights_older_names_arrive(monkeypatch):
    """The published file says inner_blocks.0.weight where today's module has another level."""
    with torch.device("meta"):
        network = finding.build_network()
    number = {key: float(k % 97) for k, key in enumerate(network.state_dict())}
    state = {}
    for key, value in network.state_dict().items():
        plain = key
        for block in ("inner_blocks", "layer_blocks"):
            for level in range(4):
                plain = plain.replace(f"{block}.{level}.0.", f"{block}.{level}.")
        state[plain] = torch.full((), number[key]).expand(value.shape)
    assert set(state) != set(number)
    blank = network.to_empty(device="cpu")
    monkeypatch.setattr(finding, "build_network", lambda: blank)
    monkeypatch.setattr(finding, "hub_weights", lambda *a, **k: state)
    loaded = load_detector().network.state_dict()
    for key in loaded:
        assert float(loaded[key].flatten()[0]) == number[key], key
