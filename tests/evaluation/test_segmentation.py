"""Masks against squares that can be counted, and against the definitions written out."""

import numpy as np
import pytest
import torch
from PIL import Image

from hmrlab.bodies import SMPLParams, load_body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.data.images import ImageSource
from hmrlab.data.part_masks import UPI_S1H_PARTS, PartPainter
from hmrlab.evaluation.segmentation import (
    accuracy,
    f1_of_classes,
    mask_confusion,
    mean_f1,
    parts_confusion,
    picture_size,
    predicted_parts,
    read_mask,
    sides_are_swapped,
)
from hmrlab.files import FileProblem
from hmrlab.geometry import project_normalised


@pytest.fixture(scope="module")
def body():
    return load_body("free", "light")


def square(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


PAINTER = PartPainter(np.array([[0, 1, 2], [0, 2, 3]]), np.array([4, 4]))


def test_a_square_covers_the_pixels_whose_middles_it_covers():
    drawn = PAINTER.paint(square(2, 1, 6, 4), np.ones(4), (6, 9))
    expected = np.zeros((6, 9), np.uint8)
    expected[1:4, 2:6] = 5
    np.testing.assert_array_equal(drawn, expected)
    shifted = PAINTER.paint(square(2.6, 0.4, 6.6, 3.4), np.ones(4), (6, 9))
    np.testing.assert_array_equal(shifted[0:3, 3:7], 5)
    assert (shifted > 0).sum() == 12


def test_scores_of_a_shifted_square_are_the_counted_ones():
    """A 10 x 10 square in 20 x 30 pixels, found 2 too far right: 80 hit, 20 missed."""
    true, predicted = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    true[5:15, 5:15] = predicted[5:15, 7:17] = True
    confusion = mask_confusion(true, predicted)
    assert confusion.tolist() == [[480, 20], [20, 80]]
    assert accuracy(confusion) == pytest.approx(560 / 600)
    person, background = 160 / 200, 960 / 1000
    np.testing.assert_allclose(f1_of_classes(confusion), [background, person])
    assert mean_f1(confusion) == pytest.approx((person + background) / 2)


def definitions_written_out(true: list, predicted: list) -> tuple[float, float]:
    """Accuracy and F1 of parts, class by class and pixel by pixel, 255 as the original has it."""
    right = pixels = 0
    scores = []
    for k in range(7):
        hit = wrong = missed = 0
        for t, p in zip(true, predicted, strict=True):
            counts = t != 255
            hit += int(((t == k) & (p == k)).sum())
            wrong += int(((t != k) & (p == k) & counts).sum())
            missed += int(((t == k) & (p != k)).sum())
        scores.append(2 * hit / (2 * hit + wrong + missed))
    for t, p in zip(true, predicted, strict=True):
        right += int((np.where(t == 255, 0, t) == p).sum())
        pixels += t.size
    return right / pixels, sum(scores) / 7


def test_parts_of_random_pictures_score_as_the_definitions_say():
    rng = np.random.default_rng(0)
    sizes = [(40, 31), (7, 50), (25, 25)]
    true = [rng.choice([0, 1, 2, 3, 4, 5, 6, 255], size).astype(np.uint8) for size in sizes]
    predicted = [
        np.where(rng.random(t.shape) < 0.6, np.where(t == 255, 3, t), rng.integers(0, 7, t.shape))
        for t in true
    ]
    confusion = sum(parts_confusion(t, p) for t, p in zip(true, predicted, strict=True))
    expected_accuracy, expected_f1 = definitions_written_out(true, predicted)
    assert accuracy(confusion) == pytest.approx(expected_accuracy)
    assert mean_f1(confusion) == pytest.approx(expected_f1)


def test_pixels_left_open_do_not_change_the_f1():
    true = np.zeros((10, 10), np.uint8)
    true[2:8, 2:8] = 1
    predicted = true.copy()
    opened = true.copy()
    opened[2:4] = 255
    predicted[2:4] = 6  # nonsense, but nobody knows better there
    confusion = parts_confusion(opened, predicted)
    assert confusion[7].sum() == 20
    assert np.nanmin(f1_of_classes(confusion)) == 1.0
    assert accuracy(confusion) == pytest.approx(0.8)  # of the original: taken for background


def test_a_class_that_is_nowhere_does_not_count():
    confusion = parts_confusion(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8))
    assert np.isnan(f1_of_classes(confusion)[1:]).all()
    assert mean_f1(confusion) == 1.0


