"""Everybody in a picture, of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hmrlab.data.synthetic.people import make_chunk
from hmrlab.models.detections import Detections, without_doubles
from hmrlab.models.people import LOOKS, find_people, letterbox

# Where COCO's keypoints are among OpenPose's.
OF_OPENPOSE = [0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]


@pytest.fixture(scope="module")
def four(golden_folder):
    """Four synthetic people, one in each quarter of 256 x 256 pixels."""
    with np.load(golden_folder / "movenet.npz") as arrays:
        return arrays["four"]


def enlarged(picture, times):
    size = [round(side * times) for side in picture.shape[1::-1]]
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def quarters(found, side):
    """Of a square picture, in which the middle of each box is."""
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    return sorted(map(tuple, (middles // (side / 2)).astype(int).tolist()))


ONE_IN_EACH = [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_everybody_is_found_once_the_surest_first(four):
    found = find_people(four)
    assert quarters(found, 256) == ONE_IN_EACH
    assert (np.diff(found.scores) <= 0).all()
    assert found.boxes.shape == (4, 4)
    assert found.keypoints.shape == (4, 17, 3)
    assert len(find_people(four, most=2)) == 2


def test_keypoints_lie_where_the_bodies_have_them():
    people = make_chunk(6, 192, False, np.random.default_rng(5))
    errors = []
    for picture, truth in zip(people.images, people.keypoints[:, OF_OPENPOSE], strict=True):
        found = find_people(picture, looks=LOOKS[:1])
        assert len(found) >= 1
        sure = (found.keypoints[0, :, 2] > 0.3) & (truth[:, 2] > 0)
        sure[:5] = False  # the free body's face is about a hand's breadth off from people's
        off = np.linalg.norm(found.keypoints[0, :, :2] - truth[:, :2], axis=1)
        errors.append(off[sure] / np.ptp(truth[:, 1]))
    errors = np.concatenate(errors)
    assert len(errors) > 40
    assert np.median(errors) < 0.04  # of the person's height


def test_a_larger_picture_has_the_same_people(four):
    found, larger = find_people(four), find_people(enlarged(four, 3.5))
    assert quarters(larger, 896) == ONE_IN_EACH
    order, other = (np.lexsort(f.boxes[:, :2].T.round(-2)) for f in (found, larger))
    np.testing.assert_allclose(larger.boxes[other] / 3.5, found.boxes[order], atol=12)


def test_people_far_away_are_seen_by_looking_closer(four):
    field = np.full((900, 1200, 3), 110, np.uint8)
    field[300:556, 500:756] = four
    once, closely = find_people(field, looks=LOOKS[:1]), find_people(field)
    assert len(once) < 4
    closely = Detections(closely.boxes - [500, 300] * 2, closely.scores, closely.keypoints)
    assert quarters(closely, 256) == ONE_IN_EACH


def test_boxes_stay_in_the_picture(four):
    found = find_people(np.ascontiguousarray(four[20:, 30:200]))
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [170, 236] * 2).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 2), (64, 64), (700, 300)])
def test_an_empty_picture_has_nobody(size):
    found = find_people(np.full((*size, 3), 90, np.uint8))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.keypoints.shape == (0, 17, 3)


def test_a_picture_that_may_not_be_written_or_lies_otherwise_in_memory_is_the_same(four):
    locked = four.copy()
    locked.flags.writeable = False
    across = np.asfortranarray(four)
    once = find_people(four, looks=LOOKS[:1])
    for picture in (locked, across):
        found = find_people(picture, looks=LOOKS[:1])
        np.testing.assert_array_equal(found.keypoints, once.keypoints)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
    ],
    ids=["grey", "transparent", "floats", "no rows"],
)
def test_what_is_no_rgb_picture_is_refused_in_words(image):
    with pytest.raises(ValueError, match=r"expected an RGB picture.*read_rgb"):
        find_people(image)


@given(st.integers(1, 900), st.integers(1, 900), st.sampled_from([64, 256]))
def test_a_letterbox_can_be_undone(height, width, side):
    picture, zoom = letterbox(np.full((height, width, 3), 255, np.uint8), side)
    y, x = picture.shape[2:]
    assert max(x, y) == side
    assert (x % 32, y % 32) == (0, 0)
    filled = np.array([width, height]) * zoom
    np.testing.assert_allclose(filled, filled.round(), atol=1e-6)
    columns, rows = filled.round().astype(int)
    assert (picture[..., :rows, :columns] == 1).all()
    assert (picture[..., rows:, :] == -1).all()
    assert (picture[..., columns:] == -1).all()


def test_a_letterbox_keeps_places():
    image = np.zeros((300, 800, 3), np.uint8)
    image[140:160, 590:610] = 255
    picture, zoom = letterbox(image, 256)
    light = (picture[0, 0] + 1).numpy()
    y, x = (np.arange(n) + 0.5 for n in light.shape)
    middle = np.array([(light.sum(0) * x).sum(), (light.sum(1) * y).sum()]) / light.sum()
    np.testing.assert_allclose(middle / zoom, [600, 150], atol=1)


def person(x, y, height, score, sure=0.9):
    """Somebody made of a box and keypoints down its middle."""
    places = np.stack([np.full(17, x), np.linspace(y, y + height, 17), np.full(17, sure)], 1)
    box = [[x - height / 4, y, x + height / 4, y + height]]
    return Detections(np.array(box, float), np.array([score]), places[None])


def kept(*people):
    return without_doubles(Detections.joined(list(people)), 0.2).scores.tolist()


def test_the_surer_of_two_guesses_about_one_person_is_kept():
    assert kept(person(50, 20, 100, 0.4), person(52, 22, 98, 0.6)) == [0.6]


def test_people_beside_each_other_are_two():
    assert kept(person(50, 20, 100, 0.4), person(90, 20, 100, 0.6)) == [0.6, 0.4]


def test_people_before_each_other_are_two_if_their_keypoints_differ():
    behind = person(50, 0, 130, 0.5)
    assert kept(person(62, 45, 100, 0.6), behind) == [0.6, 0.5]


def test_the_legs_alone_are_no_second_person():
    whole = person(50, 0, 100, 0.7)
    legs = Detections(np.array([[30.0, 55, 70, 100]]), np.array([0.3]), whole.keypoints.copy())
    legs.keypoints[0, :11, 2] = 0.0
    assert kept(whole, legs) == [0.7]


def test_a_box_within_another_without_a_common_keypoint_is_dropped():
    inside = person(50, 30, 40, 0.3, sure=0.0)
    assert kept(person(50, 0, 100, 0.7), inside) == [0.7]
    assert kept(person(50, 0, 100, 0.7), person(90, 30, 40, 0.3, sure=0.0)) == [0.7, 0.3]


def test_nobody_stays_nobody():
    assert kept() == []
    assert len(Detections.nobody()) == 0
