"""Files of meshes: read by trimesh once their sizes are known to be sane."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import trimesh
from PIL import Image
from trimesh.visual.base import Visuals
from trimesh.visual.color import uv_to_color
from trimesh.visual.material import PBRMaterial, SimpleMaterial, empty_material

from hmrlab.files import FileProblem, printable, read_bytes, resolve
from hmrlab.viewer.mesh_limits import (
    MAX_BYTES,
    MAX_FACES,
    MAX_PARTS,
    MAX_VERTICES,
    MESH_ENDINGS,
    TooLargeError,
    at_most,
    check_counts,
    check_name,
)
from hmrlab.viewer.packing import Mesh

TINIEST = 1e-30  # of what a float can hold with room to spare
GAMMA = 2.2  # of the viewer's script
PLAIN = (0.75, 0.75, 0.75)  # of parts without a colour beside coloured ones
MAX_PIXELS = 2**26  # of all pictures on a mesh
MAX_LOOKED_UP = 2**30  # pixels, a picture counted once for each part that it is on
GLOSS = b"KHR_materials_pbrSpecularGlossiness"

logging.getLogger("trimesh").addHandler(logging.NullHandler())  # what goes wrong is told here


def read_mesh(path: str | Path) -> Mesh:
    """Read a mesh, its own parts merged into one, with the colours of its vertices or materials.

    Raises:
        FileProblem: the file is missing or damaged, has no triangles or too many, numbers that
            cannot be a mesh's, or names files that are not in its own folder.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in MESH_ENDINGS:
        raise FileProblem(f"{path}: expected a mesh ({', '.join(MESH_ENDINGS)}). Convert it.")
    data = read_bytes(path, MAX_BYTES[ending], f"no file at {path}. Is the name right?")
    try:
        check_counts(ending, data)
        with np.errstate(all="ignore"):  # of what is no number, told below
            return _merged(list(_parts(_scene(path, ending, data))))
    except Exception as error:  # trimesh's readers raise whatever a damaged file leads them to
        remedy = "Is it empty, cut short, or of another kind than its ending says? Export it again."
        if isinstance(error, TooLargeError):
            remedy = "Simplify it, or export its parts one by one."
        raise FileProblem(
            f"{path} cannot be read as a mesh ({printable(_words(error))}). {remedy}"
        ) from error


class _Beside:
    """Files of a mesh's own folder, for trimesh: a glTF's buffers, an OBJ's materials, pictures."""

    def __init__(self, mesh: Path) -> None:
        self._folder, self.file_name = mesh.parent, mesh.name
        self._left = MAX_BYTES[".glb"]

    def get(self, key: str) -> bytes:
        """The bytes of a file in the folder, or in a folder in it; else ValueError, FileProblem."""
        name = unquote(key.strip())
        check_name(name)
        path = resolve(self._folder / name)
        if not path.is_relative_to(resolve(self._folder)):
            raise ValueError(f"it names {name[:80]!r}, which leads out of its folder")
        data = read_bytes(path, self._left)
        self._left -= len(data)
        return data

    __getitem__ = get


def _scene(path: Path, ending: str, data: bytes) -> trimesh.Scene:
    # An old way to write materials, converted by trimesh in memory of many times their pictures.
    skip = ending in (".gltf", ".glb") and GLOSS in data and b'"images"' in data
    return trimesh.load(
        io.BytesIO(data), ending[1:], _Beside(path), "scene", process=False,
        **({"skip_materials": True} if skip else {}),
    )  # fmt: skip


def _parts(scene: trimesh.Scene) -> Iterator[Mesh]:
    """All parts with triangles; a part that is used often counts as often."""
    nodes = list(scene.graph.nodes_geometry)
    at_most(len(nodes), MAX_PARTS, "parts")
    _check_pictures([scene.geometry[scene.graph[node][1]] for node in nodes])
    n_vertices = n_faces = 0
    for node in nodes:
        part = _part(scene, node)
        if part is not None and len(part.faces):
            n_vertices, n_faces = n_vertices + len(part.vertices), n_faces + len(part.faces)
            at_most(n_vertices, MAX_VERTICES, "vertices")
            at_most(n_faces, MAX_FACES, "triangles")
            yield part


def _check_pictures(parts: list[Any]) -> None:
    """Whether the pictures can be decoded: what their headers say is summed."""
    pictures = [_picture(getattr(part, "visual", None)) for part in parts]
    sizes = {id(each): each.width * each.height for each in pictures if each is not None}
    at_most(sum(sizes.values()), MAX_PIXELS, "pixels in its pictures")
    looked_up = sum(sizes[id(each)] for each in pictures if each is not None)
    at_most(looked_up, MAX_LOOKED_UP, "pixels in the pictures of its parts")


def _picture(visual: Visuals | None) -> Image.Image | None:
    material = getattr(visual, "material", None)
    if isinstance(material, PBRMaterial):
        return material.baseColorTexture
    return material.image if isinstance(material, SimpleMaterial) else None


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

    Linear numbers are amounts of light, as glTF's are.
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


def _words(error: Exception) -> str:
    """What an error says; its kind, too, where that is needed to understand it."""
    is_clear = type(error) in (ValueError, TooLargeError, FileProblem)
    return str(error) if is_clear else f"{type(error).__name__}: {error}"