def test_a_mask_of_another_size_or_with_other_values_is_refused():
    with pytest.raises(ValueError, match=r"\(4, 5\) cannot be compared with one of \(5, 4\)"):
        mask_confusion(np.zeros((4, 5), bool), np.zeros((5, 4), bool))
    with pytest.raises(ValueError, match="0 to 6 and 255, found 31"):
        parts_confusion(np.full((4, 4), 31, np.uint8), np.zeros((4, 4), np.uint8))


def test_sides_that_are_exchanged_are_noticed():
    true = np.repeat(np.arange(7, dtype=np.uint8), 10).reshape(7, 10)
    exchanged = np.array([0, 1, 2, 4, 3, 6, 5])[true]
    assert not sides_are_swapped(parts_confusion(true, true))
    assert sides_are_swapped(parts_confusion(true, exchanged))


def test_a_predicted_body_is_drawn_where_the_camera_sees_it(body):
    """Its joints lie on its parts: the person's own right and left, in the original picture."""
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # upright before the camera
    rotations = torch.eye(3).repeat(1, 24, 1, 1)
    rotations[:, 0] = turn
    prediction = SMPLParams(rotations, torch.zeros(1, 10), torch.tensor([[0.9, 0.1, 0.2]]))
    center, scale = torch.tensor([[90.0, 60.0]]), torch.tensor([0.5])
    (parts,) = predicted_parts(prediction, body, center, scale, [(130, 170)])
    assert parts.shape == (130, 170)
    joints = body.joints(rotations, torch.zeros(1, 10))
    places = center + 50 * project_normalised(joints, prediction.camera)[0]
    for joint, part in (("head", "head"), ("spine1", "torso"), ("left_elbow", "left_arm"),
                        ("right_wrist", "right_arm"), ("left_knee", "left_leg"),
                        ("right_knee", "right_leg")):  # fmt: skip
        x, y = places[SMPL_JOINTS.index(joint)].int().tolist()
        assert UPI_S1H_PARTS[parts[y, x] - 1] == part, joint


def test_a_body_that_does_not_say_its_parts_has_those_of_its_joints(body):
    own = PartPainter.of(body)
    silent = load_body("free", "light")
    silent.lsp_labels = None
    assert (PartPainter.of(silent).labels == own.labels).mean() > 0.99


def test_a_mask_file_gives_its_values(tmp_path):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([values] * 3, 2)).save(tmp_path / "colour.png")
    Image.fromarray(values > 5).save(tmp_path / "one_bit.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "grey.png", "mask"), values)
    np.testing.assert_array_equal(read_mask(tmp_path / "colour.png", "mask"), values)
    np.testing.assert_array_equal(read_mask(tmp_path / "one_bit.png", "mask") > 0, values > 5)


def test_a_mask_that_is_missing_cut_short_or_coloured_is_named(tmp_path):
    with pytest.raises(FileProblem, match=r"the part mask .*gone\.png is missing.*UPi-S1h"):
        read_mask(tmp_path / "gone.png", "part mask")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (50, 50), dtype=np.uint8)).save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileProblem, match=r"cut\.png.*cannot be read"):
        read_mask(tmp_path / "cut.png", "mask")
    Image.fromarray(rng.integers(0, 255, (5, 5, 3), dtype=np.uint8)).save(tmp_path / "rgb.png")
    with pytest.raises(FileProblem, match="one number from 0 to 255"):
        read_mask(tmp_path / "rgb.png", "mask")


def test_a_pictures_size_is_read_off_its_head(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    turned = Image.new("RGB", (30, 20))
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "b.jpg", exif=turned.getexif())
    np.save(tmp_path / "images.npy", np.zeros((2, 8, 9, 3), np.uint8))
    images = ImageSource(tmp_path)
    assert picture_size(images, "a.jpg") == (20, 30)
    assert picture_size(images, "b.jpg") == (30, 20)
    assert picture_size(images, "images.npy#1") == (8, 9)
    with pytest.raises(FileProblem, match=r"c\.jpg is missing"):
        picture_size(images, "c.jpg")
