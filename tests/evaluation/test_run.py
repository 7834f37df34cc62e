"""Evaluations by protocol, of predictions whose errors are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.bodies import Body, SMPLParams, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.joints import ANNOTATED_TO_J17
from hmrlab.data.dataset import PoseDataset
from hmrlab.data.images import ImageSource
from hmrlab.data.records import Records
from hmrlab.evaluation.evaluate import evaluate_on, evaluate_predictions
from hmrlab.evaluation.joint_sets import H36M_17
from hmrlab.evaluation.protocols import get_protocol
from hmrlab.evaluation.result import pck_curve
from hmrlab.evaluation.segmentation import predicted_parts
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.models import HMR, create_encoder

CAMERA = (0.9, 0.0, 0.0)


@pytest.mark.parametrize("name", ["3dpw", "mpi-inf-3dhp", "h36m-p1", "h36m-p2"])
def test_the_truth_has_no_error(evaluate, name, twin, truths, body):
    result = evaluate(f"twin:{name}", twin(name), truths(name), body)
    assert result.count == (2 if name == "h36m-p2" else 8)
    found = result.summary(draws=10)
    assert list(found) == list(get_protocol(name).metrics)
    assert found["mpjpe_mm"].value == pytest.approx(0, abs=0.01)
    assert found["pa_mpjpe_mm"].value == pytest.approx(0, abs=0.01)
    if name == "mpi-inf-3dhp":
        assert found["pck_percent"].value == 100
        assert found["auc_percent"].value == pytest.approx(100 * 30 / 31)


def test_stored_joints_are_compared_centred_and_in_spins_order(evaluate, twin, truths, body):
    """Recomputed with nothing but the arrays of the record file and the regressed joints."""
    dataset, truth = twin("mpi-inf-3dhp"), truths("mpi-inf-3dhp")
    wrong = replace(truth, rotations=truth.rotations.roll(1, 0))
    result = evaluate("twin:mpi-inf-3dhp", dataset, wrong, body)
    stored = dataset.records.joints_3d[..., :3]
    true = (stored - stored[:, [14]])[:, list(ANNOTATED_TO_J17)]
    regressed = body.h36m(wrong.rotations, wrong.betas).numpy()
    predicted = (regressed - regressed[:, [0]])[:, [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8,
                                                    10, 0, 7, 9]]  # fmt: skip
    errors = 1000 * np.linalg.norm(predicted - true, axis=-1)
    np.testing.assert_allclose(result.scores.joint_error_mm, errors, rtol=1e-3, atol=1e-2)
    found = result.summary(draws=10)
    assert found["mpjpe_mm"].value == pytest.approx(errors.mean(), rel=1e-4)
    assert found["pck_percent"].value == pytest.approx(100 * (errors[:, :14] < 150).mean())
    curve = [100 * (errors[:, :14] < t).mean() for t in range(0, 151, 5)]
    counted = pck_curve(result.scores.joint_error_mm[:, :14]).mean(0)
    np.testing.assert_allclose(counted, curve, atol=1e-3)
    assert found["auc_percent"].value == pytest.approx(np.mean(curve))


def test_the_true_body_fills_its_masks(evaluate, twin, truths, body):
    """Not to the pixel: the network's camera is far away, the pictures' is 3 to 8 m off."""
    result = evaluate("twin:lsp", twin("lsp"), truths("lsp"), body)
    found = {name: e.value for name, e in result.summary(draws=10).items()}
    assert found["mask_f1"] > 0.95
    assert found["person_f1"] > 0.9
    assert found["parts_f1"] > 0.85
    assert found["mask_accuracy_percent"] > 98.5
    assert not result.warnings()


def test_a_body_that_faces_away_has_its_mask_and_not_its_parts(evaluate, twin, truths, body):
    truth = truths("lsp")
    about_y = axis_angle_to_matrix(torch.tensor([0.0, np.pi, 0.0]))
    rotations = truth.rotations.clone()
    rotations[:, 0] = rotations[:, 0] @ about_y
    right = evaluate("twin:lsp", twin("lsp"), truth, body)
    away = evaluate("twin:lsp", twin("lsp"), replace(truth, rotations=rotations), body)
    lost = {
        name: right.summary(draws=2)[name].value - away.summary(draws=2)[name].value
        for name in ("person_f1", "parts_f1")
    }
    assert lost["parts_f1"] > 1.5 * lost["person_f1"] > 0


def larger(by: float) -> Body:
    arrays = read_body_file(ASSETS / "free_body_light.npz")
    return Body(replace(arrays, v_template=by * arrays.v_template, shapedirs=by * arrays.shapedirs))


def test_each_gender_has_its_own_true_body(evaluate, twin, truths, body):
    """Women's bodies one tenth larger: an error of a tenth of each joint's distance, for them."""
    dataset, truth = twin("3dpw"), truths("3dpw")
    assert dataset.records.texts["gender"].tolist() == ["m", "f"] * 4
    bodies = {"m": body, "f": larger(1.1), "n": body}
    result = evaluate("twin:3dpw", dataset, truth, bodies)
    joints = body.h36m(truth.rotations, truth.betas)
    reach = (joints - joints[:, :1])[:, H36M_17.rows(["right_ankle", "left_wrist"])].norm(dim=-1)
    expected = (1000 * 0.1 * reach).numpy() * np.array([0, 1] * 4)[:, None]
    found = result.scores.joint_error_mm[:, [0, 11]]
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=0.02)
    assert result.values("pa_mpjpe_mm").max() < 0.05  # which forgives size
    in_bytes = {"gender": dataset.records.texts["gender"].astype("S1")}  # as SPIN's files have it
    stored = PoseDataset(replace(dataset.records, texts=in_bytes), dataset.images, dataset.name)
    again = evaluate("twin:3dpw", stored, truth, bodies)
    np.testing.assert_array_equal(again.values("mpjpe_mm"), result.values("mpjpe_mm"))
    with pytest.raises(ValueError, match="missing: \\['f'\\]"):
        evaluate("twin:3dpw", dataset, truth, {"m": body, "n": body})


def test_a_twisted_forearm_shows_in_rotations_only(evaluate, twin, truths, body):
    truth = truths("3dpw")
    along = body.rest_joints(torch.zeros(1, 10))[0]
    bone = torch.nn.functional.normalize(along[20] - along[18], dim=0)
    rotations = truth.rotations.clone()
    rotations[:, 18] = rotations[:, 18] @ axis_angle_to_matrix(1.5 * bone)
    result = evaluate("twin:3dpw", twin("3dpw"), replace(truth, rotations=rotations), body)
    found = {name: e.value for name, e in result.summary(draws=2).items()}
    assert found["elbow_twist_error_deg"] == pytest.approx(np.degrees(1.5) / 2, abs=0.1)
    assert found["mpjpe_mm"] < 10 < 100 * found["pve_mm"]


def test_a_network_is_evaluated_and_comes_back_as_it_was(twin, body):
    model = HMR(create_encoder("small")).train()
    protocol = get_protocol("twin:3dpw")
    result = evaluate_on(model, protocol, twin("3dpw"), body, resolution=32)
    assert model.training
    again = evaluate_on(model, protocol, twin("3dpw"), body, resolution=32, batch_size=5)
    for part, same in ((result.predictions, again.predictions), (result.scores, again.scores)):
        for name, values in part.arrays().items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(getattr(same, name), values, rtol=1e-2, atol=1e-2)
    assert np.isfinite(result.values("mpjpe_mm")).all()
    assert result.predictions.pose.shape == (8, 72)


def test_a_prediction_that_is_not_finite_is_named_with_its_picture(evaluate, twin, truths, body):
    truth = truths("3dpw")
    truth.betas[5, 2] = torch.nan
    name = str(twin("3dpw").records.imgname[5])
    with pytest.raises(ValueError, match=rf"sample\(s\) \[5\] is not finite(.|\n)*{name}"):
        evaluate("twin:3dpw", twin("3dpw"), truth, body)


def test_too_few_predictions_are_refused(twin, body):
    with pytest.raises(ValueError, match="a prediction for each of 3 people, got 1"):
        evaluate_predictions(
            lambda batch: SMPLParams(batch.rotations[:1], batch.betas[:1], torch.zeros(1, 3)),
            get_protocol("twin:3dpw"), twin("3dpw"), body, resolution=32, batch_size=3,
        )  # fmt: skip


def test_a_set_without_samples_or_without_the_labels_says_so(evaluate, twin, truths, body):
    with pytest.raises(ValueError, match="the set is empty"):
        evaluate("twin:3dpw", twin("3dpw").first(0), truths("3dpw"), body)
    for name, data, words in (
        ("twin:3dpw", "lsp", "true SMPL parameters"),
        ("twin:mpi-inf-3dhp", "3dpw", r"3D joints, and the pelvis \('S'\)"),
        ("twin:lsp", "3dpw", "masks"),
    ):
        with pytest.raises(FileProblem, match=rf"records\.npz: none of its 8 samples .*{words}"):
            evaluate(name, twin(data), truths("3dpw"), body)


def test_samples_without_labels_are_left_out_and_counted(evaluate, twin, truths, body):
    dataset = twin("mpi-inf-3dhp")
    joints = dataset.records.joints_3d.copy()
    joints[2, 14, 3] = 0  # no pelvis to centre on
    joints[6, 0, 3] = 0  # no right ankle
    joints[7, 13, 3] = 0  # the top of the head is none of the 17
    records = replace(dataset.records, joints_3d=joints)
    fewer = PoseDataset(records, dataset.images, dataset.name)
    result = evaluate("twin:mpi-inf-3dhp", fewer, truths("mpi-inf-3dhp"), body)
    assert result.index.tolist() == [0, 1, 3, 4, 5, 7]
    assert sum(result.left_out.values()) == 2
    assert "left out: 2 without all of the protocol's 3D joints" in result.describe(draws=5)


@pytest.fixture
def photos(tmp_path, body):
    """LSP as it is on a disk: three pictures of 80 x 60, masks beside them, the body in all."""
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations = torch.eye(3).repeat(3, 24, 1, 1)
    rotations[:, 0] = turn
    truth = SMPLParams(rotations, torch.zeros(3, 10), torch.tensor(CAMERA).repeat(3, 1))
    center = torch.tensor([[40.0, 30.0], [30.0, 30.0], [50.0, 20.0]])
    scale = torch.full((3,), 0.3)
    drawn = predicted_parts(truth, body, center, scale, [(60, 80)] * 3)
    names = {"imgname": [], "maskname": [], "partname": []}
    for k, parts in enumerate(drawn):
        for key, name, values in (
            ("imgname", f"im{k}.png", np.full((60, 80, 3), 99, np.uint8)),
            ("maskname", f"im{k}_mask.png", np.where(parts > 0, 255, 0).astype(np.uint8)),
            ("partname", f"im{k}_parts.png", parts),
        ):
            Image.fromarray(values).save(tmp_path / name)
            names[key].append(name)
    np.savez(
        tmp_path / "records.npz", center=center, scale=scale,
        **{key: np.array(value) for key, value in names.items()},
    )  # fmt: skip
    records = Records.open(tmp_path / "records.npz")
    return PoseDataset(records, ImageSource(tmp_path), "lsp"), truth, tmp_path


def test_masks_lie_over_pictures_that_are_not_square(evaluate, photos, body):
    dataset, truth, folder = photos
    result = evaluate("lsp", dataset, truth, body)
    assert {e.value for e in result.summary(draws=2).values()} == {1.0, 100.0}
    assert result.scores.mask_confusion.sum((1, 2)).tolist() == [4800] * 3
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    for file in folder.glob("*_*.png"):
        file.rename(elsewhere / file.name)
    moved = evaluate("lsp", dataset, truth, body, masks=elsewhere)
    np.testing.assert_array_equal(moved.scores.parts_confusion, result.scores.parts_confusion)


def test_masks_of_another_size_or_numbering_are_named(evaluate, photos, body):
    dataset, truth, folder = photos
    Image.new("L", (40, 30)).save(folder / "im1_mask.png")
    with pytest.raises(FileProblem, match=r"im1\.png is \(60, 80\).*im1_mask\.png is \(30, 40\)"):
        evaluate("lsp", dataset, truth, body)
    (folder / "im1_mask.png").write_bytes((folder / "im0_mask.png").read_bytes())
    Image.new("L", (80, 60), 31).save(folder / "im2_parts.png")
    with pytest.raises(FileProblem, match=r"im2_parts\.png: a part mask holds 0 to 6"):
        evaluate("lsp", dataset, truth, body)


def test_masks_that_number_the_sides_otherwise_are_suspected(evaluate, photos, body):
    dataset, truth, folder = photos
    for k in range(3):
        values = np.asarray(Image.open(folder / f"im{k}_parts.png"))
        exchanged = np.array([0, 1, 2, 4, 3, 6, 5], np.uint8)[values]
        Image.fromarray(exchanged).save(folder / f"im{k}_parts.png")
    result = evaluate("lsp", dataset, truth, body)
    assert "left and right exchanged" in result.describe(draws=5)


def test_a_picture_that_is_cut_short_is_left_out_with_a_warning(evaluate, photos, body):
    dataset, truth, folder = photos
    whole = (folder / "im1.png").read_bytes()
    (folder / "im1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"im1\.png"):
        result = evaluate("lsp", dataset, truth, body)
    assert result.index.tolist() == [0, 2]
    assert result.left_out == {"whose picture cannot be read": 1}


def test_figures_are_those_of_scores_where_both_can_tell(evaluate, twin, truths, body):
    """The trainings' own evaluation and the protocol's: two ways to the same numbers."""
    dataset, truth = twin("3dpw"), truths("3dpw")
    wrong = replace(truth, rotations=truth.rotations.roll(1, 0), betas=truth.betas.roll(2, 0))
    result = evaluate("twin:3dpw", dataset, wrong, body)
    means = {name: e.value for name, e in result.summary(draws=2).items()}
    true, predicted = body(truth.rotations, truth.betas), body(wrong.rotations, wrong.betas)
    skin = [(out.vertices - out.h36m[:, :1]).numpy() for out in (predicted, true)]
    expected = 1000 * np.linalg.norm(skin[0] - skin[1], axis=-1).mean()
    assert means["pve_mm"] == pytest.approx(expected, rel=1e-4)
    turn = (wrong.rotations.mT @ truth.rotations).diagonal(dim1=-2, dim2=-1).sum(-1)
    angle = torch.rad2deg(torch.acos(((turn - 1) / 2).clamp(-1, 1)))
    assert means["rotation_error_deg"] == pytest.approx(float(angle.mean()), rel=1e-3)
