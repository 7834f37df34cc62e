"""A body with its left arm bent and twisted, as a still picture."""

from __future__ import annotations

import numpy as np
import torch

from checks.framing import close_up, in_frame
from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.geometry import axis_angle_to_matrix, bone_axes

ELBOW = SMPL_JOINTS.index("left_elbow")
STAGE = (-1.2, 1.1)  # lowest and highest y that is shown, metres: room for betas of 3 and more
ARM_SHARE = 3  # one part in three of the picture's height shows the arm
VALUES = ("beta_0", "beta_1", "beta_3", "elbow_bend", "elbow_twist", "yaw")


def draw_body(body: Body, size: tuple[int, int] = (480, 340), **values: float) -> np.ndarray:
    """The body with the left arm and betas as given, and below it that arm alone.

    Args:
        body: any, in any float type.
        size: height and width, pixels.
        values: by the names in `VALUES`, degrees and standard deviations; 0 where absent.

    Returns:
        (H, W, 3) uint8.
    """
    given = dict.fromkeys(VALUES, 0.0) | values
    betas = body.v_template.new_zeros(1, 10)
    bone = bone_axes(body.rest_joints(betas)[0], body.parents)[ELBOW]
    twist = np.radians(given["elbow_twist"]) * bone
    bend = betas.new_tensor([0.0, -np.radians(given["elbow_bend"]), 0.0])
    rotations = torch.eye(3).to(betas).repeat(1, 24, 1, 1)
    rotations[0, ELBOW] = axis_angle_to_matrix(bend) @ axis_angle_to_matrix(twist)
    betas[0, [0, 1, 3]] = betas.new_tensor([given[f"beta_{k}"] for k in (0, 1, 3)])
    vertices = body.vertices(rotations, betas)
    low, high = STAGE
    below = (size[0] // ARM_SHARE, size[1])
    whole = in_frame(
        vertices, body.faces, low=low, high=high, size=(size[0] - below[0], size[1]),
        yaw=given["yaw"],
    )  # fmt: skip
    return np.concatenate([whole[0], close_up(vertices, body, below)[0]])
