"""Cameras of a studio from a `camera.calibration` text, as MPI-INF-3DHP has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmrlab.files import FileProblem, read_text

_HEADER = "Skeletool Camera Calibration File"
_MAX_BYTES = 2**20
_MAX_SIDE = 65_535  # pixels


@dataclass(frozen=True)
class StudioCamera:
    """One camera without distortion."""

    width: int  # pixels
    height: int
    intrinsic: np.ndarray  # (3, 3)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) in the camera's frame, in any unit -> (..., 2) pixels."""
        image = points @ self.intrinsic.T
        return image[..., :2] / image[..., 2:]


def read_calibration(path: Path) -> dict[int, StudioCamera]:
    """All cameras of a file, by their number.

    The text has a block for each camera: `name 0`, then `sensor`, `size` (pixels), `animated`,
    `intrinsic` and `extrinsic` (4 x 4, row by row), `radial`.

    Raises:
        FileProblem: it is missing or no such text, or lacks something of a camera.
    """
    lines = read_text(path, _MAX_BYTES, f"{path} is missing. Download it again.").splitlines()
    if not lines or not lines[0].startswith(_HEADER):
        raise FileProblem(f"{path}: does not begin with '{_HEADER}'. Download it again.")
    blocks: dict[int, dict[str, list[float]]] = {}
    block: dict[str, list[float]] = {}
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            if words[0] == "name":
                block = blocks.setdefault(int(words[1]), {})
            else:
                block[words[0]] = [float(word) for word in words[1:]]
        except (ValueError, IndexError) as error:
            raise FileProblem(f"{path}, line {number}: cannot be read ({error}): {line}") from error
    return {name: _camera(path, name, block) for name, block in blocks.items()}


def _camera(path: Path, name: int, block: dict[str, list[float]]) -> StudioCamera:
    for key, count in (("size", 2), ("intrinsic", 16)):
        if len(block.get(key, ())) != count:
            raise FileProblem(
                f"{path}: camera {name} must have {count} numbers for '{key}', found "
                f"{len(block.get(key, ()))}. The text may be cut short: download it again."
            )
    if not all(0 < side <= _MAX_SIDE for side in block["size"]):
        raise FileProblem(
            f"{path}: camera {name} must have a 'size' of 1 to {_MAX_SIDE:,} pixels, found "
            f"{block['size']}. Download it again."
        )
    width, height = (int(side) for side in block["size"])
    return StudioCamera(width, height, np.reshape(block["intrinsic"], (4, 4))[:3, :3])
