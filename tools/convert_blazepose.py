"""BlazePose's weights out of MediaPipe's files, into the package.

    npm pack @mediapipe/pose@0.5.1675469404
    python tools/convert_blazepose.py mediapipe-pose-0.5.1675469404.tgz
    python tools/convert_blazepose.py mediapipe-pose-0.5.1675469404.tgz --networks heavy --folder .

Numbers are copied, not changed: MediaPipe keeps them in half precision, too. With `ai-edge-litert`
(`pip install "hmrlab[blazepose]"`) each network is compared with Google's own runtime, and
`--golden FILE` keeps that runtime's answers for the tests.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tflite_reader import Convolution, convolutions
from torch import Tensor, nn

from hmrlab.files import FileProblem, write_text_whole
from hmrlab.models.blazepose.detector import ANCHORS, BlazePoseDetector
from hmrlab.models.blazepose.landmarks import VARIANTS, BlazePoseLandmarks
from hmrlab.models.blazepose.weights import FOLDER, SHIPPED, write_weights

PACKAGE = "@mediapipe/pose 0.5.1675469404"
SOURCES = {  # by network: member of the package, and its SHA-256
    "lite": (
        "pose_landmark_lite.tflite",
        "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    ),
    "full": (
        "pose_landmark_full.tflite",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
    "heavy": (
        "pose_landmark_heavy.tflite",
        "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    ),
    "detector": (
        "pose_solution_packed_assets.data",
        "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
    ),
}
# The order in which Keras made the layers, and so counted them, in our names
ORDER = (
    "backbone.", "upward.", "refinement.stages.0.", "refinement.laterals.0.",
    "refinement.stages.1.", "refinement.laterals.1.", "refinement.stages.2.", "regression.",
    "mask.lateral.", "mask.narrow.", "mask.blocks128.", "mask.blocks256.", "upward16.", "upward8.",
    *(f"{kind}.{k}." for k in range(len(ANCHORS)) for kind in ("scores", "boxes")),
)  # fmt: skip
NAMED = {  # layers that Keras named instead
    "output_segmentation": "mask.logits",
    "output_heatmap": "heatmaps",
    "convld_3d": "landmarks",
    "convworld_3d": "world",
    "conv_poseflag": "presence",
} | {
    f"{theirs}_person_{stride}_NO_PRUNING": f"{ours}.{k}.pointwise"
    for k, stride in enumerate(ANCHORS)
    for theirs, ours in (("classifier", "scores"), ("regressor", "boxes"))
}
GOLDEN_STEPS = {"mask": 16, "heatmaps": 4, "boxes": 7, "logits": 7}  # which cells are kept
MAPS = ("mask", "heatmaps")
NOTICE_FILE = "BLAZEPOSE.md"
NOTICE = """\
# BlazePose's weights

Copyright The MediaPipe Authors. Licensed under the Apache License, Version 2.0; its text is in
`APACHE-2.0.txt`. They are of Google's MediaPipe, from npm's package `{package}`,
version {version}, whose `package.json` names that licence. PyPI's `mediapipe` 0.10.21,
which carries the licence's text, has the same numbers of the full network and of the detector.

| here | there | SHA-256 of the file there |
| --- | --- | --- |
{rows}

Changed: `tools/convert_blazepose.py` took the numbers out of TensorFlow Lite's files and wrote
them, the same in half precision, under other names and in another order of axes, as safetensors;
of the detector's pruned layers the numbers beside zeros, and a bit for each number.

Bazarevsky, Grishchenko, Raveendran, Zhu, Zhang, Grundmann: "BlazePose: On-device Real-time Body
Pose tracking", 2020, arXiv 2006.10204.
"""
GOLDEN = Path(__file__).parent.parent / "tests" / "models" / "golden_blazepose.npz"


def empty(network: str) -> nn.Module:
    """A network of that name, of nobody's weights."""
    return BlazePoseDetector() if network == "detector" else BlazePoseLandmarks(VARIANTS[network])


