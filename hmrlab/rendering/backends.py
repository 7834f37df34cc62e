"""Ways to draw a mesh without a screen: pyrender on EGL or OSMesa, or our own rasteriser.

All draw the same thing: vertices in the camera's frame (x right, y down, z forward) with colours
that are lit already, so that pictures look alike whatever the machine offers.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from hmrlab import paths
from hmrlab.files import FileProblem, read_json, write_text_whole
from hmrlab.rendering import gl
from hmrlab.rendering.gl import PROBE_SECONDS, Pinhole, PyrenderBackend

RASTER = "raster"
PLATFORM = {"pyrender-egl": "egl", "pyrender-osmesa": "osmesa"}
BACKENDS = (*PLATFORM, RASTER)
PROBED = "HMRLAB_RENDERER_PROBED"
NEAREST = 0.05  # metres: our rasteriser leaves out triangles that reach nearer to the camera
_MATTERS = ("pyrender", "PyOpenGL", "trimesh", "numpy")
_VARIABLES = ("DISPLAY", "EGL_PLATFORM", "LD_LIBRARY_PATH")


class RasterBackend:
    """The rasteriser of the synthetic people, on the CPU; needs no graphics library at all."""

    def draw(
        self, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, camera: Pinhole
    ) -> tuple[np.ndarray, np.ndarray]:
        """A mesh (V, 3) metres, (F, 3), (V, 3) in [0, 1]; as all backends do.

        Returns:
            Colour (H, W, 3) in [0, 1], and depth (H, W): metres along the camera's axis, 0 where
            nothing is.
        """
        from hmrlab.data.synthetic.raster import rasterize  # numba: where there is GL, not needed

        depth = np.where(vertices[:, 2] < NEAREST, 0.0, vertices[:, 2])
        inverse = 1 / np.maximum(depth, NEAREST)
        points = camera.focal * vertices[:, :2] * inverse[:, None] + camera.center
        corners = np.ascontiguousarray(faces, np.int64)
        triangle, nearest = rasterize(points, depth, corners, camera.height, camera.width)
        row, column = np.nonzero(triangle >= 0)
        own = corners[triangle[row, column]]  # (P, 3)
        share = _areas(np.stack([column, row], 1) + 0.5, points[own])
        share *= inverse[own]  # colours are linear over the triangle, not over the picture
        share /= share.sum(1, keepdims=True)
        colour = np.zeros((camera.height, camera.width, 3))
        colour[row, column] = np.einsum("pk,pkc->pc", share, colours[own])
        return np.clip(colour, 0, 1), np.where(triangle >= 0, nearest, 0.0)


def environment_for_children() -> dict[str, str]:
    """Environment variables that spare processes started from here the probe; empty if none works.

    Notebooks are processes of their own, and each would ask for itself.
    """
    try:
        return {PROBED: choose_backend()}
    except (RuntimeError, ValueError):  # whoever draws will say it
        return {}


@lru_cache(maxsize=len(BACKENDS))
def get_backend(name: str) -> RasterBackend | PyrenderBackend:
    """The backend of that name, made once."""
    return RasterBackend() if name == RASTER else PyrenderBackend(PLATFORM[name])


def choose_backend(preferred: str | None = None) -> str:
    """The first backend that works here: EGL, then OSMesa, then our own, which works everywhere.

    `preferred`, or else what `$HMRLAB_RENDERER` says, is taken alone.

    Raises:
        ValueError: no backend has that name.
        RuntimeError: the wished one fails; the message says why.
    """
    wish = preferred or os.environ.get("HMRLAB_RENDERER")
    if not wish:
        return next(name for name in BACKENDS if probe(name) == "OK")
    if wish not in BACKENDS:
        raise ValueError(f"unknown renderer {wish!r}; there are {', '.join(BACKENDS)}")
    if probe(wish) != "OK":
        raise RuntimeError(
            f"the renderer {wish} does not work here ({probe(wish)}). Without a wish one that "
            "works is taken: unset HMRLAB_RENDERER."
        )
    return wish


def available_backends() -> dict[str, str]:
    """For each backend "OK", or why it does not work here; tried anew."""
    with ThreadPoolExecutor() as threads:
        answers = dict(zip(PLATFORM, threads.map(_try, PLATFORM), strict=True))
    _write_note(answers)
    return {**answers, RASTER: "OK"}


@lru_cache(maxsize=len(BACKENDS))
def probe(name: str) -> str:
    """ "OK" if a backend works here, or why not.

    Seconds are spared where `$HMRLAB_RENDERER_PROBED` has the name, since whoever started this
    process has tried it; and where an earlier process has noted the answer.
    """
    if name == RASTER or os.environ.get(PROBED) == name:
        return "OK"
    answers = _noted_answers()
    if name not in answers:
        answers[name] = _try(name)
        _write_note(answers)
    return answers[name]


@dataclass(frozen=True)
class _Note:
    """What earlier processes found on a machine: backend -> "OK" or why not."""

    machine: str
    answers: dict[str, str]


def _try(name: str) -> str:
    """Draw a triangle in a process of its own, which a broken driver may kill."""
    command = [sys.executable, "-P", gl.__file__, PLATFORM[name]]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"did not answer in {PROBE_SECONDS} s"
    if child.returncode == 0:
        return "OK"
    lines = child.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"ended with code {child.returncode}"


def _place() -> Path:
    return paths.data_dir() / "renderers.json"


def _noted_answers() -> dict[str, str]:
    """Those of this machine; none if the note is missing, damaged, or of another machine."""
    with suppress(FileProblem):
        note = read_json(_place(), _Note)
        if note.machine == _machine():
            return note.answers
    return {}


def _write_note(answers: dict[str, str]) -> None:
    note = {"machine": _machine(), "answers": answers}
    with suppress(FileProblem):  # a home that cannot be written to costs seconds, nothing else
        write_text_whole(_place(), json.dumps(note, indent=1) + "\n")


def _machine() -> str:
    """A digest of what decides whether a backend works: machine, libraries, drivers, versions."""
    facts = [platform.node(), platform.platform(), sys.version, sys.prefix]
    for package in _MATTERS:
        with suppress(metadata.PackageNotFoundError):
            facts.append(f"{package} {metadata.version(package)}")
    # Not PYOPENGL_PLATFORM: each backend sets that itself.
    facts += [f"{name}={os.environ.get(name)}" for name in _VARIABLES]
    facts += sorted(str(path) for path in Path("/dev").glob("nvidia*"))
    facts += sorted(str(path) for path in Path("/dev/dri").glob("*"))
    with suppress(OSError):  # written when a library is installed; Linux only
        facts.append(str(Path("/etc/ld.so.cache").stat().st_mtime_ns))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _areas(pixels: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (P, 3) of places (P, 2) in triangles (P, 3, 2), in the picture."""
    (ax, ay), (bx, by), (cx, cy) = (corners[:, k].T - pixels.T for k in range(3))
    parts = [bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx]
    return np.stack(parts, 1) / sum(parts)[:, None]
