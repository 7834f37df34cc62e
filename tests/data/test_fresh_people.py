import dataclasses

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from hmrlab.bodies import body_digest, load_body
from hmrlab.bodies.joints import ANNOTATED
from hmrlab.bodies.paths import FREE
from hmrlab.data.augment import Augmentation, AugmentationSettings, draw, to_pictures
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic import backdrops, casting, raster
from hmrlab.data.synthetic.fresh import FreshPeople, take_pictures
from hmrlab.data.synthetic.people import make_chunk
from hmrlab.evaluation import evaluate_model
from hmrlab.geometry.normals import vertex_normals
from hmrlab.models.shipped import load_reference_model
from hmrlab.training.labels import label_shares

SIZE = 96  # of the pictures that are compared with the stored sets'
MIX = {"studio": 1 / 3, "wild": 2 / 3}


def batch_of(people, rows, resolution=64, augmentation=None):
    (raw,) = people.gather_by_set(np.asarray(rows), SIZE)
    return raw.augmented(augmentation or Augmentation.none(len(raw)), resolution)


@pytest.fixture(scope="module", params=["studio", "wild"])
def people(request):
    return FreshPeople({request.param: 1.0}, 100_000)


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


def test_a_person_is_the_same_in_every_batch(people):
    rows = [5, 70, 1023, 1024, 90_000]
    together = batch_of(people, rows)
    again = batch_of(FreshPeople({people.name.split()[-1]: 1.0}, 100_000), rows[::-1])
    for name, value in vars(together).items():
        other = getattr(again, name).flip(0)
        assert torch.allclose(value.double(), other.double(), atol=1e-5), name
    assert (together.images[0] - together.images[1]).abs().max() > 0.5


def test_another_seed_is_other_people(people):
    other = FreshPeople({people.name.split()[-1]: 1.0}, 100_000, seed=1)
    assert (batch_of(people, [3]).betas - batch_of(other, [3]).betas).abs().max() > 0.1


def test_labels_are_the_body_of_the_picture_however_it_is_turned(people, body):
    settings = AugmentationSettings(flip_probability=0.5, no_rotation_probability=0.0)
    augmentation = draw(settings, 24, torch.Generator().manual_seed(0))
    augmentation = dataclasses.replace(augmentation, flip=torch.zeros(24, dtype=torch.bool))
    batch = batch_of(people, range(24), augmentation=augmentation)
    joints = body.keypoints(batch.rotations, batch.betas)[:, ANNOTATED]
    seen = batch.keypoints_3d[..., :3]
    moved = (seen - seen[:, :1]) - (joints - joints[:, :1])
    assert moved.abs().max() < 1e-4


def test_the_silhouette_lies_where_the_keypoints_say():
    """Where two pictures of one person, lit otherwise, differ, there is the person."""
    augmentation = draw(AugmentationSettings(), 12, torch.Generator().manual_seed(1))
    (raw,) = FreshPeople({"studio": 1.0}, 1000).gather_by_set(np.arange(12), SIZE)
    column = _column(raw.layout, "lamp")
    darker = raw.table.clone()
    darker[:, column] = 0
    bright, dark = (
        dataclasses.replace(raw, table=table).augmented(augmentation, 128).images
        for table in (raw.table + 0, darker)
    )
    batch = raw.augmented(augmentation, 128)
    there = (bright - dark).abs().amax(1) > 0.02
    places = ((batch.keypoints_2d[:, ANNOTATED, :2] + 1) * 64).long()
    inside = ((places >= 0) & (places < 128)).all(-1)
    k, j = torch.nonzero(inside, as_tuple=True)
    near = torch.nn.functional.max_pool2d(there[:, None].float(), 13, 1, 6)[:, 0]
    x, y = places[k, j].unbind(-1)
    assert near[k, y, x].mean() > 0.9
    assert there.float().mean() < 0.4


