from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform

from hmrlab.bodies.joints import ANNOTATED_FLIP, KEYPOINT_FLIP
from hmrlab.data.augment import (
    Augmentation,
    AugmentationSettings,
    RawBatch,
    crop_picture,
    draw,
    to_pictures,
    warp,
)
from hmrlab.geometry import apply_affine, axis_angle_to_matrix, crop_matrix, matrix_to_axis_angle
from hmrlab.spin import AugmentTransform


def raw_batch(n=3, size=96, seed=0):
    g = torch.Generator().manual_seed(seed)
    keypoints = torch.cat([20 + 56 * torch.rand(n, 49, 2, generator=g), torch.ones(n, 49, 1)], -1)
    joints = torch.cat([torch.randn(n, 24, 3, generator=g), torch.ones(n, 24, 1)], -1)
    return RawBatch(
        images=torch.randint(0, 256, (n, size, size, 3), generator=g, dtype=torch.uint8),
        center=torch.full((n, 2), size / 2) + torch.rand(n, 2, generator=g),
        scale=torch.full((n,), 64 / 200.0),
        keypoints=keypoints,
        joints_3d=joints,
        pose=0.5 * torch.randn(n, 24, 3, generator=g),
        betas=torch.randn(n, 10, generator=g),
        has_smpl=torch.ones(n, dtype=torch.bool),
        has_pose_3d=torch.ones(n, dtype=torch.bool),
        index=torch.arange(n),
    )


def one(flip=False, rotation=0.0, scale=1.0, channels=1.0, n=1):
    return Augmentation(
        torch.full((n,), flip), torch.full((n, 3), channels),
        torch.full((n,), scale), torch.full((n,), rotation),
    )  # fmt: skip


def test_draws_have_spins_distribution():
    drawn = draw(AugmentationSettings(), 20_000, torch.Generator().manual_seed(0))
    assert drawn.flip.float().mean() == pytest.approx(0.5, abs=0.02)
    assert (drawn.rotation == 0).float().mean() == pytest.approx(0.6, abs=0.02)
    turned = drawn.rotation[drawn.rotation != 0]
    assert turned.abs().max() <= 60
    assert turned.std() == pytest.approx(28.5, abs=1.0)  # 30, less what clipping at 60 takes
    assert (drawn.scale.min(), drawn.scale.max()) == (0.75, 1.25)
    assert drawn.channels.min() >= 0.6
    assert drawn.channels.max() <= 1.4
    assert drawn.channels.mean() == pytest.approx(1.0, abs=0.01)


def test_no_augmentation_keeps_the_labels():
    raw = raw_batch()
    batch = raw.augmented(Augmentation.none(3), 64)
    torch.testing.assert_close(batch.keypoints_3d, raw.joints_3d)
    torch.testing.assert_close(batch.rotations, axis_angle_to_matrix(raw.pose))
    pixels = (batch.keypoints_2d[..., :2] + 1) * 32
    torch.testing.assert_close(pixels, raw.keypoints[..., :2] - raw.center[:, None] + 32)
    assert batch.images.shape == (3, 3, 64, 64)


def test_flipped_poses_are_spins(golden):
    pose = golden["pose"].float().view(-1, 24, 3)
    n = len(pose)
    raw = RawBatch(**(vars(raw_batch(n)) | {"pose": pose}))
    batch = raw.augmented(one(flip=True, n=n), 64)
    expected = axis_angle_to_matrix(golden["pose_flipped"].float().view(-1, 24, 3))
    torch.testing.assert_close(batch.rotations, expected, atol=1e-4, rtol=1e-4)


