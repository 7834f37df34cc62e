import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from checks.sticks import BONES_14, VIEWS, draw_misses, draw_sticks
from hmrlab.bodies import load_body
from hmrlab.bodies.joints import H36M_TO_J14


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


@pytest.fixture(scope="module")
def points():
    body = load_body("free", "light")
    return body.h36m(torch.zeros(1, 72), torch.zeros(1, 10))[0, list(H36M_TO_J14)]


def test_every_joint_hangs_on_another_and_no_bone_is_longer_than_a_thigh(points):
    assert {joint for bone in BONES_14 for joint in bone} == set(range(14))
    lengths = torch.stack([(points[a] - points[b]).norm() for a, b in BONES_14])
    assert float(lengths.min()) > 0.1
    assert float(lengths.max()) < 0.65


@pytest.mark.parametrize(
    ("view", "columns", "signs", "labels"),
    [
        ("front", [0, 1], [1, 1], ("x, metres", "y, metres")),
        ("side", [2, 1], [1, 1], ("z, metres", "y, metres")),
        ("above", [0, 2], [1, -1], ("x, metres", "-z, metres")),
    ],
)
def test_a_view_shows_two_named_axes_at_one_scale(axis, points, view, columns, signs, labels):
    draw_sticks(axis, points, view, label="truth")
    dots = axis.lines[-1]
    np.testing.assert_allclose(dots.get_xydata(), points.numpy()[:, columns] * signs)
    assert (axis.get_xlabel(), axis.get_ylabel()) == labels
    assert axis.get_aspect() == 1
    assert [text.get_text() for text in axis.legend().get_texts()] == ["truth"]


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_is_a_mirror(axis, view):
    """Right x up points to the eye, before whom the body's front or its top lies."""
    seen = []
    for direction in torch.eye(3):
        draw_sticks(axis, direction.expand(14, 3), view)
        seen.append(axis.lines[-1].get_xydata()[0])
    right, up = np.array(seen).T
    np.testing.assert_allclose([right @ right, up @ up, right @ up], [1, 1, 0], atol=1e-6)
    eye = np.cross(right, up)
    wanted = {"front": [0, 0, 1], "side": [-1, 0, 0], "above": [0, 1, 0]}
    if view in wanted:
        np.testing.assert_allclose(eye, wanted[view], atol=1e-6)
    else:
        assert (eye > 0.2).all()  # from its left, from above, from before


def test_misses_join_each_joint_to_its_truth(axis, points):
    true = points + torch.tensor([0.1, 0.2, 0.3])
    draw_misses(axis, points, true, "side")
    assert len(axis.lines) == 14
    np.testing.assert_allclose(
        axis.lines[5].get_xydata(), torch.stack([points, true])[:, 5, [2, 1]]
    )


def test_other_than_fourteen_points_and_unknown_views_are_refused(axis, points):
    with pytest.raises(ValueError, match=r"\(14, 3\) points, got \(13, 3\)"):
        draw_sticks(axis, points[:13])
    with pytest.raises(KeyError):
        draw_sticks(axis, points, "behind")
