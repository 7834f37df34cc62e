"""From a picture to crops of people and back: anchors, blending, turned squares, refinement."""

import math

import convert_blazepose as convert
import numpy as np
import pytest
import torch
from torch import nn

from hmrlab.geometry import apply_affine
from hmrlab.models.blazepose import (
    BlazeDetections,
    Regions,
    anchors,
    confidence,
    crop_regions,
    decode,
    detect,
    load_blazepose,
    refine,
    region_about,
    regions_of_detections,
    regions_of_landmarks,
    suppress,
    to_picture,
    turn_world,
)


@pytest.fixture(scope="module")
def person():
    """A synthetic person in the middle of a picture of 256 x 256 pixels."""
    with np.load(convert.GOLDEN, allow_pickle=False) as arrays:
        small = torch.from_numpy(arrays["picture"]).permute(2, 0, 1)[None].float() / 255
    return nn.functional.interpolate(small, (256, 256), mode="bilinear")[0]


def region(x, y, side, degrees=0.0):
    return Regions(torch.tensor([[x, y]]), torch.tensor([side]), torch.tensor([degrees]))


class TestAnchors:
    def test_there_is_one_in_the_middle_of_each_cell_as_often_as_the_heads_speak(self):
        places = anchors()
        assert places.shape == (28 * 28 * 2 + 14 * 14 * 2 + 7 * 7 * 6, 2)
        torch.testing.assert_close(places[0], torch.tensor([4 / 224, 4 / 224]))
        torch.testing.assert_close(places[1], places[0])
        torch.testing.assert_close(places[2], torch.tensor([12 / 224, 4 / 224]))  # x is fastest
        torch.testing.assert_close(places[1568], torch.tensor([8 / 224, 8 / 224]))
        torch.testing.assert_close(places[-1], torch.tensor([208 / 224, 208 / 224]))

    def test_numbers_are_pixels_from_the_anchor(self):
        numbers, logits = torch.zeros(3, 12), torch.tensor([-9.0, 1.0, 2000.0])
        numbers[2] = torch.tensor([22.4, 0, 44.8, 89.6, 0, 22.4, 0, -22.4, 0, 0, 11.2, 0])
        places = torch.tensor([[0.1, 0.1], [0.2, 0.2], [0.5, 0.5]])
        found = decode(numbers, logits, places)
        assert found.scores.tolist() == [1.0, pytest.approx(1 / (1 + math.exp(-1)))]
        torch.testing.assert_close(found.boxes[0], torch.tensor([0.5, 0.3, 0.7, 0.7]))
        wanted = torch.tensor([[0.5, 0.6], [0.5, 0.4], [0.5, 0.5], [0.55, 0.5]])
        torch.testing.assert_close(found.points[0], wanted)
        torch.testing.assert_close(found.boxes[1], torch.tensor([0.2, 0.2, 0.2, 0.2]))


class TestSuppression:
    def test_boxes_of_one_person_are_blended_by_their_scores(self):
        boxes = torch.tensor([[0.0, 0, 1, 1], [0.0, 0.2, 1, 1.2], [3.0, 3, 4, 4]])
        points = torch.arange(3.0)[:, None, None].expand(3, 4, 2)
        people = suppress(BlazeDetections(boxes, points, torch.tensor([0.9, 0.6, 0.55])))
        torch.testing.assert_close(people.scores, torch.tensor([0.9, 0.55]))
        torch.testing.assert_close(people.boxes[0], torch.tensor([0, 0.08, 1, 1.08]))
        torch.testing.assert_close(people.points[0], torch.full((4, 2), 0.4))
        torch.testing.assert_close(people.boxes[1], boxes[2])

    def test_what_overlaps_less_is_another_person(self):
        boxes = torch.tensor([[0.0, 0, 1, 1], [0.6, 0, 1.6, 1]])  # a quarter in common
        found = BlazeDetections(boxes, torch.zeros(2, 4, 2), torch.tensor([0.9, 0.8]))
        assert len(suppress(found).scores) == 2
        assert len(suppress(found, min_overlap=0.2).scores) == 1

    def test_nobody_and_empty_boxes_come_to_an_end(self):
        nobody = BlazeDetections(torch.zeros(0, 4), torch.zeros(0, 4, 2), torch.zeros(0))
        assert len(suppress(nobody).scores) == 0
        empty = BlazeDetections(torch.zeros(2, 4), torch.zeros(2, 4, 2), torch.tensor([0.9, 0.8]))
        assert len(suppress(empty).scores) == 2


