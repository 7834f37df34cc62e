import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from traitlets import TraitError

from hmrlab.bodies import SMPLParams
from hmrlab.geometry import axis_angle_to_matrix, matrix_to_axis_angle
from hmrlab.viewer import BodyViewer, compare, timeline
from hmrlab.viewer.scene import takes_of
from hmrlab.viewer.widget import from_browser, to_browser, viewer_script


def people(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pose = 0.5 * torch.randn(count, 24, 3, generator=generator)
    camera = torch.tensor([[0.9, 0.1, -0.2]]).repeat(count, 1)
    return SMPLParams(
        axis_angle_to_matrix(pose), torch.randn(count, 10, generator=generator), camera
    )


def test_a_viewer_begins_in_a_t_pose(light):
    viewer = BodyViewer(light)
    assert viewer.pose.shape == (1, 24, 3)
    assert not viewer.pose.any()
    assert viewer.betas.shape == (1, 10)
    assert viewer.free


def test_matrices_and_axis_angles_are_the_same_to_it(light, poses):
    pose, betas = poses
    as_matrices = BodyViewer(light, axis_angle_to_matrix(pose.double()), betas)
    as_numbers = BodyViewer(light, pose.reshape(6, 72), betas)
    turned, plain = (
        axis_angle_to_matrix(torch.tensor(v.pose).double()) for v in (as_matrices, as_numbers)
    )
    torch.testing.assert_close(turned, plain, atol=1e-5, rtol=0)


def test_observers_hear_of_changes_and_of_nothing_else(light):
    viewer = BodyViewer(light)
    heard = []
    viewer.observe(lambda change: heard.append(change.new.copy()), "pose")
    viewer.pose = torch.zeros(1, 24, 3)
    assert heard == []
    viewer.pose = np.full((24, 3), 0.25)  # the one figure may go without saying
    assert len(heard) == 1
    assert heard[0].shape == (1, 24, 3)
    with pytest.raises(ValueError, match="read-only"):
        viewer.pose[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pose", np.zeros((2, 24, 3)), r"expected shape \(1, 24, 3\), got \(2, 24, 3\)"),
        ("betas", np.full((1, 10), np.nan), "10 of 10 numbers are NaN"),
        ("person", 1, "0 to 0, got 1"),
        ("heat", "distance", "needs a truth"),
        ("heat", "warmth", "heat"),
        ("frame", "picture", "frame"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_is_lost(light, name, value, words):
    viewer = BodyViewer(light)
    before = getattr(viewer, name)
    with pytest.raises(TraitError, match=words):
        setattr(viewer, name, value)
    assert np.array_equal(getattr(viewer, name), before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rotations": np.zeros((1, 23, 3))}, r"rotations: expected .* got \(1, 23, 3\)"),
        ({"rotations": np.full((1, 24, 3), np.inf)}, "72 numbers NaN or infinite"),
        ({"rotations": np.zeros((2, 24, 3)), "betas": np.zeros((3, 10))}, "betas: expected"),
        ({"betas": np.zeros((2, 10)), "names": ["one"]}, "names: 2 are shown"),
        ({"heat": "rotation"}, "say which figure"),
        ({"pictures": np.zeros((2, 8, 8, 3), np.uint8)}, "2 pictures of 1 people"),
        ({"truth": 3}, "figures 0 to 0, got 3"),
    ],
)
def test_what_does_not_fit_together_is_refused(light, arguments, words):
    with pytest.raises(ValueError, match=words):
        BodyViewer(light, **arguments)


def test_steps_and_people_move_the_pose(light):
    pose = np.random.default_rng(0).normal(size=(3, 4, 2, 24, 3))
    viewer = BodyViewer(light, pose)
    assert viewer.pose == pytest.approx(pose[0, 0], abs=1e-6)
    viewer.step, viewer.person = 3, 2
    assert viewer.pose == pytest.approx(pose[2, 3], abs=1e-6)
    with pytest.raises(TraitError, match="0 to 3, got 4"):
        viewer.step = 4


def test_all_takes_go_to_the_browser_in_its_order():
    pose = np.arange(2 * 3 * 1 * 72, dtype=float).reshape(2, 3, 1, 24, 3)
    takes = takes_of(pose, np.ones((2, 3, 1, 10)))
    rows = np.frombuffer(takes.to_bytes(), "<f4").reshape(2, 3, 1, 85)
    np.testing.assert_array_equal(rows[..., :72], pose.reshape(2, 3, 1, 72))
    assert (rows[..., 72:82] == 1).all()
    assert not rows[..., 82:].any()


def test_a_prediction_is_applied_in_its_cameras_frame(light):
    viewer = BodyViewer(light)
    one = people(1)
    viewer.apply(one)
    assert viewer.frame == "camera"
    pose = axis_angle_to_matrix(torch.tensor(viewer.pose))
    torch.testing.assert_close(pose, one.rotations, atol=1e-5, rtol=0)
    assert viewer.translation[0, 2] == pytest.approx(2 * 5000 / (224 * 0.9), rel=1e-5)
    with pytest.raises(ValueError, match="3 bodies for a viewer of 1"):
        viewer.apply(people(3))


def test_a_comparison_has_every_model_for_every_person(light):
    first, second, truth = people(3, 1), people(3, 2), people(3, 3)
    viewer = compare(light, {"one": first, "two": second}, truth=truth, heat="rotation")
    viewer.person = 2
    wanted = torch.stack([p.rotations[2] for p in (first, second, truth)])
    torch.testing.assert_close(
        axis_angle_to_matrix(torch.tensor(viewer.pose)), wanted, atol=1e-5, rtol=0
    )
    assert [figure["name"] for figure in viewer._scene["figures"]] == ["one", "two", "truth"]
    assert viewer._scene["reference"] == 2


def test_a_timeline_has_every_step_and_a_truth_that_stays(light):
    steps, truth = [people(2, k) for k in range(4)], people(2, 9)
    viewer = timeline(light, steps, truth=truth, steps=list("abcd"), step_name="turn")
    viewer.step, viewer.person = 3, 1
    wanted = torch.stack([steps[3].rotations[1], truth.rotations[1]])
    torch.testing.assert_close(
        axis_angle_to_matrix(torch.tensor(viewer.pose)), wanted, atol=1e-5, rtol=0
    )


def test_a_fit_with_a_translation_will_do(light):
    guess = SimpleNamespace(
        rotations=torch.eye(3).expand(1, 24, 3, 3), betas=torch.zeros(1, 10),
        translation=torch.tensor([[0.0, 0.1, 40.0]]),
    )  # fmt: skip
    viewer = timeline(light, [guess, guess])
    assert viewer.translation[0] == pytest.approx([0, 0.1, 40])


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({}, "at least one"),
        ({"a": [people(2)], "b": [people(2)] * 2}, "same number of steps"),
        ({"a": [people(2)], "b": [people(3)]}, "same people"),
    ],
)
def test_unequal_paths_are_refused(light, paths, words):
    with pytest.raises(ValueError, match=words):
        timeline(light, paths)


