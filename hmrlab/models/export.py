"""Networks as ONNX files, checked against torch, run by onnxruntime, and in 8-bit integers."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import Tensor, nn

from hmrlab.bodies import SMPLParams
from hmrlab.files import FileProblem, read_bytes, scratch_folder, shown, write_whole
from hmrlab.models.checkpoints import BOUNDS
from hmrlab.models.hmr import HMR

FORMAT = "hmrlab-onnx-1"
INPUT = "images"
OUTPUTS = ("rotations", "betas", "camera")
CHECKED_BATCHES = (1, 2, 5)
TOLERANCE = 1e-4  # two runtimes that sum float32 in other orders differ by 1e-6 to 1e-5
_LARGEST = 2**31  # bytes that a protobuf, and so one ONNX file, can hold
_MOST_READ = 2**29  # bytes of a file; the largest network here has a quarter of that
Info = TypeVar("Info")
_HIDDEN = ("regressor.fc1.weight", "regressor.fc2.weight")


@dataclass(frozen=True)
class OnnxInfo:
    """What an ONNX file of ours says of itself."""

    encoder: str  # the encoder's name
    resolution: int  # side of the pictures that it takes, pixels
    n_iter: int  # corrections of the mean body; their number is fixed in the file
    precision: str  # "fp32" or "int8"


def export_onnx(model: HMR, path: str | Path, resolution: int, n_iter: int = 3) -> Path:
    """Write a network as one ONNX file, whole or not at all; any number of pictures at a time.

    Input `images` (B, 3, resolution, resolution), outputs `rotations` (B, 24, 3, 3), `betas`
    (B, 10), `camera` (B, 3): see `SMPLParams`.

    The model may be on any device and in any mode, and is left as it is; its `n_iter` corrections
    of the mean body are unrolled.

    Raises:
        FileProblem: the file cannot be written, or would be 2 GB or more.
        ValueError: `n_iter` is less than 1.
    """
    if n_iter < 1:
        raise ValueError(f"n_iter must be at least 1, got {n_iter}")
    unrolled = _Unrolled(copy.deepcopy(model).cpu().float(), n_iter).eval()
    proto = traced(unrolled, resolution, OUTPUTS)
    if proto.ByteSize() >= _LARGEST:
        raise FileProblem(f"{path}: the network takes {proto.ByteSize():,} bytes; 2 GB is the most")
    return write_onnx(path, proto, OnnxInfo(model.encoder.name, resolution, n_iter, "fp32"))


def traced(module: nn.Module, resolution: int, outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph of a module that takes any number of pictures, and gives a tensor a name.

    Args:
        module: on the CPU, in evaluation mode; (B, 3, resolution, resolution) to a tuple.
        resolution: side of the pictures, pixels.
        outputs: names of what it gives.
    """
    example = torch.zeros(2, 3, resolution, resolution)  # of one picture the batch would be fixed
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
        proto = program.model_proto
    for node in proto.graph.node:  # the exporter notes the paths of this machine's source files
        del node.metadata_props[:]
    return proto


def write_onnx(path: str | Path, proto: onnx.ModelProto, info: OnnxInfo) -> Path:
    """Write a graph and what it says of itself, whole or not at all."""
    return write_proto(path, proto, FORMAT, vars(info))


def write_proto(
    path: str | Path, proto: onnx.ModelProto, kind: str, about: Mapping[str, object]
) -> Path:
    """Write a graph with its format and what else it is to say of itself, whole or not at all."""
    del proto.metadata_props[:]
    kept = {"format": kind} | {key: str(value) for key, value in about.items()}
    onnx.helper.set_model_props(proto, kept)
    return write_whole(path, lambda file: file.write(proto.SerializeToString()))


def open_session(path: str | Path) -> tuple[onnxruntime.InferenceSession, OnnxInfo]:
    """An ONNX file of ours in onnxruntime, on the CPU, with as many threads as torch.

    Raises:
        FileProblem: the file is missing, damaged, or not written by `export_onnx`.
    """
    missing = f"there is no file {path}; make it: hmrlab export RUN --out {Path(path).name}"
    return start_session(path, _info_of, missing)


