import itertools

import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.lessons import State
from hmrlab.lessons.chapter_01 import (
    _walk,
    check_beyond_limits,
    check_joints_of_shape,
    check_left_wrist,
    close_up,
)


def right_wrist_place(rotations, rest, chain):
    turned, place = rotations[chain[0]], rest[chain[0]]
    for parent, joint in itertools.pairwise(chain):
        place = place + turned @ (rest[joint] - rest[parent])
        turned = turned @ rotations[joint]
    return place


def right_joints(template, shapedirs, regressor, betas):
    return regressor @ (template + shapedirs @ betas)


def right_flags(twist, limits):
    return ((twist + 180) % 360 - 180).abs() > limits


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_left_wrist, right_wrist_place),
        (check_joints_of_shape, right_joints),
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
        (lambda t, s, r, b: r @ t, "shape the mesh first"),
        (lambda t, s, r, b: r @ (s @ b), "template is missing"),
    ],
)
def test_mistakes_with_joints_are_named(attempt, hint):
    assert hint in check_joints_of_shape.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda t, m: t.abs() > m, "short way round"),
        (lambda t, m: ((t + 180) % 360 - 180) > m, "take abs"),
        (lambda t, m: (t % 360) > m, "from -180 to"),
        (lambda t, m: ~right_flags(t, m), "these are the others"),
    ],
)
def test_mistakes_with_limits_are_named(attempt, hint):
    assert hint in check_beyond_limits.judge(attempt).hint


def test_the_close_up_fills_the_picture_with_the_arm():
    body = load_body("free", "light")
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))
    picture = close_up(vertices, body, size=(60, 160))[0]
    drawn = (picture < 250).any(-1)
    assert drawn.any(0).mean() > 0.85
    assert 0.1 < drawn.mean() < 0.6
