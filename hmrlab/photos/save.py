"""What the people of a photo leave in a folder: pictures, meshes, parameters, a page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from hmrlab.files import FileProblem, save_npz_whole, write_text_whole, write_whole
from hmrlab.geometry import SPIN_IMAGE_SIZE, matrix_to_axis_angle
from hmrlab.photos.bodies import LONGEST, PhotoBodies, own_focals
from hmrlab.photos.limbs import limbs_seen
from hmrlab.rendering import save_png, turntable
from hmrlab.viewer import BodyViewer, write_page

if TYPE_CHECKING:
    import trimesh

Y_UP = np.array([1.0, -1.0, -1.0])  # from the camera's frame to glTF's: y up, looking along -z
GAMMA = 2.2  # glTF's colours are of linear light, the renderer's are those of a screen
VIEW_SIZE = 320  # pixels of each of a turntable's views
PAGE = "view.html"
PAGE_HEIGHT = 560  # of the page's stage, pixels


def save_bodies(result: PhotoBodies, folder: str | Path, *, progress: bool = False) -> list[Path]:
    """Write pictures, meshes and parameters, all of them or nothing; gives the files written.

    `overlay.png`, everybody over the photo; `scene.glb`, everybody where the photo's camera sees
    them (camera at the origin, y up, looking along -z; see `one_camera`); and for each person
    K of the input:

    - `person_K_turntable.png`: from six sides, the first as in the photo.
    - `person_K.obj` and `.glb`: the mesh in metres, y up, turned as in the photo, about its own
      origin.
    - `person_K.npz`: see `parameters`.

    With a body model of your own the meshes are under its licence, which may forbid passing them
    on. A missing folder is made; files of the same names are replaced.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    folder = Path(folder)
    with _all_or_nothing(folder) as part:
        names = _write(result, part, progress)
    return [folder / name for name in names]


def summary(result: PhotoBodies, written: list[Path]) -> str:
    """A line for each person and for the files of all, to print."""
    lines = dict(result.left_out)
    for row, (number, name) in enumerate(zip(result.numbers, _names(result), strict=True)):
        own = [path.name for path in written if path.name.startswith((f"{name}.", f"{name}_"))]
        lines[number] = f"{result.describe(row)}: {', '.join(own)}"
    of_all = [path.name for path in written if not path.name.startswith("person_")]
    if max(result.image.shape) > LONGEST:
        of_all[0] += f" (shrunk to {LONGEST:,} pixels)"
    text = [
        f"person_{number}: {'left out, ' if number in result.left_out else ''}{line}"
        for number, line in sorted(lines.items())
    ]
    return "\n".join([*text, f"everybody: {', '.join(of_all)}", f"All in {written[0].parent}"])


def parameters(result: PhotoBodies, row: int) -> dict[str, np.ndarray]:
    """One person's numbers by name.

    - pose (72,): axis-angles of SMPL's 24 joints, radians, the first in the camera's frame (x
      right, y down, z forward).
    - betas (10,): shape.
    - translation (3,): metres, in the frame of the person's own camera.
    - focal (), principal_point (2,): that camera in the whole photo, pixels: a point p of the body
      is seen at focal * (p + translation)[:2] / (p + translation)[2] + principal_point.
    - scene_orientation (3,), scene_translation (3,), scene_focal (): the first joint's axis-angle,
      the translation and the focal length before the camera that all people share, whose principal
      point is the middle of the photo.
    - cliff_translation (3,): what CLIFF would have for it, with scene_focal and no turn.
    - box (3,): middle and side of the square about the person, pixels.
    - keypoints (25, 3), where they are known: pixels of the photo, confidence; pixel_error (): the
      mean distance of the body's from them in pixels of the photo.
    - seen (10,), with the keypoints: 1 for each of `limbs.LIMBS` that one of them shows, else 0:
      what is not seen is guessed.
    - of a fit: reprojection (), SPIN's mark of it, the robust squared error in the 224-pixel crop,
      mean of 49 keypoints; objective (), what the fit minimised, at its end.
    - of a network's answer: camera (3,), its scale (crop half-sides per metre) and shift (metres);
      of a detected person score () and coco_keypoints (17, 3): x, y and score; of whom the eyes
      have looked at, presence (), agreement () and world (33, 3), see `landmarks.look_at`.
    """
    posed, boxes, scene = result.posed, result.boxes, result.scene()
    values = {
        "pose": posed.pose[row].flatten(),
        "betas": posed.betas[row],
        "translation": posed.translation[row],
        "focal": own_focals(boxes)[row],
        "principal_point": boxes.center[row],
        "scene_orientation": matrix_to_axis_angle(scene.rotations[row, 0]),
        "scene_translation": scene.translation[row],
        "scene_focal": scene.focal,
        "cliff_translation": result.scene(turned=False).translation[row],
        "box": [*boxes.center[row].tolist(), float(boxes.side[row])],
    }
    if result.keypoints is not None:
        values["keypoints"] = result.keypoints[row]
        values["pixel_error"] = result.pixel_errors()[row]
        values["seen"] = limbs_seen(result.seen())[row]
    values |= {name: value[row] for name, value in result.extra.items()}
    return {name: np.asarray(value, dtype=np.float32) for name, value in values.items()}