def start_session(
    path: str | Path,
    read_info: Callable[[Path, onnx.ModelProto], Info],
    missing: str,
    threads: int | None = None,
) -> tuple[onnxruntime.InferenceSession, Info]:
    """An ONNX file in onnxruntime, on the CPU, and what `read_info` reads of it.

    Args:
        path: of the file.
        read_info: takes the path and the graph, and raises for a file that is to be refused.
        missing: the message where there is no file.
        threads: that it may use; by default as many as torch.

    Raises:
        FileProblem: the file is missing, damaged, or refused.
    """
    path = Path(path)
    content = read_bytes(path, _MOST_READ, missing)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    try:
        info = read_info(path, onnx.load_model_from_string(content))
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except FileProblem:
        raise
    except Exception as error:  # a class of its own for each way to fail
        raise FileProblem(
            f"{path} cannot be read as ONNX ({type(error).__name__}: {shown(error)}): it is cut "
            "off, damaged, or another kind of file. Export the network again, or check that it is "
            "the right file."
        ) from error
    return session, info


def _info_of(path: Path, proto: onnx.ModelProto) -> OnnxInfo:
    """What a graph of `export_onnx` says of itself, if it says all of it; see `read_about`."""
    kept = read_about(path, proto, FORMAT)
    numbers = {}
    for name, (least, most) in BOUNDS.items():
        numbers[name] = int(kept[name])
        if not least <= numbers[name] <= most:
            raise ValueError(f"its {name} is {numbers[name]:,}; expected {least} to {most}")
    return OnnxInfo(encoder=kept["encoder"], precision=kept["precision"], **numbers)


def read_about(path: Path, proto: onnx.ModelProto, kind: str) -> dict[str, str]:
    """What `write_proto` let a graph say, if it is of that format and all its numbers are its own.

    Raises:
        FileProblem: it is of another format, or takes numbers out of other files.
    """
    kept = {entry.key: entry.value for entry in proto.metadata_props}
    if kept.get("format") != kind:
        named = shown(", ".join(value.name for value in proto.graph.input))
        raise FileProblem(
            f"{path} is no network of hmrlab's (format {kind!r}); its input is {named}"
        )
    graphs = [proto.graph]
    for graph in graphs:  # more are added on the way
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(graph)):
            raise FileProblem(f"{path} takes numbers out of other files, which none of ours does.")
        graphs += [g for node in graph.node for a in node.attribute for g in (a.g, *a.graphs)]
    return kept


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """The numbers of a graph, without those of graphs within it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


class OnnxHMR(nn.Module):
    """An exported network, called as an `HMR` is, so that `evaluate_model` can score it.

    Raises:
        FileProblem: see `open_session`.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.session, self.info = open_session(path)
        # It holds nothing; it says, as the parameters of every network do, where pictures go.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, images: Tensor, n_iter: int | None = None) -> SMPLParams:
        """One body for each picture (B, 3, R, R); `n_iter` is the file's own, if anything.

        Raises:
            ValueError: pictures of another size, or another number of corrections.
        """
        side = self.info.resolution
        if images.shape[1:] != (3, side, side):
            raise ValueError(
                f"expected pictures (B, 3, {side}, {side}), got {tuple(images.shape)}; the size is "
                "fixed in an ONNX file, so export the network at this one"
            )
        if n_iter not in (None, self.info.n_iter):
            raise ValueError(
                f"the file holds {self.info.n_iter} corrections, {n_iter} are asked for; export "
                "the network with that number"
            )
        array = images.detach().float().contiguous().numpy()
        answers = self.session.run(list(OUTPUTS), {INPUT: array})
        return SMPLParams(*(torch.from_numpy(answer) for answer in answers))


