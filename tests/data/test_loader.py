"""What a batch of a loader depends on, and how far ahead of its taker it is made."""

import threading
import time

import numpy as np
import pytest
import torch

from hmrlab.data.augment import AugmentationSettings, draw
from hmrlab.data.dataset import MixedDataset, open_set
from hmrlab.data.loader import BatchLoader

ALWAYS = AugmentationSettings(no_rotation_probability=0.0)


@pytest.fixture
def dataset(make_records):
    return open_set(make_records(16).path.parent)


def loader(dataset, **changes):
    options = {"batch_size": 4, "resolution": 32, "augmentation": ALWAYS, "prefetch": 0}
    return BatchLoader(dataset, **(options | changes))


def turns(batches):
    return [tuple(batch.rot_angle.tolist()) for batch in batches]


@pytest.mark.parametrize("prefetch", [0, 3])
def test_augmentations_are_drawn_anew_for_each_batch_epoch_and_seed(dataset, prefetch):
    """In the order of the file, so that nothing but the draws can differ."""
    one, same, other = (loader(dataset, seed=seed, prefetch=prefetch) for seed in (3, 3, 4))
    drawn = turns([*one, *one, *other, *other])
    assert len(set(drawn)) == len(drawn) == 16
    assert turns([*same, *same]) == drawn[:8]


def test_the_order_is_of_seed_and_epoch(dataset):
    def epochs(seed):
        shuffled = loader(dataset, seed=seed, shuffle=True, augmentation=None)
        return [tuple(tuple(batch.index.tolist()) for batch in shuffled) for _ in range(2)]

    assert epochs(3) == epochs(3)
    assert len({*epochs(3), *epochs(4)}) == 4


def test_sets_of_a_mix_do_not_share_their_draws(make_records, tmp_path):
    parts = []
    for name in "ab":
        (tmp_path / name).mkdir()
        parts.append(open_set(make_records(12, folder=tmp_path / name).path.parent, name))
    mixed = MixedDataset(parts, [0.5, 0.5])
    (batch,) = loader(mixed, shuffle=True, batch_size=12, seed=3)
    assert set(batch.source.tolist()) == {0, 1}
    seed = np.random.SeedSequence([3, 0, 0]).generate_state(1)[0]  # of loader, epoch and batch
    drawn = draw(ALWAYS, 12, torch.Generator().manual_seed(int(seed)))
    assert torch.equal(batch.rot_angle, drawn.rotation)
    assert torch.equal(batch.is_flipped, drawn.flip)


def test_the_first_samples_are_those_of_the_first_epochs_first_batches(dataset):
    shuffled = loader(dataset, shuffle=True, seed=5)
    expected = [*next(iter(shuffled)).index.tolist()]
    for _ in range(2):
        list(shuffled)
    (raw,) = shuffled.first_samples(4)
    assert sorted(raw.index.tolist()) == sorted(expected)
    torch.testing.assert_close(raw.betas, torch.from_numpy(dataset.records.betas[raw.index]))


@pytest.mark.parametrize("resolution", [32, 64])
def test_pictures_are_asked_for_with_a_margin_for_turning(dataset, monkeypatch, resolution):
    sizes, gather = [], dataset.gather_by_set
    monkeypatch.setattr(
        dataset, "gather_by_set", lambda rows, size: sizes.append(size) or gather(rows, size)
    )
    batches = loader(dataset, resolution=resolution)
    next(iter(batches))
    batches.first_samples(2)
    assert sizes == [round(1.77 * resolution)] * 2


class Counting:
    """Notes what a loader begins to make, and where; all but the first takes some seconds."""

    def __init__(self, batches, monkeypatch, seconds=0.0):
        self.begun, self.threads, self.torch_threads = [], set(), set()
        made = batches._make

        def make(epoch, number):
            self.begun.append(number)
            self.threads.add(threading.get_ident())
            self.torch_threads.add(torch.get_num_threads())
            time.sleep(seconds if number else 0.0)
            return made(epoch, number)

        monkeypatch.setattr(batches, "_make", make)


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_batches_are_made_ahead_than_were_asked_for(dataset, monkeypatch, ahead):
    batches = loader(dataset, batch_size=1, prefetch=ahead)
    counting = Counting(batches, monkeypatch)
    taking = iter(batches)
    for taken in (1, 2, 3):
        next(taking)
        deadline = time.monotonic() + 5
        while len(counting.begun) < taken + ahead and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
        assert counting.begun == list(range(taken + ahead))
    taking.close()


def test_whoever_stops_early_does_not_wait_for_what_was_not_begun(dataset, monkeypatch):
    batches = loader(dataset, batch_size=1, prefetch=8)
    counting = Counting(batches, monkeypatch, seconds=0.3)
    taking = iter(batches)
    next(taking)
    taking.close()
    assert len(counting.begun) < 6
    assert batches.state() == {"epoch": 0, "batch": 1}


def test_without_prefetch_batches_are_made_where_they_are_asked_for(dataset, monkeypatch):
    batches = loader(dataset, makers=3)
    counting = Counting(batches, monkeypatch)
    list(batches)
    assert counting.threads == {threading.get_ident()}


def test_a_maker_computes_on_one_core_and_leaves_the_others_settings_alone(dataset, monkeypatch):
    batches = loader(dataset, prefetch=2, makers=2)
    counting, before = Counting(batches, monkeypatch), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(batches)
        assert counting.torch_threads == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_empty_set_has_no_batches(dataset):
    with pytest.raises(ValueError, match="0 samples are not enough"):
        loader(dataset.first(0))
