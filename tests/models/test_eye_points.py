"""What BlazePose says as points, and the regressor that sees what it has left to do."""

import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.files import FileProblem
from hmrlab.geometry import project_normalised
from hmrlab.models import HMR, HMRConfig, create_encoder, open_model, save_weights
from hmrlab.models.blazepose import LANDMARK_NAMES
from hmrlab.models.blazepose.points import (
    EYE_POINTS,
    FEATURES,
    IN_OPENPOSE,
    UNEXPLAINED,
    EyePoints,
    unexplained,
)
from hmrlab.models.hmr import t_pose

CONFIG = HMRConfig(resolution=256, relu=True, dropout=0.0, crop_factor=1.15, feedback=True)


@pytest.fixture(scope="module")
def encoder():
    return create_encoder("blazepose_lite:points").eval()


@pytest.fixture
def model(encoder):
    torch.manual_seed(0)
    model = HMR(encoder, CONFIG).eval()
    for decoder in (model.regressor.decpose, model.regressor.decshape, model.regressor.deccam):
        torch.nn.init.normal_(decoder.weight, std=0.02)  # corrections that can be seen
    return model


def seen_of(body, rotations, betas, camera):
    """The points of eyes that err in nothing."""
    points = body.keypoints(rotations, betas)[:, list(IN_OPENPOSE)]
    places = project_normalised(points, camera)
    hips = points[:, EYE_POINTS.index("mid_hip"), None]
    return EyePoints(places, torch.ones(places.shape[:2]), points - hips), places, points


@pytest.fixture
def standing():
    return t_pose()[None], torch.zeros(1, 10), torch.tensor([[0.9, 0.1, -0.05]])


def test_points_are_openposes_but_for_the_small_toes():
    assert set(OPENPOSE_NAMES) - set(EYE_POINTS) == {"left_small_toe", "right_small_toe"}
    assert [OPENPOSE_NAMES[k] for k in IN_OPENPOSE] == list(EYE_POINTS)


def test_a_middle_lies_between_its_two_and_is_as_sure_as_the_less_sure_one():
    count = len(LANDMARK_NAMES)
    places = torch.rand(1, count, 2)
    confidence, world = torch.rand(1, count), torch.rand(1, count, 3)
    left, right = (LANDMARK_NAMES.index(f"{side}_shoulder") for side in ("left", "right"))
    found, neck = EyePoints.of(places, confidence, world), EYE_POINTS.index("neck")
    torch.testing.assert_close(found.places[0, neck], (places[0, left] + places[0, right]) / 2)
    assert found.confidence[0, neck] == min(confidence[0, left], confidence[0, right])
    assert found.world[0, EYE_POINTS.index("mid_hip")].abs().max() == 0


def test_a_body_whose_points_were_seen_exactly_leaves_nothing_unexplained(standing):
    seen, places, points = seen_of(load_body("free", "light"), *standing)
    left = unexplained(seen.features(), places, points)
    assert left.shape == (1, UNEXPLAINED)
    assert left.abs().max() < 1e-5


def test_what_a_body_leaves_unexplained_is_how_far_it_is_off(standing):
    seen, places, points = seen_of(load_body("free", "light"), *standing)
    moved = places + torch.tensor([0.1, -0.02])
    left = unexplained(seen.features(), moved, points)[0, : 2 * len(EYE_POINTS)].view(-1, 2)
    torch.testing.assert_close(left, 5 * torch.tensor([-0.1, 0.02]).expand_as(left))
    unsure = EyePoints(seen.places, 0 * seen.confidence, seen.world).features()
    assert unexplained(unsure, moved, points)[0, : 2 * len(EYE_POINTS)].abs().max() == 0


def test_the_second_correction_sees_the_first_ones_body(model, standing):
    """In HMR's loop the features never change; here a correction changes what the next one sees."""
    seen, *_ = seen_of(load_body("free", "light"), *standing)
    features = seen.features()
    states = []
    whole = model.regressor.state
    model.regressor.state = lambda *given: states.append(whole(*given)) or states[-1]
    model(features)
    left = [state[0, FEATURES : FEATURES + UNEXPLAINED] for state in states]
    assert len(left) == model.n_iter == 3
    assert (left[0] - left[1]).abs().max() > 0.01
    torch.testing.assert_close(states[0][:, :FEATURES], states[1][:, :FEATURES])


def test_gradients_reach_the_first_correction_through_what_it_leaves(model, standing):
    seen, *_ = seen_of(load_body("free", "light"), *standing)
    model.regressor.zero_grad()
    model(seen.features()).rotations.square().sum().backward()
    gradient = model.regressor.fc1.weight.grad
    assert gradient[:, FEATURES : FEATURES + UNEXPLAINED].abs().sum() > 0


def test_pictures_give_points(model, encoder):
    pictures = torch.rand(2, 3, 256, 256)
    features = encoder(pictures)
    assert features.shape == (2, FEATURES) == (2, encoder.feature_size)
    torch.testing.assert_close(model(pictures).rotations, model(features).rotations)
    assert model.reads_points


def test_an_encoder_without_points_is_refused():
    with pytest.raises(ValueError, match=r"138 numbers, and the encoder gives 512.*:points"):
        HMR(create_encoder("small"), HMRConfig(feedback=True))


@pytest.mark.parametrize("whole", [True, False])
def test_it_is_the_same_after_a_file(model, standing, tmp_path, whole):
    """With the encoder, and without, as it comes with the package anyway."""
    path = save_weights(tmp_path / "model.pt", model, encoder=whole)
    again = open_model(path)
    assert again.config == model.config
    features = seen_of(load_body("free", "light"), *standing)[0].features()
    torch.testing.assert_close(again(features).rotations, model(features).rotations)
    assert (path.stat().st_size > 12e6) == whole


def test_a_file_that_names_an_encoder_without_points_is_refused(model, tmp_path):
    path = save_weights(tmp_path / "model.pt", model)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"encoder": "small"}, path)
    with pytest.raises(FileProblem, match=r"model\.pt is damaged: feedback compares points"):
        open_model(path)