def test_the_picture_is_what_the_cpus_renderer_paints(people, body):
    """The same numbers through `raster`, backdrop and camera left out."""
    (raw,) = people.gather_by_set(np.arange(4), SIZE)
    layout, table = raw.layout, raw.table[:4].clone()
    for name, value in (("noise", 0.0), ("grain", 0.0), ("gamma", 1.0), ("screen", 0.0)):
        table[:, _column(layout, name)] = value
    plain = {"company": np.zeros(4, bool), "blurred": np.zeros(4, bool)}
    raw = dataclasses.replace(raw, table=table, **plain)
    ours = take_pictures(raw, torch.eye(3).expand(4, 3, 3), SIZE)
    one = casting.unpack(table, layout)
    middle = (torch.arange(SIZE) + 0.5) / SIZE
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    places = torch.stack([x, y], -1).expand(4, SIZE, SIZE, 2)
    ground = backdrops.paint_backdrops(one, raw.kind, places).clamp(0, 1)
    for k in range(4):
        expected = ground[k].double().numpy().copy()
        _paint_by_cpu(expected, body, {name: value[k] for name, value in one.items()})
        off = np.abs(ours[k].numpy() - expected.clip(0, 1)).max(-1) > 1 / 255
        assert off.mean() < 1e-3


def _paint_by_cpu(picture, body, one):
    from hmrlab.data.synthetic.appearance import Wardrobe
    from hmrlab.data.synthetic.clothes import Looks, wear

    pose, betas = one["pose"][None], one["betas"][None]
    vertices = body.vertices(pose, betas)[0].double() + one["translation"].double()
    flat = one["focal"] * vertices[:, :2] / vertices[:, 2:] + one["principal"]
    faces = body.faces.numpy()
    triangle, _ = raster.rasterize(
        (2 * SIZE * flat).numpy(), vertices[:, 2].numpy().copy(), faces, 2 * SIZE, 2 * SIZE
    )
    normals = vertex_normals(vertices.numpy(), faces)
    light = (
        float(one["ambient"])
        + float(one["lamp"]) * np.maximum(normals @ one["towards_lamp"].double().numpy(), 0)
        + float(one["at_camera"]) * np.maximum(-normals[:, 2], 0)
    )
    looks = Looks(**{name: one[name][None].double() for name in Looks.__dataclass_fields__})
    colours = wear(Wardrobe.of(body).fabric, looks)[0].numpy()
    raster.paint(picture, triangle, faces, colours, light, 2)


def _column(layout, name):
    """Where in a table a value stands."""
    first = 0
    for each, shape in layout:
        width = int(np.prod(shape))
        if each == name:
            return slice(first, first + width)
        first += width
    raise KeyError(name)


@pytest.mark.parametrize("name", ["studio", "wild"])
def test_it_is_the_world_of_the_stored_sets(name):
    """Means over 160 people each way; limits of three to five standard errors."""
    stored = make_chunk(160, SIZE, name == "wild", np.random.default_rng(0))
    people = FreshPeople({name: 1.0}, 1000)
    (raw,) = people.gather_by_set(np.arange(160), SIZE)
    fresh = take_pictures(raw, torch.eye(3).expand(160, 3, 3), SIZE).numpy()
    pictures = stored.images / 255
    assert fresh.mean() == pytest.approx(pictures.mean(), abs=0.04)
    assert fresh.std() == pytest.approx(pictures.std(), abs=0.03)
    roughness = [np.abs(np.diff(p, axis=1)).mean() for p in (fresh, pictures)]
    assert roughness[0] == pytest.approx(roughness[1], rel=0.25)
    known = [k[:, :, 2].mean() for k in (raw.keypoints.numpy(), stored.keypoints)]
    assert known[0] == pytest.approx(known[1], abs=0.03)
    assert raw.scale.mean() == pytest.approx(stored.scale.mean(), rel=0.05)
    assert raw.betas.std() == pytest.approx(stored.betas.std(), rel=0.1)


def test_wild_people_lose_their_3d_labels_on_demand_and_studio_never_does():
    people = FreshPeople(MIX, 1000, labelled=False)
    rows = people.epoch(np.random.default_rng(0))[:64]
    (batch,) = people.gather_by_set(rows, SIZE)
    wild = batch.source == 1
    assert torch.equal(wild, torch.from_numpy(rows >= 1000))
    for known in (batch.has_smpl, batch.has_pose_3d):
        assert torch.equal(known, ~wild)
    for label in (batch.pose, batch.betas, batch.joints_3d):
        assert (label[wild] == 0).all()
        assert (label[~wild].flatten(1).abs().amax(1) > 0).all()
    assert (batch.keypoints[wild][..., 2].amax(1) > 0).all()


def test_labels_are_counted_by_set():
    loader = BatchLoader(FreshPeople(MIX, 1000, labelled=False), batch_size=8, resolution=32,
                         shuffle=True)  # fmt: skip
    shares = label_shares(loader)
    assert shares["studio"]["smpl"] == shares["studio"]["pose_3d"] == 1
    assert shares["wild"]["smpl"] == shares["wild"]["pose_3d"] == 0
    assert shares["studio"]["samples"] + shares["wild"]["samples"] == pytest.approx(1)
    assert shares["wild"]["samples"] == pytest.approx(2 / 3, abs=0.1)


