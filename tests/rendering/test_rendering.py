import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from hmrlab.bodies import load_body
from hmrlab.geometry import axis_angle_to_matrix, project_normalised
from hmrlab.rendering import (
    available_backends,
    choose_backend,
    colour_bar,
    contact_sheet,
    draw_keypoints,
    gallery,
    joint_heat,
    over_photo,
    overlay,
    render_bodies,
    save_png,
    side_view,
    turntable,
)
from hmrlab.rendering.backends import BACKENDS, RasterBackend, get_backend, probe
from hmrlab.rendering.galleries import FARTHEST
from hmrlab.rendering.gl import Pinhole

HALF_TURN = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


@pytest.fixture(scope="module")
def facing(body):
    """One person facing the camera with an arm up, in the camera's frame."""
    pose = torch.zeros(1, 24, 3)
    pose[0, 16, 2] = 0.9
    rotations = axis_angle_to_matrix(pose)
    rotations[:, 0] = HALF_TURN
    betas = torch.zeros(1, 10)
    return body.vertices(rotations, betas), body.keypoints(rotations, betas)


def test_some_backend_works_and_the_best_is_chosen():
    found = available_backends()
    assert set(found) == set(BACKENDS)
    assert choose_backend() == next(name for name in BACKENDS if found[name] == "OK")


@pytest.mark.parametrize("name", BACKENDS[:2])
def test_graphics_libraries_draw_what_the_rasteriser_draws(name, facing, body, tmp_path):
    """Silhouettes and depth of each backend against our rasteriser, which needs no library."""
    if probe(name) != "OK":
        reason = f"{name} cannot be compared on this machine: {probe(name)}"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    if name == "pyrender-osmesa" and probe("pyrender-egl") == "OK":
        # One process has one GL platform.
        depth = _depth_in_own_process(name, facing[0], body, tmp_path)
    else:
        depth = depth_map(_placed(facing[0]), body.faces, CAMERA, name)
    plain = depth_map(_placed(facing[0]), body.faces, CAMERA, "raster")
    ours, theirs = depth > 0, plain > 0
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.98
    assert np.median(np.abs(depth - plain)[ours & theirs]) < 2e-3
    # GL takes depth from a sample beside the pixel's middle; a shift by a whole pixel is a mistake.
    shift = np.argwhere(ours).mean(0) - np.argwhere(theirs).mean(0)
    assert np.abs(shift).max() < 0.5


def depth_map(vertices, faces, camera, name):
    """Depth (H, W) in metres of one mesh; 0 where nothing is."""
    return get_backend(name).draw(vertices, faces.numpy(), np.ones_like(vertices), camera)[1]


CAMERA = Pinhole(900.0, (300.0, 300.0), 600, 600)


def _placed(vertices):
    return vertices[0].numpy() + np.array([0.0, 0.0, 4.0])


def _depth_in_own_process(name, vertices, body, folder):
    np.savez(folder / "in.npz", v=_placed(vertices), f=body.faces.numpy())
    code = (
        "import numpy as np, sys\n"
        "from hmrlab.rendering.gl import Pinhole\n"
        "from hmrlab.rendering.backends import get_backend\n"
        "a = np.load(sys.argv[1] + '/in.npz')\n"
        "c = Pinhole(900.0, (300.0, 300.0), 600, 600)\n"
        "_, depth = get_backend(sys.argv[2]).draw(a['v'], a['f'], np.ones_like(a['v']), c)\n"
        "np.save(sys.argv[1] + '/out.npy', depth)\n"
    )
    subprocess.run([sys.executable, "-c", code, folder, name], check=True)
    return np.load(folder / "out.npy")


def test_the_overlay_lands_on_the_projected_keypoints(facing, body):
    camera = torch.tensor([[0.9, 0.05, -0.1]])
    blank = np.zeros((1, 128, 128, 3), np.uint8)
    picture = overlay(blank, facing[0], body.faces, camera, backend="raster")[0]
    inside = project_normalised(facing[1], camera)[0]
    for name in (7, 4, 0):  # wrists and nose: thin parts show an offset
        x, y = ((inside[name] + 1) * 64).int().tolist()
        assert picture[y - 1 : y + 2, x - 1 : x + 2].any()
    drawn = np.argwhere(picture.any(-1)) / 64 - 1
    low, high = drawn.min(0)[::-1], drawn.max(0)[::-1]
    vertices = project_normalised(facing[0], camera)[0].numpy()
    np.testing.assert_allclose([low, high], [vertices.min(0), vertices.max(0)], atol=0.04)


def test_an_overlay_leaves_the_rest_of_the_picture_alone(facing, body):
    photo = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    picture = overlay(photo, facing[0], body.faces, torch.tensor([[0.9, 0.0, 0.0]]))
    corner = slice(0, 6)
    np.testing.assert_array_equal(picture[0, corner, corner], photo[0, corner, corner])
    assert (picture != photo).any()


def test_a_body_over_a_photo_is_the_whole_cameras_picture(facing, body):
    """Only a part of the photo is drawn anew; it must be the right part."""
    camera = Pinhole(500.0, (180.0, 310.0), 700, 620)
    photo = np.random.default_rng(0).integers(0, 255, (700, 620, 3), dtype=np.uint8)
    picture = over_photo(photo, _placed(facing[0])[None], body.faces, [camera], backend="raster")
    seen = depth_map(_placed(facing[0]), body.faces, camera, "raster") > 0
    changed = (picture != photo).any(-1)
    assert (changed & seen).sum() / (changed | seen).sum() > 0.95
    np.testing.assert_array_equal(photo[:, 500:], picture[:, 500:])


def test_over_a_photo_the_last_is_in_front(facing, body):
    camera = Pinhole(300.0, (100.0, 100.0), 200, 200)
    pair = np.stack([_placed(facing[0])] * 2)
    colours = np.zeros((2, body.n_vertices, 3))
    colours[0, :, 0] = colours[1, :, 2] = 1
    black = np.zeros((200, 200, 3), np.uint8)
    red, _, blue = over_photo(black, pair, body.faces, [camera] * 2, colours=colours).sum((0, 1))
    assert blue > 20 * red > 0  # of the one behind an edge's half pixels are left


def test_a_body_half_or_wholly_outside_a_photo_does_no_harm(facing, body):
    black = np.zeros((90, 120, 3), np.uint8)
    for center, seen in (((0.0, 95.0), True), ((125.0, 0.0), True), ((900.0, -900.0), False)):
        camera = Pinhole(150.0, center, 90, 120)
        picture = over_photo(black, _placed(facing[0])[None], body.faces, [camera])
        assert picture.shape == black.shape
        assert picture.any() == seen
    nobody = over_photo(black, np.zeros((0, 9, 3)), body.faces, [])
    np.testing.assert_array_equal(nobody, black)


def test_a_body_behind_the_camera_is_refused(facing, body):
    camera = Pinhole(150.0, (60.0, 45.0), 90, 120)
    with pytest.raises(ValueError, match="behind its camera"):
        over_photo(np.zeros((90, 120, 3), np.uint8), facing[0], body.faces, [camera])


def test_from_the_side_a_person_is_narrow(facing, body):
    camera = torch.tensor([[0.9, 0.0, 0.0]])
    blank = np.full((1, 128, 128, 3), 255, np.uint8)
    front = overlay(blank, facing[0], body.faces, camera)[0]
    side = side_view(facing[0], body.faces, camera, size=128)[0]

    def width(picture):
        columns = (picture < 250).any((0, 2))
        return np.ptp(np.flatnonzero(columns))

    assert width(side) < 0.6 * width(front)


def test_yaw_shows_the_left_side(body):
    """Seen from the body's left, the nose points to the picture's left."""
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))
    nose = body.keypoints(torch.zeros(1, 72), torch.zeros(1, 10))[0, 0, 2]
    assert nose > 0.05
    picture = render_bodies(vertices, body.faces, size=200, yaw=90, backend="raster")[0]
    rows = np.flatnonzero((picture < 250).any((1, 2)))
    feet = picture[rows[-8:]]  # toes reach further forward than heels reach back
    columns = np.flatnonzero((feet < 250).any((0, 2)))
    head = picture[rows[:20]]
    middle = np.flatnonzero((head < 250).any((0, 2))).mean()
    assert middle - columns.min() > columns.max() - middle


def test_pictures_do_not_depend_on_the_type_of_array(body):
    vertices = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))
    one = render_bodies(vertices, body.faces, size=64, backend="raster")
    other = render_bodies(vertices.numpy(), body.faces.numpy(), size=64, backend="raster")
    np.testing.assert_array_equal(one, other)


def test_heat_shows_where_the_number_is_large(body):
    values = np.zeros((1, 24))
    values[0, 18] = 90
    colours = joint_heat(values, body.weights.numpy(), most=90)
    hot = colours[0, body.part_labels.numpy() == 18].mean(0)
    cold = colours[0, body.part_labels.numpy() == 4].mean(0)
    assert np.abs(hot - cold).max() > 0.4
    assert isinstance(colour_bar(90, "degrees"), Figure)


