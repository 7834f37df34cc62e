import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmrlab.bodies import Body, load_body, read_body_file, write_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.joints import KEYPOINT_ROWS
from hmrlab.bodies.lbs import forward_kinematics, skin
from hmrlab.bodies.smplx_adapter import smplx_model
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix

LIGHT = ASSETS / "free_body_light.npz"


@pytest.fixture(scope="module")
def arrays():
    return read_body_file(LIGHT)


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


def random_input(n, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pose = 0.5 * torch.randn(n, 72, generator=generator, dtype=dtype)
    return pose, torch.randn(n, 10, generator=generator, dtype=dtype)


def correctives(arrays):
    """A body with made-up pose correctives, as SMPL has."""
    rng = np.random.default_rng(0)
    directions = 1e-3 * rng.normal(size=(*arrays.v_template.shape, 207))
    return dataclasses.replace(arrays, posedirs=directions)


@pytest.mark.parametrize("with_correctives", [False, True])
def test_genuine_smplx_gives_the_same_vertices_and_joints(arrays, with_correctives):
    arrays = correctives(arrays) if with_correctives else arrays
    pose, betas = random_input(3, torch.float64)
    ours = Body(arrays, torch.float64)(pose, betas)
    theirs = smplx_model(arrays, torch.float64)(
        betas=betas, body_pose=pose[:, 3:], global_orient=pose[:, :3], return_verts=True
    )
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :24], atol=1e-5, rtol=0)
    for keypoint, row in enumerate(KEYPOINT_ROWS):
        if row < 45:  # smplx has no extra joints
            torch.testing.assert_close(
                ours.keypoints[:, keypoint], theirs.joints[:, row], atol=1e-5, rtol=0
            )


@pytest.mark.parametrize("with_correctives", [False, True])
def test_keypoints_without_a_mesh_are_those_regressed_from_it(arrays, with_correctives):
    """`forward` takes the short way to them too, so the long way is gone here."""
    arrays = correctives(arrays) if with_correctives else arrays
    body = Body(arrays)
    pose, betas = random_input(4)
    out = body(pose, betas)
    extra, h36m = (
        torch.as_tensor(regressor, dtype=torch.float32) @ out.vertices
        for regressor in (arrays.extra_regressor, arrays.h36m_regressor)
    )
    landmarks = out.vertices[:, arrays.landmarks]
    keypoints = torch.cat([out.joints, landmarks, extra], 1)[:, list(KEYPOINT_ROWS)]
    for found in (out.keypoints, body.keypoints(pose, betas)):
        torch.testing.assert_close(found, keypoints, atol=1e-5, rtol=0)
    for found in (out.h36m, body.h36m(pose, betas)):
        torch.testing.assert_close(found, h36m, atol=1e-5, rtol=0)


def test_joints_and_vertices_alone_are_forwards(body):
    pose, betas = random_input(4)
    out = body(pose, betas)
    torch.testing.assert_close(body.joints(pose, betas), out.joints, atol=1e-6, rtol=0)
    torch.testing.assert_close(body.vertices(pose, betas), out.vertices, atol=1e-6, rtol=0)


def test_every_form_of_pose_gives_the_same_body(body):
    pose, betas = random_input(2)
    flat = body.keypoints(pose, betas)
    torch.testing.assert_close(body.keypoints(pose.view(2, 24, 3), betas), flat)
    matrices = axis_angle_to_matrix(pose.view(2, 24, 3))
    torch.testing.assert_close(body.keypoints(matrices, betas), flat)


def test_a_translation_moves_everything(body):
    pose, betas = random_input(2)
    shift = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, -1.0]])
    moved, still = body(pose, betas, shift), body(pose, betas)
    for name in ("vertices", "joints", "keypoints", "h36m"):
        difference = getattr(moved, name) - getattr(still, name)
        torch.testing.assert_close(difference, shift[:, None].expand_as(difference))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_turning_the_root_turns_the_whole_body_about_the_pelvis(body, seed):
    pose, betas = random_input(1, seed=seed)
    pose = axis_angle_to_matrix(pose.view(1, 24, 3))
    turn = axis_angle_to_matrix(torch.randn(3, generator=torch.Generator().manual_seed(seed)))
    turned = pose.clone()
    turned[:, 0] = turn @ pose[:, 0]
    before, after = body(pose, betas), body(turned, betas)
    pelvis = before.joints[:, :1]
    expected = (before.vertices - pelvis) @ turn.T + pelvis
    torch.testing.assert_close(after.vertices, expected, atol=2e-5, rtol=0)