def test_turned_roots_are_spins(golden):
    pose, degrees = golden["pose"].float().view(-1, 24, 3), golden["rot_deg"]
    n = len(pose)
    raw = RawBatch(**(vars(raw_batch(n)) | {"pose": pose}))
    drawn = Augmentation(
        torch.zeros(n, dtype=torch.bool), torch.ones(n, 3), torch.ones(n),
        degrees.float().reshape(-1).expand(n),
    )  # fmt: skip
    batch = raw.augmented(drawn, 64)
    expected = axis_angle_to_matrix(golden["pose_rotated_root"].float().view(n, -1, 3)[:, 0])
    torch.testing.assert_close(batch.rotations[:, 0], expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    x=st.integers(30, 65), y=st.integers(30, 65), flip=st.booleans(),
    rotation=st.floats(-60, 60), scale=st.floats(0.8, 1.25),
)  # fmt: skip
def test_a_dot_stays_under_its_keypoint(x, y, flip, rotation, scale):
    """Paint one pixel white, augment, and look where the light went."""
    raw = raw_batch(1)
    raw.images.zero_()
    raw.images[0, y, x] = 255
    raw.keypoints[0, 40, :2] = torch.tensor([x + 0.5, y + 0.5])
    batch = raw.augmented(one(flip, rotation, scale), 64)
    light = to_pictures(batch.images)[0].float().sum(-1)
    grid = torch.arange(64) + 0.5
    centroid = torch.stack([(light.sum(0) * grid).sum(), (light.sum(1) * grid).sum()]) / light.sum()
    mirror = 48 - (40 - 25) if flip else 40  # only used to find where the label moved to
    from hmrlab.bodies.joints import KEYPOINT_FLIP

    place = KEYPOINT_FLIP.index(40) if flip else mirror
    keypoint = (batch.keypoints_2d[0, place, :2] + 1) * 32
    assert (keypoint - centroid).norm() < 0.5


@pytest.mark.parametrize(("flip", "rotation"), [(False, 35.0), (True, 0.0), (True, -20.0)])
def test_pose_joints_and_keypoints_tell_one_story(flip, rotation):
    """The posed body's joints, turned by the new root, are the new 3D joints."""
    from hmrlab.bodies import load_body

    body = load_body("free", "light")
    raw = raw_batch(2)
    keypoints = body.keypoints(raw.pose, raw.betas)[:, 25:]
    raw = RawBatch(**(vars(raw) | {"joints_3d": torch.cat([keypoints, torch.ones(2, 24, 1)], -1)}))
    batch = raw.augmented(one(flip, rotation, n=2), 64)
    again = body.keypoints(batch.rotations, batch.betas)[:, 25:]
    offset = batch.keypoints_3d[..., :3] - again
    spread = (offset - offset.mean(1, keepdim=True)).norm(dim=-1)
    # A mirrored person is the same body up to the mesh's own asymmetry (none) and the landmarks'.
    assert spread.max() < 2e-3


