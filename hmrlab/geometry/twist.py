"""Swing and twist: what a joint's rotation does to its bone, and what it does about the bone.

Joint positions see only the swing. A limb may turn about its own bone by any angle and every
joint stays where it is, which is why keypoints alone cannot teach a network the twist.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hmrlab.geometry._checks import check_trailing
from hmrlab.geometry.rotations import _vee


def swing_twist(
    rotation: Float[Tensor, "*#batch 3 3"], axis: Float[Tensor, "*#batch 3"]
) -> tuple[Float[Tensor, "*_ 3 3"], Float[Tensor, "*_"]]:
    """Split rotation = swing @ twist, where the twist turns about `axis` and the swing does not.

    The swing is the shortest turn that takes the axis where the rotation takes it: two half turns,
    the first about the axis itself, the second about the bisector of the axis before and after.
    What is left of the rotation is the twist. Decomposition as in Dobrowolski, "Swing-twist
    decomposition in Clifford algebra", 2015, there written with quaternions.

    >>> from hmrlab.geometry import axis_angle_to_matrix
    >>> bone = torch.tensor([1.0, 0, 0])
    >>> swing, twist = swing_twist(axis_angle_to_matrix(0.5 * bone), bone)  # turns about itself
    >>> round(float(twist), 4), bool(torch.allclose(swing, torch.eye(3), atol=1e-6))
    (0.5, True)

    Args:
        rotation: (..., 3, 3) rotation matrices.
        axis: (..., 3) unit vectors in the frame before the rotation (a bone at rest), broadcast.

    Returns:
        The swing (..., 3, 3), and the twist angle (...) in [-pi, pi], radians, positive by the
        right-hand rule. Where the rotation reverses the axis the swing is not unique; one of the
        right ones comes back, and swing @ twist still equals the rotation.

    Raises:
        ValueError: a last dimension does not fit.
    """
    check_trailing(rotation, "rotation", 3, 3)
    check_trailing(axis, "axis", 3)
    moved = (rotation @ axis[..., None])[..., 0]
    axis = axis.expand_as(moved)
    bisector = axis + moved
    reversed_axis = bisector.square().sum(-1, keepdim=True) < 1e-10
    bisector = torch.where(reversed_axis, _any_perpendicular(axis), bisector)
    swing = _half_turn(bisector) @ _half_turn(axis)
    twist = swing.transpose(-1, -2) @ rotation
    sine = (_vee(twist) * axis).sum(-1)
    cosine = (twist.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return swing, torch.atan2(sine, cosine)


def bone_axes(
    rest_joints: Float[Tensor, "j 3"], parents: Int[Tensor, " j"] | Sequence[int]
) -> Float[Tensor, "j 3"]:
    """The axis that each joint's rotation twists about: along its bone in the rest pose.

    The bone leads to the joint's child; of several children (pelvis, upper spine) to the one that
    leaves closest to the body's middle plane x = 0, so along the spine. A leaf takes the direction
    from its parent.

    Args:
        rest_joints: (J, 3) joint positions of the rest pose, metres.
        parents: J indices, the root's negative.

    Returns:
        (J, 3) unit vectors.

    Raises:
        ValueError: shapes do not fit, or a joint lies on the joint that its axis leads to.
    """
    check_trailing(rest_joints, "rest_joints", 3)
    parent_of = [int(parent) for parent in parents]
    if rest_joints.shape != (len(parent_of), 3):
        raise ValueError(
            f"rest_joints must be ({len(parent_of)}, 3), one row for each parent, got "
            f"{tuple(rest_joints.shape)}"
        )
    bones = torch.stack([_bone(joint, rest_joints, parent_of) for joint in range(len(parent_of))])
    length = torch.linalg.vector_norm(bones, dim=-1, keepdim=True)
    if not bool((length > 0).all()):
        bad = torch.nonzero(~(length[:, 0] > 0)).flatten().tolist()
        raise ValueError(f"the bones of joint(s) {bad} have no length, so no axis")
    return bones / length


def _bone(joint: int, rest_joints: Tensor, parents: list[int]) -> Tensor:
    """The vector along a joint's bone, see `bone_axes`."""
    children = [child for child, parent in enumerate(parents) if parent == joint]
    if not children:
        return rest_joints[joint] - rest_joints[parents[joint]]
    bones = [rest_joints[child] - rest_joints[joint] for child in children]
    return min(bones, key=lambda bone: float(bone[0].abs() / bone.norm().clamp_min(1e-12)))


def _half_turn(axis: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by pi about vectors of any length."""
    unit = torch.nn.functional.normalize(axis, dim=-1)
    eye = torch.eye(3, dtype=axis.dtype, device=axis.device)
    return 2 * unit[..., :, None] * unit[..., None, :] - eye


def _any_perpendicular(axis: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Some vector at right angles to each, never of length 0."""
    least = torch.nn.functional.one_hot(axis.abs().argmin(-1), 3).to(axis.dtype)
    return torch.linalg.cross(axis, least, dim=-1)