def test_a_turntable_shows_the_body_from_all_round(body):
    strip = turntable(body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))[0], body.faces, 4, 50)
    assert strip.shape == (50, 200, 3)
    views = np.split(strip, 4, axis=1)
    assert not np.array_equal(views[0], views[1])


def test_a_gallery_has_a_row_a_person_and_refuses_uneven_columns():
    images = np.zeros((3, 8, 8, 3), np.uint8)
    figure = gallery({"a": images, "b": images}, ["x", "y", "z"])
    assert len(figure.axes) == 6
    with pytest.raises(ValueError, match="same number"):
        gallery({"a": images, "b": images[:2]})


def test_a_contact_sheet_fills_up_with_white():
    sheet = contact_sheet(np.zeros((3, 4, 5, 3), np.uint8), columns=2, zoom=2)
    assert sheet.shape == (16, 20, 3)
    assert (sheet[8:, 10:] == 255).all()
    assert (sheet[:8] == 0).all()


def test_keypoints_are_drawn_where_they_are_and_only_if_seen():
    image = np.zeros((32, 32, 3), np.uint8)
    keypoints = np.zeros((24, 3))
    keypoints[5] = (10.0, 20.0, 1.0)
    keypoints[6] = (30.0, 4.0, 0.0)
    drawn = draw_keypoints(image, keypoints, zoom=2)
    assert drawn.shape == (64, 64, 3)
    assert drawn[40, 20].any()
    assert not drawn[4:12, 54:].any()


def test_lines_to_keypoints_gone_astray_are_not_followed_to_their_ends():
    def drawn(far):
        keypoints = np.full((24, 3), far)
        keypoints[::2] = (10, 12, 1)
        return draw_keypoints(np.zeros((32, 32, 3), np.uint8), keypoints)

    np.testing.assert_array_equal(drawn(1e9), drawn(FARTHEST * 32))
    assert drawn(1e9).any()


def test_a_saved_picture_reads_the_same(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (5, 6, 3), dtype=np.uint8)
    path = save_png(tmp_path / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), picture)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda v, f: render_bodies(v[0], f), "expected"),
        (lambda v, f: render_bodies(torch.cat([v, v * torch.nan]), f), "body 1 has vertices"),
        (lambda v, f: render_bodies(v, f, colours=np.zeros((7, 3))), "colours"),
        (lambda v, f: render_bodies(v, f, backend="povray"), "unknown renderer 'povray'"),
    ],
)
def test_wrong_input_is_named(facing, body, call, says):
    with pytest.raises(ValueError, match=says):
        call(facing[0], body.faces)


def test_the_environment_chooses_the_renderer(monkeypatch):
    monkeypatch.setenv("HMRLAB_RENDERER", "raster")
    assert choose_backend() == "raster"


def test_a_giant_is_drawn_as_what_it_is_and_not_from_within(body):
    """A body that would reach behind the camera is drawn smaller, so as one that just does not."""
    rest = body.vertices(torch.zeros(1, 72), torch.zeros(1, 10))
    pictures = [render_bodies(size * rest, body.faces, size=64) for size in (40, 1e3, 1e20)]
    assert (pictures[0] != 255).any(-1).mean() > 0.05
    for picture in pictures[1:]:
        assert np.abs(picture.astype(int) - pictures[0]).mean() < 1


def test_colours_of_the_rasteriser_are_straight_on_the_skin_not_in_the_picture():
    """On a triangle far from the picture's plane, a colour that says where one is, says it."""
    corners = np.array([[-1.0, -1.0, 2.0], [1.0, -1.0, 2.0], [0.0, 1.5, 9.0]])
    colours = (corners - corners.min(0)) / np.ptp(corners, 0)
    camera = Pinhole(60.0, (32.0, 32.0), 64, 64)
    colour, depth = RasterBackend().draw(corners, np.array([[0, 1, 2]]), colours, camera)
    row, column = np.nonzero(depth)
    assert len(row) > 200
    z = depth[row, column]
    where = np.stack([(column + 0.5 - 32) / 60 * z, (row + 0.5 - 32) / 60 * z, z], 1)
    expected = (where - corners.min(0)) / np.ptp(corners, 0)
    np.testing.assert_allclose(colour[row, column], expected, atol=1e-9)


def test_the_rasteriser_leaves_out_what_reaches_behind_the_camera():
    corners = np.array([[-1.0, -1.0, 2.0], [1.0, -1.0, 2.0], [0.0, 1.5, -0.1]])
    camera = Pinhole(60.0, (32.0, 32.0), 64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, depth = RasterBackend().draw(corners, np.array([[0, 1, 2]]), np.ones((3, 3)), camera)
    assert not depth.any()
