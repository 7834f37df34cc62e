"""A body: parameters in, vertices, joints and keypoints out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hmrlab.bodies.format import BodyArrays, read_body_file
from hmrlab.bodies.joints import KEYPOINT_ROWS, SMPL_PARENTS
from hmrlab.bodies.lbs import blend_shapes, forward_kinematics, pose_features, skin
from hmrlab.bodies.paths import (
    ASSETS,
    DETAILS,
    IMPORTED,
    OFFICIAL_FILES,
    WHERE_FROM,
    body_name,
    body_path,
    missing_bodies,
)
from hmrlab.bodies.points import BodyPoints
from hmrlab.files import FileProblem
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.paths import chosen_body

__all__ = ["ASSETS", "DETAILS", "Body", "BodyOutput", "load_body", "load_gendered"]

N_POINT_JOINTS = 24
Rotations = Float[Tensor, "b 24 3 3"] | Float[Tensor, "b 24 3"] | Float[Tensor, "b 72"]


@dataclass(frozen=True)
class BodyOutput:
    """A batch of posed bodies, metres."""

    vertices: Float[Tensor, "b v 3"]
    joints: Float[Tensor, "b 24 3"]  # SMPL's skeleton
    keypoints: Float[Tensor, "b 49 3"]  # 25 OpenPose + 24 annotated
    h36m: Float[Tensor, "b 17 3"]  # Human3.6M's joints, for evaluation


class Body(nn.Module):
    """Linear blend skinning of one body model, on any device and in any float type.

    `forward` computes the whole mesh. `keypoints` and `h36m` compute the same points without it
    (see `BodyPoints`), which makes a training step's body almost free.
    """

    faces: Int[Tensor, "f 3"]
    weights: Float[Tensor, "v 24"]
    part_labels: Int[Tensor, " v"]  # the joint that moves the vertex most
    lsp_labels: Int[Tensor, " v"] | None  # index into LSP_PARTS

    def __init__(self, arrays: BodyArrays, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.parents = SMPL_PARENTS
        self.keypoint_points = BodyPoints(arrays, _keypoint_matrix(arrays), dtype)
        self.h36m_points = BodyPoints(arrays, arrays.h36m_regressor, dtype)
        everything = {
            "v_template": arrays.v_template,
            "shapedirs": arrays.shapedirs,
            "weights": arrays.weights,
            "joint_template": arrays.joint_regressor @ arrays.v_template,
            "joint_shapedirs": np.einsum("jv,vcs->jcs", arrays.joint_regressor, arrays.shapedirs),
        }
        if arrays.posedirs is not None:
            everything["posedirs"] = arrays.posedirs.reshape(-1, arrays.posedirs.shape[2]).T
        for name, value in everything.items():
            self._constant(name, torch.as_tensor(value, dtype=dtype))
        self._constant("faces", torch.as_tensor(arrays.faces))
        self._constant("part_labels", torch.as_tensor(arrays.weights.argmax(1)))
        self._constant(
            "lsp_labels",
            None if arrays.lsp_labels is None else torch.as_tensor(arrays.lsp_labels),
        )

    @property
    def n_vertices(self) -> int:
        return self.v_template.shape[0]

    def forward(
        self,
        rotations: Rotations,
        betas: Float[Tensor, "b 10"],
        translation: Float[Tensor, "b 3"] | None = None,
    ) -> BodyOutput:
        """Pose and shape a batch of bodies.

        Args:
            rotations: (B, 24, 3, 3) matrices, or axis-angles (B, 24, 3) or (B, 72), radians;
                each relative to its parent, the first is the body's orientation.
            betas: (B, 10).
            translation: (B, 3) metres, added to everything.

        Raises:
            ValueError: a shape does not fit.
        """
        matrices = self._as_matrices(rotations, betas)
        rest = self.rest_joints(betas)
        global_rot, posed_joints = forward_kinematics(matrices, rest, self.parents)
        vertices = self._skinned(matrices, betas, global_rot, posed_joints, rest)
        keypoints = self.keypoint_points(matrices, betas)
        parts = vertices, posed_joints, keypoints, self.h36m_points(matrices, betas)
        if translation is not None:
            parts = tuple(part + translation[:, None] for part in parts)
        return BodyOutput(*parts)

    def vertices(
        self, rotations: Rotations, betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b v 3"]:
        """The mesh alone, metres; arguments as for `forward`.

        >>> body = load_body("free", "light")
        >>> vertices = body.vertices(torch.zeros(2, 24, 3), torch.zeros(2, 10))
        >>> vertices.shape == (2, body.n_vertices, 3)
        True
        """
        matrices = self._as_matrices(rotations, betas)
        rest = self.rest_joints(betas)
        global_rot, posed_joints = forward_kinematics(matrices, rest, self.parents)
        return self._skinned(matrices, betas, global_rot, posed_joints, rest)

    def keypoints(
        self, rotations: Rotations, betas: Float[Tensor, "b 10"]
    ) -> Float[Tensor, "b 49 3"]:
        """The 49 keypoints alone, metres, equal to `forward`'s."""
        return self.keypoint_points(self._as_matrices(rotations, betas), betas)

    def h36m(self, rotations: Rotations, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b 17 3"]:
        """Human3.6M's 17 joints alone, metres, equal to `forward`'s."""
        return self.h36m_points(self._as_matrices(rotations, betas), betas)

    def joints(self, rotations: Rotations, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b 24 3"]:
        """SMPL's 24 joints alone, metres, equal to `forward`'s."""
        matrices = self._as_matrices(rotations, betas)
        return forward_kinematics(matrices, self.rest_joints(betas), self.parents)[1]

    def rest_joints(self, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b 24 3"]:
        """The 24 joints in T-pose, metres."""
        return blend_shapes(self.joint_template, self.joint_shapedirs, betas)

    def _skinned(
        self,
        matrices: Tensor,
        betas: Tensor,
        global_rot: Tensor,
        posed_joints: Tensor,
        rest: Tensor,
    ) -> Tensor:
        points = blend_shapes(self.v_template, self.shapedirs, betas)
        if hasattr(self, "posedirs"):
            points = points + (pose_features(matrices) @ self.posedirs).view_as(points)
        return skin(points, self.weights, global_rot, posed_joints, rest)

    def _as_matrices(self, rotations: Tensor, betas: Tensor) -> Tensor:
        if betas.ndim != 2 or betas.shape[1] != self.shapedirs.shape[2]:
            raise ValueError(f"betas: expected (B, 10), got {tuple(betas.shape)}")
        batch = betas.shape[0]
        if rotations.shape == (batch, 24, 3, 3):
            return rotations
        if rotations.shape in ((batch, 72), (batch, 24, 3)):
            return axis_angle_to_matrix(rotations.reshape(batch, 24, 3))
        raise ValueError(
            f"rotations: expected ({batch}, 24, 3, 3) matrices or axis-angles ({batch}, 24, 3) or "
            f"({batch}, 72), to go with betas {tuple(betas.shape)}; got {tuple(rotations.shape)}"
        )

    def _constant(self, name: str, value: Tensor | None) -> None:
        """Move with the module, but stay out of its state dict: the body is no weight."""
        self.register_buffer(name, value, persistent=False)


def _keypoint_matrix(arrays: BodyArrays) -> np.ndarray:
    """The 49 keypoints as rows over [24 joints | V vertices]."""
    n = len(arrays.v_template)
    rows = np.zeros((54, N_POINT_JOINTS + n))
    rows[:24, :24] = np.eye(24)
    rows[np.arange(24, 45), N_POINT_JOINTS + arrays.landmarks] = 1
    rows[45:, N_POINT_JOINTS:] = arrays.extra_regressor
    return rows[list(KEYPOINT_ROWS)]


def load_body(
    source: str | Path | None = None, detail: str = "full", dtype: torch.dtype = torch.float32
) -> Body:
    """Load a body model.

    >>> body = load_body("free", "light")
    >>> body.rest_joints(torch.zeros(1, 10)).shape
    torch.Size([1, 24, 3])

    Args:
        source: "free" for hmrlab's own; "smpl" (which is "smpl_neutral"), "smpl_male" or
            "smpl_female" for the user's, once `hmrlab body import` has read it; or the path of an
            `.npz` in the documented format. By default the one that the user chose by
            `$HMRLAB_BODY`, else "free".
        detail: "full", or "light" with about 5,000 vertices; only the free body has both. The two
            have the same joints and betas.
        dtype: of all its numbers.

    Raises:
        FileProblem: the body was not imported, or its file cannot be used.
        ValueError: there is no such detail.
    """
    return Body(read_body_file(body_path(source or chosen_body(), detail)), dtype)


def load_gendered(
    source: str | Path | None = None, detail: str = "full", dtype: torch.dtype = torch.float32
) -> dict[str, Body]:
    """Load a body for each gender: "m" male, "f" female, "n" neutral.

    Args:
        source: as for `load_body`. "smpl" stands for the three imported ones; every other for one
            body, which is then under all three keys.
        detail: see `load_body`.
        dtype: see `load_body`.

    Raises:
        FileProblem: some of the three are not imported, all named; or a file cannot be used.
        ValueError: there is no such detail.
    """
    source = source or chosen_body()
    if body_name(source) != "smpl_neutral":
        return dict.fromkeys("mfn", load_body(source, detail, dtype))
    missing = missing_bodies()
    if missing:
        files = ", ".join(OFFICIAL_FILES[name] for name in missing)
        raise FileProblem(
            f"bodies of all three genders are needed, but {', '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} not imported. Get {files}, or the files of "
            f"another release, from {WHERE_FROM}, then: hmrlab body import FILE..."
        )
    return {name.removeprefix("smpl_")[0]: load_body(name, detail, dtype) for name in IMPORTED}
