"""People made on a GPU are the CPU's."""

import numpy as np
import pytest
import torch

from hmrlab.data.augment import AugmentationSettings, draw
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic import raster_torch
from hmrlab.data.synthetic.fresh import FreshPeople
from hmrlab.data.synthetic.people import place_people

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

MIX = {"studio": 1 / 3, "wild": 2 / 3}
VISIBLE = 0.05  # of a normalised picture: three of 255 grey levels


def batch_on(device, compiled=False, count=64):
    people = FreshPeople(MIX, 10_000, compiled=compiled)
    rows = people.epoch(np.random.default_rng(0))[:count]
    (raw,) = people.gather_by_set(rows, 336)
    augmentation = draw(AugmentationSettings(), count, torch.Generator().manual_seed(0))
    return raw.to(device).augmented(augmentation, 224)


@pytest.fixture(scope="module")
def by_cpu():
    return batch_on("cpu")


def test_pictures_and_labels_are_the_cpus_but_for_stray_pixels(by_cpu):
    batch = batch_on("cuda").to("cpu")
    for name, expected in vars(by_cpu).items():
        if name != "images":
            torch.testing.assert_close(getattr(batch, name), expected, atol=1e-4, rtol=1e-4)
    off = (batch.images - by_cpu.images).abs().amax(1) > VISIBLE
    assert off.float().mean() < 1e-3


def test_the_same_people_come_out_the_same_twice():
    first, second = batch_on("cuda"), batch_on("cuda")
    for name, value in vars(first).items():
        assert torch.equal(value, getattr(second, name)), name


def test_the_rasteriser_sees_what_the_cpu_sees():
    placed = place_people(32, 224, True, np.random.default_rng(1))
    points = torch.from_numpy(placed.flat).float()
    depth = torch.from_numpy(placed.keypoints[..., 2] + placed.translation[:, 2:]).float()
    faces = torch.from_numpy(np.random.default_rng(2).integers(0, 49, (3000, 3)))
    seen = raster_torch.rasterize(points, depth, faces, 224, 224)
    on_gpu = raster_torch.rasterize(points.cuda(), depth.cuda(), faces.cuda(), 224, 224)
    assert (seen >= 0).float().mean() > 0.05
    assert (on_gpu.cpu() != seen).float().mean() < 1e-3


def test_a_loader_with_several_makers_gives_what_one_gives():
    def batches(makers):
        loader = BatchLoader(
            FreshPeople(MIX, 64 * 4), batch_size=64, resolution=224, seed=2, shuffle=True,
            augmentation=AugmentationSettings(), device="cuda", makers=makers, prefetch=makers,
        )  # fmt: skip
        return [(batch.index.cpu(), batch.images.mean((1, 2, 3)).cpu()) for batch in loader]

    for (index, images), (other, theirs) in zip(batches(1), batches(4), strict=True):
        assert torch.equal(index, other)
        torch.testing.assert_close(images, theirs, atol=1e-5, rtol=1e-5)


def test_a_compiled_rasteriser_draws_the_same(by_cpu):
    """The last one here: to compile takes longest."""
    off = (batch_on("cuda", compiled=True).images.cpu() - by_cpu.images).abs().amax(1) > VISIBLE
    assert off.float().mean() < 1e-3
