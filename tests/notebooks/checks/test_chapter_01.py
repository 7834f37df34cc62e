import itertools

import numpy as np
import pytest
import torch
import trimesh

from checks import State
from checks.chapter_01 import (
    _walk,
    check_beyond_limits,
    check_joints_of_crowd,
    check_left_wrist,
    girths,
)
from hmrlab.geometry import axis_angle_to_matrix, rotation_angle_between, swing_twist


def right_wrist_place(rotations, rest, chain):
    turned, place = rotations[chain[0]], rest[chain[0]]
    for parent, joint in itertools.pairwise(chain):
        place = place + turned @ (rest[joint] - rest[parent])
        turned = turned @ rotations[joint]
    return place


def right_joints(template, shapedirs, regressor, betas):
    return regressor @ (template + torch.einsum("vcs,bs->bvc", shapedirs, betas))


def twists(pose, axes):
    return swing_twist(axis_angle_to_matrix(pose), axes)[1].rad2deg()


def right_flags(pose, axes, limits):
    return twists(pose, axes).abs() > limits


def whole_angles(pose):
    return rotation_angle_between(axis_angle_to_matrix(pose), torch.eye(3).to(pose)).rad2deg()


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_left_wrist, right_wrist_place),
        (check_joints_of_crowd, right_joints),
        (check_beyond_limits, right_flags),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda r, j, c: j[c[-1]], "at rest"),
        (lambda r, j, c: _walk(r, j, accumulate=False), "product of all rotations"),
        (lambda r, j, c: _walk(r, j, reverse=True), "wrong order"),
        (lambda r, j, c: _walk(r, j, late=True), "not by those"),
        (lambda r, j, c: right_wrist_place(r.mT, j, c), "transposed"),
        (lambda r, j, c: 1000 * right_wrist_place(r, j, c), "millimetres"),
    ],
)
def test_mistakes_on_the_way_to_the_wrist_are_named(attempt, hint):
    assert hint in check_left_wrist.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda t, s, r, b: (r @ t).expand(5, 24, 3), "shape the mesh first"),
        (lambda t, s, r, b: right_joints(0 * t, s, r, b), "template is missing"),
        (lambda t, s, r, b: right_joints(t, s, r, b[:1]).expand(5, 24, 3), "first person's"),
        (lambda t, s, r, b: right_joints(t, s, r, b)[0], "should have the shape (5, 24, 3)"),
    ],
)
def test_mistakes_with_joints_are_named(attempt, hint):
    assert hint in check_joints_of_crowd.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda p, a, m: twists(p, a).deg2rad().abs() > m, "in radians"),
        (lambda p, a, m: twists(p, a) > m, "take abs"),
        (lambda p, a, m: whole_angles(p) > m, "whole rotation"),
        (lambda p, a, m: p.norm(dim=-1).rad2deg() > m, "length of an axis-angle"),
        (lambda p, a, m: (p * a).sum(-1).rad2deg().abs() > m, "share along the bone"),
        (lambda p, a, m: ~right_flags(p, a, m), "these are the others"),
    ],
)
def test_mistakes_with_limits_are_named(attempt, hint):
    assert hint in check_beyond_limits.judge(attempt).hint


@pytest.fixture(scope="module")
def tube():
    """A cylinder along x, 3 cm thick, and the same one wrung to half of that in the middle."""
    mesh = trimesh.creation.cylinder(radius=0.03, height=0.4, sections=90).subdivide_to_size(0.02)
    vertices = torch.tensor(mesh.vertices[:, [2, 0, 1]])
    narrow = 1 - 0.5 * torch.exp(-((vertices[:, :1] / 0.05) ** 2))
    wrung = torch.cat([vertices[:, :1], vertices[:, 1:] * narrow], 1)
    return torch.stack([vertices, wrung]), torch.tensor(mesh.faces)


def test_the_tape_measures_a_cylinder_and_its_neck(tube):
    vertices, faces = tube
    origin, axis = torch.tensor([0.1, 0.0, 0.0]).double(), torch.tensor([1.0, 0, 0]).double()
    measured = girths(vertices, faces, origin, axis, np.array([-0.1, 0.05]))
    around = 2 * np.pi * 0.03
    np.testing.assert_allclose(measured, [[around, around], [around / 2, around]], rtol=0.02)


def test_the_tape_says_where_there_is_nothing_to_measure(tube):
    vertices, faces = tube
    with pytest.raises(ValueError, match=r"nothing to measure at 0\.500 m"):
        girths(vertices, faces, torch.zeros(3), torch.tensor([1.0, 0, 0]), np.array([0.5]))