def test_gradients_of_skinning_are_right():
    """Against finite differences, on a tree of three joints."""
    generator = torch.Generator().manual_seed(0)
    points, rest = (torch.randn(1, n, 3, generator=generator).double() for n in (5, 3))
    weights = torch.rand(5, 3, generator=generator).double()
    weights = weights / weights.sum(1, keepdim=True)
    pose = torch.randn(1, 3, 3, generator=generator).double().requires_grad_()

    def posed(axis_angle, points, rest):
        turned, placed = forward_kinematics(axis_angle_to_matrix(axis_angle), rest, (-1, 0, 1))
        return skin(points, weights, turned, placed, rest)

    inputs = (pose, points.requires_grad_(), rest.requires_grad_())
    assert torch.autograd.gradcheck(posed, inputs)


def test_gradients_reach_pose_and_shape_in_the_rest_pose(body):
    pose, betas = torch.zeros(2, 72, requires_grad=True), torch.zeros(2, 10, requires_grad=True)
    body.keypoints(pose, betas).square().sum().backward()
    assert torch.isfinite(pose.grad).all()
    assert betas.grad.abs().sum() > 0


def test_double_precision_and_single_agree():
    pose, betas = random_input(2, torch.float64)
    double = load_body("free", "light", torch.float64).keypoints(pose, betas)
    single = load_body("free", "light").keypoints(pose.float(), betas.float())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=2e-6, rtol=0)


def test_a_body_is_no_part_of_a_models_weights(body):
    assert body.state_dict() == {}


@pytest.mark.parametrize(
    ("pose", "betas"),
    [((2, 69), (2, 10)), ((2, 72), (3, 10)), ((2, 24, 3, 2), (2, 10)), ((2, 72), (2, 9))],
)
@pytest.mark.usefixtures("shapes_unchecked")
def test_wrong_shapes_are_named(body, pose, betas):
    with pytest.raises(ValueError, match="expected"):
        body(torch.zeros(pose), torch.zeros(betas))


def test_a_body_file_survives_writing_and_reading(arrays, tmp_path):
    again = read_body_file(write_body_file(tmp_path / "body.npz", arrays))
    for field in dataclasses.fields(arrays):
        one, other = getattr(arrays, field.name), getattr(again, field.name)
        if one is not None:
            np.testing.assert_array_equal(one, other)


def test_the_users_own_body_is_loaded_by_path_or_by_environment(arrays, tmp_path, monkeypatch):
    path = write_body_file(tmp_path / "mine.npz", arrays)
    assert load_body(path).n_vertices == len(arrays.v_template)
    monkeypatch.setenv("HMRLAB_BODY", str(path))
    assert load_body().n_vertices == len(arrays.v_template)


def _spoiled(change):
    with np.load(LIGHT, allow_pickle=False) as content:
        values = dict(content)
    change(values)
    return values


def _set(key, value):
    return lambda values: values.__setitem__(key, value(values[key]))


def _nan(array):
    array = array.copy()
    array.flat[3] = np.nan
    return array


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v.pop("weights"), "weights"),
        (_set("v_template", lambda a: a[:, :2]), r"v_template.*shape"),
        (_set("v_template", _nan), "v_template.*finite"),
        (_set("shapedirs", lambda a: a[..., :5]), "shapedirs.*at least 10"),
        (_set("weights", lambda a: a * 1.1), "weights.*sum to 1"),
        (_set("J_regressor", lambda a: a[:, :-1]), "J_regressor.*shape"),
        (_set("kintree_table", lambda a: a[:, ::-1]), "kintree_table.*tree"),
        (_set("f", lambda a: a + 99999), "f: expected integers"),
        (_set("landmarks", lambda a: a.astype(float)), "landmarks.*integers"),
    ],
)
def test_a_body_file_with_wrong_content_is_refused_by_name(tmp_path, change, says):
    path = tmp_path / "body.npz"
    np.savez(path, **_spoiled(change))
    with pytest.raises(FileProblem, match=says):
        read_body_file(path)


@pytest.mark.parametrize(
    "kind", ["missing", "truncated", "garbled", "pickle", "single array", "text"]
)
def test_a_file_that_is_no_body_file_is_refused_in_words(tmp_path, kind):
    import pickle

    path = tmp_path / "body.npz"
    if kind == "truncated":
        path.write_bytes(LIGHT.read_bytes()[:50_000])
    elif kind == "garbled":
        whole = bytearray(LIGHT.read_bytes())
        whole[20_000:20_200] = b"\xff" * 200
        path.write_bytes(whole)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"v_template": [1, 2]}))
    elif kind == "single array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "text":
        path.write_text("not a body")
    with pytest.raises(FileProblem, match=str(path)):
        read_body_file(path)


def test_an_object_array_is_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("it ran",))

    values = _spoiled(lambda v: None)
    values["v_template"] = np.array([Bomb()], dtype=object)
    np.savez(tmp_path / "body.npz", **values)
    with pytest.raises(FileProblem, match="readable"):
        read_body_file(tmp_path / "body.npz")


def test_an_unknown_detail_is_refused():
    with pytest.raises(ValueError, match="full, light"):
        load_body("free", "medium")
