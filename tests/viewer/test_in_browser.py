"""The viewer as people meet it: a page, opened from disk, without a kernel."""

import numpy as np
import pytest
import torch
from PIL import ImageColor

from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, swing_twist
from hmrlab.rendering import paler
from hmrlab.viewer import BodyViewer, compare, timeline

EXACT = 1e-4  # metres


@pytest.mark.parametrize("which", ["light", "own"])
def test_vertices_are_bodys_to_a_tenth_of_a_millimetre(which, light, own_body, poses, shown):
    body = light if which == "light" else own_body
    pose, betas = poses
    watched = shown(BodyViewer(body, pose, betas))
    with torch.no_grad():
        wanted = body.double().vertices(pose.double(), betas.double()).numpy()
        body.float()
    for figure in range(len(pose)):
        drawn = watched.vertices(figure=figure)
        assert np.linalg.norm(drawn - wanted[figure], axis=1).max() < EXACT


def test_sliders_shape_the_body(light, shown):
    watched = shown(BodyViewer(light))
    value = watched.drag("β3", 3.0)
    assert value == pytest.approx(3.0, abs=0.4)
    betas = torch.zeros(1, 10)
    betas[0, 3] = value
    wanted = light.vertices(torch.zeros(1, 72), betas)[0].numpy()
    assert np.linalg.norm(watched.vertices() - wanted, axis=1).max() < EXACT


def test_twist_and_swing_turn_the_joint_that_a_click_picks(light, shown):
    viewer = BodyViewer(light, heat="twist")
    watched = shown(viewer)
    # A click on the left forearm, at the right of the picture: the body faces us.
    x, y = watched.page.evaluate(
        """() => {
            const { stage, canvas } = document.querySelector('.hmr').hmrlab;
            const [panel] = stage.panels, box = canvas.getBoundingClientRect();
            const ends = [18, 20].map((joint) => panel.seen(panel.figures[0], joint));
            const [x, y] = ends[0].map((u, k) => (u + ends[1][k]) / 2);
            return [box.left + x, box.top + y];
        }"""
    )
    watched.page.mouse.click(x, y)
    watched.settle()
    assert watched.label("joint").locator("option:checked").inner_text() == "left elbow"
    twist = watched.drag("twist", 140)
    swing = watched.drag("swing front", 60)
    pose = torch.tensor(
        watched.page.evaluate("() => Array.from(document.querySelector('.hmr').hmrlab.state.pose)")
    ).reshape(1, 24, 3)
    axes = bone_axes(light.rest_joints(torch.zeros(1, 10))[0], light.parents)
    turned, angle = swing_twist(axis_angle_to_matrix(pose[0, 18]), axes[18])
    assert float(angle.rad2deg()) == pytest.approx(twist, abs=0.1)
    assert np.degrees(np.arccos((turned.trace().item() - 1) / 2)) == pytest.approx(swing, abs=0.1)
    assert (turned @ axes[18])[2] > 0.5  # the forearm points forwards
    wanted = light.vertices(pose, torch.zeros(1, 10))[0].numpy()
    assert np.linalg.norm(watched.vertices() - wanted, axis=1).max() < EXACT
    warned = watched.page.locator(".hmr-beyond").inner_text()
    assert f"left elbow twisted {abs(float(angle.rad2deg())):.0f}°" in warned


def test_something_is_drawn_and_a_drag_turns_it(light, shown):
    watched = shown(BodyViewer(light))
    before = watched.pixels()
    covered = (before[..., 3] == 255).mean()
    assert 0.03 < covered < 0.5
    box = watched.page.locator(".hmr canvas").bounding_box()
    watched.page.mouse.move(box["x"] + 100, box["y"] + 200)
    watched.page.mouse.down()
    watched.page.mouse.move(box["x"] + 250, box["y"] + 200, steps=5)
    watched.page.mouse.up()
    watched.settle()
    after = watched.pixels()
    assert (before != after).any(-1).mean() > 0.02
    watched.label("reset the view (R)").click()
    watched.settle()
    assert (before != watched.pixels()).any(-1).mean() < 0.001


