"""Skin, hair and clothes as one colour a triangle, chosen on the T-pose.

Front and back of a person can be told apart as in life: hair covers the back of the head, the face
is skin, shirts have a front. Left and right wear the same, but for one person in eight.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from hmrlab.bodies import Body
from hmrlab.bodies.joints import LSP_PART_OF_JOINT, SMPL_JOINTS
from hmrlab.data.synthetic.clothes import Fabric, Looks, draw_looks, wear
from hmrlab.data.synthetic.raster import triangle_labels


@dataclass(frozen=True)
class Wardrobe:
    """A body's triangles, and where on them each garment can lie; made once for a body."""

    faces: np.ndarray  # (F, 3) int64
    part: np.ndarray  # (F,) joint that moves the triangle most
    lsp_part: np.ndarray  # (F,) index into LSP_PARTS
    fabric: Fabric  # float64

    @classmethod
    def of(cls, body: Body) -> Wardrobe:
        """Measure a body."""
        template = body.v_template.double().cpu().numpy()
        faces = body.faces.cpu().numpy()
        by_joint = body.part_labels.cpu().numpy()
        lsp = np.array(LSP_PART_OF_JOINT)[by_joint]  # of a body that does not say
        if body.lsp_labels is not None:
            lsp = body.lsp_labels.cpu().numpy()
        joints = body.joint_template.double().cpu().numpy()
        part = triangle_labels(by_joint, faces)
        fabric = _fabric(template[faces].mean(1), part, joints, template[:, 1].max())
        return cls(faces, part, triangle_labels(lsp, faces), fabric)


def _fabric(centre: np.ndarray, part: np.ndarray, joints: np.ndarray, crown: float) -> Fabric:
    """What `wear` needs: triangles' middles and parts, joints and the crown of the T-pose."""

    def moved_by(*names: str) -> torch.Tensor:
        wanted = [
            k
            for k, joint in enumerate(SMPL_JOINTS)
            if joint.removeprefix("left_").removeprefix("right_") in names
        ]
        return torch.from_numpy(np.isin(part, wanted))

    height = {name: float(joints[k, 1]) for k, name in enumerate(SMPL_JOINTS)}
    return Fabric(
        centre=torch.from_numpy(centre),
        trunk=moved_by("pelvis", "spine1", "spine2", "spine3", "collar", "neck"),
        arms=moved_by("shoulder", "elbow"),
        legs=moved_by("pelvis", "hip", "knee", "ankle", "spine1"),
        feet=moved_by("ankle", "foot", "knee"),
        head=moved_by("head", "neck"),
        neck_height=height["neck"],
        crown_height=float(crown),
        hip_height=height["left_hip"],
        knee_height=height["left_knee"],
        ankle_height=height["left_ankle"],
        shoulder_reach=abs(float(joints[SMPL_JOINTS.index("left_shoulder"), 0])),
        elbow_reach=abs(float(joints[SMPL_JOINTS.index("left_elbow"), 0])),
    )


def dress(wardrobe: Wardrobe, rng: np.random.Generator) -> np.ndarray:
    """Draw a person's looks: the colour of each triangle (F, 3) in [0, 1]."""
    return wear(wardrobe.fabric, as_tensors(draw_looks(rng)))[0].numpy()


def as_tensors(looks: Looks) -> Looks:
    """The same looks as tensors on the CPU, float64."""
    values = {field.name: getattr(looks, field.name) for field in fields(looks)}
    return Looks(**{name: torch.from_numpy(value).double() for name, value in values.items()})
