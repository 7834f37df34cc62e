import pytest
import torch

from checks import State
from checks.chapter_08 import check_judge, check_turn, check_weight


def right_weight(error, sigma):
    return 1 / (1 + (error / sigma) ** 2) ** 2


def right_turn(point, joint, axis, translation):
    moved = torch.linalg.cross(axis, point - joint)
    x, y, z = point + translation
    return 5000 * torch.stack(
        [moved[0] / z - x * moved[2] / z**2, moved[1] / z - y * moved[2] / z**2]
    )


def right_judge(value, proposed, damping):
    better = proposed < value
    return better, torch.where(better, damping / 4, damping * 5)


@pytest.mark.parametrize(
    ("check", "attempt"),
    [(check_weight, right_weight), (check_turn, right_turn), (check_judge, right_judge)],
)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


def test_the_right_turn_is_what_autograd_says():
    point, joint = torch.tensor([0.3, -0.5, 0.2]), torch.tensor([0.1, 0.2, -0.1])
    axis, translation = torch.tensor([0.0, 0.6, 0.8]), torch.tensor([0.4, 0.1, 9.0])

    def seen(angle):
        x, y, z = axis.tolist()
        skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        placed = joint + torch.matrix_exp(angle * skew) @ (point - joint) + translation
        return 5000 * placed[:2] / placed[2]

    wanted = torch.autograd.functional.jacobian(seen, torch.tensor(0.0))
    torch.testing.assert_close(right_turn(point, joint, axis, translation), wanted)


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_weight, lambda e, s: s**2 / (s**2 + e**2), "differentiate first"),
        (check_weight, lambda e, s: 2 * e * right_weight(e, s), "slope itself"),
        (check_weight, lambda e, s: (s**2 / (s**2 + e**2)) ** 2, "infinity over infinity"),
        (check_turn, lambda p, j, w, t: right_turn(p, 0 * j, w, t), "from the joint"),
        (check_turn, lambda p, j, w, t: -right_turn(p, j, w, t), "axis comes first"),
        (
            check_turn,
            lambda p, j, w, t: 5000 * torch.linalg.cross(w, p - j)[:2] / (p + t)[2],
            "what comes nearer grows",
        ),
        (check_turn, lambda *a: right_turn(*a) / 5000, "focal length"),
        (check_judge, lambda v, p, d: (~(p >= v), right_judge(v, p, d)[1]), "NaN"),
        (check_judge, lambda v, p, d: (p <= v, right_judge(v, p, d)[1]), "changes nothing"),
        (
            check_judge,
            lambda v, p, d: (p < v, torch.where(p < v, d * 5, d / 4)),
            "the damping falls",
        ),
        (check_judge, lambda v, p, d: (p < v, torch.where(p < v, d / 4, d)), "same step"),
        (check_judge, lambda v, p, d: p < v, "Two things"),
        (check_judge, lambda v, p, d: ((p < v).float(), d), "True or False"),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint
