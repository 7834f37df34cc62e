"""Points without a mesh, against `smplx.SMPL` and its vertices."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hmrlab.bodies import Body, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import BodyArrays
from hmrlab.bodies.joints import KEYPOINT_ROWS, SMPL_PARENTS
from hmrlab.bodies.lbs import forward_kinematics
from hmrlab.bodies.points import BodyPoints, _levels_on, global_rotations
from hmrlab.bodies.smplx_adapter import smplx_model
from hmrlab.geometry import axis_angle_to_matrix

CLOSE = {"atol": 1e-5, "rtol": 0}  # metres
BATCH = 3


@dataclasses.dataclass(frozen=True)
class Case:
    """A body, and the joints and vertices that smplx gives for some poses of it."""

    arrays: BodyArrays
    bodies: dict[torch.dtype, Body]
    pose: torch.Tensor  # (B, 72), with a gradient, like the betas
    betas: torch.Tensor
    sources: torch.Tensor  # (B, 24 + V, 3)

    @property
    def matrices(self):
        return axis_angle_to_matrix(self.pose.view(-1, 24, 3))


@pytest.fixture(scope="module", params=["without correctives", "with correctives"])
def case(request):
    arrays = read_body_file(ASSETS / "free_body_light.npz")
    if request.param == "with correctives":
        directions = np.random.default_rng(0).normal(size=(*arrays.v_template.shape, 207))
        arrays = dataclasses.replace(arrays, posedirs=1e-3 * directions)
    generator = torch.Generator().manual_seed(0)
    pose = 0.5 * torch.randn(BATCH, 72, generator=generator, dtype=torch.float64)
    betas = torch.randn(BATCH, 10, generator=generator, dtype=torch.float64)
    pose.requires_grad_(), betas.requires_grad_()
    out = smplx_model(arrays, torch.float64)(
        betas=betas, body_pose=pose[:, 3:], global_orient=pose[:, :3], return_verts=True
    )
    sources = torch.cat([out.joints[:, :24], out.vertices], 1)
    double = Body(arrays, torch.float64)
    bodies = {torch.float64: double, torch.float32: copy.deepcopy(double).float()}
    return Case(arrays, bodies, pose, betas, sources)


@pytest.fixture(scope="module")
def plain():
    """A body without correctives in double precision, with one pose of it."""
    body = Body(read_body_file(ASSETS / "free_body_light.npz"), torch.float64)
    generator = torch.Generator().manual_seed(1)
    pose = 0.6 * torch.randn(1, 24, 3, generator=generator, dtype=torch.float64)
    betas = torch.randn(1, 10, generator=generator, dtype=torch.float64)
    return body, axis_angle_to_matrix(pose), betas


def keypoint_rows(arrays):
    """The 49 keypoints over joints and vertices, one by one as SPIN orders them."""
    n = len(arrays.v_template)
    extra = np.concatenate([np.zeros((9, 24)), arrays.extra_regressor], 1)
    eye = np.eye(24 + n)
    rows = [*eye[:24], *eye[24 + arrays.landmarks], *extra]
    return np.stack([rows[row] for row in KEYPOINT_ROWS])


def h36m_rows(arrays):
    return np.concatenate([np.zeros((17, 24)), arrays.h36m_regressor], 1)


def weighted(sources, rows):
    return torch.as_tensor(rows, dtype=sources.dtype) @ sources


def assert_same_values_and_gradients(case, points, expected):
    torch.testing.assert_close(points.double(), expected, **CLOSE)
    towards = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    for ours, theirs in zip(
        torch.autograd.grad((points * towards).sum(), (case.pose, case.betas)),
        torch.autograd.grad((expected * towards).sum(), (case.pose, case.betas), retain_graph=True),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["(B, 72)", "(B, 24, 3)", "matrices"])
@pytest.mark.parametrize("points", ["keypoints", "h36m"])
def test_keypoints_and_their_gradients_are_those_of_smplx(case, points, form, dtype):
    pose = {
        "(B, 72)": case.pose, "(B, 24, 3)": case.pose.view(-1, 24, 3), "matrices": case.matrices,
    }[form]  # fmt: skip
    ours = getattr(case.bodies[dtype], points)(pose.to(dtype), case.betas.to(dtype))
    assert ours.dtype == dtype
    rows = {"keypoints": keypoint_rows, "h36m": h36m_rows}[points](case.arrays)
    assert_same_values_and_gradients(case, ours, weighted(case.sources, rows))


@settings(max_examples=8)
@given(
    seed=st.integers(0, 1000),
    over_joints=st.booleans(),
    share=st.sampled_from([0.001, 0.05, 1.0]),
    regressor=st.booleans(),
)
def test_any_rows_give_smplxs_weighted_sum(case, seed, over_joints, share, regressor):
    """Of few vertices or all of them, with joints or without, whatever the weights sum to."""
    rng = np.random.default_rng(seed)
    n = case.sources.shape[1]
    rows = rng.normal(size=(4, n)) * (rng.random((4, n)) < share)
    rows[:, 24 + seed] += 1  # at least one vertex
    if not over_joints:
        rows[:, :24] = 0
    if regressor:
        rows = np.abs(rows) / np.abs(rows).sum(1, keepdims=True)
    points = BodyPoints(case.arrays, rows if over_joints else rows[:, 24:], torch.float64)
    ours = points(case.matrices, case.betas)
    assert_same_values_and_gradients(case, ours, weighted(case.sources, rows))


def test_rows_may_name_joints_only(case):
    rows = np.eye(24, case.sources.shape[1])
    ours = BodyPoints(case.arrays, rows, torch.float64)(case.matrices, case.betas)
    torch.testing.assert_close(ours, case.sources[:, :24], **CLOSE)


def test_linearised_points_are_the_points(case):
    points = case.bodies[torch.float64].keypoint_points
    model = points.linearise(case.matrices, case.betas)
    expected = points(case.matrices, case.betas)
    torch.testing.assert_close(model.points, expected, atol=1e-12, rtol=0)


def test_a_small_turn_of_a_joint_moves_points_by_their_levers(plain):
    """Of each joint about each of the world's axes, by central differences."""
    body, rotations, betas = plain
    points, size = body.keypoint_points, 1e-5
    turned = global_rotations(rotations)[0]
    above = torch.eye(3, dtype=torch.float64)
    levers = points.linearise(rotations, betas).moment_arms[0]  # (24, 3, 49)
    for joint, parent in enumerate(SMPL_PARENTS):
        before = turned[parent] if joint else above
        turn = axis_angle_to_matrix(size * torch.eye(3, dtype=torch.float64))
        moved = []
        for exact in (turn, turn.mT):
            copies = rotations.repeat(3, 1, 1, 1)
            copies[:, joint] = before.mT @ exact @ before @ rotations[0, joint]
            moved.append(points(copies, betas.expand(3, -1)))
        found = (moved[0] - moved[1]) / (2 * size)  # (3 axes, 49, 3)
        axes = torch.eye(3, dtype=torch.float64)[:, None].expand_as(found)
        expected = torch.linalg.cross(axes, levers[joint].mT.expand_as(found))
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


