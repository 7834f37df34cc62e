"""Calibrated cameras and triangulation, against closed forms and points that are known."""

import math

import pytest
import torch
from torch.testing import assert_close

from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.geometry.calibrated import CalibratedCameras, distort, undistort
from hmrlab.geometry.triangulation import (
    exchange_sides,
    find_exchanged_sides,
    triangulate,
    triangulate_robustly,
)

FOCAL, MIDDLE, FAR = 1000.0, (320.0, 240.0), 4.0
THRESHOLD = 20.0
LIMBS = (([0, 1], [2, 3]), ([4, 5], [6, 7]))  # left and right arm, left and right leg


def ring(count: int, distortion=(0.0, 0.0, 0.0, 0.0)) -> CalibratedCameras:
    """Cameras around the origin, 4 m away, that look at it."""
    turn = torch.tensor([[0, 2 * math.pi * k / count + 0.3, 0] for k in range(count)]).double()
    intrinsics = torch.tensor([[FOCAL, 0, MIDDLE[0]], [0, FOCAL, MIDDLE[1]], [0, 0, 1]]).double()
    return CalibratedCameras(
        intrinsics.expand(count, 3, 3),
        torch.tensor(distortion).double().expand(count, 4),
        axis_angle_to_matrix(turn),
        torch.tensor([0, 0, FAR]).double().expand(count, 3),
    )


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_camera_projects_as_a_pinhole():
    camera = ring(1)
    at = (
        axis_angle_to_matrix(torch.tensor([0, -0.3, 0]).double())
        @ torch.tensor([0.2, -0.4, 1.0]).double()
    )  # 0.2, -0.4, 5 in its frame
    assert_close(camera.in_frames(at), torch.tensor([[0.2, -0.4, 5.0]]).double())
    assert_close(camera.project(at), torch.tensor([[360.0, 160.0]]).double())
    assert camera.project(-6 * at).isnan().all()  # behind it


@pytest.mark.parametrize(
    ("distortion", "point", "expected"),
    [
        ((0.1, 0, 0, 0), (0.5, 0.0), (0.5 * 1.025, 0.0)),
        ((0, 0.1, 0, 0), (0.0, 2.0), (0.0, 2 * 2.6)),
        ((0, 0, 0.1, 0), (0.5, 0.0), (0.5, 0.025)),
        ((0, 0, 0.1, 0), (0.0, 0.5), (0.0, 0.575)),
        ((0, 0, 0, 0.1), (0.5, 0.0), (0.575, 0.0)),
        ((0, 0, 0, 0.1), (0.5, 0.5), (0.6, 0.55)),
    ],
)
def test_each_coefficient_of_a_lens_does_what_opencv_says(distortion, point, expected):
    found = distort(torch.tensor(point), torch.tensor(distortion, dtype=torch.float32))
    assert_close(found, torch.tensor(expected))


def test_undistorting_undoes_it():
    lens = torch.tensor([-0.2, 0.08, 0.003, -0.002]).double()
    points = 0.3 * drawn(50, 2)
    assert_close(undistort(distort(points, lens), lens), points, rtol=0, atol=1e-9)
    assert float((distort(points, lens) - points).abs().max()) > 1e-3


def test_exact_pixels_give_exact_points():
    cameras = ring(3, (-0.1, 0.05, 0.001, 0.002))
    points = 0.5 * drawn(20, 3)
    every = torch.ones(20, 3, dtype=torch.bool)
    assert_close(triangulate(cameras, cameras.project(points), every), points, atol=1e-9, rtol=0)
    two = every.clone()
    two[:, 1] = False
    pixels = cameras.project(points)
    pixels[:, 1] = torch.nan  # what is not used may be anything
    assert_close(triangulate(cameras, pixels, two), points, atol=1e-9, rtol=0)


def test_points_bring_down_the_distance_in_the_picture():
    """Beside them, in any direction, it is larger; with cameras at different distances."""
    cameras = ring(3)
    far = cameras.translation.clone()
    far[1, 2] = 12
    cameras = CalibratedCameras(cameras.intrinsics, cameras.distortion, cameras.rotation, far)
    pixels = cameras.project(0.5 * drawn(10, 3)) + 4 * drawn(10, 3, 2, seed=1)
    found = triangulate(cameras, pixels, torch.ones(10, 3, dtype=torch.bool))

    def cost(points):
        return (cameras.project(points) - pixels).square().sum((1, 2))

    for direction in (*torch.eye(3).double(), *-torch.eye(3).double()):
        assert (cost(found + 0.003 * direction) > cost(found)).all()