def check_onnx(
    path: str | Path,
    model: HMR,
    pictures: Iterable[Tensor] = (),
    tolerance: float = TOLERANCE,
) -> float:
    """The largest difference of an exported network's answers from torch's.

    Of numbers above 1 it is a share of them. The model, which was exported, is left as it is. The
    pictures are batches (B, 3, R, R) beside the random ones of 1, 2 and 5 pictures.

    Raises:
        FileProblem: see `open_session`; the answers differ by more.
    """
    exported = OnnxHMR(path)
    side = exported.info.resolution
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(b, 3, side, side, generator=generator) for b in CHECKED_BATCHES]
    model = copy.deepcopy(model).cpu().float().eval()
    largest = 0.0
    for images in (*batches, *pictures):
        with torch.inference_mode():
            wanted = model(images, exported.info.n_iter)
        given = exported(images)
        for name in OUTPUTS:
            difference = _difference(getattr(given, name), getattr(wanted, name))
            if not difference <= tolerance:  # NaN too
                raise FileProblem(
                    f"{path}: for {len(images)} picture(s) onnxruntime's {name} differ from "
                    f"torch's by {difference:.2g}, allowed is {tolerance:.2g}. Is the file of this "
                    "very network? Export it again."
                )
            largest = max(largest, difference)
    return largest


def _difference(given: Tensor, wanted: Tensor) -> float:
    """The largest, absolute for numbers below 1 and relative beyond."""
    return float(((given - wanted).abs() / wanted.abs().clamp(min=1)).max())


class _Unrolled(nn.Module):
    """A network with its number of corrections, and plain tensors for answers."""

    def __init__(self, model: HMR, n_iter: int) -> None:
        super().__init__()
        self.model = model
        self.n_iter = n_iter

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        said = self.model(images, self.n_iter)
        return said.rotations, said.betas, said.camera


def quantise_onnx(path: str | Path, out: str | Path, batches: Iterable[Tensor]) -> Path:
    """Weights and activations of an exported network in int8, ranges set by real pictures.

    The encoder and the regressor's two hidden layers are quantised, channel by channel. The three
    layers that give pose, shape and camera stay in float32, and so does the state that they
    correct: with them in int8 the rotations' error of the shipped network grew by 0.2 degrees,
    without them by 0.06, and they hold a twentieth of the weights.

    The batches are (B, 3, R, R) pictures as in training, a hundred or two. `out` is written whole
    or not at all.

    Raises:
        FileProblem: see `open_session`; the file is in int8 already.
        ValueError: there is not one batch, or pictures of another size.
    """
    _, info = open_session(path)
    if info.precision != "fp32":
        raise FileProblem(f"{path} is in {info.precision} already; quantise the float32 file")
    side = info.resolution
    arrays = [batch.detach().cpu().float().numpy() for batch in batches]
    if not arrays:
        raise ValueError("give at least one batch of pictures to set the ranges by")
    for array in arrays:
        if array.shape[1:] != (3, side, side):
            raise ValueError(f"expected pictures (B, 3, {side}, {side}), got {array.shape}")
    with scratch_folder() as folder, _quiet():
        target = folder / "int8.onnx"
        quantize_static(
            str(path),
            str(target),
            _Pictures(arrays),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_kept_in_float(onnx.load(path)),
            per_channel=True,
            # Seven of a weight's eight bits: CPUs without VNNI add up pairs of products in 16 bits,
            # which the eighth would overflow (onnxruntime, "Quantize ONNX models"). The error did
            # not grow by it.
            reduce_range=True,
        )
        proto = onnx.load(target)
    return write_onnx(out, proto, replace(info, precision="int8"))


class _Pictures(CalibrationDataReader):
    """The pictures in the form that onnxruntime asks for."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self._left = iter(arrays)

    def get_next(self) -> dict[str, np.ndarray] | None:
        array = next(self._left, None)
        return None if array is None else {INPUT: array}


def _kept_in_float(proto: onnx.ModelProto) -> list[str]:
    """Nodes of the regressor, from where its own numbers come in, but for its hidden layers."""
    reached = {value.name for value in proto.graph.initializer if "regressor." in value.name}
    kept = []
    for node in proto.graph.node:  # in the order in which they are computed
        if reached.isdisjoint(node.input):
            continue
        reached.update(node.output)
        hidden = any(name.endswith(_HIDDEN) for name in node.input)
        if not hidden and node.op_type != "Relu":
            kept.append(node.name)
    return kept


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' advice, to their own developers and of steps already taken, away."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
