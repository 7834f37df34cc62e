"""Linear blend skinning, the four steps of SMPL (Loper et al., 2015) as stateless functions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def blend_shapes(
    template: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3 s"], betas: Float[Tensor, "b s"]
) -> Float[Tensor, "b n 3"]:
    """Add the shape's displacements to the mean body (SMPL, equation 8).

    Args:
        template: (N, 3) metres.
        directions: (N, 3, S) metres per unit of beta.
        betas: (B, S).

    Returns:
        (B, N, 3) metres.
    """
    n = template.shape[0]
    flat = directions.reshape(n * 3, -1)
    return (template.reshape(1, -1) + betas @ flat.T).view(-1, n, 3)


def pose_features(rotations: Float[Tensor, "b j 3 3"]) -> Float[Tensor, "b 9*(j-1)"]:
    """What the pose correctives are linear in: R - I of every joint but the root (equation 9).

    Args:
        rotations: (B, J, 3, 3).

    Returns:
        (B, 9 (J - 1)).
    """
    identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
    return (rotations[:, 1:] - identity).flatten(1)


def forward_kinematics(
    rotations: Float[Tensor, "b j 3 3"],
    rest_joints: Float[Tensor, "b j 3"],
    parents: tuple[int, ...],
) -> tuple[Float[Tensor, "b j 3 3"], Float[Tensor, "b j 3"]]:
    """Walk the tree from the root: where each joint goes, and how it is turned (equation 3).

    Args:
        rotations: (B, J, 3, 3), each relative to its parent.
        rest_joints: (B, J, 3) metres, in T-pose.
        parents: the parent of each joint, smaller than the joint's own index; the root's is -1.

    Returns:
        global rotations (B, J, 3, 3) and posed joints (B, J, 3), metres.
    """
    global_rot = [rotations[:, 0]]
    posed_joints = [rest_joints[:, 0]]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = (rest_joints[:, joint] - rest_joints[:, parent])[..., None]
        posed_joints.append(posed_joints[parent] + (global_rot[parent] @ bone)[..., 0])
        global_rot.append(global_rot[parent] @ rotations[:, joint])
    return torch.stack(global_rot, 1), torch.stack(posed_joints, 1)


def skin(
    points: Float[Tensor, "b n 3"],
    weights: Float[Tensor, "n j"],
    global_rot: Float[Tensor, "b j 3 3"],
    posed_joints: Float[Tensor, "b j 3"],
    rest_joints: Float[Tensor, "b j 3"],
) -> Float[Tensor, "b n 3"]:
    """Move each point by the weighted mean of its joints' rigid motions (equation 2).

    Blending matrices is what makes a forearm collapse when the elbow is twisted by 180 degrees:
    the mean of two opposite rotations is no rotation.

    Args:
        points: (B, N, 3) metres, in T-pose.
        weights: (N, J), rows sum to 1.
        global_rot: (B, J, 3, 3) global rotations.
        posed_joints: (B, J, 3) metres, posed joints.
        rest_joints: (B, J, 3) metres.

    Returns:
        (B, N, 3) metres.
    """
    offset = posed_joints - (global_rot @ rest_joints[..., None])[..., 0]
    motions = torch.cat([global_rot, offset[..., None]], -1).flatten(2)  # (B, J, 12)
    blended = (weights @ motions).view(*points.shape[:2], 3, 4)
    return (blended[..., :3] @ points[..., None])[..., 0] + blended[..., 3]
