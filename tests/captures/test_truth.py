"""The truth that cameras agree on, of a body whose joints are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from miniature_capture import NAMES, Miniature

from hmrlab.bodies.joints import ANNOTATED_NAMES, OPENPOSE_NAMES
from hmrlab.captures.truth import LEFT_OUT, Views, find_truth, point_cameras, samples_of
from hmrlab.evaluation.joint_sets import OPENPOSE_13

FRAMES = 6
MIRROR = [
    OPENPOSE_NAMES.index(
        name.replace("left", "right") if "left" in name else name.replace("right", "left")
    )
    for name in OPENPOSE_NAMES
]
ARMS = [k for k, n in enumerate(OPENPOSE_NAMES) if n.endswith(("shoulder", "elbow", "wrist"))]


@pytest.fixture(scope="module")
def small():
    return Miniature.of(FRAMES)


@pytest.fixture
def views(small):
    """What a detector sees that is two pixels off."""
    keypoints = small.keypoints()
    keypoints[..., :2] += np.random.default_rng(0).normal(0, 2, keypoints[..., :2].shape)
    return Views(10 * np.arange(FRAMES), keypoints, small.world())


def off_mm(truth, small):
    return 1000 * np.linalg.norm(truth.points - small.points.numpy(), axis=-1)


def test_joints_are_where_they_are(small, views):
    truth = find_truth(views, small.cameras)
    off = off_mm(truth, small)
    toes = [OPENPOSE_NAMES.index(name) for name in ("left_small_toe", "right_small_toe")]
    assert np.isnan(off[:, toes]).all()
    off = np.delete(off, toes, 1)
    assert off.max() < 15  # two pixels are 5 mm
    told = 1000 * np.delete(truth.uncertainty, toes, 1)
    assert np.sqrt(np.mean(told**2)) == pytest.approx(np.sqrt(np.mean(off**2)), rel=0.3)
    assert truth.complete.all()
    assert not truth.exchanged.any()


def test_wrong_views_do_no_harm_and_are_told(small, views):
    """One camera has the arms the wrong way round, one sees somebody else, one sees nobody."""
    keypoints = views.keypoints.copy()
    keypoints[1, 3, ARMS] = keypoints[1, 3][MIRROR][ARMS]
    keypoints[2, 0, :, :2] *= 0.5
    keypoints[3, 2] = 0
    truth = find_truth(replace(views, keypoints=keypoints), small.cameras)
    assert np.nanmax(off_mm(truth, small)) < 20
    assert np.argwhere(truth.exchanged).tolist() == [[1, 0, 3]]
    assert not truth.agrees[2, :, 0].any()
    assert not truth.agrees[3, :, 2].any()
    assert truth.complete.all()
    assert "left and right put right in 1 of 24 views" in truth.describe()
    assert len(truth.describe().splitlines()) == 3 + len(OPENPOSE_13)


def test_cameras_that_point_a_little_elsewhere_are_pointed_back(small, views):
    """Up to a move of the whole world, which nobody sees: the body keeps its form."""
    moved = small.cameras.intrinsics.clone()
    moved[:, :2, 2] += torch.tensor([[9.0, 1.0], [-6.0, -2.0], [7.0, 9.0], [-1.0, -5.0]])
    wrong = replace(small.cameras, intrinsics=moved)
    cameras = point_cameras(views, wrong)
    hips = [OPENPOSE_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    form = small.points.numpy() - small.points.numpy()[:, hips].mean(1, keepdims=True)

    def off(some):
        points = find_truth(views, some).points
        return 1000 * np.nanmean(np.abs(points - points[:, hips].mean(1, keepdims=True) - form))

    def told(some):
        return 1000 * np.nanmedian(find_truth(views, some).uncertainty)

    assert told(cameras) == pytest.approx(told(small.cameras), rel=0.2)
    assert told(wrong) > 2 * told(cameras)
    assert off(cameras) < 1.3 * off(small.cameras)


def test_samples_are_the_truth_as_each_camera_sees_it(small, views):
    keypoints = views.keypoints.copy()
    keypoints[4, 0, OPENPOSE_NAMES.index("left_wrist"), 2] = 0.05
    keypoints[4, 1, OPENPOSE_NAMES.index("left_wrist"), 2] = 0
    views = replace(views, keypoints=keypoints)
    truth = find_truth(views, small.cameras)
    assert truth.complete.tolist() == [True] * 4 + [False, True]
    samples = samples_of(truth, views, small.cameras, NAMES)
    assert samples.skipped == {LEFT_OUT: 4}
    found = samples.arrays
    assert len(samples) == 4 * (FRAMES - 1)
    assert found["imgname"][[0, 4, -1]].tolist() == [
        "cam01_00000.jpg", "cam01_00050.jpg", "cam04_00050.jpg",
    ]  # fmt: skip
    rows = 5 + np.arange(5)  # of the second camera
    frames = [0, 1, 2, 3, 5]
    np.testing.assert_array_equal(found["openpose"][rows], keypoints[frames, 1])
    np.testing.assert_array_equal(found["world"][rows], views.world[frames, 1])
    joint, known = ANNOTATED_NAMES.index("right_knee"), OPENPOSE_NAMES.index("right_knee")
    pixels = small.keypoints()[frames, 1]
    np.testing.assert_allclose(found["part"][rows, joint, :2], pixels[:, known, :2], atol=6)
    local = small.cameras.in_frames(small.points).numpy()[frames, :, 1]
    hips = [OPENPOSE_NAMES.index(f"{side}_hip") for side in ("left", "right")]
    wanted = local[:, known] - local[:, hips].mean(1)
    np.testing.assert_allclose(found["S"][rows, joint, :3], wanted, atol=0.02)
    assert (found["S"][:, joint, 3] == 1).all()
    assert (found["S"][:, ANNOTATED_NAMES.index("thorax_mpii")] == 0).all()
    low, high = pixels[..., :2][:, pixels[0, :, 2] > 0].min(1), None
    high = pixels[..., :2][:, pixels[0, :, 2] > 0].max(1)
    np.testing.assert_allclose(found["center"][rows], (low + high) / 2, atol=6)
    np.testing.assert_allclose(200 * found["scale"][rows], 1.2 * (high - low).max(1), atol=12)
