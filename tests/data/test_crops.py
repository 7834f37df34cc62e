"""Crops of picture files, and the one pass over stored pictures that makes batches of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.data.augment import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Augmentation,
    AugmentationSettings,
    RawBatch,
    crop_picture,
    draw,
    warp,
)
from hmrlab.data.images import MARGIN, crop_box
from hmrlab.geometry import crop_matrix


def stored(images, margin=MARGIN):
    """A raw batch of stored crops (B, S, S, 3) that show `margin` boxes; labels are zero."""
    n, size = len(images), images.shape[1]
    return RawBatch(
        images=torch.from_numpy(images),
        center=torch.full((n, 2), size / 2),
        scale=torch.full((n,), size / margin / 200),
        keypoints=torch.zeros(n, 49, 3),
        joints_3d=torch.zeros(n, 24, 4),
        pose=torch.zeros(n, 24, 3),
        betas=torch.zeros(n, 10),
        has_smpl=torch.zeros(n, dtype=torch.bool),
        has_pose_3d=torch.zeros(n, dtype=torch.bool),
        index=torch.arange(n),
    )


def test_a_crop_shows_what_the_map_says():
    """Of a ramp, every pixel of a crop has the value at the place that it is the crop of."""
    x, y = np.meshgrid(np.arange(200), np.arange(150))  # at i + 0.5 it is i
    ramp = np.stack([x, y, 0 * x], 2).astype(np.uint8)
    crop = crop_box(ramp, np.array([93.3, 71.8]), 60 / 200, 40).astype(float)
    middles = (np.arange(40) + 0.5) * 1.5  # a pixel of the crop is 1.5 of the picture
    columns = np.broadcast_to(93.3 - 30 + middles - 0.5, (40, 40))
    rows = np.broadcast_to((71.8 - 30 + middles - 0.5)[:, None], (40, 40))
    np.testing.assert_allclose(crop[..., 0], columns, atol=0.6)
    np.testing.assert_allclose(crop[..., 1], rows, atol=0.6)


@pytest.mark.parametrize("side", [150, 250, 500, 1000, 1900])
def test_a_crop_of_any_size_is_averaged_not_sampled(side):
    """One-pixel checkers turn grey as soon as several of them share a pixel of the crop."""
    checkers = ((np.arange(2000)[:, None] + np.arange(2000)) % 2 * 255).astype(np.uint8)
    picture = np.repeat(checkers[..., None], 3, 2)
    crop = crop_box(picture, np.array([1000.2, 1000.4]), side / 200, 40)
    assert crop.mean() == pytest.approx(127.5, abs=1)
    assert crop.std() < 4


@pytest.mark.parametrize("side", [20.0, 90.0, 700.0])
def test_shrinking_and_enlarging_do_not_move_the_picture(side):
    picture = np.zeros((900, 900, 3), np.uint8)
    spread = max(2, int(side / 10))
    picture[450 : 450 + spread, 455 : 455 + spread] = 255
    crop = crop_box(picture, np.array([451.5, 452.5]), side / 200, 60)[..., 0].astype(float)
    grid = np.arange(60) + 0.5
    found = np.array([(crop.sum(0) * grid).sum(), (crop.sum(1) * grid).sum()]) / crop.sum()
    middle = np.array([455, 450]) + spread / 2
    expected = (middle - [451.5, 452.5] + side / 2) * 60 / side
    np.testing.assert_allclose(found, expected, atol=0.2)


def test_a_dull_crop_stays_dull():
    """SPIN's `imresize` stretches a float crop from its least and greatest value to 0 and 255."""
    picture = np.random.default_rng(0).integers(100, 140, (150, 200, 3), dtype=np.uint8)
    crop = crop_box(picture, np.array([100, 75]), 100 / 200, 48)
    assert 100 <= crop.min() < crop.max() < 140
    images = stored(crop[None].copy()).augmented(Augmentation.none(1), 24).images
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    colours = 255 * (images[0] * deviation + mean)
    assert 100 <= colours.min() < colours.max() < 140


def test_outside_of_the_picture_it_is_black_and_a_giant_box_takes_no_giant_memory():
    picture = np.full((100, 100, 3), 255, np.uint8)
    crop = crop_box(picture, np.array([0, 0]), 100 / 200, 40)
    assert (crop[:19] == 0).all()
    assert (crop[21:, 21:] == 255).all()
    tiny = crop_box(picture, np.array([50, 50]), 1e6 / 200, 40)
    assert tiny.shape == (40, 40, 3)
    assert tiny.max() < 5


@pytest.mark.parametrize("resolution", [32, 64, 224])
def test_spins_augmentations_never_see_the_edge_of_a_stored_crop(resolution):
    """In white pictures, every pixel of every crop is white: at any angle, in the largest box."""
    angles = torch.arange(-60, 61, 15.0)
    n, size = len(angles), round(MARGIN * resolution)
    raw = stored(np.full((n, size, size, 3), 255, np.uint8))
    settings = AugmentationSettings()
    assert angles.max() == 2 * settings.rotation_std
    for side in (1 + settings.scale_std, 1 - settings.scale_std):
        drawn = Augmentation(
            torch.arange(n) % 2 == 0, torch.ones(n, 3), torch.full((n,), side), angles
        )
        images = raw.augmented(drawn, resolution).images
        torch.testing.assert_close(images.amin((0, 2, 3)), images.amax((0, 2, 3)))


