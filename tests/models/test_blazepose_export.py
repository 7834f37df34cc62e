"""BlazePose in onnxruntime: the same numbers."""

import onnx
import pytest
import torch

from hmrlab.files import FileProblem
from hmrlab.models.blazepose import load_blazepose, load_detector
from hmrlab.models.blazepose.export import (
    FEATURES,
    OnnxBlazePose,
    export_blazepose,
)

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("blazepose")


@pytest.fixture(scope="module")
def lite(folder):
    return export_blazepose(folder / "lite.onnx", "lite")


def pictures(count, side):
    """Smooth ones: of noise the mask's logits are hundreds, and single precision loses tenths."""
    small = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(count))
    return torch.nn.functional.interpolate(small, (side, side), mode="bicubic").clamp(0, 1)


def largest_difference(given, wanted):
    """As a share of the answer's largest number, or of 1."""
    return float((given - wanted).abs().max() / wanted.abs().max().clamp(min=1))


@pytest.mark.parametrize("count", [1, 3])
def test_the_whole_network_says_the_same(lite, count):
    images = pictures(count, 256)
    with torch.inference_mode():
        wanted = load_blazepose("lite")(images)._asdict()
    given = OnnxBlazePose(lite, threads=1)(images)
    assert given.keys() == wanted.keys()
    for name, value in given.items():
        assert largest_difference(value, wanted[name]) < TOLERANCE, name


def test_features_alone_say_the_same_without_the_way_up(folder):
    network = load_blazepose("full", maps=False)
    path = export_blazepose(folder / "features.onnx", "full", features_only=True)
    outputs = {value.name for value in onnx.load(path).graph.output}
    assert outputs == set(FEATURES)  # so the way up and the mask are not in the graph
    assert sum(node.op_type == "Resize" for node in onnx.load(path).graph.node) == 0
    images = pictures(2, 256)
    with torch.inference_mode():
        wanted = network.features(images)
        wanted |= {
            "landmarks": network.landmarks_of(wanted["f2"]),
            "world": network.world_of(wanted["f2"]),
        }
    given = OnnxBlazePose(path, threads=1)(images)
    assert tuple(given) == FEATURES
    for name, value in given.items():
        assert largest_difference(value, wanted[name]) < TOLERANCE, name


def test_the_detector_says_the_same(folder):
    path = export_blazepose(folder / "detector.onnx", "detector")
    images = pictures(2, 224)
    given = OnnxBlazePose(path, threads=1)(images)
    with torch.inference_mode():
        boxes, logits = load_detector()(images)
    assert largest_difference(given["boxes"], boxes) < TOLERANCE
    assert largest_difference(given["logits"], logits) < TOLERANCE


def test_a_tuned_network_is_exported_and_left_as_it_was(folder):
    network = load_blazepose("lite", maps=False).train()
    with torch.no_grad():
        network.world.bias += 1
    path = export_blazepose(folder / "tuned.onnx", "lite", features_only=True, network=network)
    assert network.training
    images = pictures(1, 256)
    with torch.inference_mode():
        wanted = network.world_of(network.features(images)["f2"])
    assert largest_difference(OnnxBlazePose(path)(images)["world"], wanted) < TOLERANCE


def test_files_that_are_no_such_network_are_told_apart(folder, lite, tmp_path):
    with pytest.raises(FileProblem, match=r"no file .*none\.onnx; `export_blazepose` makes it"):
        OnnxBlazePose(tmp_path / "none.onnx")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(lite.read_bytes()[:-1000])
    with pytest.raises(FileProblem, match=r"cut\.onnx cannot be read as ONNX"):
        OnnxBlazePose(cut)
    proto = onnx.load(lite)
    del proto.metadata_props[:]
    onnx.save(proto, tmp_path / "foreign.onnx")
    with pytest.raises(FileProblem, match=r"foreign\.onnx is no network of hmrlab's"):
        OnnxBlazePose(tmp_path / "foreign.onnx")
    onnx.helper.set_model_props(proto, {"format": "hmrlab-blazepose-onnx-1", "resolution": "7"})
    onnx.save(proto, tmp_path / "odd.onnx")
    with pytest.raises(FileProblem, match="does not say which network"):
        OnnxBlazePose(tmp_path / "odd.onnx")
    with pytest.raises(ValueError, match=r"expected \(B, 3, 256, 256\), got \(1, 3, 224, 224\)"):
        OnnxBlazePose(lite)(torch.zeros(1, 3, 224, 224))