def test_levers_of_the_root_reach_from_the_pelvis_to_the_points(plain):
    body, rotations, betas = plain
    model = body.keypoint_points.linearise(rotations, betas)
    expected = model.points - body.rest_joints(betas)[:, :1]
    torch.testing.assert_close(model.moment_arms[:, 0].mT, expected, atol=1e-6, rtol=0)


def test_the_derivative_by_betas_is_autograds(plain):
    body, rotations, betas = plain
    found = body.keypoint_points.linearise(rotations, betas).by_betas
    expected = torch.autograd.functional.jacobian(
        lambda values: body.keypoint_points(rotations, values), betas
    )[0, :, :, 0]
    torch.testing.assert_close(found[0], expected, atol=1e-12, rtol=0)


def test_the_derivative_by_betas_knows_rows_that_do_not_sum_to_one(plain):
    _, rotations, betas = plain
    arrays = read_body_file(ASSETS / "free_body_light.npz")
    rows = np.zeros((2, len(arrays.v_template)))
    rows[0, 10], rows[1, [5, 900]] = 0.5, 2
    points = BodyPoints(arrays, rows, torch.float64)
    expected = torch.autograd.functional.jacobian(lambda b: points(rotations, b), betas)
    found = points.linearise(rotations, betas).by_betas
    torch.testing.assert_close(found, expected[:, :, :, 0], atol=1e-12, rtol=0)


def test_linearised_batches_are_their_bodies_one_by_one(case):
    points = case.bodies[torch.float64].h36m_points
    together = points.linearise(case.matrices, case.betas)
    for k in range(BATCH):
        alone = points.linearise(case.matrices[k : k + 1], case.betas[k : k + 1])
        for name, value in vars(alone).items():
            torch.testing.assert_close(getattr(together, name)[k : k + 1], value)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_global_rotations_are_those_of_the_simple_walk_down_the_tree(seed):
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(2, 24, 3, generator=generator, dtype=torch.float64)
    rotations = axis_angle_to_matrix(pose)
    expected, _ = forward_kinematics(rotations, torch.zeros(2, 24, 3).double(), SMPL_PARENTS)
    torch.testing.assert_close(global_rotations(rotations), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(3, 100), (4956,), (2, 3, 4956), (3, 24)])
def test_rows_of_another_shape_are_refused(shape):
    arrays = read_body_file(ASSETS / "free_body_light.npz")
    with pytest.raises(ValueError, match=r"rows: expected \(K, 4956\).*\(K, 4980\)"):
        BodyPoints(arrays, np.zeros(shape))


def test_no_bodies_have_no_points(plain):
    body, rotations, betas = plain
    assert body.keypoint_points(rotations[:0], betas[:0]).shape == (0, 49, 3)
    assert body.keypoint_points.linearise(rotations[:0], betas[:0]).moment_arms.shape == (
        0,
        24,
        3,
        49,
    )


def test_points_are_no_weights(plain):
    assert plain[0].keypoint_points.state_dict() == {}


def test_a_body_that_was_only_looked_at_can_be_trained_with(case):
    """What is kept for every call must not be marked as made in inference mode."""
    light = case.bodies[torch.float32]
    _levels_on.cache_clear()
    rotations = torch.eye(3).repeat(2, 24, 1, 1)
    with torch.inference_mode():
        light.keypoints(rotations, torch.zeros(2, 10))
    asked = rotations.clone().requires_grad_()
    light.keypoints(asked, torch.zeros(2, 10)).square().sum().backward()
    assert asked.grad.abs().sum() > 0
