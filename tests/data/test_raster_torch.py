"""The rasteriser in plain torch against the CPU's, on 200 people."""

import numpy as np
import pytest
import torch

from hmrlab.bodies import load_body
from hmrlab.data.synthetic import raster
from hmrlab.data.synthetic import raster_torch as batched
from hmrlab.data.synthetic.people import place_people
from hmrlab.geometry.normals import vertex_normals

PEOPLE, SIDE = 200, 128
STRAY = 1e-4  # share of a body's pixels that rounding may give to a neighbour


@pytest.fixture(scope="module")
def people():
    """Points in pixels, and vertices in the camera frame, of 200 wild people; float64."""
    placed = place_people(PEOPLE, SIDE, True, np.random.default_rng(7))
    body = load_body("free", "light")
    pose, betas = (torch.from_numpy(v).float() for v in (placed.pose, placed.betas))
    vertices = body.vertices(pose, betas).double() + torch.from_numpy(placed.translation)[:, None]
    flat = vertices[..., :2] / vertices[..., 2:] * torch.from_numpy(placed.focal)[:, None, None]
    return body, flat + torch.from_numpy(placed.principal)[:, None], vertices


@pytest.fixture(scope="module")
def by_cpu(people):
    """Triangles and depths as the stored sets' rasteriser sees them."""
    body, points, vertices = people
    seen = [
        raster.rasterize(p, v[:, 2].copy(), body.faces.numpy(), SIDE, SIDE)
        for p, v in zip(points.numpy(), vertices.numpy(), strict=True)
    ]
    return np.stack([s[0] for s in seen]), np.stack([s[1] for s in seen])


def drawn(people, dtype, **options):
    body, points, vertices = people
    points, depth = points.to(dtype), vertices[..., 2].to(dtype)
    triangle = batched.rasterize(points, depth, body.faces, SIDE, SIDE, **options)
    return triangle, batched.depth_picture(triangle, points, depth, body.faces)


def test_in_float64_only_surfaces_that_touch_are_told_apart_otherwise(people, by_cpu):
    triangle, depth = drawn(people, torch.float64)
    assert (by_cpu[0] >= 0).sum() > 100_000
    np.testing.assert_array_equal(triangle.numpy() >= 0, by_cpu[0] >= 0)
    other = triangle.numpy() != by_cpu[0]
    assert other.mean() < 1e-5
    np.testing.assert_allclose(depth.numpy()[~other], by_cpu[1][~other], rtol=1e-12)
    np.testing.assert_allclose(depth.numpy()[other], by_cpu[1][other], atol=1e-4)  # metres


def test_in_float32_silhouettes_parts_and_depths_agree_but_for_stray_pixels(people, by_cpu):
    triangle, depth = drawn(people, torch.float32, cull=True)
    covered, theirs = triangle.numpy() >= 0, by_cpu[0] >= 0
    few = STRAY * theirs.sum()
    assert (covered != theirs).sum() <= few
    body = people[0]
    parts = raster.triangle_labels(body.part_labels.numpy(), body.faces.numpy())
    mine, other = (raster.label_picture(t, parts) for t in (triangle.numpy(), by_cpu[0]))
    assert (mine != other).sum() <= few
    both = covered & theirs
    far = np.abs(depth.numpy()[both] - by_cpu[1][both]) > 1e-3  # metres
    assert far.sum() <= few


def test_bodies_of_a_batch_do_not_see_each_other(people):
    body, points, vertices = people
    points, depth = points[:6].float(), vertices[:6, :, 2].float()
    together = batched.rasterize(points, depth, body.faces, SIDE, SIDE)
    alone = [
        batched.rasterize(p[None], d[None], body.faces, SIDE, SIDE)
        for p, d in zip(points, depth, strict=True)
    ]
    assert torch.equal(together, torch.cat(alone))


def test_the_nearer_of_two_triangles_is_seen_and_what_lies_behind_the_camera_is_not():
    corners = [[1.0, 1.0], [9.0, 1.0], [1.0, 9.0]]
    points = torch.tensor([corners * 3])
    depth = torch.tensor([[3.0] * 3 + [2.0] * 3 + [1.0, 1.0, -1.0]])
    triangle = batched.rasterize(points, depth, torch.arange(9).view(3, 3), 10, 10)
    assert set(triangle.unique().tolist()) == {-1, 1}
    assert triangle[0, 2, 2] == 1
    assert triangle[0, 9, 9] == -1
    assert batched.depth_picture(triangle, points, depth, torch.arange(9).view(3, 3))[0, 2, 2] == 2


@pytest.mark.parametrize("far", [float("nan"), float("inf"), 1e30])
def test_points_that_are_nowhere_leave_the_other_bodies_alone(people, far):
    body, points, vertices = people
    points, depth = points[:2].float(), vertices[:2, :, 2].float()
    alone = batched.rasterize(points[1:], depth[1:], body.faces, SIDE, SIDE)
    points[0] = far
    both = batched.rasterize(points, depth, body.faces, SIDE, SIDE)
    assert torch.equal(both[1:], alone)


def test_nobody_in_the_picture_is_an_empty_picture(people):
    body, points, vertices = people
    away = batched.rasterize(
        points[:2].float() + 1000, vertices[:2, :, 2].float(), body.faces, SIDE, SIDE
    )
    assert (away == -1).all()


def test_normals_are_those_of_the_cpu(people):
    body, _, vertices = people
    mesh = batched.Mesh.of(body.faces, body.n_vertices)
    normals = batched.vertex_normals(vertices[:5], mesh)
    for one, expected in zip(vertices[:5].numpy(), normals.numpy(), strict=True):
        np.testing.assert_allclose(vertex_normals(one, body.faces.numpy()), expected,
                                   atol=1e-12)  # fmt: skip


def test_painted_over_a_picture_it_is_the_cpus_picture(people):
    body, points, vertices = people
    generator = torch.Generator().manual_seed(0)
    n_faces, factor, size = len(body.faces), 2, SIDE // 2
    colours = torch.rand(1, n_faces, 3, generator=generator, dtype=torch.float64)
    light = torch.rand(1, body.n_vertices, generator=generator, dtype=torch.float64)
    ground = torch.rand(1, size, size, 3, generator=generator, dtype=torch.float64)
    triangle = batched.rasterize(points[:1], vertices[:1, :, 2], body.faces, SIDE, SIDE)
    shaded = colours * light[:, body.faces].mean(2)[..., None]
    layer = batched.PLAIN.paint(triangle, shaded, factor)
    expected = ground[0].numpy().copy()
    covered = raster.paint(expected, triangle[0].numpy(), body.faces.numpy(), colours[0].numpy(),
                           light[0].numpy(), factor)  # fmt: skip
    np.testing.assert_allclose(batched.over(ground, layer)[0].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(layer[0, ..., 3].numpy(), covered)


def test_traced_kernels_give_the_same_picture(people):
    body, points, vertices = people
    points, depth = points[:2].float(), vertices[:2, :, 2].float()
    plain = batched.rasterize(points, depth, body.faces, SIDE, SIDE)
    kernels = batched.compiled_kernels("aot_eager")
    traced = batched.rasterize(points, depth, body.faces, SIDE, SIDE, kernels=kernels)
    assert torch.equal(traced, plain)
    colours = torch.rand(2, len(body.faces), 3)
    assert torch.equal(kernels.paint(plain, colours, 2), batched.PLAIN.paint(plain, colours, 2))
