"""The bootstrap against what theory says of means."""

import numpy as np
import pytest

from hmrlab.evaluation.intervals import bootstrap, ratio, sequence_of


def counted(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones(len(values))], 1)


def test_interval_of_a_mean_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(50, 8, 400)
    found = bootstrap(counted(values), ratio, np.arange(400), draws=2000)
    half = 1.96 * values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.12 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.12 * half)


def test_copies_of_a_frame_tell_no_more_than_the_frame():
    """40 videos of 25 equal frames: by videos the interval is that of 40 values, by frames not."""
    videos = np.random.default_rng(1).normal(50, 8, 40)
    frames, groups = np.repeat(videos, 25), np.repeat(np.arange(40), 25)
    by_video = bootstrap(counted(frames), ratio, groups)
    alone = bootstrap(counted(videos), ratio, np.arange(40))
    by_frame = bootstrap(counted(frames), ratio, np.arange(1000))
    assert (by_video.low, by_video.high) == pytest.approx((alone.low, alone.high))
    width, narrow = by_video.high - by_video.low, by_frame.high - by_frame.low
    assert width / narrow == pytest.approx(5, rel=0.1)  # the root of 25


def test_groups_of_different_size_count_by_their_samples():
    found = bootstrap(counted(np.array([1.0, 1, 1, 5])), ratio, np.array([0, 0, 0, 9]))
    assert found.value == 2.0
    assert (found.low, found.high) == (1.0, 5.0)


def test_draws_are_seeded():
    values = counted(np.random.default_rng(2).normal(size=50))
    one, same, other = (
        bootstrap(values, ratio, np.arange(50), draws=200, seed=s) for s in (3, 3, 4)
    )
    assert one == same
    assert one != other


def test_one_group_moves_nowhere_and_nothing_counted_is_nan():
    one = bootstrap(counted(np.array([1.0, 3.0])), ratio, np.zeros(2, int))
    assert (one.value, one.low, one.high) == (2.0, 2.0, 2.0)
    none = bootstrap(np.zeros((4, 2)), ratio, np.arange(4))
    assert np.isnan([none.value, none.low, none.high]).all()
    with pytest.raises(ValueError, match="no sample"):
        bootstrap(np.zeros((0, 2)), ratio, np.zeros(0, int))


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("imageFiles/downtown_walk_00/image_00012.jpg", "imageFiles/downtown_walk_00/image"),
        ("mpi_inf_3dhp_test_set/TS1/imageSequence/img_000001.jpg",
         "mpi_inf_3dhp_test_set/TS1/imageSequence/img"),
        ("S9_Directions_1.54138969_000001.jpg", "S9_Directions_1"),
        ("S9_Directions_1.60457274_000006.jpg", "S9_Directions_1"),
        ("S9_Directions.60457274_000006.jpg", "S9_Directions"),
        ("images.npy#17", "images.npy#17"),
        ("crops-00003.jpegs#17", "crops-00003.jpegs#17"),
    ],
)  # fmt: skip
def test_a_frames_video_is_read_off_its_name(name, sequence):
    assert sequence_of(name) == sequence
