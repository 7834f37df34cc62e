"""SAM 3D Body's results as SMPL's bodies: their meshes, of another model, brought to SMPL's.

SAM 3D Body (Meta, 2025) writes a person as a mesh of MHR, the Momentum Human Rig, at its detail 1:
18,439 vertices. MHR's repository (`tools/mhr_smpl_conversion/assets`, Apache-2.0) says for each of
SMPL's 6,890 vertices where it lies on that mesh. hmrlab reads both files as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hmrlab.bodies import Body, SMPLParams
from hmrlab.bodies.registration import register
from hmrlab.files import FileProblem, read_npz
from hmrlab.viewer.meshes import read_mesh

MAPPING, MESH = "mhr2smpl_mapping.npz", "mhr_face_mask.ply"
MHR_VERTICES = 18_439
FARTHEST = 1e4  # metres, of any number
_MAX_BYTES = 2**28
_FROM = (
    "Expected the files of tools/mhr_smpl_conversion/assets in "
    "https://github.com/facebookresearch/MHR."
)


@dataclass(frozen=True)
class MHRMapping:
    """Where SMPL's V vertices lie on MHR's mesh."""

    corners: Int[Tensor, "v 3"]  # of the triangle that each is on
    weights: Float[Tensor, "v 3"]  # of its corners, barycentric

    def __call__(self, vertices: Float[Tensor, "b m 3"]) -> Float[Tensor, "b v 3"]:
        """MHR's vertices -> SMPL's, same unit."""
        return (vertices[:, self.corners] * self.weights[..., None]).sum(2)


def read_mapping(folder: str | Path) -> MHRMapping:
    """Read `mhr2smpl_mapping.npz` and the triangles of `mhr_face_mask.ply`.

    Raises:
        FileProblem: one is missing or damaged, or they do not go together.
    """
    path = Path(folder) / MAPPING
    shapes = {"triangle_ids": ("V",), "baryc_coords": ("V", 3)}
    missing = f"there is no {path}. {_FROM}"
    arrays = read_npz(path, what="mapping of MHR's", remedy=_FROM, missing=missing, shapes=shapes,
                      numbers=True, max_bytes=_MAX_BYTES)  # fmt: skip
    mesh = read_mesh(Path(folder) / MESH)
    numbers, weights = arrays["triangle_ids"], arrays["baryc_coords"]
    if len(mesh.vertices) != MHR_VERTICES:
        raise FileProblem(
            f"{Path(folder) / MESH}: expected MHR's {MHR_VERTICES:,} vertices, found "
            f"{len(mesh.vertices):,}. {_FROM}"
        )
    within = numbers.dtype.kind in "iu" and bool(
        ((numbers >= 0) & (numbers < len(mesh.faces))).all()
    )
    if (
        not within
        or not np.isfinite(weights).all()
        or abs(weights.sum(1) - 1).max(initial=0) > 1e-3
    ):
        raise FileProblem(
            f"{path}: expected numbers of MHR's {len(mesh.faces):,} triangles, and weights of "
            f"their corners that sum to 1. {_FROM}"
        )
    corners = np.asarray(mesh.faces, np.int64)[numbers]
    return MHRMapping(torch.from_numpy(corners), torch.from_numpy(weights).float())


def read_sam3d(path: str | Path) -> Float[Tensor, "1 m 3"]:
    """A person's vertices out of a file of SAM 3D Body's, metres, in the camera's frame.

    The file is an `.npz` of what `process_one_image` gives for a person: `pred_vertices` (18439, 3)
    and `pred_cam_t` (3,), metres, x right, y down, z forward. What else is in it is not read.

    Raises:
        FileProblem: it is missing or damaged, lacks one of the two, or a number is none.
    """
    remedy = "Write a person's dictionary with numpy.savez(path, **person)."
    shapes = {"pred_vertices": (MHR_VERTICES, 3), "pred_cam_t": (3,)}
    arrays = read_npz(path, tuple(shapes), what=".npz of SAM 3D Body's", remedy=remedy,
                      missing=f"no file at {path}.", shapes=shapes, numbers=True,
                      max_bytes=_MAX_BYTES)  # fmt: skip
    vertices = arrays["pred_vertices"].astype(np.float64) + arrays["pred_cam_t"]
    if not (np.abs(vertices) < FARTHEST).all():
        raise FileProblem(f"{path}: a vertex is no place in metres (NaN, or too far). {remedy}")
    return torch.from_numpy(vertices)[None].float()


def smpl_of(
    vertices: Float[Tensor, "b m 3"], mapping: MHRMapping, body: Body
) -> tuple[SMPLParams, Float[Tensor, " b"]]:
    """SMPL's pose, shape and place of MHR's meshes, see `register`.

    Raises:
        FileProblem: the body has not the vertices that the mapping speaks of.
    """
    if body.n_vertices != len(mapping.corners):
        raise FileProblem(
            f"MHR's mapping is of a body of {len(mapping.corners):,} vertices, and this one has "
            f"{body.n_vertices:,}: it takes SMPL's own. Import it (hmrlab body import FILE...) and "
            "set HMRLAB_BODY=smpl."
        )
    return register(body, mapping(vertices))
