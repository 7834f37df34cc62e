"""BlazePose as ONNX files: onnxruntime answers in a fraction of torch's time on a CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from jaxtyping import Float
from torch import Tensor, nn

from hmrlab.files import FileProblem
from hmrlab.models.blazepose.detector import SIDE as DETECTOR_SIDE
from hmrlab.models.blazepose.encoder import BlazePoseEncoder
from hmrlab.models.blazepose.landmarks import SIDE, BlazePoseLandmarks, PoseOutput
from hmrlab.models.blazepose.weights import load_blazepose, load_detector
from hmrlab.models.export import INPUT, read_about, start_session, traced, write_proto
from hmrlab.models.safe_load import shown

FORMAT = "hmrlab-blazepose-onnx-1"
DETECTOR = "detector"
DETECTOR_OUTPUTS = ("boxes", "logits")
FEATURES = ("f2", "f4", "f8", "landmarks", "world")


def export_blazepose(
    path: str | Path,
    variant: str = "full",
    *,
    features_only: bool = False,
    network: nn.Module | None = None,
) -> Path:
    """Write one of BlazePose's networks as one ONNX file; any number of pictures at a time.

    Args:
        path: of the file.
        variant: "lite", "full" or "heavy": crops of 256 pixels, colours in [0, 1], to the fields of
            `PoseOutput`; "detector": pictures of 224 pixels to `boxes` and `logits`.
        features_only: of a landmark network `FEATURES` alone, which need no heat maps and no mask.
        network: a tuned one of that variant, left as it is; by default the published one.

    Raises:
        FileProblem: the file cannot be written, or the weights are not there.
        ValueError: there is no such variant.
    """
    if network is None:
        network = load_detector() if variant == DETECTOR else load_blazepose(variant)
    if variant == DETECTOR:
        module, side, outputs = network, DETECTOR_SIDE, DETECTOR_OUTPUTS
    else:
        module, side = _Named(network, features_only), SIDE
        outputs = FEATURES if features_only else PoseOutput._fields
    was_training, device = network.training, next(network.parameters()).device
    try:
        proto = traced(module.cpu().eval(), side, outputs)
    finally:
        network.to(device).train(was_training)
    about = {"network": variant, "resolution": side}
    return write_proto(path, proto, FORMAT, about)


class OnnxBlazePose:
    """An exported network in onnxruntime, on the CPU.

    Args:
        path: of a file that `export_blazepose` wrote.
        threads: that onnxruntime may use; by default as many as torch.

    Raises:
        FileProblem: the file is missing, damaged, or not written by `export_blazepose`.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        missing = f"there is no file {path}; `export_blazepose` makes it"
        self.session, about = start_session(path, _about, missing, threads)
        self.network, self.resolution = shown(about["network"]), int(about["resolution"])
        self.outputs = tuple(value.name for value in self.session.get_outputs())

    def __call__(self, images: Float[Tensor, "b 3 r r"]) -> dict[str, Tensor]:
        """What the network gives, by name.

        Raises:
            ValueError: pictures of another size.
        """
        side = self.resolution
        if images.shape[1:] != (3, side, side):
            raise ValueError(f"expected (B, 3, {side}, {side}), got {tuple(images.shape)}")
        array = images.detach().float().contiguous().numpy()
        said = self.session.run(list(self.outputs), {INPUT: array})
        return {k: torch.from_numpy(v) for k, v in zip(self.outputs, said, strict=True)}


def onnx_look(
    encoder: BlazePoseEncoder, threads: int | None = None
) -> Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b f"]]:
    """The encoder as onnxruntime computes it on the CPU, with the weights that it has now.

    Args:
        encoder: left as it is.
        threads: see `OnnxBlazePose`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eyes.onnx"
        export_blazepose(path, encoder.variant, features_only=True, network=encoder.network)
        session = OnnxBlazePose(path, threads)

    def look(images: Tensor) -> Tensor:
        output = session(encoder.crops(images))
        return encoder.features(output["f2"], output["landmarks"], output["world"])

    return look


class _Named(nn.Module):
    """A landmark network that gives plain tensors."""

    def __init__(self, network: BlazePoseLandmarks, features_only: bool) -> None:
        super().__init__()
        self.network = network
        self.features_only = features_only

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if not self.features_only:
            return tuple(self.network(images))
        maps = self.network.features(images)
        f2 = maps["f2"]
        heads = (self.network.landmarks_of(f2), self.network.world_of(f2))
        return (f2, maps["f4"], maps["f8"], *heads)


def _about(path: Path, proto: onnx.ModelProto) -> dict[str, str]:
    about = read_about(path, proto, FORMAT)
    if about.get("resolution") not in (str(SIDE), str(DETECTOR_SIDE)) or "network" not in about:
        raise FileProblem(f"{path} does not say which network it is; export it again")
    return about
