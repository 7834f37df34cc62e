"""What an evaluation keeps, how it is drawn from, and what it shows."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.bodies.joints import ANNOTATED_TO_J14
from hmrlab.evaluation.metric_table import METRICS
from hmrlab.evaluation.protocols import PROTOCOLS, get_protocol
from hmrlab.evaluation.result import Evaluation
from hmrlab.evaluation.worst import save_worst, worst_gallery
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix


def test_results_are_saved_whole_and_read_again(evaluate, twin, truths, body, tmp_path):
    result = evaluate("twin:3dpw", twin("3dpw"), truths("3dpw"), body)
    folder = result.save(tmp_path / "a" / "b", draws=20)
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.txt", "samples.npz", "summary.json"
    ]  # fmt: skip
    again = Evaluation.load(folder)
    assert again.protocol == result.protocol
    np.testing.assert_array_equal(again.imgname, result.imgname)
    for part, same in ((result.predictions, again.predictions), (result.scores, again.scores)):
        assert type(same) is type(part)
        for name, values in part.arrays().items():
            np.testing.assert_array_equal(getattr(same, name), values)
    figures = json.loads((folder / "summary.json").read_text())["figures"]
    assert figures["mpjpe_mm"]["value"] == pytest.approx(result.summary(2)["mpjpe_mm"].value)
    assert "SYNTHETIC" in (folder / "report.txt").read_text()
    assert set(np.load(folder / "samples.npz").files) >= {
        "index", "imgname", "sequence", "pose", "joints", "joint_error_mm", "beyond_limits"
    }  # fmt: skip


def test_a_write_that_is_broken_off_leaves_nothing(
    evaluate, twin, truths, body, tmp_path, monkeypatch
):
    result = evaluate("twin:3dpw", twin("3dpw"), truths("3dpw"), body)

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileProblem, match=r"samples\.npz: No space left"):
        result.save(tmp_path / "out", draws=2)
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "file").write_text("")
    monkeypatch.undo()
    with pytest.raises(FileProblem, match="could not write"):
        result.save(tmp_path / "file", draws=2)


@pytest.mark.parametrize("damage", ["gone", "cut", "pickle", "other"])
def test_a_damaged_result_is_refused(evaluate, damage, twin, truths, body, tmp_path):
    folder = evaluate("twin:3dpw", twin("3dpw"), truths("3dpw"), body).save(tmp_path, draws=2)
    path = folder / "samples.npz"
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "pickle":
        np.savez(path, about=np.array([print], dtype=object))
    else:
        np.savez(path, index=np.arange(3))
    with pytest.raises(FileProblem, match=r"evaluation.*samples\.npz|samples\.npz.*evaluation"):
        Evaluation.load(folder)


@pytest.mark.parametrize(
    ("about", "index", "says"),
    [
        ('{"protocol": "3dpw", "data": "x", "left_out": {"a": -1}}', np.arange(3), "left_out"),
        (
            '{"protocol": "3dpw", "data": "x", "left_out": {"a": Infinity}}',
            np.arange(3),
            "left_out",
        ),
        ('{"protocol": ' + "[" * 10**5, np.arange(3), "JSON"),
        ('{"protocol": "x", "data": "x", "left_out": {}}', np.arange(3), "protocol 'x'"),
        (
            '{"protocol": "3dpw", "data": "x", "left_out": {}}',
            np.arange(2),
            r"'imgname'.*\(2,\)",
        ),
        ('{"protocol": "3dpw", "data": "x", "left_out": {}}', np.arange(3), "lacks betas, camera"),
        ('{"protocol": "3dpw", "data": "x", "left_out": {}}', np.array(3), "'index'"),
    ],
)
def test_a_result_that_says_odd_things_is_refused_with_the_place(tmp_path, about, index, says):
    np.savez(tmp_path / "samples.npz", about=np.array(about), index=index, pose=np.zeros((3, 72)),
             imgname=np.array(list("abc")))  # fmt: skip
    with pytest.raises(FileProblem, match=rf"(?s)samples\.npz.*{says}"):
        Evaluation.load(tmp_path)


def with_videos(result: Evaluation, per_video: int) -> Evaluation:
    names = np.array([f"video_{k // per_video}/image_{k:05d}.jpg" for k in range(result.count)])
    return replace(result, imgname=names, protocol=get_protocol("3dpw"))


def test_frames_of_a_video_are_drawn_together_by_default(evaluate, twin, truths, body):
    truth = truths("3dpw")
    wrong = replace(truth, rotations=truth.rotations.roll(1, 0))
    result = with_videos(evaluate("twin:3dpw", twin("3dpw"), wrong, body), 2)
    assert result.sequences == 4
    assert result.groups().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert result.groups("sample").tolist() == list(range(8))
    assert "4 sequences, since frames of one are alike (so few" in result.describe(draws=5)
    assert "SYNTHETIC" not in result.describe(draws=5)
    one = with_videos(result, 8)
    assert "too narrow" in one.describe(draws=5)
    assert len(set(one.groups())) == 8
    with pytest.raises(ValueError, match="auto, sample, sequence, not by 'video'"):
        result.summary(by="video")


def test_the_worst_come_first(evaluate, twin, truths, body):
    truth = truths("3dpw")
    rotations = truth.rotations.clone()
    for k in range(8):
        rotations[k, 16] = rotations[k, 16] @ axis_angle_to_matrix(
            torch.tensor([0.0, 0.0, 0.1 * (k + 1)])
        )
    result = evaluate("twin:3dpw", twin("3dpw"), replace(truth, rotations=rotations), body)
    values = result.values("mpjpe_mm")
    assert result.worst(3).tolist() == np.argsort(-values)[:3].tolist()
    masks = evaluate("twin:lsp", twin("lsp"), replace(truths("lsp"), rotations=rotations), body)
    scores = masks.values("parts_f1")
    assert scores[masks.worst(8)].tolist() == sorted(scores)
    with pytest.raises(KeyError, match="has no pve_mm"):
        masks.values("pve_mm")


def test_every_protocol_says_what_it_compares():
    for protocol in PROTOCOLS.values():
        text = protocol.definitions()
        for name in protocol.metrics:
            assert METRICS[name].label in text
            assert METRICS[name].source in text
        if protocol.joints:
            assert all(joint in text for joint in protocol.joints.names)
    assert get_protocol("h36m-p1").joints.name == "J14"
    assert len(get_protocol("mpi-inf-3dhp").joints) == 17
    assert len(ANNOTATED_TO_J14) == len(get_protocol("3dpw").joints)


def test_twins_are_called_synthetic_and_unknown_names_are_listed():
    twin = get_protocol("twin:3dpw")
    assert twin.synthetic
    assert "synthetic" in twin.title
    assert "made-up" in twin.truth_in_words
    assert not get_protocol("3dpw").synthetic
    assert get_protocol("studio-test").twin() == get_protocol("studio-test")
    with pytest.raises(ValueError, match=r"'4dpw'; there are 3dpw, .*twin:3dpw"):
        get_protocol("4dpw")


def test_the_gallery_shows_the_worst_with_their_error(
    evaluate, twin, truths, body, tmp_path, monkeypatch
):
    for variable in ("HMRLAB_RENDERER", "HMRLAB_RENDERER_PROBED"):
        monkeypatch.setenv(variable, "raster")
    dataset, truth = twin("3dpw"), truths("3dpw")
    wrong = replace(truth, rotations=truth.rotations.roll(1, 0))
    result = evaluate("twin:3dpw", dataset, wrong, body)
    figure = worst_gallery(result, dataset, body, 3)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    value = result.values("mpjpe_mm").max()
    assert titles[0].startswith(f"1. MPJPE {value:.1f} mm\nimages.npy#")
    assert len(titles) == 3
    assert "SYNTHETIC" in figure.get_suptitle()
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (224, 448, 3)
    left, right = picture[:, :224].astype(int), picture[:, 224:].astype(int)
    assert (np.abs(left - right).sum(-1) > 30).mean() > 0.03  # a body lies over the second
    assert save_worst(result, dataset, body, tmp_path / "w.png", 1).stat().st_size > 10_000
    assert Image.open(tmp_path / "w.png").size[0] > 500
