"""Ways to draw a mesh without a screen: pyrender on EGL or OSMesa, or ray casting with embreex.

All draw the same thing: vertices in the camera's frame (x right, y down, z forward) with colours
that are lit already (`lighting`), so that pictures look alike whatever the machine offers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from hmrlab.processes import lifeline

BACKENDS = ("pyrender-egl", "pyrender-osmesa", "embreex")
PLATFORM = {"pyrender-egl": "egl", "pyrender-osmesa": "osmesa"}
PROBE_SECONDS = 60
PROBED = "HMRLAB_RENDERER_PROBED"


@dataclass(frozen=True)
class Pinhole:
    """A camera: focal length and principal point in pixels, picture size."""

    focal: float
    center: tuple[float, float]
    height: int
    width: int

    def scaled(self, factor: int) -> Pinhole:
        """The same view with `factor` times as many pixels each way."""
        cx, cy = self.center
        return Pinhole(
            self.focal * factor, (cx * factor, cy * factor),
            self.height * factor, self.width * factor,
        )  # fmt: skip


class Backend(Protocol):
    """Draws one mesh."""

    def draw(
        self, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, camera: Pinhole
    ) -> tuple[np.ndarray, np.ndarray]:
        """(V, 3) metres, (F, 3), (V, 3) in [0, 1] -> colour (H, W, 3) in [0, 1], depth (H, W).

        Depth is in metres along the camera's axis and 0 where nothing is.
        """
        ...


class PyrenderBackend:
    """pyrender's offscreen renderer on one of PyOpenGL's headless platforms.

    It draws in a thread of its own: a GL context belongs to the thread that uses it first, and
    Jupyter's kernel calls a widget's handlers from another thread than the cells.
    """

    def __init__(self, platform: str) -> None:
        # PyOpenGL reads this once, when it is first imported.
        os.environ["PYOPENGL_PLATFORM"] = platform
        import pyrender

        loaded = sys.modules["OpenGL"].__dict__.get("_hmrlab_platform", platform)
        if loaded != platform:
            raise RuntimeError(f"PyOpenGL already runs on {loaded}; restart Python to change that")
        sys.modules["OpenGL"]._hmrlab_platform = platform
        self._pyrender = pyrender
        self._renderers: dict[tuple[int, int], object] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hmrlab-gl")

    def draw(
        self, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, camera: Pinhole
    ) -> tuple[np.ndarray, np.ndarray]:
        return self._thread.submit(self._draw, vertices, faces, colours, camera).result()

    def _draw(
        self, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, camera: Pinhole
    ) -> tuple[np.ndarray, np.ndarray]:
        pyrender = self._pyrender
        size = (camera.width, camera.height)
        if size not in self._renderers:
            self._renderers[size] = pyrender.OffscreenRenderer(*size)
        primitive = pyrender.Primitive(
            positions=vertices.astype(np.float32),
            indices=faces.astype(np.uint32),
            color_0=np.clip(colours, 0, 1).astype(np.float32),
            material=pyrender.MetallicRoughnessMaterial(doubleSided=True),
        )
        scene = pyrender.Scene(bg_color=(1.0, 1.0, 1.0, 1.0))
        scene.add(pyrender.Mesh([primitive]))
        cx, cy = camera.center
        lens = pyrender.IntrinsicsCamera(camera.focal, camera.focal, cx, cy, znear=0.05, zfar=200.0)
        # OpenGL's camera looks along -z with y up.
        scene.add(lens, pose=np.diag([1.0, -1.0, -1.0, 1.0]))
        colour, depth = self._renderers[size].render(scene, flags=pyrender.RenderFlags.FLAT)
        return colour[..., :3] / 255.0, depth


class EmbreeBackend:
    """One ray a pixel, cast by embreex; needs no graphics library at all."""

    def draw(
        self, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, camera: Pinhole
    ) -> tuple[np.ndarray, np.ndarray]:
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        mesh = trimesh.Trimesh(vertices, faces, process=False)
        x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
        directions = np.stack(
            [
                (x - camera.center[0]) / camera.focal,
                (y - camera.center[1]) / camera.focal,
                np.ones_like(x),
            ],
            -1,
        ).reshape(-1, 3)
        triangle, ray, places = RayMeshIntersector(mesh).intersects_id(
            np.zeros_like(directions), directions, multiple_hits=False, return_locations=True
        )
        colour = np.zeros((camera.height * camera.width, 3))
        depth = np.zeros(camera.height * camera.width)
        if len(ray):
            corners = vertices[faces[triangle]]
            share = trimesh.triangles.points_to_barycentric(corners, places)
            share = np.clip(share, 0, 1)
            colour[ray] = np.einsum("rk,rkc->rc", share, colours[faces[triangle]])
            depth[ray] = places[:, 2]
        shape = (camera.height, camera.width)
        return np.clip(colour, 0, 1).reshape(*shape, 3), depth.reshape(shape)


def environment_for_children() -> dict[str, str]:
    """Environment variables that spare processes started from here the probe; empty if none works.

    Notebooks are processes of their own, and each would probe for itself.
    """
    try:
        return {PROBED: choose_backend()}
    except (RuntimeError, ValueError):  # whoever draws will say it
        return {}


@lru_cache(maxsize=len(BACKENDS))
def get_backend(name: str) -> Backend:
    """The backend of that name, made once."""
    return EmbreeBackend() if name == "embreex" else PyrenderBackend(PLATFORM[name])


def choose_backend(preferred: str | None = None) -> str:
    """The first backend that works here: EGL, then OSMesa, then embreex.

    Args:
        preferred: take this one; by default what `$HMRLAB_RENDERER` says, if it is set.

    Raises:
        ValueError: no backend has that name.
        RuntimeError: the wished one, or every one, fails; the message says why.
    """
    wish = preferred or os.environ.get("HMRLAB_RENDERER")
    if wish and wish not in BACKENDS:
        raise ValueError(f"unknown renderer {wish!r}; there are {', '.join(BACKENDS)}")
    reasons = {}
    for name in (wish,) if wish else BACKENDS:
        reasons[name] = probe(name)
        if reasons[name] == "OK":
            return name
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise RuntimeError(f"no renderer works here ({listed}). Try: pip install embreex")


def available_backends() -> dict[str, str]:
    """For each backend "OK", or why it does not work here."""
    return {name: probe(name) for name in BACKENDS}


@lru_cache(maxsize=len(BACKENDS))
def probe(name: str) -> str:
    """Draw a triangle in a process of its own, which a broken driver may kill: "OK" or why not.

    Seconds are spared where `$HMRLAB_RENDERER_PROBED` has the name: whoever started this process
    has probed that backend already.
    """
    if os.environ.get(PROBED) == name:
        return "OK"
    code = (
        "from hmrlab.processes import end_with_parent; end_with_parent()\n"
        f"from hmrlab.rendering import backends; backends.draw_probe({name!r})"
    )
    command = [sys.executable, "-c", code]
    try:
        with lifeline() as stdin:
            child = subprocess.run(
                command, stdin=stdin, capture_output=True, text=True, timeout=PROBE_SECONDS
            )
    except subprocess.TimeoutExpired:
        return f"did not answer in {PROBE_SECONDS} s"
    if child.returncode == 0:
        return "OK"
    lines = child.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"ended with code {child.returncode}"


def draw_probe(name: str) -> None:
    """Draw one triangle and look whether it is there.

    Raises:
        RuntimeError: it is not.
    """
    vertices = np.array([[-1.0, -1, 3], [1, -1, 3], [0, 1, 3]])
    camera = Pinhole(32.0, (16.0, 16.0), 32, 32)
    _, depth = get_backend(name).draw(vertices, np.array([[0, 1, 2]]), np.ones((3, 3)), camera)
    if abs(depth[12, 16] - 3) > 0.01:
        raise RuntimeError("it draws, but the picture is wrong")
