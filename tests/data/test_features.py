"""Features that a frozen encoder sees once: whole, resumable, and true to their pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from hmrlab.config import LIGHT
from hmrlab.data import features as module
from hmrlab.data.augment import Augmentation
from hmrlab.data.dataset import MixedDataset, PoseDataset, open_set
from hmrlab.data.features import FeatureSpec, look_once, weights_digest
from hmrlab.data.images import MARGIN
from hmrlab.data.loader import BatchLoader
from hmrlab.data.synthetic.generate import SetSpec, ensure_set
from hmrlab.files import manifests

COUNT, VIEWS, SIDE = 80, 3, 32
SPEC = FeatureSpec("people", "eyes", COUNT, 12, SIDE, VIEWS, LIGHT)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("sets")
    return open_set(ensure_set(SetSpec("studio", "train", COUNT, 48), root, progress=False), "a")


def corners(images):
    """(B, 12) the mean colour of each quarter of a crop: eyes that see little."""
    return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def make(dataset, root, spec=SPEC, look=corners):
    return look_once(dataset, spec, lambda: look, root=root, progress=False)


def blind(images):
    raise AssertionError("nothing is to be looked at")


def test_features_are_those_of_the_augmented_pictures_and_labels_go_with_them(dataset, tmp_path):
    seen = make(dataset, tmp_path)
    assert len(seen) == VIEWS * COUNT
    rows = np.array([3, COUNT + 7, 2 * COUNT + 79])
    (raw,) = seen.gather_by_set(rows, 0)
    batch = raw.augmented(Augmentation.none(3), SIDE)
    assert batch.index.tolist() == [3, 7, 79]
    for k, row in enumerate(rows):
        person = dataset.gather(np.array([row % COUNT]), round(MARGIN * SIDE))
        view = Augmentation(**{key: v[[row]] for key, v in vars(SPEC.draws()).items()})
        expected = person.augmented(view, SIDE)
        torch.testing.assert_close(batch.images[[k]], corners(expected.images), atol=2e-3, rtol=0)
        for name in ("keypoints_2d", "keypoints_3d", "rotations", "is_flipped", "rot_angle"):
            torch.testing.assert_close(
                getattr(batch, name)[[k]], getattr(expected, name), atol=1e-5, rtol=0
            )


def test_what_was_seen_is_not_looked_at_again(dataset, tmp_path):
    first = make(dataset, tmp_path)
    again = make(dataset, tmp_path, look=blind)
    np.testing.assert_array_equal(first.features, again.features)


@pytest.mark.parametrize(
    "other",
    [{"encoder": "others"}, {"data": "others"}, {"augmentation": replace(LIGHT, rotation_std=1.0)},
     {"views": 2}, {"seed": 1}],
    ids=lambda other: next(iter(other)),
)  # fmt: skip
def test_other_weights_data_or_augmentation_are_other_features(dataset, tmp_path, other):
    make(dataset, tmp_path)
    with pytest.raises(AssertionError, match="nothing is to be looked at"):
        make(dataset, tmp_path, replace(SPEC, **other), blind)


def test_a_making_that_was_killed_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "SAVE_EVERY", -1.0)
    looked = []

    def dies(images):
        if len(looked) == 7:
            raise KeyboardInterrupt
        looked.append(len(images))
        return corners(images)

    with pytest.raises(KeyboardInterrupt):
        make(dataset, tmp_path, look=dies)
    assert [path.suffix for path in tmp_path.glob("[!.]*")] == [".part"]
    before, looked[:] = sum(looked), []
    counted = []
    seen = make(dataset, tmp_path, look=lambda x: (counted.append(len(x)), corners(x))[1])
    assert sum(counted) == VIEWS * COUNT - before
    whole = make(dataset, tmp_path / "elsewhere")
    np.testing.assert_array_equal(seen.features, whole.features)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["features.npy", "views.npz", "manifest.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_damaged_features_are_seen_anew(dataset, tmp_path, name, damage, capsys):
    spec = replace(SPEC, views=1)
    whole = make(dataset, tmp_path, spec)
    expected = np.array(whole.features)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    path = folder / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-9])
    else:
        path.write_bytes(content[:-9] + bytes(9))
    manifests._checked.clear()
    again = make(dataset, tmp_path, spec)
    np.testing.assert_array_equal(again.features, expected)
    assert "it is made again" in capsys.readouterr().err


def test_a_picture_that_cannot_be_read_is_left_out(dataset, tmp_path):
    damaged = PoseDataset(dataset.records, dataset.images, "a", {5: "cut short"})
    seen = make(damaged, tmp_path)
    assert np.isnan(seen.features[[5, COUNT + 5, 2 * COUNT + 5]]).all()
    (raw,) = seen.gather_by_set(np.array([4, 5, 6]), 0)
    assert raw.index.tolist() == [4, 6]
    assert seen.gather_by_set(np.array([5]), 0) == []


def test_a_loader_mixes_them_as_it_mixes_pictures(dataset, tmp_path):
    parts = [make(dataset, tmp_path), make(dataset, tmp_path)]
    parts[1].name = "b"
    mix = MixedDataset(parts, [0.5, 0.5])
    loader = BatchLoader(mix, batch_size=32, resolution=SIDE, shuffle=True, drop_last=True)
    batch = next(iter(loader))
    assert batch.images.shape == (32, 12)
    assert batch.images.dtype == torch.float32
    assert set(batch.source.tolist()) == {0, 1}
    assert batch.index.max() < COUNT


def test_eyes_that_give_other_features_are_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"expected 12 features for each of 64 pictures, got"):
        make(dataset, tmp_path, look=lambda images: corners(images)[:, :5])


def test_one_view_is_all_that_there_is_of_pictures_as_they_are():
    with pytest.raises(ValueError, match="just one without augmentation"):
        replace(SPEC, augmentation=None)


def test_a_digest_tells_weights_apart_and_not_their_layout():
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 8, 3)
    before = weights_digest(layer)
    assert weights_digest(layer.to(memory_format=torch.channels_last)) == before
    with torch.no_grad():
        layer.bias[0] += 1e-6
    assert weights_digest(layer) != before


def test_the_manifest_says_what_was_looked_at(dataset, tmp_path):
    make(dataset, tmp_path)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    settings = json.loads((folder / "manifest.json").read_text())["settings"]
    assert settings["views"] == VIEWS
    assert settings["augmentation"]["rotation_std"] == LIGHT.rotation_std
