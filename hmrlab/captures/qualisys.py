"""Qualisys' calibration file (`.qca.txt`, XML): cameras as pose2sim's demonstrations have them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import torch

from hmrlab.files import FileProblem, listed, read_bytes
from hmrlab.geometry import CalibratedCameras

SUBPIXELS = 64  # lengths in the picture are in 64ths of a pixel
MILLIMETRES = 1000.0
MOST_CAMERAS = 64
_MAX_BYTES = 2**20
_DISTORTION = (
    "radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2",
)  # fmt: skip
_REMEDY = "Expected a calibration of Qualisys' (.qca.txt), as pose2sim's wheel has it; get it anew."


def read_qca(path: str | Path) -> tuple[tuple[str, ...], CalibratedCameras]:
    """The cameras' names and what is known of them, in double precision, metres and pixels.

    The file gives each camera's axes and place in the world, x right, y up, z backward; here a
    camera looks along z, and y is down.

    Raises:
        FileProblem: it is missing or no such file, or a camera's numbers are none.
    """
    content = read_bytes(path, _MAX_BYTES, f"there is no calibration of cameras at {path}.")
    try:
        if b"<!DOCTYPE" in content:
            raise ValueError("it declares a document type, which no calibration does")
        cameras = ElementTree.fromstring(content).findall("cameras/camera")
        if not 2 <= len(cameras) <= MOST_CAMERAS:
            raise ValueError(f"{len(cameras)} cameras, of 2 to {MOST_CAMERAS}")
        names = tuple(camera.attrib["serial"] for camera in cameras)
        if len(set(names)) < len(names) or not all(name.isalnum() for name in names):
            raise ValueError(f"the cameras are called {listed(names)}")
        values = [_camera(camera) for camera in cameras]
        return names, CalibratedCameras(*(torch.stack(each) for each in zip(*values, strict=True)))
    except KeyError as error:
        raise FileProblem(f"{path}: a camera lacks {error}. {_REMEDY}") from error
    except (ElementTree.ParseError, ValueError) as error:
        raise FileProblem(f"{path} cannot be read: {error}. {_REMEDY}") from error


def _camera(camera: ElementTree.Element) -> tuple[torch.Tensor, ...]:
    """Intrinsics, distortion, rotation and translation of one camera."""
    parts = {name: camera.find(name) for name in ("intrinsic", "transform", "fov_video")}
    for name, part in parts.items():
        if part is None:
            raise KeyError(name)

    def numbers(part: str, *keys: str) -> torch.Tensor:
        found = torch.tensor([float(parts[part].attrib[key]) for key in keys], dtype=torch.double)
        if not bool(found.isfinite().all()):
            raise ValueError(f"{', '.join(keys)} of {camera.attrib['serial']} is no number")
        return found

    corner = numbers("fov_video", "left", "top")
    focal = numbers("intrinsic", "focalLengthU", "focalLengthV") / SUBPIXELS
    middle = numbers("intrinsic", "centerPointU", "centerPointV") / SUBPIXELS - corner
    intrinsics = torch.eye(3, dtype=torch.double)
    intrinsics[[0, 1], [0, 1]] = focal
    intrinsics[:2, 2] = middle
    axes = numbers("transform", *(f"r{row}{column}" for row in "123" for column in "123"))
    axes = axes.view(3, 3)
    identity = torch.eye(3, dtype=torch.double)
    if not torch.allclose(axes @ axes.T, identity, atol=1e-4) or torch.det(axes) < 0:
        raise ValueError(f"the axes of {camera.attrib['serial']} are no rotation")
    rotation = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.double)) @ axes
    place = numbers("transform", "x", "y", "z") / MILLIMETRES
    return intrinsics, numbers("intrinsic", *_DISTORTION), rotation, -rotation @ place
