"""Numbers count to their last digit."""

import math
from dataclasses import dataclass

import pytest

from hmrlab.ledger import settings_hash


@dataclass(frozen=True)
class Rates:
    rate: float


@pytest.mark.parametrize(
    ("one", "other"), [(1e-9, 2e-9), (0.1 + 0.2, 0.3), (5.0, math.nextafter(5.0, 6.0)), (1e-7, 0.0)]
)
def test_rates_that_differ_have_different_hashes(one, other):
    assert settings_hash(Rates(one)) != settings_hash(Rates(other))


def test_a_zero_has_one_hash_whatever_its_sign():
    assert settings_hash(Rates(-0.0)) == settings_hash(Rates(0.0)) == settings_hash(Rates(0))
