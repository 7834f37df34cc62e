"""Exported networks in 8-bit integers: a quarter of the bytes, and faster arithmetic on the CPU."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from torch import Tensor

from hmrlab.files import FileProblem, scratch_folder
from hmrlab.models.export import INPUT, OnnxInfo, open_session, write_onnx

# Seven of a weight's eight bits: CPUs without VNNI add up pairs of products in 16 bits, which the
# eighth would overflow (onnxruntime, "Quantize ONNX models"). The error did not grow by it.
_SETTINGS = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
_HIDDEN = ("regressor.fc1.weight", "regressor.fc2.weight")
_DYNAMIC_ENDINGS = ("", "_MatMul", "_Add")  # a Gemm becomes a product and a sum


def quantise_onnx(path: str | Path, out: str | Path, batches: Iterable[Tensor]) -> Path:
    """Weights and activations of an exported network in int8, ranges set by real pictures.

    The encoder and the regressor's two hidden layers are quantised, channel by channel. The three
    layers that give pose, shape and camera stay in float32, and so does the state that they
    correct: with them in int8 the rotations' error of the shipped network grew by 0.2 degrees,
    without them by 0.06, and they hold a twentieth of the weights.

    Args:
        path: of a float32 file that `export_onnx` wrote.
        out: of the file to write, whole or not at all.
        batches: (B, 3, R, R) pictures as in training; a hundred or two will do.

    Raises:
        FileProblem: see `hmrlab.models.export.open_session`; the file is in int8 already.
        ValueError: there is not one batch, or pictures of another size.
    """
    info = _float_info(path)
    side = info.resolution
    arrays = [batch.detach().cpu().float().numpy() for batch in batches]
    if not arrays:
        raise ValueError("give at least one batch of pictures to set the ranges by")
    for array in arrays:
        if array.shape[1:] != (3, side, side):
            raise ValueError(f"expected pictures (B, 3, {side}, {side}), got {array.shape}")

    def quantise(target: str) -> None:
        quantize_static(
            str(path),
            target,
            _Pictures(arrays),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            nodes_to_exclude=_kept_in_float(onnx.load(path)),
            **_SETTINGS,
        )

    return _write_quantised(out, quantise, info)


def quantise_onnx_dynamic(path: str | Path, out: str | Path) -> Path:
    """Weights of an exported network's matrix products in int8; activations as each call needs.

    No pictures are needed. Convolutions stay in float32: onnxruntime's integer convolution without
    fixed ranges is several times slower than the float one.

    Args:
        path: of a float32 file that `export_onnx` wrote.
        out: of the file to write, whole or not at all.

    Raises:
        FileProblem: see `quantise_onnx`.
    """
    info = _float_info(path)
    kept = _kept_in_float(onnx.load(path))
    names = [name + ending for name in kept for ending in _DYNAMIC_ENDINGS]

    def quantise(target: str) -> None:
        quantize_dynamic(
            str(path),
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            nodes_to_exclude=names,
            **_SETTINGS,
        )

    return _write_quantised(out, quantise, info)


class _Pictures(CalibrationDataReader):
    """The pictures in the form that onnxruntime asks for."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        self._left = iter(arrays)

    def get_next(self) -> dict[str, np.ndarray] | None:
        array = next(self._left, None)
        return None if array is None else {INPUT: array}


def _float_info(path: str | Path) -> OnnxInfo:
    _, info = open_session(path)
    if info.precision != "fp32":
        raise FileProblem(f"{path} is in {info.precision} already; quantise the float32 file")
    return info


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


def _write_quantised(out: str | Path, quantise, info: OnnxInfo) -> Path:
    with scratch_folder() as folder, _quiet():
        target = folder / "int8.onnx"
        quantise(str(target))
        proto = onnx.load(target)
    return write_onnx(out, proto, replace(info, precision="int8"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime advises, through the root logger, a preparation that our files have had."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
