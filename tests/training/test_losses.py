"""The losses against SPIN's numbers, and what the masks must keep out."""

from dataclasses import fields, replace

import pytest
import torch
from torch.autograd import gradcheck
from torch.testing import assert_close

from hmrlab.bodies import SMPLParams
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.data.batch import Batch
from hmrlab.geometry import axis_angle_to_matrix, project_normalised
from hmrlab.losses import (
    LossWeights,
    betas_loss,
    camera_loss,
    compute_losses,
    heatmap_loss,
    keypoint_3d_loss,
    keypoint_loss,
    pose_loss,
    vertex_loss,
)

SPIN = {"rtol": 1e-4, "atol": 0}


@pytest.fixture
def labelled(golden) -> dict[str, torch.Tensor]:
    """The golden labels with rotation matrices for axis-angles and truth values for 0 and 1."""
    return {name: value.clone() for name, value in golden.items() if name.startswith("l_")} | {
        "rotations": axis_angle_to_matrix(golden["l_gt_pose"].view(-1, 24, 3)),
        "has_smpl": golden["l_has_smpl"].bool(),
        "has_pose_3d": golden["l_has_pose_3d"].bool(),
    }


def make_batch(labelled) -> Batch:
    count = len(labelled["has_smpl"])
    return Batch(
        images=torch.zeros(count, 3, 8, 8),
        keypoints_2d=labelled["l_gt_kp2d"],
        keypoints_3d=labelled["l_gt_kp3d"],
        rotations=labelled["rotations"],
        betas=labelled["l_gt_betas"],
        has_smpl=labelled["has_smpl"],
        has_pose_3d=labelled["has_pose_3d"],
        index=torch.arange(count),
        source=torch.zeros(count, dtype=torch.long),
        is_flipped=torch.zeros(count, dtype=torch.bool),
        rot_angle=torch.zeros(count),
    )


def make_prediction(labelled, golden) -> SMPLParams:
    return SMPLParams(
        labelled["l_pred_rotmat"].clone().requires_grad_(),
        labelled["l_pred_betas"].clone().requires_grad_(),
        golden["weak_cam"].clone().requires_grad_(),
    )


def test_keypoint_loss_equals_spin(golden):
    loss = keypoint_loss(golden["l_pred_kp2d"], golden["l_gt_kp2d"], 0.0, 1.0)
    assert_close(loss, golden["loss_keypoints"], **SPIN)


def test_keypoint_3d_loss_equals_spin(golden, labelled):
    loss = keypoint_3d_loss(
        golden["l_pred_kp3d"][:, ANNOTATED], golden["l_gt_kp3d"], labelled["has_pose_3d"]
    )
    assert_close(loss, golden["loss_keypoints_3d"], **SPIN)


def test_pose_and_betas_losses_equal_spin(golden, labelled):
    pose = pose_loss(golden["l_pred_rotmat"], labelled["rotations"], labelled["has_smpl"])
    assert_close(pose, golden["loss_regr_pose"], **SPIN)
    betas = betas_loss(golden["l_pred_betas"], golden["l_gt_betas"], labelled["has_smpl"])
    assert_close(betas, golden["loss_regr_betas"], **SPIN)


def test_total_equals_spin(golden, labelled, monkeypatch):
    monkeypatch.setattr(
        "hmrlab.losses.project_normalised", lambda points, camera: golden["l_pred_kp2d"]
    )
    losses = compute_losses(
        make_prediction(labelled, golden),
        make_batch(labelled),
        golden["l_pred_kp3d"],
        LossWeights(),
    )
    assert_close(losses["total"].detach(), golden["loss_total_of_these"], **SPIN)
    assert_close(losses["pose"].detach(), golden["loss_regr_pose"], **SPIN)
    assert set(losses) == {"keypoints", "keypoints_3d", "pose", "betas", "camera", "total"}


def test_perfect_prediction_costs_nothing_but_the_camera(labelled, golden):
    keypoints, camera = golden["l_pred_kp3d"] * 0.3, golden["weak_cam"]
    prediction = SMPLParams(labelled["rotations"], labelled["l_gt_betas"], camera)
    ones = torch.ones(8, 49, 1)
    labelled["l_gt_kp2d"] = torch.cat((project_normalised(keypoints, camera), ones), -1)
    labelled["l_gt_kp3d"] = torch.cat((keypoints[:, ANNOTATED] + 0.7, ones[:, :24]), -1)
    losses = compute_losses(prediction, make_batch(labelled), keypoints, LossWeights(openpose=1.0))
    for name in ("keypoints", "keypoints_3d", "pose", "betas"):
        assert_close(losses[name], torch.tensor(0.0), rtol=0, atol=1e-9)
    assert_close(losses["total"], 60 * losses["camera"])