def test_the_page_gets_script_and_body_when_it_asks(light, monkeypatch):
    viewer, sent = BodyViewer(light), []
    monkeypatch.setattr(viewer, "send", lambda content, buffers: sent.append((content, buffers)))
    (pack,) = viewer._packs
    digest, script = viewer_script()
    for question in (
        {"ask": "script", "digest": digest}, {"ask": "body", "digest": pack.digest},
        {"ask": "body", "digest": "another"}, {"ask": "secrets"}, "nonsense",
    ):  # fmt: skip
        viewer._answer(viewer, question, [])
    assert sent == [
        ({"answer": "script", "digest": digest}, [script]),
        ({"answer": "body", "digest": pack.digest}, [pack.data]),
    ]


def test_a_widgets_state_holds_neither_script_nor_body(light):
    viewer = BodyViewer(light)
    viewer._repr_mimebundle_()
    state = viewer.get_state()
    heavy = {name: len(str(value)) for name, value in state.items() if len(str(value)) > 20_000}
    assert set(heavy) <= {"_poster"}
    assert len(viewer._poster) < 60_000


def test_where_no_widget_can_be_shown_there_is_a_picture(light):
    data, _ = BodyViewer(light)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    assert (np.asarray(picture) < 200).any(-1).mean() > 0.03


@pytest.mark.parametrize("heat", ["twist", "rotation", "distance"])
def test_the_picture_shows_the_heat(light, heat):
    pose = torch.zeros(2, 24, 3)
    pose[0, 18, 0] = 3.0  # the left elbow wrung
    pose[0, 16, 2] = 1.2  # and the arm raised
    viewer = BodyViewer(light, pose, truth=1, heat=heat)
    picture = np.asarray(Image.open(io.BytesIO(viewer.picture())).convert("RGB")).astype(int)
    picture = picture[30:]  # below the names
    purple = picture[..., 2] - picture[..., 1] > 15  # nothing else in it has more blue than green
    left, right = np.split(purple, 2, axis=1)
    assert left.sum() > 100
    assert right.sum() == 0  # the truth, where nothing is off


def test_a_pose_goes_to_the_browser_and_back(light, poses):
    pose, _ = poses
    there = to_browser(pose.numpy())
    back = from_browser({"shape": there["shape"], "data": bytes(there["data"])})
    np.testing.assert_array_equal(back, pose.numpy())


def test_axis_angles_are_not_lost_on_the_way_through_matrices(poses):
    pose, _ = poses
    takes = takes_of(axis_angle_to_matrix(pose.double()))
    again = matrix_to_axis_angle(axis_angle_to_matrix(pose.double()))
    np.testing.assert_allclose(takes.pose[0, 0], again, atol=1e-5)


def test_the_still_picture_is_paler_where_a_body_is_guessed(light):
    pale = np.zeros((1, 24))
    pale[0, :] = 0.9

    def brightness(**options):
        picture = Image.open(io.BytesIO(BodyViewer(light, **options).picture())).convert("L")
        return np.asarray(picture).mean()

    assert brightness(pale=pale) > brightness(pale=0 * pale) + 3
    assert brightness(pale=0 * pale) == brightness()
    with pytest.raises(ValueError, match=r"pale: expected \(1, 24\), got \(24,\)"):
        BodyViewer(light, pale=pale[0])