def test_warp_agrees_with_scipy():
    picture = torch.rand(1, 40, 50, generator=torch.Generator().manual_seed(0))
    matrix = crop_matrix(torch.tensor([24.3, 20.7]), torch.tensor(0.15), 24, 17.0)
    ours = warp(picture[None], matrix[None], 24)[0, 0].numpy()
    inverse = np.linalg.inv(matrix.numpy())
    # scipy counts rows first and puts 0 at the middle of the first pixel
    swap = inverse[:2, :2][::-1, ::-1]
    shift = inverse[:2, :2] @ [0.5, 0.5] + inverse[:2, 2] - 0.5
    theirs = affine_transform(
        picture[0].numpy(), swap, offset=shift[::-1], output_shape=(24, 24), order=1
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_strongly_shrunk_picture_is_averaged_not_sampled():
    """One-pixel checkers become grey, not a random pattern."""
    checkers = ((torch.arange(800)[:, None] + torch.arange(800)) % 2).float()[None] * 255
    matrix = crop_matrix(torch.tensor([400.0, 400.0]), torch.tensor(3.0), 60)
    crop = crop_picture(checkers, matrix, 60)
    assert crop.std() < 2
    assert crop.mean() == pytest.approx(127.5, abs=1)


def test_shrinking_does_not_move_the_picture():
    picture = torch.zeros(1, 900, 900)
    picture[:, 300:330, 500:530] = 255
    matrix = crop_matrix(torch.tensor([450.0, 450.0]), torch.tensor(3.0), 60)
    crop = crop_picture(picture, matrix, 60)[0]
    grid = torch.arange(60) + 0.5
    found = torch.stack([(crop.sum(0) * grid).sum(), (crop.sum(1) * grid).sum()]) / crop.sum()
    expected = apply_affine(matrix, torch.tensor([[515.0, 315.0]]))[0]
    assert (found - expected).norm() < 0.3


def test_axis_angles_come_back_from_flipped_matrices():
    raw = raw_batch(2)
    mirrored = raw.augmented(one(flip=True, n=2), 64).rotations
    again = replace(raw, pose=matrix_to_axis_angle(mirrored))
    twice = again.augmented(one(flip=True, n=2), 64)
    torch.testing.assert_close(
        twice.rotations, axis_angle_to_matrix(raw.pose), atol=1e-5, rtol=1e-5
    )


def varied(n=6):
    """A raw batch whose confidences and flags differ from sample to sample."""
    raw, g = raw_batch(n), torch.Generator().manual_seed(7)
    raw.keypoints[..., 2] = torch.rand(n, 49, generator=g)
    raw.joints_3d[..., 3] = torch.rand(n, 24, generator=g)
    flags = {"has_smpl": torch.arange(n) % 2 == 0, "has_pose_3d": torch.arange(n) % 3 == 0}
    return RawBatch(**(vars(raw) | flags | {"source": 2, "index": torch.arange(n) + 10}))


def test_a_batch_says_how_its_pictures_were_seen():
    """What is said is what the memory of fits needs to see a plain body as the picture does."""
    raw = varied()
    drawn = draw(
        AugmentationSettings(no_rotation_probability=0.0), 6, torch.Generator().manual_seed(1)
    )
    assert 0 < drawn.flip.sum() < 6
    batch = raw.augmented(drawn, 64)
    assert torch.equal(batch.is_flipped, drawn.flip)
    assert torch.equal(batch.rot_angle, drawn.rotation)
    seen = AugmentTransform(batch.is_flipped, batch.rot_angle).apply(raw.pose)
    torch.testing.assert_close(batch.rotations, seen)


@pytest.mark.parametrize("flip", [False, True])
def test_confidences_and_what_is_known_stay_with_their_sample_and_joint(flip):
    raw = varied()
    batch = raw.augmented(one(flip, rotation=20.0, n=6), 64)
    keypoints, joints = (
        (list(KEYPOINT_FLIP), list(ANNOTATED_FLIP)) if flip else (slice(None), slice(None))
    )
    assert torch.equal(batch.keypoints_2d[..., 2], raw.keypoints[:, keypoints, 2])
    assert torch.equal(batch.keypoints_3d[..., 3], raw.joints_3d[:, joints, 3])
    for name in ("betas", "has_smpl", "has_pose_3d", "index"):
        assert torch.equal(getattr(batch, name), getattr(raw, name)), name
    assert batch.source.tolist() == [2] * 6


def test_settings_are_what_is_drawn_with():
    def drawn(**changes):
        settings = AugmentationSettings(**changes)
        return draw(settings, 4000, torch.Generator().manual_seed(0))

    assert drawn(flip_probability=1.0).flip.all()
    assert not drawn(flip_probability=0.0).flip.any()
    assert drawn(flip_probability=0.2).flip.float().mean() == pytest.approx(0.2, abs=0.03)
    assert (drawn(no_rotation_probability=0.1).rotation == 0).float().mean() < 0.15
    assert drawn(rotation_std=5.0).rotation.abs().max() == 10.0
    assert (drawn(scale_std=0.1).scale.aminmax()) == (0.9, 1.1)
    channels = drawn(channel_noise=0.2).channels
    assert 0.8 <= channels.min() < 0.81
    assert 1.19 < channels.max() <= 1.2
    assert channels.T.corrcoef().triu(1).abs().max() < 0.1  # each colour by itself


def test_a_draw_that_is_split_is_the_same_draw():
    drawn = draw(AugmentationSettings(), 6, torch.Generator().manual_seed(0))
    parts = drawn.split([1, 3, 2])
    assert [len(part.flip) for part in parts] == [1, 3, 2]
    for name, value in vars(drawn).items():
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), value)


def test_an_unchanged_picture_comes_back_to_the_last_bit():
    """A box as large as the picture, at its own resolution; and red, green, blue in this order."""
    raw = raw_batch(2, size=64)
    whole = {"center": torch.full((2, 2), 32.0), "scale": torch.full((2,), 64 / 200)}
    raw = RawBatch(**(vars(raw) | whole))
    images = raw.augmented(Augmentation.none(2), 64).images
    assert torch.equal(to_pictures(images), raw.images)
    colours = raw.images[0, 5, 7] / 255
    expected = (colours - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(images[0, :, 5, 7], expected, atol=1e-5, rtol=0)
    bright = raw.augmented(one(channels=9.0, n=2), 64).images
    assert to_pictures(bright)[raw.images > 30].min() == 255
    assert torch.equal(to_pictures(bright + 100.0), torch.full((2, 64, 64, 3), 255).byte())
