"""The same body in smplx's own class, to check ours against and for code that expects it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from hmrlab.bodies.format import N_JOINTS, POSE_FEATURES, BodyArrays
from hmrlab.bodies.joints import SMPL_PARENTS

if TYPE_CHECKING:
    import smplx

_SMPLX_LANDMARKS = (
    "nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe",
    "RSmallToe", "RHeel", "lthumb", "lindex", "lmiddle", "lring", "lpinky", "rthumb", "rindex",
    "rmiddle", "rring", "rpinky",
)  # fmt: skip
"""smplx's own names of `joints.LANDMARKS`, in the same order."""


def smplx_landmarks() -> tuple[int, ...]:
    """The 21 vertices of SMPL's mesh that smplx appends to its joints, as `joints.LANDMARKS`."""
    from smplx.vertex_ids import vertex_ids

    return tuple(vertex_ids["smplh"][name] for name in _SMPLX_LANDMARKS)


def smplx_model(arrays: BodyArrays, dtype: torch.dtype = torch.float32) -> smplx.SMPL:
    """A genuine `smplx.SMPL` of these arrays; its joints are the 24 and the 21 landmarks."""
    import smplx

    n = len(arrays.v_template)
    posedirs = np.zeros((n, 3, POSE_FEATURES)) if arrays.posedirs is None else arrays.posedirs
    content = smplx.utils.Struct(
        v_template=arrays.v_template,
        shapedirs=arrays.shapedirs,
        posedirs=posedirs,
        J_regressor=arrays.joint_regressor,
        weights=arrays.weights,
        kintree_table=np.stack([np.array(SMPL_PARENTS), np.arange(N_JOINTS)]),
        f=arrays.faces,
    )
    landmarks = dict(zip(_SMPLX_LANDMARKS, arrays.landmarks.tolist(), strict=True))
    return smplx.SMPL(model_path="", data_struct=content, vertex_ids=landmarks, dtype=dtype)
