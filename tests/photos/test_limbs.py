"""What nobody saw of a person is guessed, and shown and said to be."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from hmrlab.bodies.joints import OPENPOSE_NAMES, SMPL_JOINTS
from hmrlab.photos.bodies import PALE
from hmrlab.photos.limbs import LIMBS, in_words, joints_guessed, limbs_seen
from hmrlab.photos.save import parameters, save_bodies, save_page

LEGS = ("knee", "ankle", "heel", "big_toe", "small_toe")


def without(*names):
    """All keypoints (25,) but some of both sides, or of the one that is named."""
    return np.array([
        not any(each == name or each.partition("_")[2] == name for name in names)
        for each in OPENPOSE_NAMES
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        ((), ""),
        (LEGS, "legs"),
        (("ankle", "heel", "big_toe", "small_toe"), "shanks"),
        (("ankle",), ""),  # heels and toes show the shanks, too
        (("elbow", "left_wrist"), "left arm, right upper arm"),
        (("wrist", *LEGS), "forearms, legs"),
        (("nose", "eye", "ear", "left_knee"), "head, left thigh"),
        (("neck", "mid_hip"), ""),  # middles of others
    ],
)
def test_what_no_keypoint_shows_is_guessed(hidden, words):
    assert in_words(limbs_seen(without(*hidden)[None])[0]) == words


def test_every_joint_is_of_one_limb():
    assert sorted(name for limb in LIMBS for name in limb.joints) == sorted(SMPL_JOINTS)
    guessed = joints_guessed(limbs_seen(without("left_wrist")[None]))[0]
    names = [name for name, one in zip(SMPL_JOINTS, guessed, strict=True) if one]
    assert names == ["left_elbow", "left_wrist", "left_hand"]


@pytest.fixture(scope="module")
def legless(fitted):
    """The near person's legs are seen, those of the other are not."""
    keypoints = fitted.keypoints.copy()
    keypoints[1, ~without(*LEGS), 2] = 0.1
    return replace(fitted, keypoints=keypoints)


def test_it_is_paler_from_the_joint_on(legless, body):
    colours = legless.vertex_colours()
    whole, other = legless.colours()
    np.testing.assert_allclose(colours[0], np.broadcast_to(whole, colours[0].shape))
    foot = body.weights[:, SMPL_JOINTS.index("left_foot")].numpy() > 0.99
    head = body.weights[:, SMPL_JOINTS.index("head")].numpy() > 0.99
    assert foot.any()
    np.testing.assert_allclose(
        colours[1, foot], np.broadcast_to(1 - (1 - PALE) * (1 - other), (foot.sum(), 3)), atol=0.01
    )
    np.testing.assert_allclose(colours[1, head], np.broadcast_to(other, (head.sum(), 3)))


def test_files_and_words_say_it(legless, body, tmp_path):
    assert "guessed" not in legless.describe(0)
    assert legless.describe(1).endswith("guessed: legs")
    seen = dict(zip((limb.name for limb in LIMBS), parameters(legless, 1)["seen"], strict=True))
    assert [name for name, one in seen.items() if not one] == [
        "left_thigh", "right_thigh", "left_shank", "right_shank",
    ]  # fmt: skip
    save_bodies(legless, tmp_path)
    foot = body.weights[:, SMPL_JOINTS.index("left_foot")].numpy() > 0.99
    for number, pale in ((0, False), (1, True)):
        (mesh,) = trimesh.load(tmp_path / f"person_{number}.glb").geometry.values()
        tints = mesh.visual.vertex_attributes.get("color")
        assert (tints is not None) == pale
        if pale:
            linear = (255 * legless.vertex_colours()[1, foot] ** 2.2).round()
            np.testing.assert_array_equal(tints[foot, :3], linear)


def test_the_page_has_it(legless, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(
        "hmrlab.photos.save.write_page", lambda path, viewers, **_: shown.extend(viewers)
    )
    save_page(legless, tmp_path)
    np.testing.assert_allclose(shown[0]._scene["pale"], legless.pale(), atol=1e-3)


def test_without_keypoints_nothing_is_said(fitted):
    unknown = replace(fitted, keypoints=None)
    assert not unknown.pale().any()
    assert "seen" not in parameters(replace(unknown, extra={}), 0)
