import numpy as np
import pytest

from checks.positions import VALUES, draw_body
from hmrlab.bodies import load_body

LARGE = {"elbow_bend": 70, "elbow_twist": 90, "yaw": 90}


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.mark.parametrize("name", VALUES)
def test_every_value_changes_the_picture(body, name):
    rest = draw_body(body, (120, 90)).astype(int)
    moved = draw_body(body, (120, 90), **{name: LARGE.get(name, 1.5)}).astype(int)
    assert np.abs(rest - moved).max() > 30
