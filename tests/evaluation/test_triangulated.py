"""The protocol whose truth is triangulated keypoints, by bodies whose errors are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from miniature_capture import NAMES, Miniature

from hmrlab.bodies import SMPLParams
from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.captures.balance import CaptureSettings, open_balance
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.loader import load_rows
from hmrlab.evaluation.fits import fitted, mean_body
from hmrlab.evaluation.joint_sets import OPENPOSE_13
from hmrlab.evaluation.result import Evaluation
from hmrlab.files import FileProblem
from hmrlab.geometry import estimate_translation, translation_to_weak_perspective
from hmrlab.smplify import load_prior

FRAMES = 3


@pytest.fixture(scope="module")
def small():
    return Miniature.of(FRAMES)


@pytest.fixture(scope="module")
def dataset(small, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HMRLAB_HOME", str(home))
        source = small.write(home / "Demo_SinglePerson", 9)
        return open_balance(source, CaptureSettings(every=4), find=small.finder(4), progress=False)


@pytest.fixture
def truth(small, dataset, body):
    """The body before each camera, as a far camera would see it in the crop."""
    rotations = torch.cat([small.in_camera(camera) for camera in range(4)])
    betas = torch.zeros(len(dataset), 10)
    records = dataset.records
    half = torch.from_numpy(100 * records.scale)[:, None, None]
    center = torch.from_numpy(records.center)[:, None]
    flat = torch.from_numpy(records.keypoints[:, 25:]).clone()
    flat[..., :2] = 112 * (1 + (flat[..., :2] - center) / half)
    joints = torch.from_numpy(records.joints_3d[..., :3])
    camera = translation_to_weak_perspective(estimate_translation(joints, flat))
    hips = body.keypoints(rotations, betas)[:, [9, 12]].mean(1)
    return SMPLParams(rotations, betas, camera - torch.cat([0 * hips[:, :1], hips[:, :2]], 1))


def test_the_true_body_has_no_error(evaluate, dataset, truth, body):
    result = evaluate("balance", dataset, truth, body)
    assert result.count == 4 * FRAMES
    found = {name: e.value for name, e in result.summary(draws=10).items()}
    assert list(found) == ["mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_percent"]
    assert found["mpjpe_mm"] < 0.2
    assert found["pa_mpjpe_mm"] < 0.2
    assert found["keypoint_error_percent"] < 3  # a far camera is not the capture's near one


def test_errors_are_distances_about_the_middle_of_the_hips(evaluate, dataset, truth, body):
    """Recomputed from nothing but the record's joints and the body's keypoints."""
    wrong = replace(truth, rotations=truth.rotations.roll(1, 0))
    result = evaluate("balance", dataset, wrong, body)
    rows = [ANNOTATED_NAMES.index(name) for name in OPENPOSE_13.names]
    stored = dataset.records.joints_3d[:, rows, :3]
    true = stored - stored[:, 7:9].mean(1, keepdims=True)
    points = body.keypoints(wrong.rotations, wrong.betas).numpy()
    hips = points[:, [9, 12]].mean(1, keepdims=True)  # openpose_right_hip and openpose_left_hip
    order = [0, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11]
    errors = 1000 * np.linalg.norm(points[:, order] - hips - true, axis=-1)
    np.testing.assert_allclose(result.scores.joint_error_mm, errors, rtol=1e-3, atol=1e-2)


def test_each_camera_is_told_by_itself(evaluate, dataset, truth, body, tmp_path):
    rotations = truth.rotations.clone()
    rotations[:FRAMES, 16] = torch.eye(3)  # a shoulder, before the first camera
    result = evaluate("balance", dataset, replace(truth, rotations=rotations), body)
    by_camera = result.by_sequence()
    assert tuple(by_camera) == NAMES
    assert by_camera["cam01"]["mpjpe_mm"] > 5 > by_camera["cam02"]["mpjpe_mm"]
    figure = f"{by_camera['cam01']['mpjpe_mm']:.1f} mm"
    text = result.describe(draws=5)
    assert f"camera cam01: MPJPE {figure}" in text
    assert "4 sequences, since frames of one are alike (so few that they are rough)" in text
    again = Evaluation.load(result.save(tmp_path, draws=5))
    assert again.by_sequence() == by_camera
    assert "one man, one room" in (tmp_path / "report.txt").read_text()


def test_a_view_without_all_joints_is_left_out(evaluate, dataset, truth, body):
    joints = dataset.records.joints_3d.copy()
    joints[2, ANNOTATED_NAMES.index("nose"), 3] = 0
    joints[4, ANNOTATED_NAMES.index("left_eye"), 3] = 0  # none of the 13
    fewer = PoseDataset(replace(dataset.records, joints_3d=joints), dataset.images, dataset.name)
    result = evaluate("balance", fewer, truth, body)
    assert result.index.tolist() == [k for k in range(4 * FRAMES) if k != 2]
    joints[..., 3] = 0
    with pytest.raises(FileProblem, match=r"keypoints in 3D \('S'\)"):
        evaluate("balance", fewer, truth, body)


def test_fits_see_the_detectors_keypoints_alone(dataset, truth, body):
    """From the truth they stay near it; with wrong labels and right detections they do, too."""
    batch = load_rows(dataset, np.arange(FRAMES), 32)
    keypoints = batch.keypoints_2d.clone()
    keypoints[:, 25:, :2] = 0.9  # what annotators would have said
    misled = replace(batch, keypoints_2d=keypoints)
    predict = fitted(body, load_prior(body="free"), lambda batch: truth[batch.index])
    found = predict(misled)
    torch.testing.assert_close(found.rotations, predict(batch).rotations)
    points = body.keypoints(found.rotations, found.betas)
    wanted = body.keypoints(truth.rotations[:FRAMES], truth.betas[:FRAMES])
    off = (points - points[:, [8]] - wanted + wanted[:, [8]]).norm(dim=-1)
    assert float(off.mean()) < 0.12
    cold = fitted(body, load_prior(body="free"))(batch)
    assert cold.camera.isfinite().all()
    assert (cold.camera[:, 0] > 0.3).all()


def test_the_mean_body_stands_upright_where_the_keypoints_are(evaluate, dataset, body):
    prior = load_prior(body="free")
    batch = load_rows(dataset, np.arange(len(dataset)), 32)
    found = mean_body(body, prior)(batch)
    assert found.rotations.flatten(1).unique(dim=0).shape[0] == 1
    joints = body.joints(found.rotations, found.betas)
    assert (joints[:, 15, 1] < joints[:, 0, 1] - 0.4).all()  # the head above; y is down
    elsewhere = replace(found, camera=found.camera + torch.tensor([0, 0.3, 0]))
    placed, beside = (
        evaluate("balance", dataset, each, body).values("keypoint_error_percent").mean()
        for each in (found, elsewhere)
    )
    assert placed + 5 < beside
