import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hmrlab.tables.pareto import Panel, Point, pareto_front, place, plot_accuracy

FEW = st.integers(0, 6).map(float)  # so that equals occur
MEASURED = st.lists(st.tuples(FEW, FEW), max_size=12)


def beats(a, b):
    return a[0] <= b[0] and a[1] <= b[1] and a != b


@given(MEASURED)
def test_the_front_is_all_that_nobody_beats(measured):
    front = pareto_front([m[0] for m in measured], [m[1] for m in measured])
    unbeaten = [k for k, m in enumerate(measured) if not any(beats(o, m) for o in measured)]
    assert sorted(front) == unbeaten
    assert [measured[k][0] for k in front] == sorted(measured[k][0] for k in front)


def test_the_front_of_four():
    assert pareto_front([3.0, 1.0, 2.0, 2.5], [10.0, 30.0, 20.0, 25.0]) == [1, 2, 0]
    with pytest.raises(ValueError, match="1 costs and 2 errors"):
        pareto_front([1.0], [1.0, 2.0])


def overlapping(places, sizes):
    return [
        (a, b)
        for a in range(len(places))
        for b in range(a)
        if (np.abs(places[a] - places[b]) < (sizes[a] + sizes[b]) / 2).all()
    ]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), unique=True, max_size=12))
def test_words_near_points_of_a_grid_do_not_overlap(cells):
    anchors = np.array(cells, float).reshape(-1, 2) * [60, 40] + [90, 60]
    sizes = np.tile([50.0, 12.0], (len(anchors), 1))
    places = place(anchors, sizes, 600, 400)
    assert overlapping(places, sizes) == []
    assert (np.abs(places - anchors) < [100, 100]).all()


def test_words_of_points_that_lie_together_spread_out_and_stay_inside():
    anchors = np.array([[20.0, 20.0], [22.0, 20.0], [21.0, 24.0], [180.0, 90.0]])
    sizes = np.tile([40.0, 12.0], (4, 1))
    places = place(anchors, sizes, 200, 100)
    assert overlapping(places, sizes) == []
    assert (places - sizes / 2 >= -1e-9).all()
    assert (places + sizes / 2 <= np.array([200, 100]) + 1e-9).all()


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer))


def test_the_plot_marks_the_front_and_names_every_network():
    points = (
        Point("small", "small", 41e6, 130.0, 128.0, 131.0),
        Point("resnet18", "resnet", 154e6, 223.0, 223.0, 223.0),
    )
    figure = plot_accuracy(
        [Panel("multiply-adds", points), Panel("ms", points)], "MPJPE (synthetic), mm", "Encoders"
    )
    axes = figure.axes[0]
    assert {text.get_text() for text in axes.texts} == {"small", "resnet18"}
    assert axes.get_xscale() == "log"
    assert "synthetic" in axes.get_ylabel()
    (ringed,) = [drawn for drawn in axes.collections if drawn.get_gid() == "front"]
    assert ringed.get_offsets().tolist() == [[41e6, 130.0]]
    assert drawn(figure).std() > 5


def test_a_plot_of_nothing_says_so():
    figure = plot_accuracy([Panel("ms", ())], "MPJPE (synthetic), mm", "Encoders")
    assert "nothing" in figure.axes[0].texts[0].get_text()
    drawn(figure)
