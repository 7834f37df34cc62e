from itertools import pairwise

import pytest

from hmrlab.trainer import learning_rate


def test_constant_is_spins():
    assert [learning_rate(step, 10, 5e-5, "constant") for step in (0, 5, 9)] == [5e-5] * 3


def test_warm_cosine_rises_to_the_peak_and_ends_near_zero():
    rates = [learning_rate(step, 1000, 1.0, "warm_cosine") for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 50)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (49, 50)
    assert all(a >= b for a, b in pairwise(rates[50:]))
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_a_training_of_one_step_has_a_rate():
    assert learning_rate(0, 1, 1.0, "warm_cosine") == pytest.approx(1.0)


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match="sawtooth"):
        learning_rate(0, 1, 1.0, "sawtooth")
