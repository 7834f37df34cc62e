"""Meshes drawn by pyrender without a screen; run as a script, a try whether that works here.

The script draws a triangle in a process that a broken driver may kill. Nothing of hmrlab is
imported here: whoever waits for the answer should not wait for torch besides.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

PROBE_SECONDS = 60


@dataclass(frozen=True)
class Pinhole:
    """A camera: focal length and principal point in pixels, picture size."""

    focal: float
    center: tuple[float, float]
    height: int
    width: int

    def scaled(self, factor: int) -> Pinhole:
        """The same view with `factor` times as many pixels each way."""
        (x, y), size = self.center, (self.height * factor, self.width * factor)
        return Pinhole(self.focal * factor, (x * factor, y * factor), *size)


class PyrenderBackend:
    """pyrender's offscreen renderer on one of PyOpenGL's headless platforms.

    It draws in a thread of its own: a GL context belongs to the thread that uses it first, and
    Jupyter's kernel calls a widget's handlers from another thread than the cells.
    """

    def __init__(self, platform: str) -> None:
        # Mesa draws by an LLVM, and torch's compiler brings another along in triton. Loaded in this
        # order they get along; the other way round the process dies.
        with contextlib.suppress(ImportError):
            import triton  # noqa: F401
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


def draw_probe(platform: str) -> None:
    """Draw one triangle; a RuntimeError says that it is not there."""
    vertices = np.array([[-1.0, -1, 3], [1, -1, 3], [0, 1, 3]])
    camera = Pinhole(32.0, (16.0, 16.0), 32, 32)
    backend = PyrenderBackend(platform)
    _, depth = backend.draw(vertices, np.array([[0, 1, 2]]), np.ones((3, 3)), camera)
    if abs(depth[12, 16] - 3) > 0.01:
        raise RuntimeError("it draws, but the picture is wrong")


if __name__ == "__main__":
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(PROBE_SECONDS)  # a driver that hangs must not outlive who asked
    draw_probe(sys.argv[1])
