"""The promises that the shipped body makes."""

import json

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from hmrlab.bodies import load_body, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.joints import LANDMARKS, LSP_PARTS, POSE_FLIP, SMPL_JOINTS


@pytest.fixture(scope="module", params=["full", "light"])
def arrays(request):
    return read_body_file(ASSETS / f"free_body_{request.param}.npz")


@pytest.fixture(scope="module")
def check():
    with np.load(ASSETS / "free_body_check.npz", allow_pickle=False) as content:
        return dict(content)


def test_assets_fit_into_five_megabytes_and_carry_their_licence():
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 5e6
    assert "CC0" in (ASSETS / "LICENSE.md").read_text()


def test_the_light_body_has_about_five_thousand_vertices():
    assert 4500 < load_body("free", "light").n_vertices < 5500


def test_regressed_joints_lie_where_the_bones_are_on_held_out_adults(check):
    error = np.linalg.norm(check["joints"] - check["regressed"], axis=2) * 1000
    assert error.shape == (200, 24)
    assert error.mean() < 3
    assert error.max() < 8


def test_the_file_holds_the_regressor_that_was_checked(check):
    """With ten betas instead of the true mesh the joints stay near; the rest is truncation."""
    body = load_body("free", "full")
    rest = body.rest_joints(torch.from_numpy(check["betas"])).numpy()
    error = np.linalg.norm(rest - check["joints"], axis=2) * 1000
    assert error.mean() < 5


def test_no_component_of_shape_outweighs_all_others():
    shares = json.loads((ASSETS / "free_body.json").read_text())["variance_shares"]
    assert len(shares) == 10
    assert max(shares) < 0.8
    assert sum(shares) > 0.95


def test_betas_of_held_out_adults_have_unit_variance(check):
    assert check["betas"].std(0) == pytest.approx(np.ones(10), abs=0.3)


def test_height_weight_and_sex_show_in_the_betas(check):
    """A linear read-out of ten betas tells each trait of people the shape space never saw."""
    design = np.concatenate([check["betas"], np.ones((200, 1))], 1)
    for trait, least in (("stature", 0.95), ("sex", 0.8), ("weight", 0.8)):
        solution, *_ = np.linalg.lstsq(design[:100], check[trait][:100], rcond=None)
        told = np.corrcoef(design[100:] @ solution, check[trait][100:])[0, 1]
        assert told > least, trait


def test_weights_are_symmetric(arrays):
    distance, mirror = cKDTree(arrays.v_template).query(arrays.v_template * [-1, 1, 1])
    assert distance.max() < 1e-4
    swapped = arrays.weights[mirror][:, list(POSE_FLIP)]
    assert np.abs(arrays.weights - swapped).max() < 1e-4


def test_weights_are_smooth_along_every_edge(arrays):
    edges = np.concatenate([arrays.faces[:, [0, 1]], arrays.faces[:, [1, 2]]])
    length = np.linalg.norm(arrays.v_template[edges[:, 0]] - arrays.v_template[edges[:, 1]], axis=1)
    jump = np.abs(arrays.weights[edges[:, 0]] - arrays.weights[edges[:, 1]]).max(1)
    steep = jump / np.maximum(length, 0.005)
    assert np.percentile(steep, 99) < 40  # a border of 2.5 cm or more, from 0 to 1


def test_landmarks_lie_where_their_names_say(arrays):
    at = dict(zip(LANDMARKS, arrays.v_template[arrays.landmarks], strict=True))
    joints = dict(zip(SMPL_JOINTS, arrays.joint_regressor @ arrays.v_template, strict=True))
    assert at["nose"][2] == pytest.approx(arrays.v_template[:, 2].max(), abs=0.04)
    assert abs(at["nose"][0]) < 0.003
    assert at["right_eye"][0] < 0 < at["left_eye"][0]
    assert at["nose"][1] < at["left_eye"][1] < joints["head"][1] + 0.12
    assert abs(at["left_ear"][0]) > 0.06
    for side, sign in (("left", 1), ("right", -1)):
        heel, big, small = (at[f"{side}_{name}"] for name in ("heel", "big_toe", "small_toe"))
        ankle, wrist = joints[f"{side}_ankle"], joints[f"{side}_wrist"]
        assert heel[2] < ankle[2] < small[2] < big[2]
        assert sign * big[0] < sign * small[0]
        assert max(heel[1], big[1], small[1]) < ankle[1]
        for finger in ("thumb", "index", "middle", "ring", "pinky"):
            reach = np.linalg.norm(at[f"{side}_{finger}"] - wrist)
            assert 0.07 < reach < 0.25
            assert sign * at[f"{side}_{finger}"][0] > sign * wrist[0]


def test_twins_of_landmarks_are_mirror_images(arrays):
    for k, name in enumerate(LANDMARKS):
        if name.startswith("left"):
            other = LANDMARKS.index(name.replace("left", "right"))
            left, right = arrays.v_template[arrays.landmarks[[k, other]]]
            np.testing.assert_allclose(left, right * [-1, 1, 1], atol=5e-3)


def test_every_part_and_every_lsp_group_is_somewhere(arrays):
    assert set(arrays.weights.argmax(1)) == set(range(24))
    assert set(arrays.lsp_labels) == set(range(len(LSP_PARTS)))
    left = arrays.v_template[arrays.lsp_labels == LSP_PARTS.index("left_leg")]
    assert (left[:, 0] > -0.01).all()


def test_full_and_light_have_the_same_joints_and_nearly_the_same_keypoints():
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(20, 72, generator=generator)
    betas = torch.randn(20, 10, generator=generator)
    full, light = (load_body("free", detail)(pose, betas) for detail in ("full", "light"))
    assert (full.joints - light.joints).norm(dim=-1).max() < 2e-3
    # Skin points regressed from a coarser skin, in poses: a few millimetres at the worst.
    assert (full.keypoints - light.keypoints).norm(dim=-1).mean() < 1e-3
    assert (full.keypoints - light.keypoints).norm(dim=-1).max() < 6e-3