def test_a_wrong_view_is_left_out_and_told():
    cameras, points = ring(4), 0.5 * drawn(40, 3)
    pixels = cameras.project(points) + drawn(40, 4, 2, seed=2)
    wrong = torch.arange(40) % 4
    pixels[torch.arange(40), wrong] += 60
    seen = torch.ones(40, 4, dtype=torch.bool)
    found = triangulate_robustly(cameras, pixels, seen, THRESHOLD)
    expected = torch.ones(40, 4, dtype=torch.bool)
    expected[torch.arange(40), wrong] = False
    assert torch.equal(found.agrees, expected)
    # a pixel is 4 mm, and three views halve it; without RANSAC it is 60 of them
    assert float((found.points - points).norm(dim=1).max()) < 0.02
    assert float((triangulate(cameras, pixels, seen) - points).norm(dim=1).min()) > 0.04
    assert (found.pixels_off[~expected] > 50).all()
    assert (found.pixels_off[expected] < 6).all()


def test_fewer_than_three_views_that_agree_give_no_point():
    cameras, points = ring(4), 0.5 * drawn(4, 3)
    pixels = cameras.project(points)
    seen = torch.ones(4, 4, dtype=torch.bool)
    seen[1, :2] = False
    pixels[2, 0] += 300
    pixels[2, 1] -= 300
    pixels[3, 0, 1] = torch.nan  # a number that is none is as if it were not seen
    found = triangulate_robustly(cameras, pixels, seen, THRESHOLD)
    assert found.known.tolist() == [True, False, False, True]
    assert found.agrees.sum(1).tolist() == [4, 0, 0, 3]
    for values in (found.points, found.uncertainty, found.pixels_off):
        assert values[1:3].isnan().all()
    assert_close(found.points[3], points[3])


def test_uncertainty_is_the_error_that_noise_makes():
    """A standard error: the root mean square of errors is about as large."""
    cameras, points = ring(4), 0.3 * drawn(2000, 3)
    every = torch.ones(2000, 4, dtype=torch.bool)
    told = []
    for noise in (0.0, 1.0, 3.0):
        pixels = cameras.project(points) + noise * drawn(2000, 4, 2, seed=3)
        found = triangulate_robustly(cameras, pixels, every, 1000.0)
        error = float((found.points - points).square().sum(1).mean().sqrt())
        told.append(float(found.uncertainty.square().mean().sqrt()))
        assert told[-1] == pytest.approx(error, rel=0.3, abs=1e-6)
    assert told[2] == pytest.approx(3 * told[1], rel=0.05)


def person(frames: int) -> torch.Tensor:
    """Eight joints (F, 8, 3), metres: limbs to the left and to the right."""
    left = torch.tensor([[0.4, -0.4, 0], [0.7, -0.2, 0.1], [0.15, 0.1, 0], [0.2, 0.6, 0.1]])
    right = left * torch.tensor([-1, 1, 1])
    joints = torch.cat([left[:2], right[:2], left[2:], right[2:]]).double()
    return joints + 0.03 * drawn(frames, 8, 3, seed=4)


@pytest.mark.parametrize("limbs", [(0,), (1,), (0, 1)])
def test_a_view_with_exchanged_sides_is_put_right(limbs):
    cameras, points = ring(4), person(5)
    pixels = cameras.project(points) + drawn(5, 8, 4, 2, seed=5)
    swapped = torch.zeros(5, 2, 4, dtype=torch.bool)
    for limb in limbs:
        swapped[1, limb, 2] = swapped[3, limb, 0] = True
    seen = torch.ones(5, 8, 4, dtype=torch.bool)
    wrong = exchange_sides(pixels, LIMBS, swapped)
    assert not torch.equal(wrong, pixels)
    assert torch.equal(find_exchanged_sides(cameras, wrong, seen, LIMBS, THRESHOLD), swapped)
    assert torch.equal(exchange_sides(wrong, LIMBS, swapped), pixels)


def test_shapes_that_do_not_fit_are_refused():
    cameras = ring(4)
    with pytest.raises(ValueError, match="of 4 cameras"):
        triangulate_robustly(cameras, torch.zeros(2, 3, 2), torch.ones(2, 3).bool(), THRESHOLD)
    with pytest.raises(ValueError, match="at least 3 must agree"):
        triangulate_robustly(ring(2), torch.zeros(2, 2, 2), torch.ones(2, 2).bool(), THRESHOLD)
