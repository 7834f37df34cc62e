"""The count that would have caught the diary's has_smpl bug in a minute."""

import warnings

import pytest

from hmrlab import LossWeights
from hmrlab.data.dataset import MixedDataset, open_set
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.training.labels import check_labels, describe_shares, label_shares


def loader(dataset):
    return BatchLoader(dataset, batch_size=8, resolution=32, shuffle=True)


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    root = tmp_path_factory.mktemp("wild")
    return ensure_set(SetSpec("wild", "train", 48, 48), root, progress=False)


def test_losses_without_any_label_are_warned_of(studio):
    dataset = open_set(studio, "studio")
    everything = {"samples": 1.0, "keypoints_2d": 1.0, "pose_3d": 1.0, "smpl": 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_labels(loader(dataset), LossWeights()) == {"studio": everything}
    dataset.records.has_smpl[:] = False
    with pytest.warns(UserWarning, match="'smpl'.*pose, betas can teach nothing"):
        assert check_labels(loader(dataset), LossWeights())["studio"]["smpl"] == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_labels(loader(dataset), LossWeights(pose=0.0, betas=0.0))


def test_labels_are_counted_by_set(studio, wild):
    mixed = MixedDataset([open_set(studio, "studio"), open_set(wild, "wild")], [0.5, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = check_labels(loader(mixed), LossWeights())
    assert shares["studio"]["smpl"] == 1.0
    assert shares["wild"]["smpl"] == shares["wild"]["pose_3d"] == 0.0
    assert shares["wild"]["keypoints_2d"] == 1.0
    assert shares["studio"]["samples"] + shares["wild"]["samples"] == pytest.approx(1)
    assert "wild: " in describe_shares(shares)
    assert "smpl 0 %" in describe_shares(shares)


def test_flags_are_counted_as_they_arrive_not_as_they_are_stored(studio, wild):
    """The diary's bug: right in the files, and gone by the time that a batch is made."""

    class Broken(MixedDataset):
        def gather_by_set(self, index, working_size):
            found = super().gather_by_set(index, working_size)
            for raw in found:
                raw.has_smpl[:] = False
            return found

    broken = Broken([open_set(studio, "studio"), open_set(wild, "wild")], [0.5, 0.5])
    assert all(part.label_shares() for part in broken.parts)
    assert broken.parts[0].label_shares()["smpl"] == 1.0
    with pytest.warns(UserWarning, match="none of the first 512 samples has the label 'smpl'"):
        check_labels(loader(broken), LossWeights())
    assert label_shares(loader(broken))["studio"]["smpl"] == 0.0
