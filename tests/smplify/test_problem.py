"""What a fit is given and gives back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.bodies.joints import KEYPOINT_NAMES
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.smplify import Fits, Targets
from hmrlab.smplify.problem import IGNORED, LEAST_KEYPOINTS

NOSE, KNEE = KEYPOINT_NAMES.index("openpose_nose"), KEYPOINT_NAMES.index("right_knee")
COUNTED = [k for k in range(49) if k not in IGNORED]


def keypoints(count=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    places = 224 * torch.rand(count, 49, 2, generator=generator)
    return torch.cat([places, torch.ones(count, 49, 1)], -1)


def only(*places, dtype=torch.float32):
    """One person of whom these keypoints are known."""
    some = keypoints().to(dtype)
    unknown = [k for k in range(49) if k not in places]
    some[:, unknown, 2] = 0
    return some


def changed(place, value):
    some = keypoints()
    some[0, *place] = value
    return some


def at_one_place():
    some = keypoints()
    some[..., :2] = 100.0
    return some


def on_a_line():
    some = keypoints()
    some[..., 1] = 100.0
    return some


def test_good_keypoints_come_through_as_they_are():
    some = keypoints(3)
    targets = Targets.of(some)
    assert targets.valid.all()
    torch.testing.assert_close(targets.keypoints_2d, some[..., :2])
    torch.testing.assert_close(targets.confidence, some[..., 2])
    assert len(targets) == 3


@pytest.mark.parametrize(
    "bad",
    [
        changed((NOSE, 0), math.nan), changed((NOSE, 1), math.inf), changed((NOSE, 0), -1e6),
        changed((NOSE, 2), math.nan), changed((NOSE, 2), math.inf), changed((NOSE, 2), -math.inf),
        torch.full((1, 49, 3), math.nan), torch.zeros(1, 49, 3), only(), only(*COUNTED[:3]),
        only(*IGNORED), only(*IGNORED, *COUNTED[:3]), at_one_place(), on_a_line(),
    ],
    ids=[
        "x NaN", "y infinite", "x far away", "confidence NaN", "confidence infinite",
        "confidence -infinite", "all NaN", "all zero", "none known", "three known",
        "only hips and neck", "hips, neck and three", "all at one place", "all on one line",
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_marked_and_emptied_and_the_others_stay(bad):
    targets = Targets.of(torch.cat([keypoints(), bad, keypoints(seed=1)]))
    assert targets.valid.tolist() == [True, False, True]
    assert not targets.keypoints_2d[1].any()
    assert not targets.confidence[1].any()
    good = torch.cat([keypoints(), keypoints(seed=1)])
    torch.testing.assert_close(targets.keypoints_2d[::2], good[..., :2])
    torch.testing.assert_close(targets.confidence[::2], good[..., 2])


def test_a_few_keypoints_are_enough():
    assert Targets.of(only(*COUNTED[:LEAST_KEYPOINTS])).valid.all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_what_an_unknown_keypoint_says_does_not_matter(value):
    some = changed((NOSE, slice(0, 2)), value)
    some[0, NOSE, 2] = 0
    targets = Targets.of(some)
    assert targets.valid.all()
    assert targets.keypoints_2d[0, NOSE].tolist() == [0, 0]
    assert targets.confidence[0, NOSE] == 0


def test_a_negative_confidence_is_no_confidence():
    targets = Targets.of(changed((KNEE, 2), -0.5))
    assert targets.valid.all()
    assert targets.confidence[0, KNEE] == 0


@pytest.mark.parametrize("shape", [(49, 3), (2, 24, 3), (2, 49, 2), (2, 49, 3, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(B, 49, 3\)"):
        Targets.of(torch.zeros(shape))


def test_no_people_are_no_targets():
    assert len(Targets.of(torch.zeros(0, 49, 3))) == 0


@given(seed=st.integers(0, 1000), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_whatever_comes_no_number_is_left_that_is_none(seed, dtype):
    rng = np.random.default_rng(seed)
    some = rng.uniform(-300, 500, (6, 49, 3))
    some[..., 2] = rng.uniform(-0.2, 1, (6, 49))
    odd = rng.choice([np.nan, np.inf, -np.inf, 1e38, 0], some.shape)
    some = np.where(rng.random(some.shape) < 0.005, odd, some)
    targets = Targets.of(torch.as_tensor(some, dtype=dtype))
    assert targets.keypoints_2d.dtype == dtype
    assert targets.keypoints_2d.isfinite().all()
    assert targets.confidence.isfinite().all()
    assert (targets.confidence >= 0).all()


def test_a_batchs_keypoints_become_pixels_of_spins_crop():
    some = torch.zeros(1, 49, 3)
    some[..., 2] = 1
    some[0, NOSE, :2] = torch.tensor([-1.0, 1.0])
    places = Targets.from_normalised(some).keypoints_2d[0]
    torch.testing.assert_close(places[NOSE], torch.tensor([0.0, 224.0]))
    torch.testing.assert_close(places[KNEE], torch.tensor([112.0, 112.0]))


def test_counted_empties_a_copy():
    """SPIN emptied its own tensor, and its first stage then never saw the hips."""
    targets = Targets.of(keypoints(2))
    before = targets.confidence.clone()
    counted = targets.counted()
    assert not counted.confidence[:, list(IGNORED)].any()
    assert counted.confidence[:, COUNTED].all()
    torch.testing.assert_close(targets.confidence, before)
    counted.confidence.zero_()
    torch.testing.assert_close(targets.confidence, before)


def test_the_ignored_are_the_neck_and_the_hips():
    assert {KEYPOINT_NAMES[k] for k in IGNORED} == {
        "openpose_neck", "openpose_right_hip", "openpose_left_hip", "right_hip", "left_hip",
    }  # fmt: skip


@pytest.mark.parametrize("index", [torch.tensor([2, 0]), torch.tensor([True, False, True])])
def test_some_of_the_targets(index):
    targets = Targets.of(keypoints(3))
    some = targets[index]
    assert len(some) == 2
    torch.testing.assert_close(some.keypoints_2d, targets.keypoints_2d[index])
    torch.testing.assert_close(some.confidence, targets.confidence[index])


def fits(objective, number):
    count = len(objective)
    return Fits(
        pose=torch.full((count, 24, 3), float(number)),
        betas=torch.full((count, 10), float(number)),
        translation=torch.full((count, 3), float(number)),
        objective=torch.tensor(objective),
        reprojection=torch.full((count,), float(number)),
        valid=torch.tensor(objective).isfinite(),
    )


def test_the_better_of_two_fits_is_kept_body_by_body():
    inf = math.inf
    first = fits([1.0, 3.0, 2.0, inf, 5.0, inf], 1)
    second = fits([2.0, 1.0, 2.0, 7.0, inf, inf], 2)
    best = first.better_of(second)
    assert best.objective.tolist() == [1.0, 1.0, 2.0, 7.0, 5.0, inf]
    chosen = [1.0, 2.0, 1.0, 2.0, 1.0, 1.0]
    for name in ("pose", "betas", "translation", "reprojection"):
        values = getattr(best, name).flatten(1) if name != "reprojection" else best.reprojection
        torch.testing.assert_close(values, torch.tensor(chosen).view(-1, *[1] * (values.ndim - 1))
                                   .expand_as(values))  # fmt: skip
    assert best.valid.tolist() == [True, True, True, True, True, False]
    assert first.objective.tolist() == [1.0, 3.0, 2.0, inf, 5.0, inf]


def test_a_fit_that_has_no_number_is_never_the_better_one():
    best = fits([1.0], 1).better_of(fits([math.nan], 2))
    assert best.objective.tolist() == [1.0]


def test_parts_join_in_order():
    parts = [fits([1.0, 2.0], 1), fits([3.0], 2)]
    whole = Fits.cat(parts)
    assert len(whole) == 3
    assert whole.objective.tolist() == [1.0, 2.0, 3.0]
    assert whole.pose[:, 0, 0].tolist() == [1.0, 1.0, 2.0]
    some = whole[torch.tensor([2, 1])]
    assert some.objective.tolist() == [3.0, 2.0]


def test_fits_are_a_start_for_others():
    pose = torch.rand(2, 24, 3, generator=torch.Generator().manual_seed(0))
    done = fits([1.0, 2.0], 1)[torch.tensor([0, 1])]
    done = Fits(pose, done.betas, done.translation, done.objective, done.reprojection, done.valid)
    guess = done.params
    torch.testing.assert_close(guess.rotations, axis_angle_to_matrix(pose))
    torch.testing.assert_close(guess.pose, pose, atol=1e-5, rtol=1e-5)
    assert len(guess) == 2
    torch.testing.assert_close(guess[torch.tensor([1])].betas, done.betas[1:])
    kept = guess.betas.requires_grad_()
    assert kept.requires_grad
    assert not guess.detach().betas.requires_grad
