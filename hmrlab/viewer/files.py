"""Files of bodies and of meshes, as viewers that are ready to be shown. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hmrlab.bodies import Body, load_body, read_body_file
from hmrlab.bodies.format import N_BETAS, N_JOINTS
from hmrlab.files import FileProblem, listed, open_npz, open_regular, printable, read_npz
from hmrlab.geometry import axis_angle_to_matrix, matrix_to_axis_angle
from hmrlab.viewer.mesh_limits import MAX_FACES, MAX_VERTICES, MESH_ENDINGS
from hmrlab.viewer.widget import BodyViewer

PARAMETERS, BODY, MESH = "parameters of bodies", "a body model", "a mesh"
FREE = "free"
BODY_KEY = "v_template"  # no file of parameters has it
POSE_KEYS = ("pose", "rotations", "global_orient", "body_pose")
BETAS_KEYS = ("betas", "shape")  # SPIN's own files say `shape`
CAMERA_KEYS = {"translation", "camera", "scene_orientation"}
ROTATION_ERROR = 1e-3  # of what a rotation times its transpose may differ from 1
MOST_BESIDE = 8  # bodies side by side; of more, each file shows one at a time
HEIGHT = 560  # of the stage, pixels
SMALLEST, LARGEST = 0.05, 8.0  # metres, of what the viewer's camera has in focus
UPSIDE_DOWN = (1.0, -1.0, -1.0)  # from the camera's frame to the body's, and back
MAX_BYTES = 2**28  # of the arrays of parameters, unpacked
MAX_BODIES = 100_000  # of all files
MAX_BODY_VERTICES = 200_000  # of body models side by side
MOST_TURN = 1000.0  # radians, of an axis-angle
MOST_BETA = 100.0
REMEDY = (
    "It may be cut short, or hold Python objects, which hmrlab never unpickles: write plain arrays "
    "with numpy.savez."
)
MISSING = "no file at {}. Is the name right, and the folder?"


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
        body, detail: whose parameters they are, as for `load_body`.
        frame: "body" where y is up, "camera" where y is down; by default as the files say, and
            meshes and body files are upright.

    Raises:
        FileProblem: a file is missing, damaged or of no such kind, or files do not go together.
        ValueError: no paths, or no such detail.
    """
    if not paths:
        raise ValueError("no files to view")
    files = [Path(path) for path in paths]
    kinds = [_kind(path) for path in files]
    for path, kind in zip(files, kinds, strict=True):
        if kind != kinds[0]:
            raise FileProblem(
                f"{files[0]} holds {kinds[0]} and {path} {kind}: give files of one kind. (Whose "
                "parameters they are is said with --body.)"
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
    names = _names(path)
    arrays = read_npz(
        path, (*POSE_KEYS, *BETAS_KEYS), what=".npz", remedy=REMEDY, max_bytes=MAX_BYTES
    )
    pose = _pose_of(path, names, arrays)
    key = next((key for key in BETAS_KEYS if key in arrays), None)
    betas = arrays[key] if key else np.zeros(N_BETAS)
    count = len(pose)
    if betas.shape not in ((N_BETAS,), (1, N_BETAS), (count, N_BETAS)):
        shapes = f"shape ({N_BETAS},) or ({count}, {N_BETAS}), to go with {count} poses"
        raise _problem(path, key, shapes, f"shape {betas.shape}")
    betas = _numbers(path, key, betas, MOST_BETA) if key else betas
    frame = "camera" if CAMERA_KEYS & set(names) else "body"
    return Parameters(pose, np.broadcast_to(betas, (count, N_BETAS)), frame)


def _kind(path: Path) -> str:
    if str(path) == FREE:
        return BODY
    ending = path.suffix.lower()
    if ending != ".npz" and ending not in MESH_ENDINGS:
        raise FileProblem(
            f"{path}: expected .npz (parameters or a body) or a mesh ({', '.join(MESH_ENDINGS)}), "
            f"found {ending or 'no ending'}. Convert it, or mend its name."
        )
    if ending != ".npz":
        with open_regular(path, MISSING.format(path)):
            return MESH
    return BODY if BODY_KEY in _names(path) else PARAMETERS


def _view_parameters(paths: list[Path], body: Body, frame: str | None) -> BodyViewer:
    people, left = [], MAX_BODIES
    for path in paths:
        people.append(read_parameters(path))
        left = _left(left, len(people[-1].pose), "bodies")
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
        each = ", ".join(f"{n} in {path}" for n, path in zip(counts, paths, strict=True))
        raise FileProblem(
            f"bodies: expected {MOST_BESIDE} at most, or equally many in each file to be shown one "
            f"at a time, found {each}. Give files of one length, or one file."
        )
    pose = np.stack([one.pose for one in people], 1)
    betas = np.stack([one.betas for one in people], 1)
    return BodyViewer(body, pose, betas, step_name="body", **options)


def _view_bodies(paths: list[Path], detail: str, frame: str) -> BodyViewer:
    bodies, left = [], MAX_BODY_VERTICES
    for path in paths:
        is_free = str(path) == FREE
        bodies.append(load_body(FREE, detail) if is_free else Body(read_body_file(path)))
        left = _left(left, bodies[-1].n_vertices, "vertices")
    return BodyViewer(bodies, **_options(paths, frame))


def _view_meshes(paths: list[Path], frame: str) -> BodyViewer:
    from hmrlab.viewer.meshes import read_mesh  # trimesh takes seconds, and bodies need none

    meshes, vertices, faces = [], MAX_VERTICES, MAX_FACES
    for path in paths:
        meshes.append(read_mesh(path))
        vertices = _left(vertices, len(meshes[-1].vertices), "vertices")
        faces = _left(faces, len(meshes[-1].faces), "triangles")
    options = _options(paths, frame)
    # Scans come in millimetres, too, and buildings in metres; all are scaled by one power of ten.
    low, high = (np.array([end(one.vertices, 0) for one in meshes]) for end in (np.min, np.max))
    size = (high - low).max()
    scale = 1.0 if SMALLEST <= size <= LARGEST else 10.0 ** np.round(np.log10(1 / size))
    if scale != 1:
        ratio = f"{scale:.0f}:1" if scale > 1 else f"1:{1 / scale:.0f}"
        options["title"] += f", shown {ratio}"
    centred = [
        replace(one, vertices=scale * (one.vertices - middle))
        for one, middle in zip(meshes, (low + high) / 2, strict=True)
    ]
    return BodyViewer(centred, **options)


def _options(paths: list[Path], frame: str) -> dict[str, Any]:
    """What all viewers are given: the files' names, with their folders where those are alike."""
    names = [path.name for path in paths]
    title = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    if len(set(names)) < len(names):
        names = ["/".join(path.absolute().parts[-2:]) for path in paths]
    names = [printable(name) for name in names] if len(names) > 1 else [""]
    return {"names": names, "title": printable(title), "frame": frame, "height": HEIGHT}


def _left(left: int, count: int, what: str) -> int:
    """How many more can be shown."""
    if count > left:
        raise FileProblem(
            f"the files hold too many {what} to be shown together, {count - left:,} more than can "
            "be. Give fewer files, or smaller ones."
        )
    return left - count


def _names(path: Path) -> tuple[str, ...]:
    """Of all arrays in an `.npz`."""
    with open_npz(path, what=".npz", remedy=REMEDY, missing=MISSING.format(path)) as archive:
        return archive.keys


def _pose_of(path: Path, names: tuple[str, ...], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Axis-angles (N, 24, 3) of whichever keys the file has."""
    for key in ("pose", "rotations"):
        if key in arrays:
            return _joints(path, key, arrays[key], N_JOINTS)
    parts = {"global_orient": 1, "body_pose": N_JOINTS - 1}
    if not all(key in arrays for key in parts):
        raise FileProblem(
            f"{path}: expected a pose (pose, rotations, or global_orient with body_pose) or a "
            f"body model ({BODY_KEY}, ...), found {listed(names)}. Save the pose under one of "
            "these names."
        )
    root, others = (_joints(path, key, arrays[key], count) for key, count in parts.items())
    if len(root) != len(others):
        wanted = f"as many bodies as body_pose has, {len(others)}"
        raise _problem(path, "global_orient", wanted, len(root))
    return np.concatenate([root, others], 1)


def _joints(path: Path, key: str, value: np.ndarray, count: int) -> np.ndarray:
    """Axis-angles (N, count, 3) from any of the shapes that `read_parameters` names."""
    for each in ((3 * count,), (count, 3), (count, 3, 3)):
        if value.size and value.ndim - len(each) in (0, 1) and value.shape[-len(each) :] == each:
            break
    else:
        wanted = f"shape ({3 * count},), ({count}, 3) or ({count}, 3, 3), or N of these, N > 0"
        raise _problem(path, key, wanted, f"shape {value.shape}")
    if value.ndim > len(each) and len(value) > MAX_BODIES:
        raise _problem(path, key, f"{MAX_BODIES:,} bodies at most", f"{len(value):,}")
    array = _numbers(path, key, value, MOST_TURN)
    if len(each) < 3:
        return array.reshape(-1, count, 3)
    matrices = torch.tensor(array.reshape(-1, count, 3, 3))
    away = (matrices @ matrices.mT - torch.eye(3)).abs().max().item()
    if away > ROTATION_ERROR or torch.linalg.det(matrices).min() < 0:
        raise _problem(path, key, "rotation matrices", "matrices that stretch or mirror")
    return matrix_to_axis_angle(matrices).numpy()


def _numbers(path: Path, key: str, value: np.ndarray, most: float) -> np.ndarray:
    """Double precision, of finite numbers up to a limit; beyond it nothing is drawn that is one."""
    if value.dtype.kind not in "fiu":
        raise _problem(path, key, "numbers", f"dtype {value.dtype}")
    with np.errstate(over="ignore"):
        wrong = int((~np.isfinite(value.astype(np.float32))).sum())
    if wrong:
        raise _problem(path, key, "finite numbers", f"{wrong} of {value.size} NaN or infinite")
    array = value.astype(np.float64)
    if np.abs(array).max() > most:
        raise _problem(path, key, f"numbers up to {most:g}", f"{np.abs(array).max():.3g}")
    return array


def _problem(path: Path, key: str, wanted: object, found: object) -> FileProblem:
    return FileProblem(
        f"{path}: {key}: expected {wanted}, found {found}. Parameters are SMPL's: 24 joints and "
        f"{N_BETAS} betas."
    )
