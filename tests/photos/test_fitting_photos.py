from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hmrlab.geometry import apply_affine, rotation_angle_between
from hmrlab.photos import (
    Boxes,
    NobodyError,
    fit_photo,
    read_openpose,
    read_photo,
    targets_in,
)
from hmrlab.smplify.objective import project

SHARED = Path(__file__).resolve().parents[3] / "shared" / "photos"


def few(person, count):
    """A person of whom only the first keypoints are found."""
    return np.where(np.arange(25)[:, None] < count, person, 0)


def test_a_box_holds_the_confident_keypoints_with_a_tenth_to_spare():
    person = np.zeros((1, 25, 3))
    person[0, :3] = [[100, 50, 0.9], [160, 350, 0.2], [900, 900, 0.1]]
    boxes = Boxes.around(person)
    np.testing.assert_allclose(boxes.center, [[130, 200]])
    np.testing.assert_allclose(boxes.side, [360])
    corner = apply_affine(boxes.to_crop(), torch.tensor([[[130 - 180.0, 200 - 180.0]]]))
    torch.testing.assert_close(corner, torch.zeros(1, 1, 2), atol=1e-4, rtol=0)


def test_a_person_in_one_place_has_no_box():
    with pytest.raises(ValueError, match=r"person \[0\] span no box"):
        Boxes.around(np.ones((1, 25, 3)))


def test_only_openposes_keypoints_are_targets(street):
    targets = targets_in(Boxes.around(street.keypoints), street.keypoints)
    assert (targets.confidence[:, :25] == 1).all()
    assert (targets.confidence[:, 25:] == 0).all()
    assert targets.valid.all()


def test_over_the_photo_each_camera_sees_what_it_sees_in_its_crop(fitted, body):
    points = body.keypoints(fitted.posed.pose, fitted.posed.betas)
    in_crop = project(points, fitted.posed.translation)
    placed = (points + fitted.posed.translation[:, None]).numpy()
    to_crop = fitted.boxes.to_crop()
    for row, camera in enumerate(fitted.cameras()):
        seen = camera.focal * placed[row, :, :2] / placed[row, :, 2:] + camera.center
        back = apply_affine(to_crop[row], torch.as_tensor(seen, dtype=torch.float32))
        torch.testing.assert_close(back, in_crop[row], atol=2e-3, rtol=0)


def test_the_bodies_meet_their_keypoints(fitted):
    assert (fitted.pixel_errors() < (2.0, 1.0)).all()
    assert fitted.numbers == (0, 1)
    assert fitted.left_out == {}


def test_the_overlay_covers_the_people_and_nothing_else(street, fitted):
    drawn = fitted.overlay(opacity=1.0)
    changed = (drawn != street.image).any(-1)
    for person in street.keypoints:
        x, y = person[:, :2].astype(int).T
        assert changed[y, x].mean() > 0.8  # a sole's or an ear's keypoint may lie on the edge
    (x0, y0), (x1, y1) = street.keypoints[0, :, :2].min(0), street.keypoints[0, :, :2].max(0)
    left = np.argwhere(changed[:, :320])
    assert np.abs(left.min(0) - (y0, x0)).max() < 40  # crown of the head and fingertips
    assert np.abs(left.max(0) - (y1, x1)).max() < 30


def test_whoever_is_nearer_is_drawn_over_the_others(street, body, prior):
    """The two in one place, whatever their order in the file."""
    together = street.keypoints.copy()
    together[1, :, :2] += together[0, 8, :2] - together[1, 8, :2]
    x, y = together[0, 8, :2].astype(int)  # the hips' middle
    for order in ((0, 1), (1, 0)):
        result = fit_photo(street.image, together[list(order)], body, prior)
        pixel = result.overlay(opacity=1.0)[y, x].astype(float)
        likeness = [
            np.dot(pixel, colour) / np.linalg.norm(pixel) / np.linalg.norm(colour)
            for colour in result.colours()
        ]
        assert int(np.argmax(likeness)) == order.index(0)


def test_before_one_camera_everybody_stands_where_they_stood(street, fitted):
    scene = fitted.scene()
    assert scene.focal == pytest.approx(street.focal)
    near, far = scene.translation
    assert near[2] < far[2]
    torch.testing.assert_close(scene.translation, street.translation, rtol=0.05, atol=0.05)