def converted(layers: Iterable[Convolution], model: nn.Module) -> dict[str, Tensor]:
    """A file's numbers under a network's names, in half precision.

    Layers that Keras counted are taken in its count, those that it named by their names; every
    layer of both sides has to find the other.

    Raises:
        ValueError: it is of another network.
    """
    ours = {n: m for n, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    state = {}
    for name, layer in paired(list(layers), ours).items():
        axes = (3, 0, 1, 2) if layer.depthwise else (0, 3, 1, 2)
        weight, bias = layer.weight.transpose(axes), layer.bias
        if weight.shape != ours[name].weight.shape:
            raise ValueError(f"{layer.name} is {weight.shape}; {name} has another shape")
        state[f"{name}.weight"], state[f"{name}.bias"] = (
            torch.from_numpy(value.copy()) for value in (weight, bias)
        )
    return state


def paired(layers: Sequence[Convolution], ours: dict[str, nn.Conv2d]) -> dict[str, Convolution]:
    """Our names with the layers that belong to them.

    Raises:
        ValueError: a layer of one side has none on the other.
    """
    named = {name_of(layer): layer for layer in layers if name_of(layer)}
    pairs = dict(named)
    for depthwise in (True, False):
        names = [n for n, m in ours.items() if (m.groups > 1) == depthwise and n not in named]
        names.sort(key=lambda name: next(k for k, s in enumerate(ORDER) if name.startswith(s)))
        counted = [c for c in layers if c.depthwise == depthwise and not name_of(c)]
        counted.sort(key=count_of)
        if len(names) != len(counted):
            raise ValueError(f"it has {len(counted)} counted layers, the network {len(names)}")
        pairs |= zip(names, counted, strict=True)
    if pairs.keys() != ours.keys():
        raise ValueError(f"it has other layers: {', '.join(sorted(pairs.keys() ^ ours.keys()))}")
    return pairs


def name_of(layer: Convolution) -> str:
    """Our name of a layer that Keras named and did not count; "" of the others."""
    if layer.depthwise:  # its name lists whatever has the same bias, too
        return ""
    return next((our for their, our in NAMED.items() if f"/{their}/" in layer.name), "")


def count_of(layer: Convolution) -> int:
    """A layer's number in Keras's count: none for the first."""
    kind = "depthwise_conv2d" if layer.depthwise else "conv2d"
    found = re.search(rf"/{kind}(?:_(\d+))?/", layer.name)
    if found is None:
        raise ValueError(f"{layer.name} is no name that Keras gives to a {kind}")
    return int(found[1] or 0)


def read_package(path: Path, networks: Sequence[str]) -> dict[str, bytes]:
    """MediaPipe's files of some networks, out of npm's archive.

    Raises:
        FileProblem: the archive cannot be read, or is of another release.
    """
    found = {}
    try:
        with tarfile.open(path) as archive:
            for network in networks:
                member = archive.extractfile(f"package/{SOURCES[network][0]}")
                found[network] = member.read() if member else b""
    except (OSError, KeyError, tarfile.TarError) as error:
        raise FileProblem(f"{path} is not the archive of npm's {PACKAGE} ({error})") from error
    for network, content in found.items():
        name, wanted = SOURCES[network]
        if hashlib.sha256(content).hexdigest() != wanted:
            raise FileProblem(f"{path}: its {name} is not that of npm's {PACKAGE}")
    return found


def notice(written: dict[str, Path]) -> str:
    """What the licence asks to be said: of whom it is, and what was changed."""
    rows = [
        f"| `{path.name}` | `{SOURCES[network][0]}` | `{SOURCES[network][1]}` |"
        for network, path in written.items()
    ]
    package, version = PACKAGE.split()
    return NOTICE.format(package=package, version=version, rows="\n".join(rows))


def reference(content: bytes, picture: np.ndarray) -> dict[str, np.ndarray]:
    """What Google's runtime answers to a picture (S, S, 3) in [0, 1]; names and axes are ours.

    Raises:
        ImportError: `ai-edge-litert` is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(  # its plain kernels: those that it takes for speed round more
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    images = picture[None] if picture.shape[0] == 256 else 2 * picture[None] - 1
    interpreter.set_tensor(entry["index"], images.astype(np.float32))
    interpreter.invoke()
    said = [interpreter.get_tensor(d["index"])[0] for d in interpreter.get_output_details()]
    by_shape = {value.shape: value for value in said}
    if (2254, 12) in by_shape:
        return {"boxes": by_shape[2254, 12], "logits": by_shape[2254, 1][:, 0]}
    return {
        "landmarks": by_shape[195,].reshape(39, 5),
        "world": by_shape[117,].reshape(39, 3),
        "presence": by_shape[1,][0],
        "mask": by_shape[256, 256, 1][..., 0],
        "heatmaps": by_shape[64, 64, 39].transpose(2, 0, 1),
    }


@torch.inference_mode()
def answered(model: nn.Module, picture: np.ndarray) -> dict[str, np.ndarray]:
    """The same of our network."""
    images = torch.from_numpy(picture).float().permute(2, 0, 1)[None].contiguous()
    said = model.eval()(images)
    names = getattr(said, "_fields", ("boxes", "logits"))
    return {name: value[0].numpy() for name, value in zip(names, said, strict=True)}


def golden_pictures(small: np.ndarray) -> dict[int, np.ndarray]:
    """Pictures of 256 and 224 pixels, in [0, 1], of one of 64, each of whose pixels is a block."""
    large = np.kron(small.astype(np.float32) / 255, np.ones((4, 4, 1), np.float32))
    return {256: large, 224: np.ascontiguousarray(large[16:-16, 16:-16])}


def thinned(said: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of each answer as much as the golden numbers keep."""
    kept = {}
    for name, value in said.items():
        step = GOLDEN_STEPS.get(name, 1)
        value = np.atleast_1d(value)
        kept[name] = value[..., ::step, ::step] if name in MAPS else value[::step]
    return kept


def largest_differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> str:
    """For a person."""
    return ", ".join(f"{k} {np.abs(ours[k] - v).max():.1e}" for k, v in theirs.items())


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path, help="what `npm pack` fetched")
    parser.add_argument("--networks", nargs="+", choices=SOURCES, default=SHIPPED)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the package's by default")
    parser.add_argument(
        "--golden",
        type=Path,
        help="an .npz with a `picture`, to be written with the runtime's answers",
    )
    options = parser.parse_args(words)
    try:
        convert(options.archive, options.networks, options.folder, options.golden)
    except (FileProblem, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    return 0


def convert(archive: Path, networks: Sequence[str], folder: Path, golden: Path | None) -> None:
    """Write the networks' files, and say how they compare with Google's runtime."""
    sources, written, kept = read_package(archive, networks), {}, {}
    with np.load(golden or GOLDEN) as arrays:
        small = arrays["picture"]
    for network, content in sources.items():
        model = empty(network)
        state = converted(convolutions(content), model)
        path = folder / f"blazepose_{network}.safetensors"
        written[network] = write_weights(
            path, state, network, source=f"npm {PACKAGE}: {SOURCES[network][0]}",
            license="Apache-2.0, The MediaPipe Authors",
        )  # fmt: skip
        print(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")
        model.load_state_dict({name: value.float() for name, value in state.items()})
        picture = golden_pictures(small)[224 if network == "detector" else 256]
        try:
            theirs = reference(content, picture)
        except ImportError:
            print("ai-edge-litert is not installed: not compared")
            continue
        print("  against the runtime:", largest_differences(answered(model, picture), theirs))
        kept |= {f"{network}_{name}": value for name, value in thinned(theirs).items()}
    if set(networks) == set(SHIPPED) and folder == FOLDER:
        write_text_whole(folder / NOTICE_FILE, notice(written))
    if golden is not None:
        np.savez_compressed(golden, picture=small, **kept)


if __name__ == "__main__":
    sys.exit(main())
