"""People in photos without a file or a box: found, looked at, fitted."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.bodies.joints import OPENPOSE_NAMES
from hmrlab.models.detections import Detections
from hmrlab.photos import NobodyError
from hmrlab.photos.fitting import fit_people
from hmrlab.photos.landmarks import (
    LIMB_JOINTS,
    ByEyes,
    _trust,
    openpose_of,
    points_of,
    regions_about,
)
from hmrlab.photos.network import guess

LIMBS = [
    OPENPOSE_NAMES.index(f"{side}_{joint}")
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "knee", "ankle")
]
NAMES = {
    0: "nose",
    2: "left_eye",
    5: "right_eye",
    7: "left_ear",
    8: "right_ear",
    11: "left_shoulder",
    12: "right_shoulder",
    13: "left_elbow",
    14: "right_elbow",
    15: "left_wrist",
    16: "right_wrist",
    23: "left_hip",
    24: "right_hip",
    25: "left_knee",
    26: "right_knee",
    27: "left_ankle",
    28: "right_ankle",
    29: "left_heel",
    30: "right_heel",
    31: "left_big_toe",
    32: "right_big_toe",
}  # fmt: skip -- MediaPipe's documented order of its 33 landmarks


def test_each_landmark_is_the_keypoint_of_its_name():
    landmarks = np.stack([np.arange(33.0), 10 + np.arange(33.0)], 1)[None]
    visibility = np.linspace(0, 1, 33)[None]
    keypoints = openpose_of(landmarks, visibility)[0]
    for number, name in NAMES.items():
        expected = [number, 10 + number, visibility[0, number]]
        np.testing.assert_allclose(keypoints[OPENPOSE_NAMES.index(name)], expected)
    neck, hips = (keypoints[OPENPOSE_NAMES.index(name)] for name in ("neck", "mid_hip"))
    np.testing.assert_allclose(neck, [11.5, 21.5, visibility[0, 11]])
    np.testing.assert_allclose(hips, [23.5, 33.5, visibility[0, 23]])
    for name in ("left_small_toe", "right_small_toe"):
        assert not keypoints[OPENPOSE_NAMES.index(name)].any()


def test_everybody_is_found_with_their_keypoints(two_people, found):
    image, truth = two_people
    assert len(found) == 2
    order = np.argsort(found.boxes.center[:, 0].numpy())
    seen = found.keypoints[order]
    height = np.ptp(truth[..., 1], axis=1)
    away = np.linalg.norm(seen[:, LIMBS, :2] - truth[:, LIMBS, :2], axis=-1) / height[:, None]
    assert np.median(away) < 0.05
    assert found.extra["world"].shape == (2, 33, 3)
    assert ((found.extra["score"] > 0.2) & (found.extra["score"] <= 1)).all()
    assert image.shape == (320, 640, 3)


def test_whoever_lies_is_seen_as_whoever_stands(two_people):
    image, truth = two_people
    one = np.ascontiguousarray(np.rot90(image[:, :320]))  # counter-clockwise
    found = ByEyes("full").find(None, one)
    best = int(np.argmax(found.extra["score"]))
    upright = truth[0]
    expected = np.stack([upright[:, 1], 319 - upright[:, 0]], 1)
    away = np.linalg.norm(found.keypoints[best, LIMBS, :2] - expected[LIMBS], axis=-1)
    assert np.median(away) < 0.07 * np.ptp(upright[:, 1])


def test_whoever_leans_far_is_looked_at_upright():
    keypoints = np.zeros((2, 17, 3))
    keypoints[:, [5, 6], :2], keypoints[:, [11, 12], :2] = [[100, 50]], [[100, 150]]
    keypoints[1, [5, 6], :2] = [[200, 150]]  # head to the right
    keypoints[..., 2] = 1
    boxes = np.array([[50.0, 0, 150, 300], [50, 100, 250, 200]])
    regions = regions_about(Detections(boxes, np.ones(2), keypoints))
    np.testing.assert_allclose(regions.rotation_deg, [0, 90])


def test_a_portraits_square_is_about_the_whole_person():
    """BlazePose would find the legs of whoever has none in the picture."""
    keypoints = np.zeros((1, 17, 3))
    keypoints[0, [5, 6]] = [[200, 300, 0.9], [100, 300, 0.9]]
    portrait = Detections(np.array([[50.0, 100, 250, 400]]), np.ones(1), keypoints)
    regions = regions_about(portrait)
    np.testing.assert_allclose(regions.center, [[150, 440]])  # the hips, 1.4 widths below
    np.testing.assert_allclose(regions.side, [4.5 * 140])
    keypoints[0, [13, 14, 15, 16]] = [150, 380, 0.9]  # the legs are there
    whole = regions_about(portrait)
    assert whole.side[0] < 450
    assert whole.center[0, 1] < 300


def test_what_the_detector_does_not_see_counts_little():
    """Of feet it knows nothing; they count as the ankles do."""
    scores = np.zeros(25)
    scores[[OPENPOSE_NAMES.index("left_ankle"), OPENPOSE_NAMES.index("nose")]] = 0.15, 0.9
    trust = _trust(scores)
    for name, share in (("left_heel", 0.5), ("left_big_toe", 0.5), ("right_heel", 0), ("nose", 1)):
        assert trust[OPENPOSE_NAMES.index(name)] == pytest.approx(share)


def test_a_guess_that_blazepose_does_not_confirm_is_left_out(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    keypoints = np.full((1, 17, 3), 0.25)
    keypoints[0, :, :2] = np.random.default_rng(1).uniform(20, 180, (17, 2))
    guess = Detections(np.array([[10.0, 10, 190, 190]]), np.array([0.25]), keypoints)
    monkeypatch.setattr("hmrlab.photos.landmarks.find_people", lambda image: guess)
    with pytest.raises(NobodyError, match=r"a second look saw no person there \(\d+%\)"):
        ByEyes("lite").find(None, noise)


def test_a_picture_of_nobody_says_so():
    empty = np.full((200, 300, 3), 90, np.uint8)
    with pytest.raises(NobodyError, match=r"nobody was seen.*--box x,y,w,h.*--least-score"):
        ByEyes("lite").find(None, empty)


def test_bodies_are_fitted_to_what_was_seen(two_people, found, body, prior):
    fitted = fit_people(two_people[0], found, body, prior)
    assert fitted.numbers == found.numbers
    assert set(fitted.extra) >= {"reprojection", "score", "world", "presence"}
    assert len(fitted.extra["world"]) == len(fitted)
    size = found.boxes.side.numpy()
    assert (fitted.pixel_errors() < 0.06 * size).all()


def test_limbs_reach_as_far_towards_us_as_they_were_seen_to(two_people, found, body, prior):
    def away(fitted):
        with torch.no_grad():
            points = body.keypoints(fitted.posed.pose, fitted.posed.betas)
        known = found.points.confidence > 0
        return found.points.away(points)[:, 2][known].abs().mean()

    flat = replace(found, points=None)
    with_depth, without = (fit_people(two_people[0], each, body, prior) for each in (found, flat))
    assert away(with_depth) < 0.7 * away(without)


def test_a_networks_guess_is_one_more_start(two_people, found, body, prior, model):
    image, asked = two_people[0], []

    def ask(boxes):
        asked.append(len(boxes))
        return guess(model, image, boxes, model.resolution)

    best = fit_people(image, found, body, prior, guess=ask)
    assert asked == [2]
    alone = fit_people(image, found, body, prior)
    assert (best.posed.objective <= alone.posed.objective * (1 + 1e-4)).all()
    broken = copy.deepcopy(model)
    torch.nn.init.constant_(next(broken.parameters()), torch.nan)
    lost = fit_people(
        image, found, body, prior, guess=lambda boxes: guess(broken, image, boxes, model.resolution)
    )
    torch.testing.assert_close(lost.posed.pose, alone.posed.pose)


def test_somebody_elses_points_in_space_count_nothing():
    names = [name for name in OPENPOSE_NAMES if name in LIMB_JOINTS]
    rng = np.random.default_rng(0)
    keypoints, world = rng.uniform(size=(2, 25, 3)), rng.normal(size=(2, 33, 3))
    points = points_of(keypoints, world, np.array([0.9, 0.1]))
    assert (points.confidence[0] > 0).sum() == len(names) == 12
    assert not points.confidence[1].any()
    knee = OPENPOSE_NAMES.index("left_knee")
    np.testing.assert_allclose(points.points[0, knee], world[0, 25], rtol=1e-6)
    expected = 0.3 + 0.7 * keypoints[0, knee, 2]  # hidden ones are guessed rather well
    assert points.confidence[0, knee] == pytest.approx(expected)


def test_without_keypoints_there_is_nothing_to_fit(two_people, found, body, prior):
    with pytest.raises(NobodyError, match="no keypoints are known"):
        fit_people(two_people[0], replace(found, keypoints=None), body, prior)


@pytest.fixture
def hmrlab(hmrlab, monkeypatch, tmp_path, body):
    monkeypatch.setenv("HMRLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HMRLAB_BODY", raising=False)
    monkeypatch.setattr("hmrlab.bodies.load_body", lambda *_: body)  # the light one: quicker
    return hmrlab


def test_the_command_needs_nothing_but_the_photo(hmrlab, two_people, tmp_path):
    Image.fromarray(two_people[0]).save(tmp_path / "us.png")
    done = hmrlab("people", tmp_path / "us.png", "--eyes", "lite", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    made = {path.name for path in (tmp_path / "out" / "us").iterdir()}
    assert made >= {"overlay.png", "view.html", "person_0.obj", "person_1.npz", "photo.json"}
    again = hmrlab("people", tmp_path / "us.png", "--eyes", "lite", "--out", tmp_path / "out")
    assert "was done before" in again.out
    other = hmrlab(
        "people", tmp_path / "us.png", "--least-score", "0.99", "--out", tmp_path / "out"
    )
    assert (other.code, "nobody was seen" in " ".join(other.err.split())) == (1, True)


def test_eyes_that_do_not_come_along_are_refused(hmrlab, two_people, tmp_path):
    Image.fromarray(two_people[0]).save(tmp_path / "us.png")
    done = hmrlab("people", tmp_path / "us.png", "--eyes", "heavy")
    assert done.code == 2
    assert "'heavy' is not lite or full" in " ".join(done.err.replace("│", " ").split())


def test_openposes_keypoints_alone_are_fitted_as_fit_does(hmrlab, two_people, tmp_path):
    image, truth = two_people
    Image.fromarray(image).save(tmp_path / "us.png")
    people = [{"pose_keypoints_2d": one.ravel().tolist()} for one in truth]
    (tmp_path / "us.json").write_text(json.dumps({"people": people}))
    given = ("--keypoints", str(tmp_path / "us.json"), "--out", tmp_path / "out")
    done = hmrlab("people", tmp_path / "us.png", *given, "--no-3d", "--no-page")
    assert done.code == 0, done.err
    one = dict(np.load(tmp_path / "out" / "us" / "person_1.npz"))
    assert "world" not in one  # nobody looked
    given = (*given[:-1], tmp_path / "fit")
    assert hmrlab("fit", "--photo", tmp_path / "us.png", *given).code == 0
    other = dict(np.load(tmp_path / "fit" / "person_1.npz"))
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)


def test_a_box_says_whom_to_look_at_and_a_network_where_to_begin(hmrlab, two_people, tmp_path):
    Image.fromarray(two_people[0]).save(tmp_path / "us.png")
    asked = ("--box", "330,40,300,270", "--model", "shipped", "--eyes", "lite", "--no-page")
    done = hmrlab("people", tmp_path / "us.png", *asked, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "on a real photo it is a toy" in done.out
    one = np.load(tmp_path / "out" / "us" / "person_0.npz")
    assert one["box"][0] > 320
    assert (one["agreement"] > 0.5, one["world"].shape) == (True, (33, 3))
    shown = hmrlab("people", tmp_path / "us.png", *asked, "--no-fit", "--out", tmp_path / "shown")
    assert shown.code == 0, shown.err
    assert "box of 300 px about (480, 175)" in shown.out
