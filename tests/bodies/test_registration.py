"""From a mesh back to pose and shape, of bodies whose pose and shape are known."""

import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.registration import register
from hmrlab.geometry import axis_angle_to_matrix, rotation_angle_between


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def people(body):
    """Two, posed as nobody stands; the second's forearm is turned by 120 degrees more."""
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(2, 24, 3, generator=generator)
    pose[:, 0] = torch.tensor([[2.0, 0.5, 0], [0, 2.5, 0]])
    rotations = axis_angle_to_matrix(pose)
    rest = body.rest_joints(torch.zeros(1, 10))[0]
    bone = torch.nn.functional.normalize(rest[20] - rest[18], dim=0)
    rotations[1, 18] = rotations[1, 18] @ axis_angle_to_matrix(2.1 * bone)
    betas = torch.randn(2, 10, generator=generator)
    translation = torch.tensor([[0.3, -0.1, 4.0], [0, 0.5, 2.0]])
    return rotations, betas, translation, body(rotations, betas, translation).vertices


def test_pose_shape_and_place_come_back_with_their_twist(body, people):
    rotations, betas, translation, vertices = people
    found, off = register(body, vertices)
    assert float(off.max()) < 2e-4
    assert torch.rad2deg(rotation_angle_between(found.rotations, rotations)).max() < 2
    torch.testing.assert_close(found.betas, betas, rtol=0, atol=0.1)
    torch.testing.assert_close(found.translation, translation, rtol=0, atol=2e-3)


def test_people_do_not_see_each_other(body, people):
    both, _ = register(body, people[-1], rounds=5)
    alone, _ = register(body, people[-1][1:], rounds=5)
    torch.testing.assert_close(both.betas[1:], alone.betas, rtol=0, atol=1e-2)


def test_a_mesh_of_something_else_ends_near_it_and_says_how_near(body, people):
    noise = torch.randn(people[-1].shape, generator=torch.Generator().manual_seed(1))
    found, off = register(body, people[-1] + 0.01 * noise)
    assert off == pytest.approx([0.016, 0.016], abs=0.002)  # the mean length of such noise
    assert torch.rad2deg(rotation_angle_between(found.rotations, people[0])).mean() < 3


def test_other_vertices_are_refused(body, people):
    with pytest.raises(ValueError, match=r"expected vertices \(B, 4956, 3\)"):
        register(body, people[-1][:, 1:])
    with pytest.raises(ValueError, match="all finite"):
        register(body, people[-1] * torch.nan)
