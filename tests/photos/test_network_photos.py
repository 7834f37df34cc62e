"""A network's bodies over a photo: crops, cameras, odd pictures, and the files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.bodies import Body, SMPLParams, read_body_file
from hmrlab.bodies.body import ASSETS
from hmrlab.data.augment import crop_picture
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix, crop_matrix, rotation_angle_between
from hmrlab.photos import (
    Boxes,
    NobodyError,
    one_camera,
    predict,
    read_openpose,
    read_photo,
    save_bodies,
)
from hmrlab.photos.finding import ByKeypoints, FoundPeople, InBoxes, Whole
from hmrlab.photos.network import answer, bodies_of
from hmrlab.photos.save import parameters, save_page, summary

SHARED = Path(__file__).resolve().parents[3] / "shared" / "photos"
SIZE = (480, 640)


def boxes_of(*rectangles):
    return Boxes.of(np.array(rectangles, float), SIZE)


@pytest.mark.parametrize(
    ("rectangle", "resolution"),
    [
        ((100, 50, 80, 120), 64),
        ((100.3, 50.7, 30.5, 20), 224),  # enlarged
        ((-40, -60, 200, 200), 64),  # beyond the upper left
        ((560, 380, 300, 90), 64),  # beyond the lower right
        ((0, 0, 640, 480), 64),  # shrunk by blocks of five
        ((-700, -900, 2000, 2000), 32),
    ],
)
def test_a_crop_is_what_the_whole_photos_would_be(scenery, rectangle, resolution):
    boxes = boxes_of(rectangle)
    (crop,) = boxes.crops(scenery, resolution)
    whole = torch.from_numpy(scenery).permute(2, 0, 1).float() / 255
    matrix = crop_matrix(boxes.center[0], boxes.side[0] / 200, resolution)
    torch.testing.assert_close(crop, crop_picture(whole, matrix, resolution), atol=2e-3, rtol=0)


def test_a_box_is_a_square_about_its_middle(scenery):
    boxes = boxes_of((10, 20, 100, 60))
    torch.testing.assert_close(boxes.center, torch.tensor([[60.0, 50.0]]))
    torch.testing.assert_close(boxes.side, torch.tensor([100.0]))
    torch.testing.assert_close(
        Boxes.of(np.array([[10, 20, 100, 60]]), SIZE, 1.2).side, torch.tensor([120.0])
    )
    whole = Whole().find(Path("a.jpg"), scenery).boxes
    torch.testing.assert_close(whole.center, torch.tensor([[320.0, 240.0]]))
    torch.testing.assert_close(whole.side, torch.tensor([640.0]))


@pytest.mark.parametrize(
    ("rectangle", "reason"),
    [
        ((1, 2, 0, 30), r"box 1 \(1, 2, 0, 30\) has no area"),
        ((1, 2, 30, -4), "has no area"),
        ((1, np.nan, 30, 40), "NaN or infinite"),
        ((1, 2, np.inf, 40), "NaN or infinite"),
        ((1, 2, 3, 4), "smaller than the 10 pixels"),
        ((640, 2, 30, 40), r"outside the photo \(640 x 480\)"),
        ((1, -70, 30, 70), "outside the photo"),
    ],
)
def test_a_box_that_shows_nothing_is_refused_with_the_reason(scenery, rectangle, reason):
    both = np.array([(10, 10, 50, 50), rectangle], float)
    with pytest.raises(NobodyError, match=reason):
        InBoxes(both).find(Path("a.jpg"), scenery)


def said_of(*cameras, about_y=0.4):
    """Bodies in a bent pose, turned a little, with these cameras."""
    pose = torch.zeros(len(cameras), 24, 3)
    pose[:, 16, 2] = -1.0
    pose[:, 4, 0] = 0.7
    rotations = axis_angle_to_matrix(pose)
    upright = axis_angle_to_matrix(torch.tensor([torch.pi, 0.0, 0.0]))
    rotations[:, 0] = upright @ axis_angle_to_matrix(torch.tensor([0.0, about_y, 0.0]))
    return SMPLParams(rotations, torch.zeros(len(cameras), 10), torch.tensor(cameras))


RECTANGLES = [(20, 30, 150, 300), (470, 200, 160, 260)]
CAMERAS = [(0.8, 0.05, -0.1), (0.95, -0.1, 0.15)]


@pytest.fixture(scope="module")
def street_people(scenery, body):
    """Two people far from the photo's middle."""
    found = FoundPeople(boxes_of(*RECTANGLES), (0, 1))
    return bodies_of(scenery, found, said_of(*CAMERAS), body)