class TestRegions:
    @pytest.mark.parametrize(
        ("above", "degrees"), [((50, 10), 0), ((90, 50), 90), ((50, 90), 180), ((10, 50), -90)]
    )
    def test_the_square_is_turned_until_the_head_is_on_top(self, above, degrees):
        hips, above = torch.tensor([[50.0, 50.0]]), torch.tensor([above]).float()
        found = region_about(hips, above)
        assert float(found.rotation_deg) == pytest.approx(degrees, abs=1e-4)
        assert float(found.side) == pytest.approx(2 * 1.25 * 40)
        placed = apply_affine(found.matrix(256), torch.stack([hips, above], 1))[0]
        torch.testing.assert_close(placed, torch.tensor([[128.0, 128.0], [128.0, 25.6]]))

    def test_landmarks_and_detections_name_the_same_square(self):
        hips, above = torch.tensor([[30.0, 60.0]]), torch.tensor([[40.0, 20.0]])
        points = torch.zeros(1, 39, 5)
        points[:, 33, :2], points[:, 34, :2] = hips, above
        shares = torch.stack([hips, above, hips, above], 1) / 80
        found = BlazeDetections(torch.zeros(1, 4), shares, torch.ones(1))
        ours, theirs = regions_of_landmarks(points), regions_of_detections(found, 80.0)
        for name in ("center", "side", "rotation_deg"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))

    def test_an_upright_square_of_the_crops_size_is_cut_out(self):
        picture = torch.rand(3, 300, 280, generator=torch.Generator().manual_seed(0))
        crop = crop_regions(picture, region(138.0, 158.0, 256.0))[0]
        torch.testing.assert_close(crop, picture[:, 30:286, 10:266], atol=1e-4, rtol=0)

    def test_outside_is_the_border_or_black(self):
        picture = torch.full((3, 64, 64), 0.5)
        square = region(0.0, 0.0, 64.0)
        assert crop_regions(picture, square).min() == 0.5
        black = crop_regions(picture, square, border=False)
        assert black[0, :, 0, 0].tolist() == [0, 0, 0]
        assert black[0, 0, -1, -1] == 0.5

    def test_large_pictures_are_averaged(self):
        """A pattern finer than the crop's pixels is grey there."""
        y, x = torch.meshgrid(torch.arange(1024), torch.arange(1024), indexing="ij")
        picture = ((x + y) % 2).float().expand(3, -1, -1)
        crop = crop_regions(picture, region(512.0, 512.0, 1024.0))
        torch.testing.assert_close(crop, torch.full_like(crop, 0.5))

    def test_points_and_world_joints_find_their_way_back(self):
        square = Regions(torch.tensor([[70.0, 40.0]]), torch.tensor([64.0]), torch.tensor([90.0]))
        said = torch.zeros(1, 2, 5)
        said[0, 0, :4] = torch.tensor([128.0, 128.0, 8.0, 3.0])  # the middle
        said[0, 1, :2] = torch.tensor([128.0, 0.0])  # the top, which lies on the right
        found = to_picture(said, square)
        torch.testing.assert_close(found[0, 0, :4], torch.tensor([70.0, 40.0, 2.0, 3.0]))
        torch.testing.assert_close(found[0, 1, :2], torch.tensor([102.0, 40.0]))
        world = turn_world(torch.tensor([[[0.0, -1.0, 0.5]]]), square)  # up, and away
        torch.testing.assert_close(world, torch.tensor([[[1.0, 0.0, 0.5]]]), atol=1e-6, rtol=0)

    def test_a_turned_picture_gives_turned_landmarks(self, person):
        network = load_blazepose("lite", maps=False)
        turned = person.rot90(1, (1, 2))  # counter-clockwise: (x, y) -> (y, 256 - x)
        with torch.inference_mode():
            both = []
            for picture, degrees in ((person, 0.0), (turned, -90.0)):
                square = region(128.0, 128.0, 256.0, degrees)
                f2 = network.features(crop_regions(picture, square))["f2"]
                world = turn_world(network.world_of(f2), square)
                both.append((to_picture(network.landmarks_of(f2), square)[0], world[0]))
        (upright, world), (lying, lying_world) = both
        wanted = torch.stack([upright[:, 1], 256 - upright[:, 0]], 1)
        torch.testing.assert_close(lying[:, :2], wanted, atol=0.05, rtol=0)
        torch.testing.assert_close(lying[:, 2:], upright[:, 2:], atol=0.2, rtol=0)
        wanted = torch.stack([world[:, 1], -world[:, 0], world[:, 2]], 1)
        torch.testing.assert_close(lying_world, wanted, atol=1e-3, rtol=0)