def test_keys_turn_zoom_and_reset(light, shown):
    watched = shown(BodyViewer(light))
    watched.page.locator(".hmr canvas").focus()
    first = watched.pixels()
    covered = []
    for key in ("ArrowLeft", "+", "+", "-", "r"):
        before = watched.pixels()
        watched.page.keyboard.press(key)
        watched.settle()
        after = watched.pixels()
        assert (before != after).any()
        covered.append((after[..., 3] == 255).mean())
    assert covered[1] > covered[0]
    assert covered[3] < covered[2]
    assert (first != after).any(-1).mean() < 0.001


def test_the_wheel_zooms_only_where_it_is_meant_to(light, shown):
    watched = shown(BodyViewer(light))
    canvas = watched.page.locator(".hmr canvas")
    before = watched.pixels()
    canvas.hover()
    watched.page.mouse.wheel(0, 120)
    watched.settle()
    assert (before != watched.pixels()).any(-1).mean() < 0.001
    assert watched.page.get_by_text("Ctrl + wheel zooms").is_visible()
    canvas.click(position={"x": 10, "y": 60})  # beside the body
    watched.page.mouse.wheel(0, 120)
    watched.settle()
    assert (before != watched.pixels()).any(-1).mean() > 0.01


@pytest.mark.parametrize(("what", "share"), [("wireframe", 0.005), ("skeleton", 0.01)])
def test_switches_change_the_picture_and_back(light, shown, what, share):
    watched = shown(BodyViewer(light))
    before = watched.pixels()
    button = watched.page.get_by_role("button", name=what)
    button.click()
    watched.settle()
    assert button.get_attribute("aria-pressed") == "true"
    assert (before != watched.pixels()).any(-1).mean() > share
    button.click()
    watched.settle()
    assert (before != watched.pixels()).any(-1).mean() < 0.001


def test_a_joint_says_its_name_on_hover(light, shown):
    viewer = BodyViewer(light)
    viewer.skeleton = True
    watched = shown(viewer)
    x, y = watched.page.evaluate(
        """() => {
            const { stage, canvas } = document.querySelector('.hmr').hmrlab;
            const box = canvas.getBoundingClientRect();
            const [u, v] = stage.panels[0].seen(stage.figures[0], 4);
            return [box.left + u, box.top + v];
        }"""
    )
    watched.page.mouse.move(x, y)
    watched.settle()
    assert watched.page.locator(".hmr-tip").inner_text().startswith("left knee")


@pytest.mark.parametrize(
    ("heat", "words"),
    [("twist", "135°"), ("rotation", "67.5°"), ("distance", "150 mm")],
)
def test_the_legend_has_a_unit(light, shown, heat, words):
    pose = torch.zeros(2, 24, 3)
    pose[0, 18, 0] = 2.0
    watched = shown(BodyViewer(light, pose, truth=1, names=["answer", "truth"]))
    assert warm(watched.pixels()) < 1e-5
    watched.label("heat: what the colours show").select_option(heat)
    watched.settle()
    assert words in watched.page.locator(".hmr-legend").inner_text()
    assert warm(watched.pixels()) > 4e-4  # a forearm


def warm(pixels):
    """The share of a canvas that is red, orange or purple, as plain bodies are not."""
    red, green, _, alpha = np.moveaxis(pixels.astype(int), -1, 0)
    return ((alpha == 255) & (red - green > 50)).mean()


