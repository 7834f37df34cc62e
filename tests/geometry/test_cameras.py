"""Cameras against SPIN's numbers, and the translation estimate against exact projections."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from hmrlab.geometry import (
    axis_angle_to_matrix,
    estimate_translation,
    perspective_projection,
    project_normalised,
    translation_if_determined,
    translation_to_weak_perspective,
    weak_perspective_to_translation,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_projection_equals_spin(golden):
    projected = perspective_projection(
        golden["proj_points"], golden["proj_t"], float(golden["proj_focal"])
    )
    assert_close(projected, golden["proj_xy"], rtol=1e-4, atol=1e-4)


def test_weak_perspective_equals_spin(golden):
    translation = weak_perspective_to_translation(golden["weak_cam"])
    assert_close(translation, golden["weak_cam_t"], rtol=1e-4, atol=0)


def test_a_translation_comes_back_as_the_camera_it_was_of():
    camera = torch.tensor([[0.9, 0.1, -0.2], [0.3, 0.0, 0.5]]).double()
    assert_close(translation_to_weak_perspective(weak_perspective_to_translation(camera)), camera)


def test_estimated_translation_equals_spin(golden):
    estimated = estimate_translation(golden["est_joints"][:, 25:], golden["est_kp2d"][:, 25:])
    assert_close(estimated, golden["est_t"], rtol=1e-4, atol=1e-4)


def test_projection_of_known_points():
    points = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [1.0, 0.0, 5.0]]])
    projected = perspective_projection(
        points, torch.tensor([[0.0, 0.0, 5.0]]), 100.0, torch.tensor([112.0, 56.0])
    )
    assert_close(projected, torch.tensor([[[112.0, 56.0], [132.0, 96.0], [122.0, 56.0]]]))


def test_projection_rotates_before_it_moves():
    points, translation = random(2, 5, 3), torch.tensor([[0.1, 0.2, 9.0]] * 2).double()
    rotation = axis_angle_to_matrix(random(2, 3))
    turned = torch.stack([points[i] @ rotation[i].T for i in range(2)])
    assert_close(
        perspective_projection(points, translation, 50.0, rotation=rotation),
        perspective_projection(turned, translation, 50.0),
    )


def test_each_sample_has_its_focal_length():
    points, translation = random(2, 5, 3), torch.tensor([[0.0, 0.0, 9.0]] * 2).double()
    both = perspective_projection(points, translation, torch.tensor([50.0, 70.0]))
    assert_close(both[1:], perspective_projection(points[1:], translation[1:], 70.0))


def test_normalised_projection_is_spins_in_units_of_half_a_crop(golden):
    points, camera = golden["proj_points"][:4], golden["weak_cam"][:4]
    pixels = perspective_projection(points, weak_perspective_to_translation(camera), 5000.0)
    assert_close(project_normalised(points, camera), pixels / 112)


def test_far_camera_is_nearly_weak_perspective():
    points, camera = 0.5 * random(1, 20, 3), torch.tensor([[0.9, 0.1, -0.2]]).double()
    weak = camera[:, :1, None] * (points[..., :2] + camera[:, None, 1:])
    assert (project_normalised(points, camera) - weak).abs().max() < 0.06


def test_estimate_recovers_the_translation_that_projected():
    points = 0.5 * random(6, 24, 3)
    truth = torch.cat((0.3 * random(6, 2, seed=1), 30 + random(6, 1, seed=2)), dim=-1)
    pixels = perspective_projection(points, truth, 5000.0, torch.tensor([112.0, 112.0]).double())
    confidence = random(6, 24, 1, seed=3).abs()
    keypoints = torch.cat((pixels, confidence), dim=-1)
    assert_close(estimate_translation(points, keypoints), truth)


def test_estimate_ignores_points_without_confidence():
    points = 0.5 * random(1, 24, 3)
    truth = torch.tensor([[0.1, 0.2, 25.0]]).double()
    pixels = perspective_projection(points, truth, 5000.0, torch.tensor([112.0, 112.0]).double())
    keypoints = torch.cat((pixels, torch.ones(1, 24, 1).double()), dim=-1)
    keypoints[:, 10:] = torch.tensor([1e4, -1e4, 0.0]).double()
    assert_close(estimate_translation(points, keypoints), truth)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("visible", [0, 1])
@pytest.mark.parametrize("seed", range(10))
def test_estimate_names_samples_that_do_not_determine_a_depth(visible, seed, dtype):
    """Whichever way the mean of a single keypoint is rounded."""
    generator = torch.Generator().manual_seed(seed)
    points = random(3, 24, 3).to(dtype)
    keypoints = torch.rand(3, 24, 3, generator=generator).to(dtype)
    keypoints[1, visible:, 2] = 0
    with pytest.raises(ValueError, match=r"sample\(s\) \[1\]"):
        estimate_translation(points, keypoints)


def test_who_determines_a_translation_is_told_and_the_others_get_theirs():
    points, keypoints = random(3, 24, 3), random(3, 24, 3).abs()
    keypoints[1, 1:, 2] = 0
    found, sure = translation_if_determined(points, keypoints)
    assert sure.tolist() == [True, False, True]
    others = torch.tensor([0, 2])
    assert_close(found[others], estimate_translation(points[others], keypoints[others]))


@pytest.mark.parametrize("project", [perspective_projection, estimate_translation])
def test_a_focal_length_may_be_a_number_or_one_for_each(project):
    points, second = random(2, 6, 3), random(2, 6, 3).abs()
    if project is perspective_projection:
        second = second[:, 0] + torch.tensor([0.0, 0.0, 10.0])
    found = [project(points, second, focal) for focal in (50, 50.0, torch.tensor([50.0, 50.0]))]
    assert_close(found[0], found[1], atol=0, rtol=0)
    assert_close(found[0], found[2])
    other = project(points, second, torch.tensor([50.0, 60.0]))
    assert_close(other[0], found[0][0])
    assert not torch.allclose(other[1], found[0][1])


def test_gradients():
    points = (0.5 * random(2, 6, 3)).requires_grad_()
    camera = torch.tensor([[0.9, 0.1, 0.0], [1.2, 0.0, -0.1]]).double().requires_grad_()
    assert gradcheck(project_normalised, (points, camera))
    keypoints = torch.rand(2, 6, 3, generator=torch.Generator().manual_seed(0)).double()
    assert gradcheck(lambda p: estimate_translation(p, keypoints, 2.0, 1.0), (points,))


@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="camera must have shape"):
        project_normalised(torch.zeros(2, 49, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="points must have shape"):
        perspective_projection(torch.zeros(2, 49, 2), torch.zeros(2, 3), 1.0)


@pytest.mark.parametrize("scale", [2.0, 0.9, 1e-2, 1e-4])
def test_however_small_a_person_is_the_depth_is_that_of_the_scale(scale):
    """2 f / (side s): what guards against a scale of 0 is far below any that a camera has."""
    camera = torch.tensor([[scale, 0.1, -0.2]]).double()
    expected = torch.tensor([[0.1, -0.2, 2 * 5000 / (224 * scale)]]).double()
    assert_close(weak_perspective_to_translation(camera), expected, rtol=1e-6, atol=0)


def test_a_scale_of_zero_puts_the_body_very_far_away():
    depth = weak_perspective_to_translation(torch.zeros(1, 3))[0, 2]
    assert_close(depth, torch.tensor(1e13))  # 2 f over SPIN's guard of 1e-9


def test_two_keypoints_a_tenth_of_a_pixel_apart_determine_a_depth():
    """In single precision; what is refused as one keypoint is equal to rounding."""
    points = torch.tensor([[[0.0, 0.0, 0.0], [6e-4, 0.0, 0.0]]])
    keypoints = torch.tensor([[[212.0, 112.0, 1.0], [212.1, 112.0, 1.0]]])
    depth = estimate_translation(points, keypoints)[0, 2]
    assert_close(depth, torch.tensor(5000 * 6e-4 / 0.1), rtol=1e-2, atol=0)


def test_a_keypoint_of_confidence_two_counts_as_two_of_confidence_one():
    """Confidence is the weight of the squared error, neither its root nor its square."""
    points, places = 0.5 * random(3, 10, 3), 112 + 30 * random(3, 10, 2, seed=1)
    ones = torch.ones(3, 10, 1).double()
    heavy, twice = ones.clone(), torch.cat((points, points[:, :4]), 1)
    heavy[:, :4] = 2
    repeated = torch.cat((torch.cat((places, places[:, :4]), 1), torch.ones(3, 14, 1).double()), -1)
    weighted = estimate_translation(points, torch.cat((places, heavy), -1))
    assert_close(weighted, estimate_translation(twice, repeated))
    assert (weighted - estimate_translation(points, torch.cat((places, ones), -1))).abs().max() > 1
