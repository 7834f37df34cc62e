"""PCK and AUC against closed forms."""

import numpy as np
import pytest

from hmrlab.evaluation.result import AUC_THRESHOLDS_MM, auc_percent, pck_curve, pck_percent


def test_thresholds_are_the_benchmarks():
    assert tuple(range(0, 151, 5)) == AUC_THRESHOLDS_MM


@pytest.mark.parametrize(
    ("error", "pck", "right_at"),
    [
        (0.0, 100.0, 30),  # at all thresholds but 0
        (149.999, 100.0, 1),  # at 150 alone
        (150.0, 0.0, 0),  # less than 150 is asked for
        (72.0, 100.0, 16),  # at 75, 80, ..., 150
        (75.0, 100.0, 15),  # at 80, ..., 150
        (900.0, 0.0, 0),
    ],
)
def test_one_error_has_the_area_that_can_be_counted(error, pck, right_at):
    errors = np.full((3, 14), error)
    np.testing.assert_allclose(pck_percent(errors), pck)
    np.testing.assert_allclose(auc_percent(errors), 100 * right_at / 31)


def test_errors_spread_evenly_have_half_of_the_area():
    """Uniform on [0, 150): the share below t is t / 150, whose mean over the thresholds is 1/2."""
    errors = (np.arange(15000) + 0.5).reshape(1, -1) / 100
    np.testing.assert_allclose(pck_curve(errors)[0], np.arange(0, 151, 5) / 1.5, atol=1e-9)
    np.testing.assert_allclose(auc_percent(errors), 50.0, atol=1e-9)
    assert pck_percent(errors, 30.0)[0] == pytest.approx(20.0)


def test_people_are_counted_one_by_one():
    errors = np.array([[10.0, 200.0], [160.0, 170.0], [20.0, 30.0]])
    assert pck_percent(errors).tolist() == [50.0, 0.0, 100.0]