def seen_in_crops(people, points):
    """Where SPIN's crop cameras see points (N, K, 3), in pixels of the photo, by hand."""
    places = []
    for (left, top, width, height), (s, tx, ty), cloud in zip(
        RECTANGLES, CAMERAS, points.numpy(), strict=True
    ):
        side = max(width, height)
        depth = 2 * 5000 / (224 * s)
        normalised = 5000 / 112 * (cloud[:, :2] + [tx, ty]) / (cloud[:, 2:] + depth)
        middle = np.array([left + width / 2, top + height / 2])
        places.append(middle + side / 2 * normalised)
    return np.stack(places)


def test_each_persons_own_camera_sees_in_the_photo_what_the_crops_sees(street_people, body):
    """So the overlay sits exactly where the network put the body, off-centre or not."""
    points = body.keypoints(street_people.posed.rotations, street_people.posed.betas)
    wanted = seen_in_crops(street_people, points)
    placed = points.numpy() + street_people.posed.translation[:, None].numpy()
    for row, camera in enumerate(street_people.cameras()):
        seen = camera.focal * placed[row, :, :2] / placed[row, :, 2:] + camera.center
        np.testing.assert_allclose(seen, wanted[row], atol=0.02)
        vertices = street_people.vertices()[row]
        seen = camera.focal * vertices[:, :2] / vertices[:, 2:] + camera.center
        drawn = np.argwhere((street_people.overlay(opacity=1.0) != street_people.image).any(2))
        box = boxes_of(RECTANGLES[row])
        near = np.abs(drawn[:, 1] - float(box.center[0, 0])) < float(box.side) / 2
        low, high = drawn[near].min(0)[::-1], drawn[near].max(0)[::-1] + 1
        np.testing.assert_allclose(np.stack([low, high]), [seen.min(0), seen.max(0)], atol=1.5)


def project(points, focal):
    return focal * points[..., :2] / points[..., 2:] + points.new_tensor([320.0, 240.0])


def test_cliffs_translation_is_its_formula(street_people, body):
    scene = one_camera(street_people.posed, street_people.boxes, body, SIZE, turned=False)
    assert scene.focal == 800.0  # of 480 x 640
    for row, ((left, top, width, height), (s, tx, ty)) in enumerate(
        zip(RECTANGLES, CAMERAS, strict=True)
    ):
        b = max(width, height)
        cx, cy = left + width / 2, top + height / 2
        wanted = (
            tx + 2 * (cx - 320) / (b * s),
            ty + 2 * (cy - 240) / (b * s),
            2 * 800 / (b * s),
        )
        np.testing.assert_allclose(scene.translation[row], wanted, rtol=1e-5)
    assert torch.equal(scene.rotations, street_people.posed.rotations)


def test_cliffs_camera_lands_on_the_crops_pixels_within_its_bound(street_people, body):
    """Off by h |z| / (d + z) in each axis: exact in the plane of the translation."""
    scene = one_camera(street_people.posed, street_people.boxes, body, SIZE, turned=False)
    points = body.keypoints(scene.rotations, street_people.posed.betas)
    seen = project(points + scene.translation[:, None], scene.focal).numpy()
    wanted = seen_in_crops(street_people, points)
    z = points[..., 2:].numpy()
    d = scene.translation[:, None, 2:].numpy()
    far = street_people.posed.translation[:, None, 2:].numpy()
    flat = wanted * 0
    for row, ((left, top, width, height), (s, tx, ty)) in enumerate(
        zip(RECTANGLES, CAMERAS, strict=True)
    ):
        half = max(width, height) * s / 2
        middle = [left + width / 2 - 320, top + height / 2 - 240]
        flat[row] = (
            half * (points[row, :, :2].numpy() + np.array([tx, ty])) + middle
        )  # without depth
    bound = np.abs(flat) * np.abs(z) / (d + z)
    crops_own = np.abs(wanted - wanted.mean(1, keepdims=True)).max() * np.abs(z) / (far + z)
    assert (np.abs(seen - wanted) <= bound + 2 * crops_own + 0.05).all()
    assert np.abs(seen - wanted).max() > 3  # the bound is about something
    thin = points * torch.tensor([1.0, 1.0, 0.0])
    seen = project(thin + scene.translation[:, None], scene.focal).numpy()
    np.testing.assert_allclose(seen, seen_in_crops(street_people, thin), atol=0.05)


