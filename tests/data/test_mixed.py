"""Several sets in one, drawn by shares."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.dataset import MixedDataset, open_set, spin_shares
from hmrlab.data.loader import BatchLoader

LENGTHS = {"a": 7, "b": 31, "c": 12}
SHARES = [0.5, 0.2, 0.3]


@pytest.fixture
def parts(make_records, tmp_path):
    """Three sets whose betas say the set's number and the row; "b" is stored in another size."""
    found = []
    for number, (name, length) in enumerate(LENGTHS.items()):
        folder = tmp_path / name
        folder.mkdir()
        make_records(length, 48 if name == "b" else 96, folder=folder)
        dataset = open_set(folder, name)
        dataset.records.betas[:, 0] = number
        dataset.records.betas[:, 1] = np.arange(length)
        found.append(dataset)
    return found


def loader(dataset, **changes):
    options = {
        "batch_size": 4, "resolution": 32, "seed": 3, "shuffle": True, "drop_last": True,
        "augmentation": AugmentationSettings(),
    }  # fmt: skip
    return BatchLoader(dataset, **(options | changes))


def test_picture_and_labels_are_of_one_sample_and_say_which(parts):
    mixed = MixedDataset(parts, SHARES)
    assert mixed.names == ("a", "b", "c")
    count = 0
    for batch in loader(mixed, drop_last=False):
        assert torch.equal(batch.betas[:, 0], batch.source.float())
        assert torch.equal(batch.betas[:, 1], batch.index.float())
        assert batch.images.shape[1:] == (3, 32, 32)
        count += len(batch)
    assert count == len(mixed) == 31  # as long as the largest set


def test_shares_are_as_wanted(parts):
    """Each draw is independent: the count is binomial, and 5 standard deviations are wide."""
    mixed = MixedDataset(parts, SHARES)
    epochs = [mixed.epoch(np.random.default_rng([0, k])) for k in range(400)]
    rows = np.concatenate(epochs)
    first = np.array([0, 7, 38])
    which = np.searchsorted(first, rows, side="right") - 1
    for number, share in enumerate(SHARES):
        spread = np.sqrt(share * (1 - share) / len(rows))
        assert (which == number).mean() == pytest.approx(share, abs=5 * spread)
    for number, length in enumerate(LENGTHS.values()):
        seen = np.bincount(rows[which == number] - first[number], minlength=length)
        assert len(seen) == length
        assert seen.min() > 0


def test_a_large_set_shows_no_sample_twice_in_an_epoch(parts):
    rows = MixedDataset(parts, SHARES).epoch(np.random.default_rng(0))
    of_b = rows[(rows >= 7) & (rows < 38)]
    assert len(set(of_b)) == len(of_b)


@pytest.mark.parametrize("after", [0, 3, 7, 10])
def test_going_on_in_mid_epoch_neither_repeats_nor_skips(parts, after):
    whole = loader(MixedDataset(parts, SHARES))
    expected = [*whole, *whole]
    first = loader(MixedDataset(parts, SHARES))
    taken = 0
    while taken < after:
        for _ in first:
            taken += 1
            if taken == after:
                break
    again = loader(MixedDataset(parts, SHARES))
    again.restore(first.state())
    rest = []
    while len(rest) < len(expected) - after:
        rest += list(again)
    for a, b in zip(expected[after:], rest, strict=True):
        assert all(torch.equal(x, vars(b)[name]) for name, x in vars(a).items())


class Numbers:
    """As much of a data set as numbering its rows needs."""

    def __init__(self, name: str, length: int) -> None:
        self.name, self.length = name, length

    def __len__(self) -> int:
        return self.length


def test_a_draw_beyond_the_last_cumulative_share_still_gives_a_sample():
    """Shares may miss 1 by rounding; SPIN's mix gives nothing for a draw that falls in between."""
    n, shares = 1_000_000, [0.5, 0.5 - 9e-7]
    assert np.random.default_rng(0).random(n).max() > sum(shares)
    mixed = MixedDataset([Numbers("a", n), Numbers("b", 5)], shares)
    rows = mixed.epoch(np.random.default_rng(0))
    assert len(rows) == n
    assert rows.min() >= 0
    assert rows.max() < n + 5


def test_one_set_with_all_of_the_share_gives_all_samples(parts):
    assert {int(s) for batch in loader(MixedDataset(parts, [0, 0, 1])) for s in batch.source} == {2}


@pytest.mark.parametrize(
    ("chosen", "shares", "says"),
    [
        ([0, 1], [0.5], "2 sets need as many shares"),
        ([0, 1], [0.5, 0.6], "sum to 1"),
        ([0, 1], [1.5, -0.5], "sum to 1"),
        ([0, 0], [0.5, 0.5], "different names"),
        ([], [], "needs sets"),
    ],
)
def test_shares_that_make_no_sense_are_refused(parts, chosen, shares, says):
    with pytest.raises(ValueError, match=says):
        MixedDataset([parts[k] for k in chosen], shares)


def test_an_order_is_refused_where_there_is_none(parts):
    with pytest.raises(ValueError, match="shuffle=True"):
        loader(MixedDataset(parts, SHARES), shuffle=False)


def test_spins_shares_with_all_of_its_sets():
    lengths = {"h36m": 312_188, "lsp-orig": 1_000, "mpii": 14_810, "lspet": 9_428,
               "coco": 28_344, "mpi-inf-3dhp": 96_507}  # fmt: skip
    shares = spin_shares(lengths)
    assert list(shares) == list(lengths)
    assert shares["h36m"] == pytest.approx(0.3)
    assert shares["mpi-inf-3dhp"] == pytest.approx(0.1)
    assert shares["coco"] / shares["mpii"] == pytest.approx(28_344 / 14_810)


def test_synthetic_sets_stand_in_for_their_kind():
    assert spin_shares({"studio": 100, "wild": 100}) == pytest.approx(
        {"studio": 1 / 3, "wild": 2 / 3}
    )


@given(
    st.dictionaries(
        st.sampled_from(["h36m", "studio", "coco", "wild", "mpii", "mpi-inf-3dhp"]),
        st.integers(1, 10**6),
        min_size=1,
    )
)
def test_shares_always_sum_to_one(lengths):
    assert sum(spin_shares(lengths).values()) == pytest.approx(1)


def test_sets_of_the_readers_own_are_a_quarter_however_few_people_they_have():
    lengths = {"h36m": 300_000, "coco": 28_000, "mpi-inf-3dhp": 96_000, "own": 30, "more": 10}
    shares = spin_shares(lengths)
    assert shares["own"] + shares["more"] == pytest.approx(0.25)
    assert shares["own"] / shares["more"] == pytest.approx(3)
    assert shares["h36m"] / shares["coco"] == pytest.approx(0.5)
    assert spin_shares({"own": 5}) == {"own": 1.0}


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs a set"):
        spin_shares({})
