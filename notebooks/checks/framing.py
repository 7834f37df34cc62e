"""Pictures whose frame is chosen: a fixed stage for people of all sizes, a close-up of an arm."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import Body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.rendering import overlay, render_bodies

ARM_PARTS = ("left_shoulder", "left_elbow", "left_wrist", "left_hand")


def in_frame(
    vertices: Tensor,
    faces: Tensor,
    *,
    low: float,
    high: float,
    size: tuple[int, int],
    yaw: float = 0.0,
) -> np.ndarray:
    """Bodies seen from afar in a frame that does not follow them, so that a tall one looks tall.

    Args:
        vertices: (B, V, 3) metres, y up.
        faces: (F, 3).
        low, high: y of the picture's bottom and top, metres; x = z = 0 is its middle.
        size: height and width, pixels.
        yaw: where the camera stands, degrees; 90 sees the body's left side.

    Returns:
        (B, H, W, 3) uint8 on white.

    Raises:
        ValueError: a body reaches out of the frame.
    """
    reach = 0.5 * (high - low) * size[1] / size[0]
    y = vertices[..., 1]
    sideways = vertices[..., [0, 2]].norm(dim=-1)
    if float(y.min()) < low or float(y.max()) > high or float(sideways.max()) > reach:
        raise ValueError(
            f"the frame has y from {low:.2f} to {high:.2f} m and {reach:.2f} m to each side; "
            f"the bodies have y from {float(y.min()):.2f} to {float(y.max()):.2f} m and reach "
            f"{float(sideways.max()):.2f} m from the middle"
        )
    height, width = size
    side = max(size)
    turn = axis_angle_to_matrix(torch.tensor([0.0, -math.radians(yaw), 0.0]))
    to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ turn
    scale = 2 / (high - low) * height / side
    cameras = torch.tensor([scale, 0.0, (low + high) / 2]).expand(len(vertices), 3)
    blank = np.full((len(vertices), side, side, 3), 255, np.uint8)
    pictures = overlay(blank, vertices @ to_camera.to(vertices).T, faces, cameras)
    top, left = (side - height) // 2, (side - width) // 2
    return pictures[:, top : top + height, left : left + width]


def close_up(
    vertices: Tensor,
    body: Body,
    size: tuple[int, int],
    *,
    yaw: float = 15.0,
    colours: Tensor | None = None,
) -> np.ndarray:
    """Pictures of the left arm alone.

    Args:
        vertices: (B, V, 3) metres, the body's frame.
        body: whose vertices they are.
        size: height and width, pixels.
        yaw: where the camera stands, degrees.
        colours: (V, 3) in [0, 1].

    Returns:
        (B, H, W, 3) uint8 on white.
    """
    triangles = arm_faces(body)
    used = triangles.unique()
    return render_bodies(
        vertices[:, used],
        torch.searchsorted(used, triangles),
        size=size,
        yaw=yaw,
        colours=None if colours is None else colours[used],
    )


def arm_faces(body: Body, parts: tuple[str, ...] = ARM_PARTS) -> Tensor:
    """The triangles (F', 3) of a body whose corners all belong to these parts."""
    chosen = torch.tensor([SMPL_JOINTS.index(name) for name in parts])
    return body.faces[torch.isin(body.part_labels, chosen)[body.faces].all(1)]
