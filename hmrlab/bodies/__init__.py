"""Body models in SMPL's format: parameters in, vertices, joints and keypoints out.

Bodies are imported when they are first asked for: who only needs the names of joints need not
wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hmrlab._lazy import lazy_names
from hmrlab.bodies.format import BodyArrays, read_body_file, write_body_file
from hmrlab.bodies.joints import (
    ANNOTATED,
    ANNOTATED_FLIP,
    ANNOTATED_NAMES,
    H36M_TO_J14,
    KEYPOINT_NAMES,
    LANDMARKS,
    OPENPOSE,
    POSE_FLIP,
    SKELETON_24,
    SMPL_JOINTS,
    SMPL_PARENTS,
)
from hmrlab.bodies.limits import SWING_LIMITS_DEG, TWIST_LIMITS_DEG
from hmrlab.bodies.paths import (
    body_digest,
    body_label,
    body_name,
    body_path,
    own_body_digest,
    require_free_body,
)

if TYPE_CHECKING:
    from hmrlab.bodies.body import Body, BodyOutput, load_body, load_gendered
    from hmrlab.bodies.params import SMPLParams
    from hmrlab.bodies.smplx_adapter import smplx_model

__getattr__ = lazy_names(__name__)
