"""Flips and crops against SPIN's numbers and against geometry."""

import pytest
import torch
from torch.testing import assert_close

from hmrlab.bodies.joints import ANNOTATED_FLIP, KEYPOINT_FLIP, POSE_FLIP
from hmrlab.geometry import (
    apply_affine,
    axis_angle_to_matrix,
    crop_matrix,
    flip_keypoints,
    flip_pose,
    flip_rotations,
    invert_affine,
    normalised_to_pixels,
    pixels_to_normalised,
)


def test_flipped_pose_equals_spin(golden):
    pose = golden["pose"].view(-1, 24, 3)
    assert_close(flip_pose(pose, POSE_FLIP).flatten(1), golden["pose_flipped"])


def test_flipped_matrices_are_the_flipped_axis_angles(golden):
    pose = golden["pose"].view(-1, 24, 3)
    expected = axis_angle_to_matrix(flip_pose(pose, POSE_FLIP))
    assert_close(flip_rotations(axis_angle_to_matrix(pose), POSE_FLIP), expected)


@pytest.mark.parametrize(("name", "flip"), [("kp24", ANNOTATED_FLIP), ("kp49", KEYPOINT_FLIP)])
def test_flipped_keypoints_equal_spin(golden, name, flip):
    assert_close(flip_keypoints(golden[name], flip), golden[f"{name}_flipped"])


def test_flipping_twice_is_nothing(golden):
    pose, keypoints = golden["pose"].view(-1, 24, 3), golden["kp49"]
    assert_close(flip_pose(flip_pose(pose, POSE_FLIP), POSE_FLIP), pose)
    assert_close(flip_keypoints(flip_keypoints(keypoints, KEYPOINT_FLIP), KEYPOINT_FLIP), keypoints)


def test_crop_matrix_equals_spin(golden):
    x, y, scale, rotation = golden["crop_center_scale_rot"].unbind(-1)
    matrix = crop_matrix(torch.stack((x, y), -1), scale, 224, rotation)
    assert_close(matrix, golden["crop_matrix"], rtol=1e-4, atol=1e-6)


def test_crop_takes_the_box_to_the_crop():
    center, scale = torch.tensor([[100.0, 60.0]]), torch.tensor([0.5])  # a box of 100 pixels
    matrix = crop_matrix(center, scale, 64)
    corners = torch.tensor([[[50.0, 10.0], [150.0, 10.0], [100.0, 60.0], [150.0, 110.0]]])
    expected = torch.tensor([[[0.0, 0.0], [64.0, 0.0], [32.0, 32.0], [64.0, 64.0]]])
    assert_close(apply_affine(matrix, corners), expected)


def test_crop_moves_by_less_than_a_pixel_where_the_box_does():
    scale = torch.tensor([1.0, 1.0])
    matrix = crop_matrix(torch.tensor([[100.0, 60.0], [100.25, 60.0]]), scale, 200)
    points = apply_affine(matrix, torch.tensor([[[100.0, 60.0]], [[100.0, 60.0]]]))
    assert_close(points[0] - points[1], torch.tensor([[0.25, 0.0]]))


def test_positive_rotation_turns_the_content_counter_clockwise_on_the_screen():
    matrix = crop_matrix(torch.tensor([100.0, 100.0]), torch.tensor(1.0), 200, 90.0)
    right_of_middle = torch.tensor([[150.0, 100.0]])
    above_middle = torch.tensor([[100.0, 50.0]])
    assert_close(apply_affine(matrix, right_of_middle), above_middle)


def test_an_inverted_affine_map_is_what_a_solver_finds():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(4, 5, 3, 3, dtype=torch.float64, generator=generator)
    matrix[..., 2, :] = torch.tensor([0.0, 0.0, 1.0])
    assert_close(invert_affine(matrix), torch.linalg.inv(matrix), rtol=1e-9, atol=1e-12)


def test_crop_batch_equals_loop():
    generator = torch.Generator().manual_seed(0)
    center, scale = torch.rand(5, 2, generator=generator), torch.rand(5, generator=generator)
    degrees = 60 * torch.randn(5, generator=generator)
    matrix = crop_matrix(center, scale, 64, degrees)
    for i in range(5):
        assert_close(matrix[i], crop_matrix(center[i], scale[i], 64, degrees[i]))


def test_crop_without_size_is_refused():
    with pytest.raises(ValueError, match="scale must be positive"):
        crop_matrix(torch.zeros(2, 2), torch.tensor([1.0, 0.0]), 64)


def test_normalised_coordinates_span_the_crop():
    edges = torch.tensor([[0.0, 0.0], [64.0, 32.0]])
    assert_close(pixels_to_normalised(edges, 64), torch.tensor([[-1.0, -1.0], [1.0, 0.0]]))
    assert_close(normalised_to_pixels(pixels_to_normalised(edges, 64), 64), edges)


@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"axis_angle must have shape \(\.\.\., 24, 3\)"):
        flip_pose(torch.zeros(2, 72), POSE_FLIP)
    with pytest.raises(ValueError, match="keypoints must have shape"):
        flip_keypoints(torch.zeros(2, 24, 3), KEYPOINT_FLIP)
