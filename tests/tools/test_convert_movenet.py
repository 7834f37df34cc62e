"""MoveNet's published graph as the package's file."""

import json

import numpy as np
import pytest
import torch
from convert_movenet import BACKBONE, PYRAMID, convert_movenet, convolutions, main, our_name

from hmrlab.files import FileProblem, read_json
from hmrlab.models.movenet import MoveNet

NAMES = {
    f"{BACKBONE}Conv1_relu/Relu6": "backbone.stem",
    f"{BACKBONE}expanded_conv_depthwise/depthwise": "backbone.stages.0.0.depthwise",
    f"{BACKBONE}expanded_conv_project_BN/FusedBatchNormV3": "backbone.stages.0.0.project",
    f"{BACKBONE}block_2_expand_relu/Relu6": "backbone.stages.1.1.expand",
    f"{BACKBONE}block_16_project_BN/FusedBatchNormV3": "backbone.stages.6.0.project",
    f"{BACKBONE}out_relu/Relu6": "backbone.last",
    f"{PYRAMID}conv2d/BiasAdd": "pyramid.lateral.3",
    f"{PYRAMID}conv2d_3/BiasAdd": "pyramid.lateral.0",
    f"{PYRAMID}separable_conv2d_1/separable_conv2d/depthwise": "pyramid.merge.1.depthwise",
    f"{PYRAMID}re_lu_2/Relu": "pyramid.merge.0.pointwise",
    "StatefulPartitionedCall/kpt_offset_0/separable_conv2d_8/separable_conv2d/depthwise": (
        "heads.keypoint_offset.hidden.depthwise"
    ),
    "StatefulPartitionedCall/center_0/re_lu_3/Relu": "heads.center.hidden.pointwise",
    "StatefulPartitionedCall/box_scale_0/conv2d_5/BiasAdd": "heads.box_size.out",
}


@pytest.mark.parametrize(("node", "name"), NAMES.items())
def test_a_nodes_convolution_has_its_place_in_the_network(node, name):
    assert our_name(node) == name
    assert isinstance(MoveNet().get_submodule(name), torch.nn.Conv2d)


@pytest.mark.parametrize(
    "node", [f"{PYRAMID}dense/BiasAdd", f"{BACKBONE}block_1_squeeze/x", "elsewhere/conv2d"]
)
def test_a_node_of_another_network_is_refused(node):
    with pytest.raises(ValueError, match=r"its pyramid has|no part of it has"):
        our_name(node)


@pytest.fixture
def graph(tmp_path):
    """Two of the graph's convolutions; gives the path of its `.json`, and the numbers."""
    rng = np.random.default_rng(0)
    numbers = {
        "k": rng.normal(size=(1, 1, 96, 2)), "b": rng.normal(size=2),
        "d": rng.normal(size=(3, 3, 24, 1)),
    }  # fmt: skip
    numbers = {name: value.astype(np.float16) for name, value in numbers.items()}
    axis = np.array([3], np.int32)
    content = {
        "modelTopology": {
            "node": [
                {"name": "axis", "op": "Const"},
                {
                    "name": "StatefulPartitionedCall/center_0/separable_conv2d_3/depthwise",
                    "op": "DepthwiseConv2dNative",
                    "input": ["features", "d"],
                },
                {
                    "name": "StatefulPartitionedCall/box_offset_0/conv2d_6/BiasAdd",
                    "op": "_FusedConv2D",
                    "input": ["features", "k", "b"],
                },
            ]
        },
        "weightsManifest": [
            {
                "paths": ["graph.bin"],
                "weights": [
                    {"name": "axis", "dtype": "int32", "shape": [1]},
                    *(
                        {
                            "name": name,
                            "dtype": "float32",
                            "shape": value.shape,
                            "quantization": {"dtype": "float16", "original_dtype": "float32"},
                        }
                        for name, value in numbers.items()
                    ),
                ],
            }
        ],
    }
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(content))
    parts = [axis, *numbers.values()]
    (tmp_path / "graph.bin").write_bytes(b"".join(part.tobytes() for part in parts))
    return path, numbers


def test_kernels_get_torchs_axes_and_keep_their_numbers(graph):
    path, numbers = graph
    state = convolutions(read_json(path, dict), path)
    assert set(state) == {
        "heads.center.hidden.depthwise.weight",
        "heads.box_offset.out.weight",
        "heads.box_offset.out.bias",
    }
    kernel = state["heads.box_offset.out.weight"]
    np.testing.assert_array_equal(kernel[:, :, 0, 0].T.numpy(), numbers["k"][0, 0])
    depthwise = state["heads.center.hidden.depthwise.weight"]
    np.testing.assert_array_equal(depthwise[:, 0].numpy(), numbers["d"][..., 0].transpose(2, 0, 1))
    np.testing.assert_array_equal(state["heads.box_offset.out.bias"].numpy(), numbers["b"])


def test_a_part_of_the_network_is_not_written(graph, tmp_path):
    with pytest.raises(FileProblem, match="is another network"):
        convert_movenet(graph[0], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_cut_off_file_of_numbers_is_told(graph, tmp_path):
    numbers = tmp_path / "graph.bin"
    numbers.write_bytes(numbers.read_bytes()[:-2])
    with pytest.raises(FileProblem, match="is not MoveNet MultiPose's graph"):
        convert_movenet(graph[0], tmp_path / "out.safetensors")


def test_the_command_tells_what_is_missing(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "none.json")])
    assert ended.value.code == 1
    assert "no file at" in capsys.readouterr().err
