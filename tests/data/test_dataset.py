import warnings

import numpy as np
import pytest
import torch

from hmrlab.data.augment import AugmentationSettings
from hmrlab.data.batch import Batch
from hmrlab.data.dataset import open_set
from hmrlab.data.loader import BatchLoader, load_rows
from hmrlab.files import FileProblem


@pytest.fixture
def dataset(make_records):
    return open_set(make_records(22).path.parent)


def loader(dataset, **changes):
    options = {
        "batch_size": 4, "resolution": 32, "seed": 3, "shuffle": True, "drop_last": True,
        "augmentation": AugmentationSettings(),
    }  # fmt: skip
    return BatchLoader(dataset, **(options | changes))


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(vars(one)[key], vars(other)[key]) for key in vars(one))


def test_an_epoch_shows_each_sample_once(dataset):
    everything = loader(dataset, drop_last=False)
    seen = torch.cat([batch.index for batch in everything])
    assert sorted(seen.tolist()) == list(range(22))
    assert len(everything) == 6


def test_the_next_epoch_has_another_order(dataset):
    batches = loader(dataset)
    first = [batch.index.tolist() for batch in batches]
    second = [batch.index.tolist() for batch in batches]
    assert len(first) == len(second) == 5
    assert first != second


def test_equal_seeds_give_equal_batches_and_others_do_not(dataset):
    one, same_seed, other = (next(iter(loader(dataset, seed=s))) for s in (3, 3, 4))
    assert same(one, same_seed)
    assert not same(one, other)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("after", [0, 2, 5, 7])
def test_a_restored_loader_goes_on_with_the_very_same_batches(dataset, prefetch, after):
    whole = loader(dataset, prefetch=prefetch)
    expected = [*whole, *whole, *whole]
    first = loader(dataset, prefetch=prefetch)
    taken = 0
    while taken < after:
        for _ in first:
            taken += 1
            if taken == after:
                break
    again = loader(dataset, prefetch=prefetch)
    again.restore(first.state())
    rest = []
    while len(rest) < len(expected) - after:
        rest += list(again)
    assert all(same(a, b) for a, b in zip(expected[after:], rest, strict=True))


@pytest.mark.parametrize("makers", [2, 5])
def test_several_threads_make_the_batches_of_one(dataset, makers):
    one, several = loader(dataset), loader(dataset, makers=makers)
    for _ in range(2):
        expected = list(one)
        given = list(several)
        assert len(given) == len(expected) == 5
        assert all(same(a, b) for a, b in zip(given, expected, strict=True))
    assert several.state() == one.state() == {"epoch": 2, "batch": 0}


@pytest.mark.parametrize(("prefetch", "makers"), [(0, 1), (2, 1), (2, 3)])
def test_an_error_comes_in_its_turn_and_the_loader_goes_on_after_it(
    dataset, monkeypatch, prefetch, makers
):
    batches = loader(dataset, prefetch=prefetch, makers=makers)
    made = batches._make

    def failing(epoch, number):
        if number == 2:
            raise OSError("the disk is gone")
        return made(epoch, number)

    monkeypatch.setattr(batches, "_make", failing)
    seen = []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(batches)  # keeps what came before
    assert batches.state() == {"epoch": 0, "batch": 2}
    monkeypatch.undo()
    assert len(list(batches)) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("makers", [1, 4])
def test_a_gpu_makes_the_batches_of_the_cpu(dataset, makers):
    on_gpu = loader(dataset, device="cuda", makers=makers)
    for _ in range(3):
        for ours, expected in zip(on_gpu, loader(dataset), strict=False):
            for key, value in vars(expected).items():
                given = vars(ours)[key]
                assert given.device.type == "cuda"
                torch.testing.assert_close(given.cpu(), value, atol=2e-4, rtol=1e-4)
        on_gpu.restore({"epoch": 0, "batch": 0})


def test_evaluation_keeps_the_order_and_the_pictures(dataset):
    batches = list(loader(dataset, shuffle=False, augmentation=None, drop_last=False))
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(22))
    assert torch.equal(batches[0].betas, torch.from_numpy(dataset.records.betas[:4]))


def test_a_set_smaller_than_a_batch_is_refused(dataset):
    with pytest.raises(ValueError, match="22 samples are not enough"):
        loader(dataset, batch_size=23)


def test_label_shares_are_counted(make_records):
    records = make_records(4)
    dataset = open_set(records.path.parent)
    assert dataset.label_shares() == {"keypoints_2d": 1.0, "pose_3d": 1.0, "smpl": 1.0}
    with np.load(records.path) as content:
        values = dict(content)
    np.savez(records.path, **(values | {"has_smpl": np.array([1, 0, 0, 0])}))
    assert open_set(records.path.parent).label_shares()["smpl"] == 0.25


def test_picture_files_give_the_batches_that_packed_pictures_give(make_records, tmp_path):
    for kind in ("packed", "files"):
        (tmp_path / kind).mkdir()
        make_records(4, 48, kind == "packed", tmp_path / kind)
    batches = [
        next(iter(loader(open_set(tmp_path / kind), augmentation=None, shuffle=False)))
        for kind in ("packed", "files")
    ]
    torch.testing.assert_close(batches[0].keypoints_2d, batches[1].keypoints_2d, atol=1e-4, rtol=0)
    assert torch.equal(batches[0].betas, batches[1].betas)


def test_a_missing_and_a_damaged_picture_are_named_once_counted_and_left_out(make_records):
    folder = make_records(8, 48, packed=False).path.parent
    (folder / "2.png").unlink()
    (folder / "5.png").write_bytes(b"not a picture")
    dataset = open_set(folder)
    batches = loader(dataset, drop_last=False, shuffle=False)
    with pytest.warns(UserWarning, match=r"2\.png is missing") as caught:
        seen = torch.cat([batch.index for batch in batches]).tolist()
    assert seen == [0, 1, 3, 4, 6, 7]
    assert set(dataset.skipped) == {2, 5}
    assert len(caught) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.cat([batch.index for batch in batches]).tolist() == seen


def test_a_batch_without_one_readable_picture_is_passed_over(make_records):
    folder = make_records(8, 48, packed=False).path.parent
    for k in range(4):
        (folder / f"{k}.png").unlink()
    with pytest.warns(UserWarning, match="left out"):
        batches = list(loader(open_set(folder), shuffle=False))
    assert [batch.index.tolist() for batch in batches] == [[4, 5, 6, 7]]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "files"])
def test_chosen_rows_come_in_the_order_asked_for_as_the_loader_gives_them(make_records, packed):
    dataset = open_set(make_records(8, 48, packed=packed).path.parent)
    whole = Batch.cat(list(loader(dataset, augmentation=None, shuffle=False)))
    rows = np.array([6, 0, 3])
    assert same(load_rows(dataset, rows, 32), whole[rows])


def test_chosen_rows_that_cannot_be_read_are_left_out_unless_none_can(make_records):
    folder = make_records(8, 48, packed=False).path.parent
    (folder / "2.png").unlink()
    with pytest.warns(UserWarning, match="left out"):
        assert load_rows(open_set(folder), [5, 2, 1], 32).index.tolist() == [5, 1]
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(FileProblem, match="none of the pictures asked for"),
    ):
        load_rows(open_set(folder), [2], 32)


def test_an_error_while_loading_reaches_the_caller(dataset, monkeypatch):
    def broken(*_):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(dataset, "gather", broken)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        next(iter(loader(dataset)))