def test_a_stored_crop_of_one_and_a_half_boxes_would_not_be_enough():
    raw = stored(np.full((1, 96, 96, 3), 255, np.uint8), margin=1.5)
    drawn = Augmentation(
        torch.tensor([False]), torch.ones(1, 3), torch.tensor([1.25]), torch.tensor([45.0])
    )
    images = raw.augmented(drawn, 64).images
    assert images.amin() < images.amax() - 1


@pytest.mark.parametrize("margin", [1.77, 1.0])
def test_the_one_pass_gives_what_warping_and_colouring_step_by_step_gives(margin):
    """Over the edge, too: with stored crops of one box, most of them are turned out of it."""
    n, resolution = 24, 40
    rng = np.random.default_rng(0)
    size = round(margin * resolution)
    raw = stored(rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8), margin)
    drawn = draw(AugmentationSettings(), n, torch.Generator().manual_seed(1))
    assert drawn.flip.any()
    assert (drawn.rotation != 0).any()
    images = raw.augmented(drawn, resolution).images
    matrix = crop_matrix(raw.center, raw.scale * drawn.scale, resolution, drawn.rotation)
    steps = warp(raw.images.permute(0, 3, 1, 2).double() / 255, matrix.double(), resolution)
    steps[drawn.flip] = steps[drawn.flip].flip(-1)
    steps = (steps * drawn.channels[:, :, None, None]).clamp(0, 1)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(images, ((steps - mean) / deviation).float(), atol=3e-5, rtol=0)


def noise(height, width):
    """A picture in which no pixel tells anything of the next."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("side", [30.0, 61.7, 150.3])
def test_the_outermost_pixels_of_a_crop_see_beyond_the_box(side):
    """As if the box had been taken out of the whole picture."""
    picture, left, top = noise(300, 400), 120.0, 90.8
    crop = crop_box(picture, np.array([left + side / 2, top + side / 2]), side / 200, 40)
    box = (left, top, left + side, top + side)
    whole = Image.fromarray(picture).resize((40, 40), Image.Resampling.BILINEAR, box=box)
    np.testing.assert_allclose(crop.astype(int), np.asarray(whole).astype(int), atol=1)


@pytest.mark.parametrize("side", [130.0, 420.0, 2000.0])
def test_all_of_the_pictures_light_is_in_the_crop_of_a_larger_box(side):
    """Of each block of pixels that is averaged, too, that hangs over the picture's edge."""
    picture = np.full((109, 117, 3), 255, np.uint8)
    crop = crop_box(picture, np.array([58.5, 54.5]), side / 200, 10)
    light = crop[..., 0].mean() / 255 * side**2
    assert light == pytest.approx(109 * 117, rel=0.02)


def test_a_large_box_is_averaged_before_it_is_cut_out(monkeypatch):
    """What is resized has about sixteen times the crop's pixels, and not the box's."""
    cut, crop = [], Image.Image.crop
    monkeypatch.setattr(
        Image.Image, "crop", lambda self, box: cut.append(crop(self, box)) or cut[-1]
    )
    crop_box(noise(300, 400), np.array([200.0, 150.0]), 1500 / 200, 40)
    assert cut[-1].width * cut[-1].height < 25 * 40**2


def test_a_box_beyond_all_measure_is_black():
    assert not crop_box(noise(10, 10), np.array([5.0, 5.0]), 1e12, 8).any()


def test_a_picture_that_is_shrunk_is_averaged_wherever_the_box_is():
    """Of noise every mean is near the middle; a sample is not."""
    picture = torch.from_numpy(noise(800, 800)).permute(2, 0, 1).float()
    for x in (400.0, 400.3, 405.5):
        matrix = crop_matrix(torch.tensor([x, 399.1]), torch.tensor(3.0), 60)
        crop = crop_picture(picture, matrix, 60)
        assert crop.std() < picture.std() / 4
        assert crop.mean() == pytest.approx(127.5, abs=1)


def test_a_picture_smaller_than_a_block_is_one_dot():
    """Averaged over itself alone, since there is nothing else."""
    picture = torch.full((3, 4, 5), 255.0)
    matrix = crop_matrix(torch.tensor([2.5, 2.0]), torch.tensor(50.0), 60)
    crop = crop_picture(picture, matrix, 60)
    assert crop.shape == (3, 60, 60)
    assert crop.mean() < 5


@pytest.mark.parametrize("side", [20.0, 125.0, 250.0])
def test_a_picture_that_is_shrunk_by_less_than_four_is_not_blurred_first(side):
    picture = torch.from_numpy(noise(300, 400)).permute(2, 0, 1).float()
    matrix = crop_matrix(torch.tensor([198.2, 147.9]), torch.tensor(side / 200), 64)
    expected = warp(picture[None], matrix[None], 64)[0]
    torch.testing.assert_close(crop_picture(picture, matrix, 64), expected)
