import pytest
import torch

from checks import State
from checks.chapter_02 import check_far_projection, check_into_crop, check_mirror_order
from hmrlab.geometry import project_normalised


def right_crop(keypoints, center, scale):
    return (keypoints - center) / (100 * scale)


def right_order(names):
    def other(name):
        return name.translate(str.maketrans("", "")).replace("left", "#").replace(
            "right", "left"
        ).replace("#", "right")  # fmt: skip

    return [names.index(other(name)) for name in names]


@pytest.mark.parametrize(
    ("check", "attempt"),
    [
        (check_far_projection, project_normalised),
        (check_into_crop, right_crop),
        (check_mirror_order, right_order),
    ],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda p, c: c[:, None, :1] * (p[..., :2] + c[:, None, 1:]), "parallel approximation"),
        (lambda p, c: 112 * project_normalised(p, c), "divide by 112"),
        (lambda p, c: project_normalised(p, c * torch.tensor([2.0, 1, 1])), "the 2 is missing"),
        (lambda p, c: project_normalised(p, c * torch.tensor([1.0, 0, 0])) + c[:, None, 1:],
         "before the division"),
        (lambda p, c: -project_normalised(p, c), "opposite sign"),
    ],
)  # fmt: skip
def test_mistakes_with_the_camera_are_named(attempt, hint):
    verdict = check_far_projection.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda k, c, s: (k - c) / (200 * s), "half as large"),
        (lambda k, c, s: right_crop(k, c, s) + 1, "not at 1"),
        (lambda k, c, s: (k - c) / (s / 2), "divided by 200"),
        (lambda k, c, s: right_crop(k.floor(), c, s), "whole pixels"),
    ],
)
def test_mistakes_with_the_crop_are_named(attempt, hint):
    assert hint in check_into_crop.judge(attempt).hint


@pytest.mark.parametrize(
    ("attempt", "hint"),
    [
        (lambda names: list(range(len(names))), "Nothing is exchanged"),
        (lambda names: list(range(len(names)))[::-1], "backwards"),
        (lambda names: right_order(names)[:-1], "indices for"),
        (lambda names: [*right_order(names)[:-1], 0], "should change places with"),
    ],
)
def test_mistakes_with_the_mirror_are_named(attempt, hint):
    assert hint in check_mirror_order.judge(attempt).hint
