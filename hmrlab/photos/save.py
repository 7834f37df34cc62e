"""What a fitted photo leaves in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from hmrlab.files import save_npz_whole, write_text_whole, write_whole
from hmrlab.photos.result import PhotoFits
from hmrlab.rendering import save_png, turntable

Y_UP = np.array([1.0, -1.0, -1.0])  # from the camera's frame to glTF's: y up, looking along -z
VIEW_SIZE = 320  # pixels of each of a turntable's views


def save_fits(result: PhotoFits, folder: str | Path) -> list[Path]:
    """Write pictures, meshes and parameters, each file whole or not at all.

    `overlay.png`, everybody over the photo; `scene.glb`, everybody where the photo's camera sees
    them (camera at the origin, y up, looking along -z; see `PhotoFits.scene`); and for each person
    K of the input:

    - `person_K_turntable.png`: from six sides, the first as in the photo.
    - `person_K.obj` and `.glb`: the mesh in metres, y up, turned as in the photo, about its own
      origin.
    - `person_K.npz`: see `parameters`.

    With a body model of your own the meshes are under its licence, which may forbid passing them
    on.

    Returns:
        The files written.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    folder = Path(folder)
    written = [
        save_png(folder / "overlay.png", result.overlay()),
        _save_glb(folder / "scene.glb", {
            f"person_{number}": mesh
            for number, mesh in zip(result.numbers, _meshes(result, result.scene()), strict=True)
        }),
    ]  # fmt: skip
    own = result.vertices() - result.fits.translation.numpy()[:, None]
    for row, (number, mesh) in enumerate(zip(result.numbers, _meshes(result, own), strict=True)):
        stem = folder / f"person_{number}"
        strip = turntable(mesh.vertices, mesh.faces, size=VIEW_SIZE, colours=result.colours()[row])
        written += [
            save_png(f"{stem}_turntable.png", strip),
            write_text_whole(f"{stem}.obj", mesh.export(file_type="obj", include_color=False)),
            _save_glb(Path(f"{stem}.glb"), {stem.name: mesh}),
            save_npz_whole(f"{stem}.npz", **parameters(result, row)),
        ]
    return written


def parameters(result: PhotoFits, row: int) -> dict[str, np.ndarray]:
    """One person's numbers by name.

    - pose (72,): axis-angles of SMPL's 24 joints, radians, the first in the camera's frame (x
      right, y down, z forward).
    - betas (10,): shape.
    - translation (3,): metres, in the frame of the person's own camera.
    - focal (), principal_point (2,): that camera in the whole photo, pixels: a point p of the body
      is seen at focal * (p + translation)[:2] / (p + translation)[2] + principal_point.
    - scene_translation (3,), scene_focal (): the same before the camera that all people share,
      whose principal point is the middle of the photo.
    - keypoints (25, 3): what was fitted to, pixels of the photo, confidence.
    - box (3,): middle and side of the square about the person, pixels.
    - reprojection (): SPIN's mark of a fit, the robust squared error in the 224-pixel crop, mean of
      49 keypoints; pixel_error (): the mean distance in pixels of the photo.
    - objective (): what the fit minimised, at its end.
    """
    fits, boxes = result.fits, result.boxes
    values = {
        "pose": fits.pose[row].flatten(),
        "betas": fits.betas[row],
        "translation": fits.translation[row],
        "focal": result.focals[row],
        "principal_point": boxes.center[row],
        "scene_translation": result.scene_translations()[row],
        "scene_focal": result.scene_focal,
        "keypoints": result.keypoints[row],
        "box": [*boxes.center[row].tolist(), float(boxes.side[row])],
        "reprojection": fits.reprojection[row],
        "pixel_error": result.pixel_errors()[row],
        "objective": fits.objective[row],
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in values.items()}


def _meshes(result: PhotoFits, vertices: np.ndarray) -> list[trimesh.Trimesh]:
    """Meshes with y up of vertices (N, V, 3) in a camera's frame."""
    faces = result.body.faces.numpy()
    meshes = []
    for points, colour in zip(vertices, result.colours(), strict=True):
        mesh = trimesh.Trimesh(points * Y_UP, faces, process=False)
        mesh.visual = trimesh.visual.TextureVisuals(
            material=trimesh.visual.material.PBRMaterial(
                baseColorFactor=[*colour, 1.0], metallicFactor=0.0, roughnessFactor=0.8
            )
        )
        meshes.append(mesh)
    return meshes


def _save_glb(path: Path, meshes: dict[str, trimesh.Trimesh]) -> Path:
    scene = trimesh.Scene()
    for name, mesh in meshes.items():
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    content = scene.export(file_type="glb", include_normals=True)
    return write_whole(path, lambda file: file.write(content))