def test_turned_by_its_ray_a_body_is_seen_from_where_its_crop_saw_it(street_people, body):
    """CLIFF's translation alone shows whoever stands at the edge from another side."""
    posed, boxes = street_people.posed, street_people.boxes
    for turned in (True, False):
        scene = one_camera(posed, boxes, body, SIZE, turned=turned)
        middles = boxes.center - torch.tensor([320.0, 240.0])
        rays = torch.cat([middles / scene.focal, torch.ones(2, 1)], 1)
        rays = rays / rays.norm(dim=1, keepdim=True)
        # The direction of sight in the body's own frame: the crop's camera looks along z.
        wanted = posed.rotations[:, 0].mT @ torch.tensor([0.0, 0.0, 1.0])
        sight = (scene.rotations[:, 0].mT @ rays[..., None])[..., 0]
        away = torch.rad2deg(torch.acos((wanted * sight).sum(1).clamp(-1, 1)))
        if turned:
            assert (away < 0.1).all()
        else:
            assert (away > 11).all()


def test_turned_what_lies_on_the_ray_is_met_exactly(scenery, body):
    """The box's middle, where a camera without shift sees the root's place: no bound needed."""
    found = FoundPeople(boxes_of(*RECTANGLES), (0, 1))
    pelvis = body.rest_joints(torch.zeros(2, 10))[:, 0]
    cameras = [(0.8, *(-pelvis[0, :2]).tolist()), (0.9, *(-pelvis[1, :2]).tolist())]
    people = bodies_of(scenery, found, said_of(*cameras), body)
    scene = people.scene()
    root = body.joints(scene.rotations, people.posed.betas)[:, 0]
    seen = project(root + scene.translation, scene.focal)
    depth = 2 * 800 / (people.boxes.side * people.extra["camera"][:, 0])
    moved = float(pelvis[0, 2].abs() / depth.min() * 320)
    torch.testing.assert_close(seen, people.boxes.center, atol=moved + 0.01, rtol=0)
    turn = rotation_angle_between(scene.rotations[:, 0], people.posed.rotations[:, 0])
    middles = people.boxes.center - torch.tensor([320.0, 240.0])
    torch.testing.assert_close(turn, torch.atan(middles.norm(dim=1) / 800), atol=1e-3, rtol=0)


def test_whoever_has_no_body_is_left_out_and_the_others_keep_their_numbers(scenery, body):
    said = said_of((0.9, 0.0, 0.0), (-0.3, 0.0, 0.0), (0.9, 0.0, 0.0), (0.8, 0.0, 0.0))
    said.betas[2, 3] = torch.nan
    boxes = boxes_of(*[(10 * k, 10, 100, 200) for k in range(4)])
    people = bodies_of(scenery, FoundPeople(boxes, (0, 1, 4, 5), {2: "too small"}), said, body)
    assert people.numbers == (0, 5)
    assert sorted(people.left_out) == [1, 2, 4]
    assert "scale is -0.30" in people.left_out[1]
    assert "not finite" in people.left_out[4]
    torch.testing.assert_close(people.boxes.center, boxes.center[[0, 3]])
    torch.testing.assert_close(people.extra["camera"], said.camera[[0, 3]])
    with pytest.raises(NobodyError, match=r"person 7: .* scale is 0\.00"):
        bodies_of(
            scenery, FoundPeople(boxes_of((0, 0, 50, 50)), (7,)), said_of((0.0, 0.0, 0.0)), body
        )