def test_terms_of_weight_zero_are_not_computed(labelled, golden):
    labelled["rotations"][:] = torch.nan  # any use of these would show
    labelled["l_gt_betas"][:] = torch.nan
    labelled["has_smpl"][:] = True
    losses = compute_losses(
        make_prediction(labelled, golden),
        make_batch(labelled),
        golden["l_pred_kp3d"],
        LossWeights(pose=0.0, betas=0.0, camera=0.0),
    )
    assert set(losses) == {"keypoints", "keypoints_3d", "total"}
    expected = 60 * 5 * (losses["keypoints"] + losses["keypoints_3d"])
    assert_close(losses["total"], expected)


@pytest.mark.parametrize("name", ["keypoints", "keypoints_3d", "pose", "betas", "camera"])
def test_each_weight_moves_its_own_term(labelled, golden, name):
    def total(weights):
        prediction, batch = make_prediction(labelled, golden), make_batch(labelled)
        return compute_losses(prediction, batch, 0.3 * golden["l_pred_kp3d"], weights)

    once = total(LossWeights())
    twice = total(replace(LossWeights(), **{name: 2 * getattr(LossWeights(), name)}))
    added = 60 * getattr(LossWeights(), name) * once[name]
    assert_close(twice["total"], once["total"] + added)


@pytest.mark.parametrize("scale", [1.2, 0.3, 0.0, -1.49])
def test_the_cameras_loss_is_spins(scale):
    camera = torch.tensor([[scale, 0.1, -0.2]], dtype=torch.float64)
    spins = torch.exp(-camera[:, 0] * 10) ** 2
    assert_close(camera_loss(camera), spins.mean(), rtol=1e-12, atol=0)


def test_a_camera_thrown_far_behind_costs_much_but_not_infinitely_much():
    scale = torch.tensor([-1.5, -1.75, -2.0, -5.0, -100.0], requires_grad=True)
    camera = torch.nn.functional.pad(scale[:, None], (0, 2))
    losses = torch.stack([camera_loss(row[None]) for row in camera])
    slope = 20 * torch.tensor(30.0).exp()
    assert_close(losses.diff(), slope * -scale.detach().diff(), rtol=1e-4, atol=0)
    losses.sum().backward()
    assert_close(scale.grad, -slope.expand(5), rtol=1e-4, atol=0)
    assert scale.grad.norm().isfinite()


def test_nothing_labelled_costs_nothing_and_has_a_gradient(labelled, golden):
    labelled["has_smpl"][:] = False
    labelled["has_pose_3d"][:] = False
    labelled["l_gt_kp2d"][..., 2] = 0
    prediction = make_prediction(labelled, golden)
    keypoints = golden["l_pred_kp3d"].clone().requires_grad_()
    losses = compute_losses(prediction, make_batch(labelled), keypoints, LossWeights(camera=0.0))
    assert float(losses["total"].detach()) == 0.0
    losses["total"].backward()
    for value in (prediction.rotations, prediction.betas, prediction.camera, keypoints):
        assert torch.equal(value.grad, torch.zeros_like(value))


def test_without_any_term_the_total_is_zero(labelled, golden):
    weights = LossWeights(**{field.name: 0.0 for field in fields(LossWeights)})
    losses = compute_losses(
        make_prediction(labelled, golden), make_batch(labelled), golden["l_pred_kp3d"], weights
    )
    assert set(losses) == {"total"}
    assert float(losses["total"]) == 0.0


def test_nan_in_place_of_missing_labels_reaches_neither_loss_nor_gradient(labelled, golden):
    def losses_and_gradients():
        prediction = make_prediction(labelled, golden)
        keypoints = (0.3 * golden["l_pred_kp3d"]).requires_grad_()
        losses = compute_losses(prediction, make_batch(labelled), keypoints, LossWeights())
        losses["total"].backward()
        leaves = (prediction.rotations, prediction.betas, prediction.camera, keypoints)
        return losses["total"].detach(), [leaf.grad for leaf in leaves]

    hidden = labelled["l_gt_kp2d"][..., 2] < 0.5
    labelled["l_gt_kp2d"][hidden] = 0
    total, gradients = losses_and_gradients()
    labelled["l_gt_kp2d"][..., :2][hidden] = torch.nan
    labelled["l_gt_kp3d"][~labelled["has_pose_3d"]] = torch.nan
    labelled["rotations"][~labelled["has_smpl"]] = torch.nan
    labelled["l_gt_betas"][~labelled["has_smpl"]] = torch.nan
    total_with_nan, gradients_with_nan = losses_and_gradients()
    assert hidden.any()
    assert not labelled["has_smpl"].all()
    assert not labelled["has_pose_3d"].all()
    assert_close(total_with_nan, total)
    for with_nan, without in zip(gradients_with_nan, gradients, strict=True):
        assert_close(with_nan, without)


