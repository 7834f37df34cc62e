"""BlazePose's eyes on people whom somebody else has found."""

import json

import numpy as np
import pytest

from hmrlab.photos import NobodyError
from hmrlab.photos.eyes import EyesOn
from hmrlab.photos.finding import ByKeypoints, InBoxes, Whole

TIGHT = 1.2  # box over keypoints


@pytest.fixture(scope="module")
def boxes(two_people):
    """(2, 4) left, top, width, height about each person, the one on the right first."""
    low, high = (f(two_people[1][..., :2], axis=1) for f in (np.min, np.max))
    return np.concatenate([low, high - low], 1)[::-1].copy()


def test_in_each_box_its_own_person_is_seen(two_people, boxes, found):
    image, truth = two_people
    seen = EyesOn(InBoxes(boxes, TIGHT), "lite").find(None, image)
    assert seen.numbers == (0, 1)
    height = np.ptp(truth[::-1, :, 1], axis=1)
    limbs = range(1, 15)
    away = np.linalg.norm(seen.keypoints[:, limbs, :2] - truth[::-1, limbs, :2], axis=-1)
    assert (np.median(away, axis=1) < 0.06 * height).all()
    assert (seen.extra["agreement"] > 0.5).all()
    assert "score" not in seen.extra  # nobody asked a detector
    assert len(seen.points) == 2


def test_whoever_fills_the_picture_needs_no_box(two_people):
    image, truth = two_people
    seen = EyesOn(Whole(), "lite").find(None, np.ascontiguousarray(image[:, :320]))
    away = np.linalg.norm(seen.keypoints[0, 1:15, :2] - truth[0, 1:15, :2], axis=-1)
    assert np.median(away) < 0.06 * np.ptp(truth[0, :, 1])


def test_a_box_without_anybody_says_so_and_spoils_nobody(two_people, boxes):
    image = np.concatenate([np.full((320, 200, 3), 120, np.uint8), two_people[0]], 1)
    empty = np.array([[20.0, 60, 100, 200]])
    both = np.concatenate([empty, boxes[:1] + np.array([200, 0, 0, 0])])
    seen = EyesOn(InBoxes(both, TIGHT), "lite").find(None, image)
    assert seen.numbers == (1,)
    assert "nobody was seen in the box" in seen.left_out[0]
    with pytest.raises(NobodyError, match=r"person 0: nobody was seen in the box \(\d+%\)"):
        EyesOn(InBoxes(empty), "lite").find(None, image)


def test_openposes_keypoints_stay_and_get_points_in_space(two_people, tmp_path):
    """Nobody is left out of whom the eyes see nothing: such points count nothing."""
    image, truth = two_people
    beside = truth[:1] + np.array([60.0, 0, 0])  # where there is nobody like that
    people = np.concatenate([truth, beside])
    numbers = [{"pose_keypoints_2d": one.ravel().tolist()} for one in people]
    (tmp_path / "k.json").write_text(json.dumps({"people": numbers}))
    plain = ByKeypoints(tmp_path / "k.json")
    seen = EyesOn(plain, "lite").find(None, image)
    np.testing.assert_array_equal(seen.keypoints, people)
    assert (seen.points.confidence.sum(1) > 0).tolist() == [True, True, False]
    assert EyesOn(plain, "lite").key(None) != EyesOn(plain, "full").key(None)
