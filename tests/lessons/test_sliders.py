import io

import numpy as np
import pytest
from PIL import Image

from hmrlab.bodies import load_body
from hmrlab.lessons.sliders import SLIDERS, body_sliders, draw_body


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.mark.parametrize("name", SLIDERS)
def test_every_slider_changes_the_picture(body, name):
    rest = draw_body(body, (120, 90)).astype(int)
    moved = draw_body(body, (120, 90), **{name: SLIDERS[name].most / 2}).astype(int)
    assert np.abs(rest - moved).max() > 30


def test_moving_a_slider_draws_the_body_anew(body):
    box = body_sliders(body)
    controls, picture = box.children
    before = picture.value
    assert Image.open(io.BytesIO(before)).format == "JPEG"
    controls.children[list(SLIDERS).index("elbow_bend")].value = 90
    assert picture.value != before
    controls.children[list(SLIDERS).index("elbow_bend")].value = 0
    assert picture.value == before
