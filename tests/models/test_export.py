import copy
import os

import numpy as np
import onnx
import pytest
import torch

from hmrlab.files import FileProblem
from hmrlab.models import HMR, HMRConfig, create_encoder
from hmrlab.models.export import (
    OUTPUTS,
    OnnxHMR,
    OnnxInfo,
    check_onnx,
    export_onnx,
    quantise_onnx,
)
from hmrlab.models.pruning import PruneConfig, prune, settle

RESOLUTION = 32


def network(encoder="small"):
    """Seeded, and no newborn: statistics of pictures, and answers that pictures move."""
    torch.manual_seed(0)
    model = HMR(create_encoder(encoder), HMRConfig(relu=True, dropout=0.0)).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, RESOLUTION, RESOLUTION))
        for head in (model.regressor.decpose, model.regressor.decshape, model.regressor.deccam):
            head.weight *= 30
    return model.eval()


@pytest.fixture(scope="module")
def model():
    return network().requires_grad_(False)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export_onnx(model, tmp_path_factory.mktemp("onnx") / "small.onnx", RESOLUTION)


@pytest.fixture(scope="module")
def pictures():
    """Each of another colour, so that the answers differ."""
    side = (RESOLUTION, RESOLUTION)
    return [torch.randn(16, 3, 1, 1) + 0.5 * torch.randn(16, 3, *side) for _ in range(2)]


@pytest.fixture(scope="module")
def static(exported, pictures):
    return quantise_onnx(exported, exported.with_name("static.onnx"), pictures)


def test_both_runtimes_give_the_same_bodies(model, exported, pictures):
    assert check_onnx(exported, model, pictures) < 1e-5


def test_a_network_of_torchvisions(tmp_path):
    mobile = network("mobilenet_v3_small")
    path = export_onnx(mobile, tmp_path / "mobile.onnx", RESOLUTION, n_iter=1)
    assert check_onnx(path, mobile) < 1e-5


def test_a_pruned_network_which_is_left_as_it_was(tmp_path):
    cut = settle(prune(network(), PruneConfig("channels", 0.5), RESOLUTION)).train()
    before = copy.deepcopy(cut.state_dict())
    path = export_onnx(cut, tmp_path / "cut.onnx", RESOLUTION, n_iter=1)
    assert check_onnx(path, cut) < 1e-5
    assert cut.training
    assert all(torch.equal(value, before[key]) for key, value in cut.state_dict().items())
    with pytest.raises(ValueError, match="at least 1, got 0"):
        export_onnx(cut, tmp_path / "none.onnx", RESOLUTION, n_iter=0)


def test_the_file_says_what_it_is_and_nothing_of_where_it_was_made(exported):
    assert OnnxHMR(exported).info == OnnxInfo("small", RESOLUTION, 3, "fp32")
    proto = onnx.load(exported)
    onnx.checker.check_model(proto)
    assert [value.name for value in proto.graph.input] == ["images"]
    assert [value.name for value in proto.graph.output] == list(OUTPUTS)
    content = exported.read_bytes()
    assert os.path.dirname(onnx.__file__).encode() not in content
    assert b"regressor.py" not in content


def test_the_answer_is_a_prediction_and_another_question_is_refused(model, exported):
    network = OnnxHMR(exported)
    images = torch.randn(3, 3, RESOLUTION, RESOLUTION)
    said, wanted = network(images, n_iter=3), model(images)
    assert said.rotations.shape == (3, 24, 3, 3)
    torch.testing.assert_close(said.camera, wanted.camera, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"expected pictures \(B, 3, 32, 32\), got \(1, 3, 64"):
        network(torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="holds 3 corrections, 2 are asked for"):
        network(images, n_iter=2)
    assert next(network.parameters()).device.type == "cpu"  # where an evaluation puts pictures


def test_another_networks_file_does_not_pass_for_this_one(model, exported):
    other = copy.deepcopy(model)
    other.regressor.decshape.bias += 0.01
    with pytest.raises(FileProblem, match=r"for 1 picture.*differ from torch's by"):
        check_onnx(exported, other)


