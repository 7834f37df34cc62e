"""The one type for bodies: SMPL's pose and shape, and where the camera sees them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from hmrlab.geometry import matrix_to_axis_angle
from hmrlab.tensors import TensorRecord


@dataclass(frozen=True)
class SMPLParams(TensorRecord):
    """B bodies.

    Networks place them by a weak-perspective `camera`, fits by a `translation` in front of SPIN's
    far camera (f = 5000 pixels at 224); what is not known is None.
    """

    rotations: Float[Tensor, "*b 24 3 3"]  # joint rotations, the root's in the camera's frame
    betas: Float[Tensor, "*b 10"]  # shape coefficients, in standard deviations
    camera: Float[Tensor, "*b 3"] | None = (
        None  # scale (crop half-sides per metre), tx, ty (metres)
    )
    translation: Float[Tensor, "*b 3"] | None = None  # metres, of the body in the camera's frame

    @property
    def pose(self) -> Float[Tensor, "*b 24 3"]:
        """Axis-angles, radians."""
        return matrix_to_axis_angle(self.rotations)