def test_unlabelled_samples_do_not_dilute_the_mean(labelled, golden):
    mask = labelled["has_smpl"]
    kept = pose_loss(golden["l_pred_rotmat"][mask], labelled["rotations"][mask], mask[mask])
    assert_close(pose_loss(golden["l_pred_rotmat"], labelled["rotations"], mask), kept)


def test_3d_loss_does_not_see_where_the_body_stands(golden, labelled):
    predicted = golden["l_pred_kp3d"][:, ANNOTATED]
    moved = predicted + torch.tensor([1.0, -2.0, 3.0])
    known = labelled["has_pose_3d"]
    assert_close(
        keypoint_3d_loss(moved, golden["l_gt_kp3d"], known),
        keypoint_3d_loss(predicted, golden["l_gt_kp3d"], known),
        rtol=1e-4,
        atol=0,
    )


def test_vertex_loss_is_the_mean_distance_along_the_axes(labelled, golden):
    true = torch.zeros(8, 10, 3)
    predicted = true + torch.tensor([0.3, 0.0, -0.6])
    predicted[~labelled["has_smpl"]] = 100.0
    assert_close(vertex_loss(predicted, true, labelled["has_smpl"]), torch.tensor(0.3))
    prediction, batch = make_prediction(labelled, golden), make_batch(labelled)
    weights = LossWeights(vertices=2.0)
    losses = compute_losses(
        prediction, batch, golden["l_pred_kp3d"], weights, vertices=(predicted, true)
    )
    assert_close(losses["vertices"], torch.tensor(0.3))
    with pytest.raises(ValueError, match=r"pass vertices=\(predicted, labelled\)"):
        compute_losses(prediction, batch, golden["l_pred_kp3d"], weights)


def test_camera_loss_grows_where_the_scale_nears_zero():
    def of(scale):
        return float(camera_loss(torch.tensor([[scale, 0.0, 0.0]])))

    assert of(0.9) < 1e-7
    assert of(0.0) == pytest.approx(1.0)
    assert of(-0.1) == pytest.approx(7.389, rel=1e-3)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randn(3, 24, 3, generator=generator, dtype=torch.float64)
    labels = torch.rand(3, 24, 4, generator=generator, dtype=torch.float64)
    mask = torch.tensor([True, False, True])
    assert gradcheck(lambda p: keypoint_3d_loss(p, labels, mask), (predicted.requires_grad_(),))
    camera = torch.tensor([[0.3, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert gradcheck(camera_loss, (camera,))


def test_labels_are_left_as_they_are(labelled, golden):
    """What a weight of 0 switches off is still there for whoever looks at the batch next."""
    batch = make_batch(labelled)
    before = {name: value.clone() for name, value in vars(batch).items()}
    prediction = make_prediction(labelled, golden)
    compute_losses(prediction, batch, golden["l_pred_kp3d"], LossWeights(openpose=0.0))
    for name, value in vars(batch).items():
        assert torch.equal(value, before[name]), name


def test_a_keypoint_on_the_pictures_edge_is_within_the_picture():
    label = torch.tensor([[[1.0, -1.0, 1.0]]])
    assert heatmap_loss(torch.zeros(1, 1, 4, 4), label, 1.0) > 0
    assert heatmap_loss(torch.zeros(1, 1, 4, 4), label + 1e-6, 1.0) == 0


def test_detected_and_annotated_keypoints_have_weights_of_their_own():
    """An error of 1 in x of every keypoint, half of each believed: 0.5 of each group's share."""
    labelled = torch.zeros(2, 49, 3)
    labelled[..., 2] = 0.5
    predicted = torch.tensor([1.0, 0.0]).expand(2, 49, 2)
    for openpose, annotated in ((1.0, 0.0), (0.0, 1.0), (0.3, 0.7), (2.0, 2.0)):
        expected = 0.5 * (25 * openpose + 24 * annotated) / (49 * 2)
        loss = keypoint_loss(predicted, labelled, openpose, annotated)
        assert_close(loss, torch.tensor(expected))


def test_a_joint_of_a_labelled_person_that_is_not_known_may_be_nan(golden, labelled):
    """Without confidence it counts as if it were met."""
    predicted = golden["l_pred_kp3d"][:, ANNOTATED].clone().requires_grad_()
    labels, known = labelled["l_gt_kp3d"], torch.ones(8, dtype=torch.bool)
    labels[:, 20:, 3] = 0
    expected = keypoint_3d_loss(predicted, labels, known).detach()
    labels[:, 20:, :3] = torch.nan
    loss = keypoint_3d_loss(predicted, labels, known)
    assert_close(loss.detach(), expected)
    loss.backward()
    assert torch.isfinite(predicted.grad).all()
    assert not predicted.grad[:, 20:].any()