class TestDetect:
    def test_people_are_found_in_the_pixels_of_a_picture_that_is_no_square(self):
        class Answers(nn.Module):
            """Says that one person stands in the middle of the square, and looks at what it got."""

            def forward(self, images):
                self.images = images
                numbers, logits = torch.zeros(1, 2254, 12), torch.full((1, 2254), -9.0)
                middle = (anchors() - torch.tensor([0.5, 0.5])).square().sum(1).argmin()
                offset = (0.5 - anchors()[middle]) * 224
                numbers[0, middle] = torch.cat([offset, torch.tensor([50.0, 50.0])] + [offset] * 4)
                numbers[0, middle, 7] -= 56  # a quarter of the square above the hips
                logits[0, middle] = 3.0
                return numbers, logits

        network = Answers()
        found, scores = detect(torch.ones(3, 100, 200), network)
        torch.testing.assert_close(found.center, torch.tensor([[100.0, 50.0]]), atol=1e-3, rtol=0)
        assert float(found.side) == pytest.approx(2 * 1.25 * 50, abs=1e-2)
        assert float(found.rotation_deg) == pytest.approx(0, abs=1e-3)
        assert scores.tolist() == [pytest.approx(1 / (1 + math.exp(-3)))]
        assert network.images[0, 0, :50].max() == 0  # the bars above and below
        assert network.images[0, 0, 60:-60, 1:-1].min() > 0.999
        found, scores = detect(torch.ones(3, 100, 200), network, min_score=0.99)
        assert len(found) == len(scores) == 0
        assert crop_regions(torch.ones(3, 100, 200), found).shape == (0, 3, 256, 256)


class TestRefinement:
    def test_a_landmark_moves_to_the_mean_of_its_window(self):
        heatmaps = torch.full((1, 2, 64, 64), -20.0)
        heatmaps[0, 0, 10, 20] = 0.0  # probability a half
        heatmaps[0, 0, 10, 22] = 20.0  # one
        heatmaps[0, 0, 30, 21] = 20.0  # outside of the window
        heatmaps[0, 1, 10, 20] = -0.1  # less than a half
        landmarks = torch.tensor([[[84.0, 44.0, 7.0, 1.0, 2.0]] * 2])
        found = refine(landmarks, heatmaps)
        wanted = torch.tensor([(20 * 0.5 + 22) / 1.5 * 4, 40.0, 7.0, 1.0, 2.0])
        torch.testing.assert_close(found[0, 0], wanted, atol=1e-3, rtol=0)
        torch.testing.assert_close(found[0, 1], landmarks[0, 1])

    def test_it_is_mediapipes_loop(self):
        generator = torch.Generator().manual_seed(0)
        heatmaps = 3 * torch.randn(2, 39, 64, 64, generator=generator)
        landmarks = torch.rand(2, 39, 5, generator=generator) * 300 - 20
        found = refine(landmarks, heatmaps)
        for b in range(2):
            for k in range(39):
                wanted = mediapipes_loop(landmarks[b, k].numpy(), heatmaps[b, k].numpy())
                np.testing.assert_allclose(found[b, k, :2], wanted, atol=1e-3)
        assert torch.equal(found[..., 2:], landmarks[..., 2:])

    def test_gradients_come_through(self):
        heatmaps = torch.randn(1, 39, 64, 64, generator=torch.Generator().manual_seed(0))
        heatmaps.requires_grad_()
        refine(torch.full((1, 39, 5), 128.0), heatmaps).sum().backward()
        assert heatmaps.grad.isfinite().all()
        assert heatmaps.grad.abs().max() > 0

    def test_confidence_is_the_visibility(self):
        landmarks = torch.zeros(1, 39, 5)
        landmarks[0, 3, 3] = math.log(3)
        assert float(confidence(landmarks)[0, 3]) == pytest.approx(0.75)
        assert float(confidence(landmarks)[0, 0]) == 0.5


def mediapipes_loop(landmark, heatmap):
    """RefineLandmarksFromHeatmapCalculator, a window of 7 and a least confidence of a half."""
    column, row = int(landmark[0] / 4), int(landmark[1] / 4)
    if not (0 <= column < 64 and 0 <= row < 64):
        return landmark[:2]
    total, x, y, largest = 0.0, 0.0, 0.0, 0.0
    for r in range(max(0, row - 3), min(64, row + 4)):
        for c in range(max(0, column - 3), min(64, column + 4)):
            likely = 1 / (1 + np.exp(-heatmap[r, c]))
            total, largest = total + likely, max(largest, likely)
            x, y = x + c * likely, y + r * likely
    return [4 * x / total, 4 * y / total] if largest >= 0.5 else landmark[:2]
