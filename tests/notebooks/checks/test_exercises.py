import copy
import math

import pytest
import torch

from checks import CheckFailedError, State, answer, difference, exercise


@exercise("Double it")
def check_double(attempt):
    values = torch.tensor([1.0, -2.0, 3.5])
    return difference(answer(attempt, values), values * 2, "the double", unit="m")


@pytest.mark.parametrize("attempt", [None, ..., lambda x: None, lambda x: ..., NotImplemented])
def test_an_untouched_exercise_is_not_attempted(attempt):
    assert check_double.judge(attempt).state is State.NOT_ATTEMPTED


def test_a_stub_that_says_so_is_not_attempted():
    def stub(x):
        raise NotImplementedError

    verdict = check_double.judge(stub)
    assert repr(verdict) == "○ Double it: not attempted yet"


def test_a_right_attempt_passes():
    assert repr(check_double.judge(lambda x: x + x)) == "✓ Double it: passed"


def test_a_wrong_attempt_gets_a_hint():
    verdict = check_double.judge(lambda x: -2 * x)
    assert verdict.state is State.NOT_YET
    assert repr(verdict) == "✗ Double it: not yet. the double has the opposite sign."


def test_an_attempt_that_raises_is_told_what():
    verdict = check_double.judge(lambda x: x.nonsense)
    assert verdict.state is State.NOT_YET
    assert "It raises AttributeError: 'Tensor' object has no attribute 'nonsense'" in verdict.hint
    assert "a function is asked for, this is a float" in check_double.judge(2.0).hint


def test_an_attempt_cannot_change_what_it_is_compared_with():
    def in_place(x):
        return x.mul_(2)

    values = torch.ones(3)
    kept = copy.deepcopy(values)
    assert check_double.judge(in_place).state is State.PASSED
    answer(in_place, values)
    torch.testing.assert_close(values, kept)


def test_only_a_solution_must_pass(capsys):
    check_double(lambda x: x)
    assert "not yet" in capsys.readouterr().out
    check_double(None)
    assert "not attempted yet" in capsys.readouterr().out
    check_double(lambda x: 2 * x, must_pass=True)
    assert "passed" in capsys.readouterr().out
    for wrong in (lambda x: x, None):
        with pytest.raises(CheckFailedError, match="Double it: not"):
            check_double(wrong, must_pass=True)


def test_a_verdict_shows_itself_without_addresses():
    verdict = check_double.judge(lambda x: object())
    assert "should be an array of numbers, this is a object" in verdict.hint
    assert "0x" not in repr(verdict) + verdict._repr_html_()
    page = exercise("<b>")(lambda attempt: "a < b").judge(1)._repr_html_()
    assert "&lt;b&gt;" in page
    assert "a &lt; b" in page


POINTS = torch.tensor([[0.1, 0.7, 2.0], [-0.4, 0.3, 2.5]])
ANGLES = torch.tensor([0.3, -1.2, 2.9])
SQUARE = torch.tensor([[[1.0, 2.0], [3.0, 4.5]]])


@pytest.mark.parametrize(
    ("got", "wanted", "hint"),
    [
        (POINTS, POINTS, None),
        (POINTS.numpy(), POINTS, None),
        (POINTS.tolist(), POINTS, None),
        (POINTS + 1e-5, POINTS, None),
        (-POINTS, POINTS, "opposite sign"),
        (ANGLES * 180 / math.pi, ANGLES, "is in degrees, radians are asked for"),
        (ANGLES, ANGLES * 180 / math.pi, "is in radians, degrees are asked for"),
        (POINTS * 1000, POINTS, "thousand times too large"),
        (POINTS / 1000, POINTS, "thousand times too small"),
        (SQUARE.mT, SQUARE, "transposed (its last two axes)"),
        (POINTS[:, [1, 0, 2]], POINTS, "x and y swapped"),
        (POINTS * torch.tensor([1, -1, 1]), POINTS, "its y with the opposite sign"),
        (POINTS * torch.tensor([1, 1, -1]), POINTS, "its z with the opposite sign"),
        (POINTS + 0.5, POINTS, "off by +0.5 m everywhere"),
        (POINTS * 2, POINTS, "2 times too large everywhere"),
        (POINTS.T, POINTS, "shape (2, 3), this has (3, 2). Transposed?"),
        (POINTS.reshape(6), POINTS, "The numbers are right: reshape them"),
        (POINTS[:1], POINTS, "shape (2, 3), this has (1, 3)."),
        (3.0, POINTS, "this has () of a single number"),
        (POINTS.log(), POINTS, "[1, 0] is not a finite number (nan)"),
        ("nonsense", POINTS, "should be an array of numbers, this is a str"),
        (torch.tensor(1.5), 2.5, "x is 1.5 m, 2.5 is right"),
        (7, 7, None),
        (ANGLES > 0, ANGLES > 0, None),
        (ANGLES > 9, ANGLES > 0, "x[0] is False, True is right (2 of 3 differ)"),
    ],
)
def test_what_is_wrong_is_said_in_words(got, wanted, hint):
    said = difference(got, wanted, "x", unit="m")
    if hint is None:
        assert said is None
    else:
        assert hint in said


def test_the_first_element_that_differs_is_named():
    wrong = POINTS.clone()
    wrong[1, 1] = 9
    assert difference(wrong, POINTS, "the points", unit="m") == (
        "the points[1, 1] is 9 m, 0.3 is right (1 of 6 differ)."
    )


def test_a_chapters_own_mistakes_come_first():
    said = difference(
        -POINTS, POINTS, "x", mistakes={"other": POINTS * 3, "You look away.": -POINTS}
    )
    assert said == "You look away."


def test_zeros_do_not_count_as_a_factor():
    assert "differ" in difference(torch.zeros(4), torch.tensor([1.0, 2, 3, 4]), "x")
    assert "differ" in difference(torch.tensor([1.0, 2, 3, 4]), torch.zeros(4), "x")
