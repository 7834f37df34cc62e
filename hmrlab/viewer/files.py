"""Files of bodies and of meshes, as viewers that are ready to be shown. Nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from trimesh.visual.base import Visuals
from trimesh.visual.color import uv_to_color
from trimesh.visual.material import PBRMaterial, SimpleMaterial, empty_material

from hmrlab.bodies import Body, load_body, read_body_file
from hmrlab.bodies.format import N_BETAS, N_JOINTS
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix, matrix_to_axis_angle
from hmrlab.viewer.packing import Mesh
from hmrlab.viewer.widget import BodyViewer

PARAMETERS, BODY, MESH = "parameters of bodies", "a body model", "a mesh"
FREE = "free"
MESH_ENDINGS = (".obj", ".glb", ".gltf", ".ply", ".stl")
BODY_KEY = "v_template"  # no file of parameters has it
POSE_KEYS = ("pose", "rotations", "global_orient", "body_pose")
BETAS_KEYS = ("betas", "shape")  # SPIN's own files say `shape`
CAMERA_KEYS = {"translation", "camera", "scene_orientation"}
ROTATION_ERROR = 1e-3  # of what a rotation times its transpose may differ from 1
MOST_BESIDE = 8  # bodies side by side; of more, each file shows one at a time
HEIGHT = 560  # of the stage, pixels
SMALLEST, LARGEST = 0.05, 8.0  # metres, of what the viewer's camera has in focus
TINIEST = 1e-30  # of what a float can hold with room to spare
GAMMA = 2.2  # of the viewer's script
PLAIN = (0.75, 0.75, 0.75)  # of parts without a colour beside coloured ones
UPSIDE_DOWN = (1.0, -1.0, -1.0)  # from the camera's frame to the body's, and back
DAMAGE = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile,
    zlib.error, struct.error,
)  # fmt: skip
"""What reading a damaged `.npz` may raise."""


@dataclass(frozen=True)
class Parameters:
    """Bodies of one file."""

    pose: np.ndarray  # (N, 24, 3) axis-angles, radians
    betas: np.ndarray  # (N, 10)
    frame: str  # "camera" (y down) or "body" (y up)

    def upright(self) -> Parameters:
        """The same bodies with y up."""
        if self.frame == "body":
            return self
        pose = torch.tensor(self.pose)
        turn = torch.diag(pose.new_tensor(UPSIDE_DOWN))
        pose[:, 0] = matrix_to_axis_angle(turn @ axis_angle_to_matrix(pose[:, 0]))
        return replace(self, pose=pose.numpy(), frame="body")


def view_files(
    paths: Sequence[str | Path],
    *,
    body: str | Path | None = None,
    detail: str = "light",
    frame: str | None = None,
) -> BodyViewer:
    """A viewer of files of one kind, side by side under their names.

    Args:
        paths: `.npz` files of parameters (see `read_parameters`), or body files (`.npz`, or
            "free" for hmrlab's own), or meshes (see `read_mesh`).
        body: whose parameters they are, as for `load_body`.
        detail: "full" or "light", of the free body.
        frame: "body" where y is up, "camera" where y is down. By default meshes and body files
            are upright, and parameters tell it by what stands beside them.

    Raises:
        FileProblem: a file is missing, damaged or of no such kind, or files do not go together.
        ValueError: no paths, or no such detail.
    """
    if not paths:
        raise ValueError("no files to view")
    files = [Path(path) for path in paths]
    kinds = [_kind(path) for path in files]
    if len(set(kinds)) > 1:
        other = next(k for k, kind in enumerate(kinds) if kind != kinds[0])
        raise FileProblem(
            f"{files[0]} holds {kinds[0]} and {files[other]} {kinds[other]}: give files of one "
            "kind. (Whose parameters they are is said with --body.)"
        )
    if kinds[0] == MESH:
        return _view_meshes(files, frame or "body")
    if kinds[0] == BODY:
        return _view_bodies(files, detail, frame or "body")
    return _view_parameters(files, load_body(body, detail), frame)


def read_parameters(path: str | Path) -> Parameters:
    """Read poses and shapes.

    The pose is `pose` or `rotations`, (72,), (24, 3) or (24, 3, 3), or `global_orient` with
    `body_pose` in two parts of 1 and 23 joints alike; any of them with N bodies in front. Shapes
    are `betas` (10,) or (N, 10), zeros where there are none. A file that has a `translation`, a
    `camera` or a `scene_orientation` too is taken to be in a camera's frame.

    Raises:
        FileProblem: the file is missing or damaged, or its arrays are no parameters of bodies.
    """
    path = Path(path)
    names, arrays = _read_npz(path)
    pose = _pose_of(path, names, arrays)
    key = next((key for key in BETAS_KEYS if key in arrays), None)
    betas = _numbers(path, key, arrays[key]) if key else np.zeros(N_BETAS)
    count = len(pose)
    if betas.shape not in ((N_BETAS,), (1, N_BETAS), (count, N_BETAS)):
        shapes = f"shape ({N_BETAS},) or ({count}, {N_BETAS}), to go with {count} poses"
        raise _problem(path, key, shapes, f"shape {betas.shape}")
    frame = "camera" if CAMERA_KEYS & set(names) else "body"
    return Parameters(pose, np.broadcast_to(betas, (count, N_BETAS)), frame)


def read_mesh(path: str | Path) -> Mesh:
    """Read a mesh, its own parts merged into one, with the colours of its vertices or materials.

    Raises:
        FileProblem: the file is missing or damaged, has no triangles, or numbers that cannot be a
            mesh's.
    """
    path = Path(path)
    _check_is_there(path)
    try:
        with np.errstate(all="ignore"):  # of what is no number, told below
            scene = trimesh.load(str(path), force="scene", process=False)
            parts = [_part(scene, node) for node in scene.graph.nodes_geometry]
            return _merged([part for part in parts if part is not None])
    except Exception as error:  # trimesh's readers raise whatever a damaged file leads them to
        raise FileProblem(
            f"{path} cannot be read as a mesh ({_words(error)}). Is it empty, cut short, or of "
            "another kind than its ending says? Export it again."
        ) from error


def _part(scene: trimesh.Scene, node: str) -> Mesh | None:
    """One part where the scene puts it, or nothing where it is no mesh."""
    place, name = scene.graph[node]
    part = scene.geometry[name]
    if not isinstance(part, trimesh.Trimesh):
        return None
    kind = scene.source.file_type
    if kind == "stl":  # triangles of their own, which would look like facets
        part.merge_vertices()
    faces = np.array(part.faces)
    if np.linalg.det(place[:3, :3]) < 0:  # mirrored: what was outside stays outside
        faces = faces[:, ::-1]
    vertices = np.asarray(part.vertices) @ place[:3, :3].T + place[:3, 3]
    return Mesh(vertices, faces, _colours(part.visual, linear=kind in ("glb", "gltf")))


def _colours(visual: Visuals, linear: bool) -> np.ndarray | None:
    """(V, 3) or (3,) in [0, 1] as screens take them, or none where the file names no colour.

    Args:
        visual: of one part.
        linear: whether the file's numbers are amounts of light, as glTF's are.
    """
    power = 1 / GAMMA if linear else 1
    if visual.kind in ("vertex", "face"):
        return _unit(visual.vertex_colors) ** power
    if visual.kind != "texture":
        return None
    material, light = visual.material, visual.vertex_attributes.get("color")
    image, plain = None, None
    if isinstance(material, PBRMaterial):
        image, plain = material.baseColorTexture, material.baseColorFactor
    elif isinstance(material, SimpleMaterial) and hash(material) != hash(empty_material()):
        image, plain = material.image, None if material.image else material.diffuse
    picture = uv_to_color(visual.uv, image)  # pictures are for screens, in all files
    factors = [_unit(one) ** power for one in (light, plain) if one is not None]
    factors += [] if picture is None else [_unit(picture)]
    return np.prod(np.broadcast_arrays(*factors), 0) if factors else None


def _unit(colours: np.ndarray) -> np.ndarray:
    """Red, green and blue in [0, 1] of whole or real numbers."""
    values = np.asarray(colours)[..., :3]
    most = 1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    return np.clip(values / most, 0, 1)


def _merged(parts: list[Mesh]) -> Mesh:
    """One checked mesh of them all; a ValueError says what is wrong."""
    parts = [part for part in parts if len(part.faces)]
    if not parts:
        raise ValueError("expected triangles, found none")
    for part in parts:
        if part.faces.min() < 0 or part.faces.max() >= len(part.vertices):
            found = f"{part.faces.min()} to {part.faces.max()}"
            raise ValueError(f"triangles of vertices {found}, and there are {len(part.vertices)}")
    colours = None
    if any(part.colours is not None for part in parts):
        tints = [PLAIN if part.colours is None else part.colours for part in parts]
        shapes = [part.vertices.shape for part in parts]
        colours = np.concatenate(list(map(np.broadcast_to, tints, shapes)))
    vertices = np.concatenate([part.vertices for part in parts])
    if not np.isfinite(vertices).all():
        count = int((~np.isfinite(vertices)).sum())
        raise ValueError(f"expected vertices that have places, {count} numbers are NaN or infinite")
    if not TINIEST < np.ptp(vertices, axis=0).max() < 1 / TINIEST:
        raise ValueError("expected vertices in several places, found them all in one, or too far")
    ends = np.cumsum([len(part.vertices) for part in parts])
    faces = [part.faces + end - len(part.vertices) for part, end in zip(parts, ends, strict=True)]
    return Mesh(vertices, np.concatenate(faces), colours)


def _in_focus(meshes: list[Mesh]) -> tuple[list[Mesh], float]:
    """Meshes about their middles and, where they are no size for the viewer, all scaled alike.

    Scans come in millimetres, too, and buildings in metres; the scale is a power of ten.
    """
    low, high = (np.array([end(one.vertices, 0) for one in meshes]) for end in (np.min, np.max))
    size = (high - low).max()
    scale = 1.0 if SMALLEST <= size <= LARGEST else 10.0 ** np.round(np.log10(1 / size))
    return [
        replace(one, vertices=scale * (one.vertices - middle))
        for one, middle in zip(meshes, (low + high) / 2, strict=True)
    ], scale


def _kind(path: Path) -> str:
    if str(path) == FREE:
        return BODY
    ending = path.suffix.lower()
    if ending != ".npz" and ending not in MESH_ENDINGS:
        raise FileProblem(
            f"{path}: expected .npz (parameters or a body) or a mesh ({', '.join(MESH_ENDINGS)}), "
            f"found {ending or 'no ending'}. Convert it, or mend its name."
        )
    _check_is_there(path)
    if ending != ".npz":
        return MESH
    return BODY if BODY_KEY in _read_npz(path)[0] else PARAMETERS


def _view_parameters(paths: list[Path], body: Body, frame: str | None) -> BodyViewer:
    people = [read_parameters(path) for path in paths]
    if frame is None and len({one.frame for one in people}) > 1:
        people = [one.upright() for one in people]
    options = _options(paths, frame or people[0].frame)
    counts = [len(one.pose) for one in people]
    if sum(counts) <= MOST_BESIDE:
        options["names"] = [
            label if count == 1 else f"{label} {k}" if len(paths) > 1 else f"body {k}"
            for label, count in zip(options["names"], counts, strict=True)
            for k in range(count)
        ]
        pose = np.concatenate([one.pose for one in people])
        return BodyViewer(body, pose, np.concatenate([one.betas for one in people]), **options)
    if len(set(counts)) > 1:
        told = ", ".join(f"{n} in {path}" for n, path in zip(counts, paths, strict=True))
        raise FileProblem(
            f"bodies: expected {MOST_BESIDE} at most, or equally many in each file to be shown one "
            f"at a time, found {told}. Give files of one length, or one file."
        )
    pose = np.stack([one.pose for one in people], 1)
    betas = np.stack([one.betas for one in people], 1)
    return BodyViewer(body, pose, betas, step_name="body", **options)


def _view_bodies(paths: list[Path], detail: str, frame: str) -> BodyViewer:
    bodies = []
    for path in paths:
        if str(path) == FREE:
            bodies.append(load_body(FREE, detail))
            continue
        with _readable(path):
            arrays = read_body_file(path)
        bodies.append(Body(arrays))
    return BodyViewer(bodies, **_options(paths, frame))


def _view_meshes(paths: list[Path], frame: str) -> BodyViewer:
    meshes, scale = _in_focus([read_mesh(path) for path in paths])
    options = _options(paths, frame)
    if scale != 1:
        ratio = f"{scale:.0f}:1" if scale > 1 else f"1:{1 / scale:.0f}"
        options["title"] += f", shown {ratio}"
    return BodyViewer(meshes, **options)


def _options(paths: list[Path], frame: str) -> dict[str, Any]:
    """What all viewers are told: the files' names, with their folders where names are not enough.

    A file that is alone stands in the title, and nothing above its body.
    """
    names = [path.name for path in paths]
    title = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    if len(set(names)) < len(names):
        names = ["/".join(path.absolute().parts[-2:]) for path in paths]
    if len(names) == 1:
        names = [""]
    return {"names": names, "title": title, "frame": frame, "height": HEIGHT}


def _check_is_there(path: Path) -> None:
    if not path.is_file():
        raise FileProblem(f"no file at {path}. Is the name right, and the folder?")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise FileProblem(
            f"{path} is not a readable .npz ({_words(error)}). It may be cut short, or hold Python "
            "objects, which hmrlab never unpickles: write plain arrays with numpy.savez."
        ) from error


def _words(error: Exception) -> str:
    """What an error says; its kind, too, where that is needed to understand it."""
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def _read_npz(path: Path) -> tuple[list[str], dict[str, np.ndarray]]:
    """The names of all arrays, and those arrays that parameters are made of."""
    _check_is_there(path)
    with _readable(path):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it holds a single array without a name")
        with archive:
            wanted = [key for key in (*POSE_KEYS, *BETAS_KEYS) if key in archive.files]
            return archive.files, {key: archive[key] for key in wanted}


def _pose_of(path: Path, names: list[str], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Axis-angles (N, 24, 3) of whichever keys the file has."""
    for key in ("pose", "rotations"):
        if key in arrays:
            return _joints(path, key, arrays[key], N_JOINTS)
    parts = {"global_orient": 1, "body_pose": N_JOINTS - 1}
    if not all(key in arrays for key in parts):
        raise FileProblem(
            f"{path}: expected a pose (pose, rotations, or global_orient with body_pose) or a "
            f"body model ({BODY_KEY}, ...), found {', '.join(names) or 'nothing'}. Save the pose "
            "under one of these names."
        )
    root, others = (_joints(path, key, arrays[key], count) for key, count in parts.items())
    if len(root) != len(others):
        wanted = f"as many bodies as body_pose has, {len(others)}"
        raise _problem(path, "global_orient", wanted, len(root))
    return np.concatenate([root, others], 1)


def _joints(path: Path, key: str, value: np.ndarray, count: int) -> np.ndarray:
    """Axis-angles (N, count, 3) from any of the shapes that `read_parameters` names."""
    array = _numbers(path, key, value)
    for each in ((3 * count,), (count, 3), (count, 3, 3)):
        if array.size and array.ndim - len(each) in (0, 1) and array.shape[-len(each) :] == each:
            break
    else:
        wanted = f"shape ({3 * count},), ({count}, 3) or ({count}, 3, 3), or N of these, N > 0"
        raise _problem(path, key, wanted, f"shape {array.shape}")
    if len(each) < 3:
        return array.reshape(-1, count, 3)
    matrices = torch.tensor(array.reshape(-1, count, 3, 3))
    away = (matrices @ matrices.mT - torch.eye(3)).abs().max().item()
    if away > ROTATION_ERROR or torch.linalg.det(matrices).min() < 0:
        raise _problem(path, key, "rotation matrices", "matrices that stretch or mirror")
    return matrix_to_axis_angle(matrices).numpy()


def _numbers(path: Path, key: str, value: np.ndarray) -> np.ndarray:
    """Double precision, of numbers that the browser's single precision can hold, too."""
    if value.dtype.kind not in "fiu":
        raise _problem(path, key, "numbers", f"dtype {value.dtype}")
    with np.errstate(over="ignore"):
        wrong = int((~np.isfinite(value.astype(np.float32))).sum())
    if wrong:
        raise _problem(path, key, "finite numbers", f"{wrong} of {value.size} NaN or infinite")
    return value.astype(np.float64)


def _problem(path: Path, key: str, wanted: object, found: object) -> FileProblem:
    return FileProblem(
        f"{path}: {key}: expected {wanted}, found {found}. Parameters are SMPL's: 24 joints and "
        f"{N_BETAS} betas."
    )
