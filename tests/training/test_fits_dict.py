"""The fits of best fits against SPIN's own numbers, and its rules."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.smplify import Fits
from hmrlab.spin import AugmentTransform, FitsDict, believable_betas

ROWS = torch.arange(16)


def rotations_of(pose):
    return axis_angle_to_matrix(pose.float().reshape(-1, 24, 3))


def augmentation_of(golden, turn="dict_rot"):
    return AugmentTransform(golden["dict_flip"].bool(), golden[turn])


def make_fits(count, valid=None):
    generator = torch.Generator().manual_seed(3)
    return Fits(
        pose=0.4 * torch.randn(count, 24, 3, generator=generator),
        betas=torch.randn(count, 10, generator=generator),
        translation=torch.zeros(count, 3),
        objective=torch.zeros(count),
        reprojection=torch.zeros(count),
        valid=torch.ones(count, dtype=torch.bool) if valid is None else valid,
    )


@pytest.fixture
def written(golden):
    """A fits in which the goldens' poses were written where they were better."""
    fits = FitsDict(16)
    better = golden["dict_update"]
    pose = augmentation_of(golden).invert(rotations_of(golden["dict_pose"]))
    fits.update(ROWS, pose, golden["dict_betas"], better)
    return fits


def test_what_is_stored_is_what_spin_stores(golden, written):
    """Compared as rotations: an axis-angle at pi has two right signs."""
    better = golden["dict_update"]
    stored = golden["dict_stored"][better]
    assert_close(
        rotations_of(written.pose[better]), rotations_of(stored[:, :72]), atol=1e-4, rtol=0
    )
    assert_close(written.betas[better], stored[:, 72:], atol=1e-5, rtol=0)
    assert torch.equal(written.known, better)


def test_what_is_read_is_what_spin_reads(golden, written):
    pose, betas, known = written[ROWS]
    rotations = augmentation_of(golden, "dict_read_rot").apply(pose)
    assert torch.equal(known, golden["dict_update"])
    theirs = rotations_of(golden["dict_read_pose"])
    assert_close(rotations[known], theirs[known], atol=1e-4, rtol=0)
    assert_close(betas[known], golden["dict_read_betas"][known], atol=1e-5, rtol=0)


def test_only_the_chosen_are_kept_even_where_a_sample_comes_twice():
    fits = FitsDict(4)
    fits.fill(0, make_fits(4))
    before = {name: value.clone() for name, value in fits.state().items()}
    chosen = torch.tensor([True, False, False, True])
    fitted = torch.full((4, 72), 0.1), torch.full((4, 10), 5.0)
    fits.update(torch.tensor([2, 2, 1, 3]), *fitted, chosen)
    assert (fits.betas[2:] == 5).all()
    assert (fits.pose[2:] == 0.1).all()
    for name, value in before.items():
        assert torch.equal(fits.state()[name][:2], value[:2])
    assert len(fits) == len(fits.state()["known"]) == 4


def test_what_is_not_kept_is_known_nowhere():
    fits = FitsDict(2)
    fits.update(torch.tensor([1]), torch.ones(1, 72), torch.ones(1, 10), torch.tensor([False]))
    assert not fits.known.any()
    assert not any(value.any() for value in fits.state().values())


@given(flip=st.booleans(), degrees=st.floats(-180, 180), seed=st.integers(0, 99))
def test_a_body_comes_back_under_the_view_that_it_was_written_under(flip, degrees, seed):
    pose = torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(seed))
    rotations = axis_angle_to_matrix(pose)
    augmented = AugmentTransform(torch.tensor([flip]), torch.tensor([degrees]))
    fits = FitsDict(3)
    fits.update(
        torch.tensor([1]), augmented.invert(rotations), torch.ones(1, 10), torch.tensor([True])
    )
    pose, betas, known = fits[torch.tensor([1])]
    again = augmented.apply(pose)
    assert_close(again, rotations, atol=2e-5, rtol=0)
    assert known.item()
    assert (betas == 1).all()


def test_a_mirrored_read_mirrors_the_body_and_a_turned_one_turns_the_root_alone():
    fits = FitsDict(1)
    fits.fill(0, make_fits(1))
    plain = AugmentTransform(torch.tensor([False]), torch.zeros(1))
    turned = AugmentTransform(torch.tensor([False]), torch.tensor([90.0]))
    pose, _, _ = fits[torch.tensor([0])]
    before, after = plain.apply(pose), turned.apply(pose)
    assert torch.equal(after[:, 1:], before[:, 1:])
    quarter = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert_close(after[0, 0], quarter @ before[0, 0], atol=1e-5, rtol=0)


def test_first_fits_go_in_a_row_and_invalid_ones_stay_unknown():
    fits = FitsDict(5)
    fits.fill(1, make_fits(3, torch.tensor([True, False, True])))
    assert fits.known.tolist() == [False, True, False, True, False]
    assert (fits.pose[2] == 0).all()


def test_fits_that_do_not_fit_in_are_refused():
    with pytest.raises(ValueError, match="3 fits from row 3 on do not fit into 5 rows"):
        FitsDict(5).fill(3, make_fits(3))


def test_a_restored_memory_is_the_saved_one(tmp_path):
    fits, other = FitsDict(4), FitsDict(4)
    fits.fill(0, make_fits(4))
    torch.save(fits.state(), tmp_path / "state.pt")
    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    for name, value in fits.state().items():
        assert torch.equal(value, other.state()[name])


def test_a_memory_of_another_size_is_refused():
    with pytest.raises(ValueError, match="has 5 rows, the saved one 4"):
        FitsDict(5).restore(FitsDict(4).state())


def test_a_million_samples_take_less_than_400_megabytes_and_twice_as_many_twice_that():
    one, two = FitsDict(1_000), FitsDict(2_000)
    assert two.nbytes == 2 * one.nbytes
    assert 1_000 * one.nbytes < 400e6


def test_one_beta_out_of_bounds_takes_the_whole_shape_away():
    betas = torch.full((3, 10), 2.9)
    betas[1, 4] = -3.1
    kept = believable_betas(betas)
    assert torch.equal(kept[[0, 2]], betas[[0, 2]])
    assert (kept[1] == 0).all()


def test_a_shape_at_the_bounds_is_still_believed():
    betas = torch.zeros(1, 10)
    betas[0, :2] = torch.tensor([3.0, -3.0])
    assert torch.equal(believable_betas(betas), betas)


def test_of_invalid_fits_nothing_is_kept():
    fits, valid = FitsDict(3), torch.tensor([True, False, True])
    fits.fill(0, make_fits(3, valid))
    assert not fits.betas[1].any()
    assert torch.equal(fits.betas[valid], make_fits(3).betas[valid])
    fits.fill(0, make_fits(3))  # as many as fit in
    assert fits.known.all()


def test_a_restored_memory_knows_whom_it_knew():
    fits, other = FitsDict(3), FitsDict(3)
    fits.fill(0, make_fits(3, torch.tensor([True, False, True])))
    other.restore(fits.state())
    for ours, theirs in zip(other[ROWS[:3]], fits[ROWS[:3]], strict=True):
        assert torch.equal(ours, theirs)
    assert other.known.tolist() == [True, False, True]