def test_turning_people_by_their_ray_brings_them_nearer_to_the_truth(street, fitted, body):
    scene = fitted.scene()

    def away(rotations):
        points = body.keypoints(rotations, fitted.posed.betas)[:, :25]
        places = street.seen(points + scene.translation[:, None])
        return (places - torch.as_tensor(street.keypoints[..., :2])).norm(dim=-1).mean(1)

    assert (away(scene.rotations) < 0.7 * away(fitted.posed.rotations)).all()
    truth = street.rotations[:, 0]
    turned = rotation_angle_between(scene.rotations[:, 0], truth)
    assert (turned < 0.7 * rotation_angle_between(fitted.posed.rotations[:, 0], truth)).all()


def test_a_person_in_the_middle_is_not_turned(street, fitted, body):
    middle = replace(fitted.boxes, center=torch.tensor([[320.0, 240.0]] * 2))
    scene = replace(fitted, boxes=middle).scene()
    torch.testing.assert_close(scene.rotations, fitted.posed.rotations)
    torch.testing.assert_close(scene.translation[:, :2], fitted.posed.translation[:, :2])


def test_who_cannot_be_fitted_is_left_out_and_the_others_keep_their_numbers(street, body, prior):
    first, second = street.keypoints
    outside = first + np.array([5000, 0, 0])
    fractions = second / [640, 480, 1]
    people = np.stack([few(first, 4), second, outside, first, fractions, first * [1, 1, 0]])
    result = fit_photo(street.image, people, body, prior)
    assert result.numbers == (1, 3)
    assert len(result) == len(result.posed) == len(result.boxes) == 2
    assert sorted(result.left_out) == [0, 2, 4, 5]
    assert "3 keypoints besides neck and hips" in result.left_out[0]
    assert "outside the photo (640 x 480)" in result.left_out[2]
    assert "--keypoint_scale 0" in result.left_out[4]
    assert "0 keypoints" in result.left_out[5]
    np.testing.assert_array_equal(result.keypoints, people[[1, 3]])


def test_nobody_to_fit_is_an_error_with_every_reason(street, body, prior):
    nobody = np.stack([few(street.keypoints[0], 3), street.keypoints[1] + np.array([0, 9000, 0])])
    with pytest.raises(NobodyError, match=r"person 0: 2 keypoints.*person 1: .*outside"):
        fit_photo(street.image, nobody, body, prior)
    with pytest.raises(NobodyError, match="there is nobody"):
        fit_photo(street.image, np.zeros((0, 25, 3)), body, prior)


def test_arguments_of_another_shape_are_refused(street, body, prior):
    with pytest.raises(ValueError, match=r"image: expected uint8 \(H, W, 3\)"):
        fit_photo(street.image / 255, street.keypoints, body, prior)
    with pytest.raises(ValueError, match=r"keypoints: expected \(N, 25, 3\), got \(2, 18, 3\)"):
        fit_photo(street.image, street.keypoints[:, :18], body, prior)
    with pytest.raises(ValueError, match="NaN or infinite"):
        fit_photo(street.image, street.keypoints * np.nan, body, prior)


def test_a_large_photo_is_shrunk_before_it_is_drawn_over(street, fitted):
    small = fitted.overlay(longest=320, opacity=1.0)
    assert small.shape == (240, 320, 3)
    large = fitted.overlay(opacity=1.0).reshape(240, 2, 320, 2, 3).mean((1, 3))
    inside = (large != 40).all(-1) & (small != 40).all(-1)
    assert inside.sum() > 0.9 * (small != 40).all(-1).sum()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the photo that SPIN's demo uses is not here")
def test_a_real_photos_person_meets_its_keypoints(body, prior):
    image = read_photo(SHARED / "im1010.jpg")
    result = fit_photo(image, read_openpose(SHARED / "im1010_openpose.json"), body, prior)
    assert result.pixel_errors()[0] < 4  # of a person 118 pixels tall
    assert float(result.posed.betas.abs().max()) < 2
    up = -result.posed.rotations[0, 0, 1, 1]  # of the pelvis: 1 is upright
    assert float(up) > 0.95
