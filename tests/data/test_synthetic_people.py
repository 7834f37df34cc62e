import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from hmrlab.bodies import load_body
from hmrlab.bodies.joints import ANNOTATED, LSP_PARTS, SMPL_JOINTS
from hmrlab.data.synthetic import raster
from hmrlab.data.synthetic.people import make_chunk


@pytest.fixture(scope="module", params=["studio", "wild"])
def chunk(request):
    return make_chunk(24, 96, request.param == "wild", np.random.default_rng(3))


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


def test_labels_are_the_body_of_the_pictures(chunk, body):
    """Pose and shape give, through `Body` and the stored camera, the stored joints."""
    out = body(torch.from_numpy(chunk.pose).float(), torch.from_numpy(chunk.betas).float())
    joints = out.keypoints[:, ANNOTATED].numpy() + chunk.translation[:, None]
    np.testing.assert_allclose(chunk.joints_3d[..., :3], joints, atol=1e-5)


def test_joints_project_onto_their_keypoints(chunk):
    points = chunk.joints_3d[..., :3]
    flat = chunk.focal[:, None, None] * points[..., :2] / points[..., 2:]
    flat = flat + chunk.principal[:, None]
    np.testing.assert_allclose(flat, chunk.keypoints[:, 25:, :2], atol=1e-3)


def test_people_stand_in_the_middle_and_fill_the_box(chunk):
    assert np.abs(chunk.center - 48).max() < 0.05 * 96
    side = chunk.scale * 200
    assert (side > 0.55 * 96).all()
    assert (side < 0.75 * 96).all()
    inside = np.abs(chunk.keypoints[:, 25:, :2] - chunk.center[:, None]).max((1, 2))
    assert (inside < side / 2).all()


def test_masks_show_where_the_person_is(chunk, body):
    """Vertices land on pixels of the person, or beside one: some parts are a pixel wide."""
    covered = (chunk.masks > 0).mean((1, 2))
    assert (covered > 0.02).all()
    out = body(torch.from_numpy(chunk.pose).float(), torch.from_numpy(chunk.betas).float())
    points = out.vertices.numpy() + chunk.translation[:, None]
    flat = chunk.focal[:, None, None] * points[..., :2] / points[..., 2:]
    column, row = (flat + chunk.principal[:, None]).astype(int).transpose(2, 0, 1)
    sizes = []
    for k in range(len(chunk.images)):
        ok = (column[k] >= 0) & (column[k] < 96) & (row[k] >= 0) & (row[k] < 96)
        person = binary_dilation(chunk.masks[k] > 0, iterations=1)
        sizes.append(person[row[k][ok], column[k][ok]].mean())
    assert np.median(sizes) > 0.97
    labels = np.unique(chunk.masks)
    assert labels.max() <= 24
    assert {1 + SMPL_JOINTS.index("head"), 1 + SMPL_JOINTS.index("left_knee")} <= set(labels)


def test_the_six_part_masks_are_those_of_the_same_person(chunk):
    np.testing.assert_array_equal(chunk.masks > 0, chunk.lsp_masks > 0)
    for part, group in (("head", "head"), ("left_wrist", "left_arm"), ("right_knee", "right_leg")):
        of_part = chunk.masks == 1 + SMPL_JOINTS.index(part)
        assert of_part.any()
        groups = chunk.lsp_masks[of_part]
        assert (groups == 1 + LSP_PARTS.index(group)).mean() > 0.9, part
    assert set(np.unique(chunk.lsp_masks)) == set(range(7))


def test_detections_are_worse_in_the_wild_only():
    """OpenPose's joints are exact and certain in the studio, off and sometimes missed outside."""
    studio = make_chunk(16, 96, False, np.random.default_rng(0))
    wild = make_chunk(64, 96, True, np.random.default_rng(0))
    assert set(np.unique(studio.keypoints[:, :25, 2])) <= {0.0, 1.0}
    confidence = wild.keypoints[:, :25, 2]
    assert 0.01 < (confidence == 0).mean() < 0.15
    # Right wrist: OpenPose's 4 and the annotated 6 are the same place on the body.
    off = np.linalg.norm(wild.keypoints[:, 4, :2] - wild.keypoints[:, 31, :2], axis=1)
    share = off / (wild.scale * 200)
    assert 0.002 < np.median(share) < 0.03


def test_pictures_are_varied(chunk):
    flat = chunk.images.reshape(len(chunk.images), -1).astype(float)
    distance = np.abs(flat[:, None] - flat[None]).mean(2)
    distance[np.diag_indices(len(flat))] = np.inf
    assert distance.min() > 5
    assert (flat.std(1) > 5).all()


def test_a_chunk_is_a_pure_function_of_its_seed():
    one, other = (make_chunk(6, 64, True, np.random.default_rng(11)) for _ in range(2))
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(other, name), err_msg=name)


def test_the_rasteriser_sees_what_rays_see(body):
    """Depth of each pixel against a ray through its middle and every triangle."""
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))[0].double().numpy()
    vertices = vertices * [1, -1, -1] + [0, 0.2, 3]
    size, focal = 80, 100.0
    points = focal * vertices[:, :2] / vertices[:, 2:] + size / 2
    faces = body.faces.numpy()
    triangle, depth = raster.rasterize(points, vertices[:, 2].copy(), faces, size, size)
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    rays = np.stack([(x - size / 2) / focal, (y - size / 2) / focal, np.ones_like(x)], 1)
    # A ray is a sum of a triangle's corners; it meets the triangle if no summand is negative.
    corners = np.linalg.inv(vertices[faces].transpose(0, 2, 1))
    seen = np.zeros((size, size))
    for row, along in enumerate(rays):
        parts = corners @ along  # (F, 3, size)
        met = (parts >= 0).all(1)
        seen[row] = np.where(met, 1 / parts.sum(1), np.inf).min(0)
    seen[np.isinf(seen)] = 0
    assert ((triangle >= 0) == (seen > 0)).mean() > 0.9995
    both = (triangle >= 0) & (seen > 0)
    np.testing.assert_allclose(depth[both], seen[both], atol=2e-3)


def test_the_rasteriser_handles_the_awkward():
    """A triangle larger than the picture, one behind the camera, one without area."""
    faces = np.array([[0, 1, 2]])
    big = np.array([[-100.0, -100.0], [300.0, -100.0], [0.0, 300.0]])
    triangle, depth = raster.rasterize(big, np.full(3, 2.0), faces, 8, 8)
    assert (triangle == 0).all()
    np.testing.assert_allclose(depth, 2.0)
    for points, z in ((big, np.array([2.0, 2.0, -1.0])), (np.zeros((3, 2)), np.full(3, 2.0))):
        triangle, depth = raster.rasterize(points, z, faces, 8, 8)
        assert (triangle == -1).all()
        assert np.isinf(depth).all()
