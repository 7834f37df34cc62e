"""MoveNet in torch: the same numbers as TensorFlow.js gives for the published graph."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hmrlab.files import FileProblem
from hmrlab.models.movenet import ASSET, STRIDE, Maps, MoveNet, decode, load_movenet

PICTURES = ("four", "one", "noise")  # `tools/movenet_golden.py` made them
EVERY = 4  # of the maps' rows and columns are kept there


@pytest.fixture(scope="module")
def said(golden_folder):
    """Pictures, and what TensorFlow.js said of them."""
    with np.load(golden_folder / "movenet.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


@pytest.fixture(scope="module")
def maps(said):
    network = load_movenet()
    with torch.inference_mode():
        return {n: network(said[n].permute(2, 0, 1)[None] / 127.5 - 1) for n in PICTURES}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("head", Maps._fields)
def test_each_heads_map_is_that_of_the_published_graph(said, maps, name, head):
    ours = getattr(maps[name], head)[0, :, ::EVERY, ::EVERY]
    torch.testing.assert_close(ours, said[f"{name}_{head}"], atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize(("name", "people"), [("four", 4), ("one", 1), ("noise", 0)])
def test_the_people_are_those_of_the_published_graph(said, maps, name, people):
    height, width = said[name].shape[:2]
    theirs = said[f"{name}_people"]  # 17 times y, x, score; top, left, bottom, right, score
    boxes, scores, keypoints = decode(maps[name], most=6)
    torch.testing.assert_close(scores, theirs[:, 55], atol=1e-4, rtol=1e-4)
    assert int((scores > 0.2).sum()) == people
    for k in torch.nonzero(scores > 0.01).flatten():
        size = torch.tensor([width, height])
        box = theirs[k, [52, 51, 54, 53]] * size.repeat(2)
        torch.testing.assert_close(boxes[k], box, atol=0.01, rtol=0)
        y, x, score = theirs[k, :51].view(17, 3).T
        torch.testing.assert_close(keypoints[k, :, :2], torch.stack([x, y], 1) * size, atol=0.01,
                                   rtol=0)  # fmt: skip
        torch.testing.assert_close(keypoints[k, :, 2], score, atol=1e-4, rtol=1e-4)


def flat_maps(height=8, width=12):
    """Maps of nobody."""
    channels = dict(zip(Maps._fields, (1, 2, 2, 17, 34, 34), strict=True))
    maps = {name: torch.zeros(1, count, height, width) for name, count in channels.items()}
    maps["center"] -= 20.0
    maps["heatmap"] -= 20.0
    return Maps(**maps)


def test_a_person_is_read_off_maps_made_by_hand():
    maps = flat_maps()
    maps.center[0, 0, 4, 6] = 3.0
    maps.box_size[0, :, 4, 6] = torch.tensor([4.0, 20.0])
    maps.box_offset[0, :, 4, 6] = torch.tensor([0.5, -0.25])
    maps.regression[0, :, 4, 6] = torch.tensor([1.0, -2.0]).repeat(17)
    maps.heatmap[0, :, 5, 4] = 2.0
    maps.keypoint_offset[0, :, 5, 4] = torch.tensor([0.3, 0.7]).repeat(17)
    boxes, scores, keypoints = decode(maps, most=5, least=0.1)
    # rows 2.5 to 6.5; columns -4.25 to 15.75, but the maps have 0 to 12
    torch.testing.assert_close(boxes, STRIDE * torch.tensor([[0.0, 2.5, 12.0, 6.5]]))
    likelihood = torch.tensor([3.0, 2.0]).sigmoid()
    torch.testing.assert_close(scores, likelihood.prod()[None])
    place = STRIDE * torch.tensor([4.7, 5.3])
    torch.testing.assert_close(keypoints[0, :, :2], place.expand(17, 2))
    torch.testing.assert_close(keypoints[0, :, 2], likelihood[1].expand(17))


def test_a_keypoint_outside_its_persons_box_is_not_theirs():
    maps = flat_maps()
    maps.center[0, 0, 4, 6] = 3.0
    maps.box_size[0, :, 4, 6] = 2.0
    maps.heatmap[0, :, 1, 6] = 4.0
    _, scores, keypoints = decode(maps, most=1)
    assert float(keypoints[..., 2].max()) < 1e-6
    assert float(scores) == 0


def test_of_neighbours_the_likeliest_middle_is_a_person():
    maps = flat_maps()
    maps.center[0, 0, 4, 5:8] = torch.tensor([1.0, 2.0, 1.5])
    maps.center[0, 0, 1, 1] = 0.0
    boxes, _, _ = decode(maps, most=9, least=0.2)
    assert boxes[:, 0].tolist() == [6 * STRIDE, 1 * STRIDE]


@pytest.mark.parametrize("size", [(32, 48), (33, 64), (0, 32)])
def test_a_picture_of_another_size_is_refused_in_words(size):
    with pytest.raises(ValueError, match="multiples of 32"):
        MoveNet()(torch.zeros(1, 3, *size))


def test_it_can_be_trained_on():
    network = load_movenet().train()
    network(torch.rand(1, 3, 64, 32)).heatmap.sum().backward()
    assert all(p.grad is not None for p in network.backbone.parameters())


def test_the_weights_come_with_their_licence():
    notice = ASSET.with_suffix(".md").read_text()
    assert "Apache License, Version 2.0" in notice
    assert "What was changed" in notice
    assert (
        "9. Accepting Warranty or Additional Liability."
        in (ASSET.parent / "APACHE-2.0.txt").read_text()
    )
    assert all(value.dtype == torch.float16 for value in load_file(ASSET).values())


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1000])


def pickled(path):
    path.write_bytes(pickle.dumps({"a": 1}))


def without_a_kernel(path):
    state = load_file(path)
    del state["backbone.stem.weight"]
    save_file(state, path)


def of_another_shape(path):
    save_file(load_file(path) | {"backbone.stem.bias": torch.zeros(3)}, path)


def not_a_number(path):
    state = load_file(path)
    state["heads.center.out.bias"][0] = torch.nan
    save_file(state, path)


def much_larger(path):
    save_file(load_file(path) | {"more": torch.zeros(10_000_000)}, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_off, "cut off, damaged"),
        (pickled, "cannot be read as safetensors"),
        (without_a_kernel, "1 missing: backbone.stem.weight"),
        (of_another_shape, r"expected \(48,\), got \(3,\)"),
        (not_a_number, "expected finite numbers"),
        (much_larger, "Is it the right file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_file_is_told(tmp_path, damage, words):
    path = tmp_path / "weights.safetensors"
    shutil.copy(ASSET, path)
    damage(path)
    with pytest.raises(FileProblem, match=words):
        load_movenet(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileProblem, match="missing from this installation"):
        load_movenet(tmp_path / "none.safetensors")