def save_page(
    result: PhotoBodies, folder: str | Path, *, include_body: bool = False, title: str = ""
) -> Path | None:
    """Write `view.html`, which turns the people in the browser, each over its own crop.

    Returns:
        The page, or None where it would show a body model of the user's own and `include_body` is
        not set: whoever has the page has the model.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    posed = result.posed
    crops = (255 * result.boxes.crops(result.image, SPIN_IMAGE_SIZE)).round().byte()
    viewer = BodyViewer(
        result.body,
        posed.rotations[:, None, None],
        posed.betas[:, None, None],
        translation=posed.translation[:, None, None],
        names=[""],
        people=[f"person {number}" for number in result.numbers],
        pale=result.pale(),
        pictures=np.ascontiguousarray(crops.permute(0, 2, 3, 1).numpy()),
        frame="camera",
        title=title,
        height=PAGE_HEIGHT,
    )
    if not (viewer.free or include_body):
        return None
    return write_page(Path(folder) / PAGE, [viewer], include_body=include_body)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Make a FileProblem with advice of what goes wrong with the disk."""
    try:
        yield
    except OSError as error:
        raise FileProblem(
            f"could not write {folder}: {error.strerror or error}. Free some disk space, or name a "
            "folder that you may write to (--out)."
        ) from error


def _write(result: PhotoBodies, folder: Path, progress: bool) -> list[str]:
    names = _names(result)
    scene = _meshes(result, result.scene_vertices())
    written = [
        save_png(folder / "overlay.png", result.overlay()),
        _save_glb(folder / "scene.glb", dict(zip(names, scene, strict=True))),
    ]
    colours = result.vertex_colours()
    own = _meshes(result, result.vertices() - result.posed.translation.numpy()[:, None])
    bar = tqdm(names, desc="drawing", unit="person", leave=False, disable=not progress)
    for row, (name, mesh) in enumerate(zip(bar, own, strict=True)):
        strip = turntable(mesh.vertices, mesh.faces, size=VIEW_SIZE, colours=colours[row])
        text = mesh.export(file_type="obj", include_color=False, include_texture=False)
        written += [
            save_png(folder / f"{name}_turntable.png", strip),
            write_text_whole(folder / f"{name}.obj", text),
            _save_glb(folder / f"{name}.glb", {name: mesh}),
            save_npz_whole(folder / f"{name}.npz", **parameters(result, row)),
        ]
    return [path.name for path in written]


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[Path]:
    """A folder to fill, whose files come into `folder` at the end; a failure leaves no trace."""
    made = not folder.exists()
    try:
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".part.", dir=folder) as part:
                yield Path(part)
                for path in Path(part).iterdir():
                    path.replace(folder / path.name)
                made = False
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def _names(result: PhotoBodies) -> list[str]:
    return [f"person_{number}" for number in result.numbers]


def _meshes(result: PhotoBodies, vertices: np.ndarray) -> Iterator[trimesh.Trimesh]:
    """Meshes with y up of vertices (N, V, 3) in a camera's frame, one by one: each is large."""
    import trimesh  # takes seconds, of which a photo that nobody saves needs none

    faces = result.body.faces.numpy()
    pale = result.pale().any(1)
    for row, (points, colour) in enumerate(zip(vertices, result.colours(), strict=True)):
        mesh = trimesh.Trimesh(points * Y_UP, faces, process=False)
        of_all = np.ones(3) if pale[row] else colour**GAMMA
        mesh.visual = trimesh.visual.TextureVisuals(
            material=trimesh.visual.material.PBRMaterial(
                baseColorFactor=[*of_all, 1.0], metallicFactor=0.0, roughnessFactor=0.8
            )
        )
        if pale[row]:
            tints = 255 * result.vertex_colours()[row] ** GAMMA
            mesh.visual.vertex_attributes["color"] = np.pad(
                tints.round().astype(np.uint8), ((0, 0), (0, 1)), constant_values=255
            )
        yield mesh


def _save_glb(path: Path, meshes: dict[str, trimesh.Trimesh]) -> Path:
    import trimesh

    scene = trimesh.Scene()
    for name, mesh in meshes.items():
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    content = scene.export(file_type="glb", include_normals=True)
    return write_whole(path, lambda file: file.write(content))
