import pytest
import torch

from checks import State
from checks.chapter_00 import SHOULDERS, WISHED, _height, check_hands_up, check_taller


def hands_up(left=1.4, right=-1.4, **others):
    pose = torch.zeros(24, 3)
    pose[SHOULDERS[0], 2], pose[SHOULDERS[1], 2] = left, right
    for joint, angle in others.items():
        pose[int(joint[1:]), 0] = angle
    return pose


def taller(body, factor=1.0):
    one = torch.eye(10)[0]
    slope = _height(body, one) - _height(body, 0 * one)
    return factor * WISHED / slope * one


def test_right_answers_pass():
    assert check_hands_up.judge(hands_up).state is State.PASSED
    assert check_taller.judge(taller).state is State.PASSED
    for check in (check_hands_up, check_taller):
        assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda: hands_up(1.4, 1.4), "opposite way"),
        (lambda: hands_up(80.0, -80.0), "radians"),
        (lambda: hands_up(j3=0.2), "spine1 is turned, too"),
        (lambda: hands_up(0.4, -0.4), "below the top of the head"),
        (lambda: hands_up().flatten(), "(72,)"),
    ],
)
def test_mistakes_with_arms_are_named(attempt, hint):
    assert hint in check_hands_up.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda body: taller(body, -1.0), "Other way round?"),
        (lambda body: taller(body, 0.5), "+5.0 cm"),
        (lambda body: taller(body)[None], "(1, 10)"),
        (lambda body: taller(body) + torch.eye(10)[3], "first beta only"),
    ],
)
def test_mistakes_with_shapes_are_named(attempt, hint):
    assert hint in check_taller.judge(attempt).hint