def test_a_model_tells_its_crops_size_and_its_corrections(model):
    assert model.resolution == 64  # the shipped file is older than that entry
    crops = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    config = model.config
    try:
        model.config = replace(config, n_iter=1)
        with torch.no_grad():
            wanted = model((crops - mean) / deviation, n_iter=1)
        said = answer(model, crops)
    finally:
        model.config = config
    torch.testing.assert_close(said.rotations, wanted.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(said.camera, wanted.camera, atol=1e-5, rtol=0)


@pytest.fixture(scope="module")
def folder(street_people, tmp_path_factory):
    where = tmp_path_factory.mktemp("out") / "photo"
    written = save_bodies(street_people, where)
    written.append(save_page(street_people, where, title="a street"))
    assert sorted(written) == sorted(where.iterdir())
    return where


def test_a_networks_people_leave_the_files_of_fitted_ones_and_a_page(folder):
    kinds = (".glb", ".npz", ".obj", "_turntable.png")
    people = [f"person_{k}{kind}" for k in (0, 1) for kind in kinds]
    names = ["overlay.png", *people, "scene.glb", "view.html"]
    assert sorted(path.name for path in folder.iterdir()) == names
    text = (folder / "view.html").read_text()
    assert "a street" in text
    assert "person 1" in text
    assert text.count('id="hmrlab-body-') == 1


def test_the_saved_numbers_alone_say_where_a_body_is_seen(folder, street_people, body):
    points = body.keypoints(street_people.posed.rotations, street_people.posed.betas)
    wanted = seen_in_crops(street_people, points)
    for row in range(2):
        with np.load(folder / f"person_{row}.npz", allow_pickle=False) as arrays:
            saved = dict(arrays)
        np.testing.assert_allclose(saved["camera"], CAMERAS[row], rtol=1e-6)
        assert not {"keypoints", "pixel_error", "reprojection", "score"} & set(saved)
        pose = torch.from_numpy(saved["pose"])[None]
        placed = body.keypoints(pose, torch.from_numpy(saved["betas"])[None])[0].numpy()
        placed = placed + saved["translation"]
        seen = saved["focal"] * placed[:, :2] / placed[:, 2:] + saved["principal_point"]
        np.testing.assert_allclose(seen, wanted[row], atol=0.05)
        (left, _, width, height), (s, tx, _) = RECTANGLES[row], CAMERAS[row]
        shift = tx + 2 * (left + width / 2 - 320) / (max(width, height) * s)
        assert saved["cliff_translation"][0] == pytest.approx(shift, rel=1e-4)


def test_a_body_of_the_users_own_gets_into_no_page_unasked(street_people, tmp_path):
    from dataclasses import replace

    arrays = read_body_file(ASSETS / "free_body_light.npz")
    own = Body(replace(arrays, v_template=arrays.v_template * 1.01))
    people = replace(street_people, body=own)
    assert save_page(people, tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    page = save_page(people, tmp_path, include_body=True)
    assert page.read_text().count('id="hmrlab-body-') == 1


def test_openposes_people_have_boxes_and_are_compared_with(scenery, street, body, model, tmp_path):
    import json

    first = street.keypoints[0]
    lost = np.zeros((25, 3))
    people = [{"pose_keypoints_2d": list(map(float, one.ravel()))} for one in (lost, first)]
    (tmp_path / "a_keypoints.json").write_text(json.dumps({"people": people}))
    for where in (tmp_path, tmp_path / "a_keypoints.json"):  # a folder of them, or one
        found = ByKeypoints(where).find(Path("a.jpg"), scenery)
        assert found.numbers == (1,)
        assert "0 keypoints" in found.left_out[0]
    torch.testing.assert_close(found.boxes.side, Boxes.around(first[None]).side)
    people = predict(model, scenery, found, body, 64)
    own = parameters(people, 0)
    assert own["keypoints"].shape == (25, 3)
    placed = seen_by(people, body)
    away = np.linalg.norm(placed - first[:, :2], axis=1).mean()
    assert float(own["pixel_error"]) == pytest.approx(away, rel=1e-3)
    lines = summary(people, [tmp_path / "overlay.png"]).splitlines()
    assert lines[0].startswith("person_0: left out, 0 keypoints")
    assert "25 of 25 keypoints seen" in lines[1]
    with pytest.raises(FileProblem, match=r"no keypoints of b\.jpg: no b_keypoints\.json"):
        ByKeypoints(tmp_path).find(Path("b.jpg"), scenery)


def seen_by(people, body):
    """(25, 2) pixels of the first person's keypoints through its own camera."""
    (camera,) = people.cameras()
    points = body.keypoints(people.posed.rotations, people.posed.betas)[0, :25].numpy()
    placed = points + people.posed.translation[0].numpy()
    return camera.focal * placed[:, :2] / placed[:, 2:] + camera.center


@pytest.mark.skipif(not SHARED.is_dir(), reason="the photo that SPIN's demo uses is not here")
def test_on_a_real_photo_the_body_sits_on_the_person(body, model):
    """Where the person is, not how: the shipped network's poses of real people are poor."""
    image = read_photo(SHARED / "im1010.jpg")
    finder = InBoxes(np.array([[17.0, 37, 117, 142]]))
    people = predict(model, image, finder.find(Path("im1010.jpg"), image), body, 64)
    (person,) = read_openpose(SHARED / "im1010_openpose.json")
    places = person[person[:, 2] > 0.2, :2]
    seen = seen_by(people, body)
    assert np.abs(seen.mean(0) - places.mean(0)).max() < 15
    assert 0.6 < np.ptp(seen[:, 1]) / np.ptp(places[:, 1]) < 1.4
