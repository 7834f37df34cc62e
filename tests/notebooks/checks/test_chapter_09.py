import pytest
import torch

from checks import State
from checks.chapter_09 import check_better, check_supervision, check_undone
from hmrlab.geometry import flip_rotations, rotate_in_image_plane


def mirror(root, flipped):
    signs = root.new_tensor([-1.0, 1.0, 1.0])
    return torch.where(flipped[:, None, None], root * signs[:, None] * signs, root)


def right_choice(old, new, valid):
    return (new < old) & valid


def right_supervision(betas, error, true, labelled):
    tame = torch.where((betas.abs() > 3).any(1, keepdim=True), 0, betas)
    return torch.where(labelled[:, None], true, tame), (error < 100) | labelled


def right_root(root, flipped, turned):
    return rotate_in_image_plane(mirror(root, flipped), -turned)


RIGHT = [
    (check_better, right_choice),
    (check_supervision, right_supervision),
    (check_undone, right_root),
]


@pytest.mark.parametrize(("check", "attempt"), RIGHT)
def test_right_answers_pass(check, attempt):
    assert check.judge(attempt).state is State.PASSED
    assert check.judge(lambda *_: None).state is State.NOT_ATTEMPTED


def with_betas(change):
    def attempt(betas, error, true, labelled):
        return change(betas, true, labelled), (error < 100) | labelled

    return attempt


@pytest.mark.parametrize(
    ("check", "attempt", "hint"),
    [
        (check_better, lambda old, new, valid: (new <= old) & valid, "lower, not as low"),
        (check_better, lambda old, new, valid: new < old, "not valid"),
        (check_better, lambda old, new, valid: ~(old <= new) & valid, "NaN"),
        (check_supervision, lambda *given: right_supervision(*given)[0], "two tensors"),
        (
            check_supervision,
            with_betas(lambda b, t, k: right_supervision(b, b[:, 0], t, k & False)[0]),
            "Labels override",
        ),
        (
            check_supervision,
            with_betas(lambda b, t, k: torch.where(k[:, None], t, torch.where(b.abs() > 3, 0, b))),
            "all ten",
        ),
        (
            check_supervision,
            with_betas(lambda b, t, k: torch.where(k[:, None], t, b.clamp(-3, 3))),
            "not clipped",
        ),
        (
            check_supervision,
            lambda b, e, t, k: (right_supervision(b, e, t, k)[0], e < 100),
            "always teaches",
        ),
        (
            check_undone,
            lambda r, f, d: mirror(rotate_in_image_plane(r, -d), f),
            "undo the mirror first",
        ),
        (check_undone, lambda r, f, d: rotate_in_image_plane(mirror(r, f), d), "minus the angle"),
        (check_undone, lambda r, f, d: rotate_in_image_plane(r, -d), "mirror is not undone"),
    ],
)
def test_mistakes_are_named(check, attempt, hint):
    verdict = check.judge(attempt)
    assert verdict.state is State.NOT_YET
    assert hint in verdict.hint


def test_the_mirror_of_these_tests_is_the_packages():
    from hmrlab.bodies.joints import POSE_FLIP

    root = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0][None]
    whole = flip_rotations(root[:, None].expand(1, 24, 3, 3), POSE_FLIP)[:, 0]
    torch.testing.assert_close(mirror(root, torch.tensor([True])), whole)