def test_an_epoch_takes_everybody_once_and_its_slices_fit_together():
    order = FreshPeople(MIX, 10_000).epoch(np.random.default_rng(3))
    rows = order[:]
    assert len(order) == len(rows) == 10_000
    np.testing.assert_array_equal(np.sort(rows % 10_000), np.arange(10_000))
    assert (rows >= 10_000).mean() == pytest.approx(2 / 3, abs=0.02)
    for start, stop in ((0, 64), (4000, 4200), (4096, 4100), (9990, 20_000), (7, 7)):
        np.testing.assert_array_equal(order[start:stop], rows[start:stop])


def test_a_loader_that_goes_on_gives_the_batches_that_would_have_come():
    def loader():
        return BatchLoader(FreshPeople(MIX, 64), batch_size=8, resolution=32, seed=4, shuffle=True,
                           augmentation=AugmentationSettings(), drop_last=True)  # fmt: skip

    whole = loader()
    expected = [batch for _ in range(2) for batch in whole][9]
    second = loader()
    second.restore({"epoch": 1, "batch": 1})
    found = next(iter(second))
    assert torch.equal(found.index, expected.index)
    torch.testing.assert_close(found.images, expected.images)
    assert to_pictures(found.images).float().std() > 10


@pytest.mark.parametrize(
    ("shares", "count", "expected"),
    [
        ({"coco": 1.0}, 10, "not for coco"),
        ({}, 10, "no set at all"),
        ({"studio": 0.5}, 10, "sum to 1"),
        ({"studio": 1.0}, 0, "at least one person"),
    ],
)
def test_what_cannot_be_made_is_told(shares, count, expected):
    with pytest.raises(ValueError, match=expected):
        FreshPeople(shares, count)


def test_chunks_are_drawn_apart_by_set_and_number():
    digest = body_digest(FREE)
    drawn = [casting.draw_chunk(0, hard, k, FREE, digest).labels["betas"]
             for hard, k in ((False, 0), (False, 1), (True, 0))]  # fmt: skip
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(drawn[one] - drawn[other]).max() > 1


def test_backdrops_are_functions_of_the_place_alone():
    """A crop that is turned by a quarter shows the same wall, turned."""
    drawn = backdrops.draw_backdrops(64, True, np.random.default_rng(0))
    tensors = {name: torch.from_numpy(np.asarray(value)).float() for name, value in drawn.items()}
    middle = (torch.arange(32) + 0.5) / 32
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    upright = torch.stack([x, y], -1).expand(64, 32, 32, 2)
    pictures = backdrops.paint_backdrops(tensors, drawn["kind"], upright)
    turned = backdrops.paint_backdrops(tensors, drawn["kind"], upright.rot90(1, (1, 2)))
    torch.testing.assert_close(turned, pictures.rot90(1, (1, 2)))
    assert set(drawn["kind"]) == set(range(len(backdrops.KINDS)))
    assert pictures.isfinite().all()
    by_kind = [pictures[drawn["kind"] == k].std((1, 2)).mean() for k in range(7)]
    assert min(by_kind) > 0.01


def test_blur_is_a_gaussian():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 20, 20, 3, generator=generator)
    soft = backdrops.blur(pictures, torch.tensor([0.5, 1.0]))
    for one, sigma, found in zip(pictures.numpy(), (0.5, 1.0), soft.numpy(), strict=True):
        expected = one
        for axis in (0, 1):
            expected = gaussian_filter1d(expected, sigma, axis, mode="nearest", radius=3)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_network_that_learnt_on_stored_people_reads_fresh_ones_as_well():
    """Its error on 1,000 stored studio people is 116 mm (PA 75), on 1,000 fresh ones 116 to 119."""
    people = FreshPeople({"studio": 1.0}, 256)
    loader = BatchLoader(people, batch_size=64, resolution=64, shuffle=True)
    scores = evaluate_model(load_reference_model(), loader, load_body("free", "light")).to_dict()
    assert scores["mpjpe_mm"] == pytest.approx(117, abs=12)
    assert scores["pa_mpjpe_mm"] == pytest.approx(75, abs=6)
    assert scores["keypoint_error_percent"] == pytest.approx(3.1, abs=0.5)