def test_missing_damaged_and_foreign_files_are_told_apart(exported, tmp_path):
    with pytest.raises(FileProblem, match="there is no file"):
        OnnxHMR(tmp_path / "none.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(exported.read_bytes()[:-1000])
    with pytest.raises(FileProblem, match="cut off, damaged"):
        OnnxHMR(cut)
    foreign = tmp_path / "foreign.onnx"
    proto = onnx.load(exported)
    del proto.metadata_props[:]
    onnx.save(proto, foreign)
    with pytest.raises(FileProblem, match="no network of hmrlab's"):
        OnnxHMR(foreign)


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    exported, pictures, tmp_path, monkeypatch
):
    path = tmp_path / "model.onnx"
    path.write_bytes(exported.read_bytes())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileProblem, match="No space left"):
        quantise_onnx(exported, path, pictures)
    assert path.read_bytes() == exported.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


class TestInt8:
    def test_bodies_stay_close(self, static, model, pictures):
        said = OnnxHMR(static)(pictures[0])
        wanted = model(pictures[0])
        for name in OUTPUTS:
            mine, theirs = getattr(said, name), getattr(wanted, name)
            moved = theirs.std(0).mean()  # how much the answers differ from picture to picture
            # Generous: an untrained network passes on all noise.
            assert 0 < (mine - theirs).abs().mean() < 0.25 * moved

    def test_weights_are_in_eight_bits_but_for_the_heads(self, exported, static):
        def types(path):
            return {
                value.name: onnx.TensorProto.DataType.Name(value.data_type)
                for value in onnx.load(path).graph.initializer
                if len(value.dims) > 1
            }

        quantised = types(static)
        floats = [name for name, kind in quantised.items() if kind == "FLOAT"]
        assert sorted(name.rpartition("regressor.")[2] for name in floats) == [
            "deccam.weight", "decpose.weight", "decshape.weight", "init_cam", "init_pose",
            "init_shape",
        ]  # fmt: skip
        assert static.stat().st_size < 0.35 * exported.stat().st_size

    def test_it_says_so_and_is_not_quantised_twice(self, static, pictures, tmp_path):
        assert OnnxHMR(static).info.precision == "int8"
        with pytest.raises(FileProblem, match="in int8 already"):
            quantise_onnx(static, tmp_path / "twice.onnx", pictures)

    def test_pictures_are_needed_and_of_the_files_size(self, exported, tmp_path):
        with pytest.raises(ValueError, match="at least one batch"):
            quantise_onnx(exported, tmp_path / "no.onnx", [])
        with pytest.raises(ValueError, match=r"expected pictures \(B, 3, 32, 32\)"):
            quantise_onnx(exported, tmp_path / "no.onnx", [torch.zeros(1, 3, 64, 64)])
        assert not (tmp_path / "no.onnx").exists()


def test_nothing_is_printed(exported, pictures, tmp_path, capfd):
    quantise_onnx(exported, tmp_path / "int8.onnx", pictures)
    assert capfd.readouterr() == ("", "")
    assert np.isfinite(check_onnx(tmp_path / "int8.onnx", network(), tolerance=float("inf")))


def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_named_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.onnx")
    with pytest.raises(FileProblem, match=r"a\.onnx is a pipe"):
        OnnxHMR(tmp_path / "a.onnx")
    with pytest.raises(FileProblem, match="is a folder"):
        OnnxHMR(tmp_path)


@pytest.mark.parametrize("where", ["weights", "a constant", "a branch"])
def test_numbers_out_of_other_files_are_refused(exported, tmp_path, where):
    proto = onnx.load(exported)
    outside = onnx.TensorProto(name="outside", data_type=1, dims=[1])
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/passwd")
    constant = onnx.helper.make_node("Constant", [], ["outside"], value=outside)
    if where == "weights":
        proto.graph.initializer.append(outside)
    elif where == "a constant":
        proto.graph.node.append(constant)
    else:
        branch = onnx.helper.make_graph([constant], "branch", [], [])
        proto.graph.node.append(onnx.helper.make_node("If", [], [], then_branch=branch))
    (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(FileProblem, match=r"a\.onnx takes numbers out of other files"):
        OnnxHMR(tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("n_iter", "1000000000", "n_iter is 1,000,000,000; expected 1 to 16"),
        ("resolution", "0", "resolution is 0; expected 32 to 1024"),
        ("resolution", "large", "large"),
        ("encoder", None, "encoder"),
    ],
)
def test_a_file_that_tells_no_sense_of_itself_is_named(exported, tmp_path, key, value, words):
    proto = onnx.load(exported)
    kept = {entry.key: entry.value for entry in proto.metadata_props if entry.key != key}
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, kept if value is None else kept | {key: value})
    (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(FileProblem, match=rf"a\.onnx cannot be read as ONNX.*{words}"):
        OnnxHMR(tmp_path / "a.onnx")