def test_heat_is_what_python_computes(light, poses, shown):
    pose, betas = poses
    watched = shown(BodyViewer(light, pose[:2], betas[:2], truth=0))
    wrong = watched.page.evaluate(
        """() => {
            const { state } = document.querySelector('.hmr').hmrlab;
            return hmrlabViewer.jointHeat(
                'rotation', state.of('pose', 1), state.of('pose', 0), state.scene.axes);
        }"""
    )
    first, second = axis_angle_to_matrix(pose[:2].double())
    cosine = ((first.mT @ second).diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    np.testing.assert_allclose(wrong, cosine.clamp(-1, 1).arccos().rad2deg(), atol=0.05)


def test_overlaid_bodies_share_their_root(light, poses, shown):
    pose, betas = poses
    watched = shown(BodyViewer(light, pose[:2], betas[:2], names=["a", "b"]))
    watched.page.get_by_role("button", name="laid over").click()
    watched.settle()
    roots = watched.page.evaluate(
        """() => document.querySelector('.hmr').hmrlab.figures.map((figure) =>
            figure.body.root().map((x, k) => x + figure.group.position.getComponent(k)))"""
    )
    np.testing.assert_allclose(roots[0], roots[1], atol=1e-6)
    assert watched.page.evaluate("document.querySelector('.hmr').hmrlab.stage.panels.length") == 1


def test_people_are_picked_and_steps_scrubbed(light, shown, answers):
    pictures = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    steps = [answers(3, seed) for seed in range(5)]
    watched = shown(timeline(light, steps, truth=answers(3, 9), pictures=pictures))
    watched.page.get_by_role("button", name="person 2").click()
    watched.label("one step on").click()
    slider = watched.label("step")
    assert slider.input_value() == "1"
    watched.drag("step", 3)
    assert slider.input_value() == "3"
    wanted = light.vertices(steps[3].rotations[2:], steps[3].betas[2:])[0].numpy()
    assert np.linalg.norm(watched.vertices() - wanted, axis=1).max() < EXACT
    watched.label("speed").select_option("4")
    watched.label("play").click()
    watched.page.wait_for_function(
        "document.querySelector('.hmr input[aria-label=step]').value === '4'"
    )
    watched.label("play").wait_for()  # it has stopped by itself


def test_a_viewer_that_plays_begins_to_play(light, shown, answers):
    viewer = timeline(light, [answers(1, seed) for seed in range(3)])
    viewer.playing, viewer.speed = True, 4.0
    watched = shown(viewer)
    watched.label("play").wait_for()  # when it has come to the end
    assert watched.label("step").input_value() == "2"


def test_the_picture_stands_behind_the_body_in_its_camera(light, shown, answers):
    """Corners of the picture are where the camera of the prediction puts them."""
    pictures = np.zeros((1, 64, 64, 3), np.uint8)
    pictures[:, :, :, 0] = 200
    answer = answers(1, 0)
    watched = shown(compare(light, {"answer": answer}, pictures=pictures))
    watched.page.get_by_role("button", name="picture behind").click()
    watched.settle()
    seen, corner = watched.page.evaluate(
        """() => {
            const { stage } = document.querySelector('.hmr').hmrlab;
            const [panel] = stage.panels, [figure] = panel.figures;
            const middle = [panel.x + panel.width / 2, panel.y + panel.height / 2];
            const half = Math.min(panel.width, panel.height) / 2;
            const at = [...Array(24).keys()].map((j) =>
                panel.seen(figure, j).map((u, k) => (u - middle[k]) / half));
            const box = panel.picture.geometry.attributes.position;
            const point = panel.picture.position.clone().set(box.getX(0), box.getY(0), 0);
            panel.picture.updateWorldMatrix(true, false);
            point.applyMatrix4(panel.picture.matrixWorld).project(panel.camera);
            return [at, [point.x * panel.width / 2 / half, point.y * panel.height / 2 / half]];
        }"""
    )
    joints = light.joints(answer.rotations, answer.betas)[0]
    scale, x, y = answer.camera[0].tolist()
    depth = 2 * 5000 / (224 * scale)
    wanted = (joints[:, :2] + torch.tensor([x, y])) / (joints[:, 2:] + depth) * 5000 / 112
    np.testing.assert_allclose(seen, wanted.numpy(), atol=2e-3)
    np.testing.assert_allclose(np.abs(corner), 1, atol=1e-3)


def test_what_is_guessed_of_a_person_is_paler(light, poses, shown):
    """As in the still picture, of the person who is shown."""
    pose, betas = (each[:2, None, None] for each in poses)
    pale = np.zeros((2, 24))
    pale[1, SMPL_JOINTS.index("left_knee")] = 0.6
    people = BodyViewer(light, pose, betas, pale=pale)
    watched = shown(people)
    plain = np.array(ImageColor.getrgb(people._scene["figures"][0]["colour"])) / 255
    for person in (0, 1):
        watched.page.get_by_role("button", name=f"person {person}").click()
        watched.settle()
        tint = watched.page.evaluate(
            "() => Array.from(document.querySelector('.hmr').hmrlab.figures[0]"
            ".geometry.attributes.tint.array)"
        )
        wanted = paler(plain, pale[person], light.weights.numpy())
        np.testing.assert_allclose(np.reshape(tint, (-1, 3)) ** (1 / 2.2), wanted, atol=0.02)
