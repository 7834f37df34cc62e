"""Plots in fewer bytes, and never another picture."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from build_notebooks import clean
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from small_png import MOST_OFF, smaller_png


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


@pytest.fixture
def plot() -> bytes:
    figure, axis = plt.subplots(figsize=(4, 2))
    for k in range(2):
        axis.plot(np.sin(np.arange(60) / 6) + 2 * k, label=f"line {k}")
    axis.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return buffer.getvalue()


def test_a_plot_becomes_much_smaller_and_looks_the_same(plot):
    small = smaller_png(plot)
    assert len(small) < 0.6 * len(plot)
    before, after = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        for data in (plot, small)
    )
    assert np.abs(before - after).max() <= MOST_OFF


def test_a_small_plot_stays_as_it_is(plot):
    small = smaller_png(plot)
    assert smaller_png(small) == small


@pytest.mark.parametrize("channels", [3, 4], ids=["photo", "transparent"])
def test_what_a_palette_would_harm_comes_back_unchanged(channels):
    photo = png(np.random.default_rng(0).integers(0, 256, (64, 64, channels), dtype=np.uint8))
    assert smaller_png(photo) == photo


@pytest.mark.parametrize("cut", [0, 200, -30])
def test_what_is_no_whole_picture_comes_back_unchanged(plot, cut):
    assert smaller_png(plot[:cut]) == plot[:cut]


def test_a_built_notebook_has_small_pictures(plot):
    data = {"image/png": base64.b64encode(plot).decode()}
    notebook = new_notebook(cells=[new_code_cell("x", outputs=[new_output("display_data", data)])])
    output = clean(notebook).cells[0].outputs[0]
    assert base64.b64decode(output.data["image/png"]) == smaller_png(plot)
