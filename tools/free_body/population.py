"""Adults from `anny`, as meshes in T-pose with SMPL's 24 joints.

`anny` (Apache-2.0, on MakeHuman's CC0 data) turns six phenotypes into a mesh with 104 bones. Here
adults are drawn whose height, weight, sex, muscle and proportions vary as people's do, the bones
are merged into SMPL's tree, and each body's arms are straightened into the T-pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from hmrlab.bodies.joints import SMPL_JOINTS, SMPL_PARENTS
from hmrlab.bodies.lbs import forward_kinematics, skin

_BONES: dict[str, tuple[str, ...]] = {
    "pelvis": ("root", "pelvis"),
    "hip": ("upperleg01", "upperleg02"),
    "knee": ("lowerleg01", "lowerleg02"),
    "ankle": ("foot",),
    "foot": tuple(f"toe{k}-{i}" for k in range(1, 6) for i in (1, 2, 3)),
    "spine1": ("spine05", "spine04"),
    "spine2": ("spine03",),
    "spine3": ("spine02", "spine01"),
    "neck": ("neck01", "neck02", "neck03"),
    "head": ("head", "eye"),
    "collar": ("clavicle", "shoulder01"),
    "shoulder": ("upperarm01", "upperarm02"),
    "elbow": ("lowerarm01", "lowerarm02"),
    "wrist": (
        "wrist",
        *(f"metacarpal{k}" for k in range(1, 5)),
        *(f"finger1-{i}" for i in (1, 2, 3)),
    ),
    "hand": tuple(f"finger{k}-{i}" for k in range(2, 6) for i in (1, 2, 3)),
}  # fmt: skip
"""Which of anny's bones each joint of SMPL moves."""

_JOINT_HEADS: dict[str, tuple[str, ...]] = {
    "pelvis": ("upperleg01.L", "upperleg01.R", "root"),
    "spine1": ("spine04",), "spine2": ("spine03",), "spine3": ("spine02",),
    "neck": ("neck01",), "head": ("head",),
    "hip": ("upperleg01",), "knee": ("lowerleg01",), "ankle": ("foot",),
    "foot": tuple(f"toe{k}-1" for k in range(1, 6)),
    "collar": ("clavicle",), "shoulder": ("upperarm01",), "elbow": ("lowerarm01",),
    "wrist": ("wrist",), "hand": tuple(f"finger{k}-1" for k in range(2, 6)),
}  # fmt: skip
"""Each joint lies at the mean of these bones' heads."""

_LENGTHS = (
    "measure-upperarm-length-incr", "measure-lowerarm-length-incr",
    "measure-upperleg-height-incr", "measure-lowerleg-height-incr",
    "measure-shoulder-dist-incr", "measure-napetowaist-dist-incr", "measure-neck-height-incr",
    "torso-vshape-incr",
)  # fmt: skip
"""Measures that differ between people of one height; anny's local changes, drawn one by one."""
_GIRTHS = (
    "measure-hips-circ-incr", "measure-waist-circ-incr", "measure-bust-circ-incr",
    "measure-thigh-circ-incr", "measure-calf-circ-incr", "measure-upperarm-circ-incr",
    "measure-neck-circ-incr", "buttocks-volume-incr", "stomach-pregnant-incr",
)  # fmt: skip
"""Measures that grow together as a person gains weight."""
_LENGTH_SPREAD = 0.4  # standard deviation, of at most 1 either way
_GIRTH_SHARED, _GIRTH_OWN = 0.38, 0.2

_ARMS = (("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"))
TO_BODY_FRAME = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])  # anny: z up, facing -y


@dataclass(frozen=True)
class Population:
    """Bodies in T-pose, pelvis at the origin, metres; y up, facing +z."""

    vertices: np.ndarray  # (N, V, 3) float32
    joints: np.ndarray  # (N, 24, 3)
    phenotypes: dict[str, np.ndarray]  # each (N,)


@dataclass(frozen=True)
class Rig:
    """What all of anny's bodies share; only the outer skin's vertices."""

    faces: np.ndarray  # (F, 3)
    weights: np.ndarray  # (V, 24), not yet smoothed
    kept: np.ndarray  # (V,) index into anny's own vertices
    bone_tips: dict[str, int]  # landmark bone -> the vertex at its far end


def load_anny() -> Any:
    """The `anny` model.

    Raises:
        ModuleNotFoundError: the extra that builds the body is not installed.
    """
    try:
        import anny
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "building the free body needs the package 'anny', which nothing else does. "
            "Install it with: pip install 'hmrlab[body]'"
        ) from error
    return anny.Anny(local_changes=[*_LENGTHS, *_GIRTHS])


def sample_traits(
    count: int, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Adults whose traits vary like people's.

    Sex runs from 0 (male) to 1 (female), with most people near an end. Stature is about 1.76 m
    +- 7 cm for men and 1.63 m +- 6.5 cm for women (NCD-RisC, 2016, pooled roughly). One factor,
    fatness, moves weight and all girths together; lengths vary on their own.

    Returns:
        phenotypes and local changes for anny by name, each (count,).
    """
    sex = np.clip(np.where(rng.random(count) < 0.5, 0.08, 0.92) + rng.normal(0, 0.12, count), 0, 1)
    stature = rng.normal(1.76 - 0.13 * sex, 0.07 - 0.005 * sex)
    middle = 1.908 - 0.139 * sex  # stature at height = 0.5, which anny gives by sex
    fatness = np.clip(rng.normal(0, 1, count), -2.2, 2.2)
    phenotypes = {
        "gender": sex,
        "age": rng.uniform(0.67, 0.9, count),
        "muscle": np.clip(rng.normal(0.5, 0.25, count), 0, 1),
        "weight": np.clip(0.55 + 0.24 * fatness, 0, 1),
        "height": np.clip(0.5 + (stature - middle) / 1.09, 0, 1),
        "proportions": rng.uniform(0.1, 0.9, count),
    }
    changes = {name: rng.normal(0, _LENGTH_SPREAD, count) for name in _LENGTHS}
    for name in _GIRTHS:
        changes[name] = _GIRTH_SHARED * fatness + rng.normal(0, _GIRTH_OWN, count)
    return phenotypes, {name: np.clip(value, -1, 1) for name, value in changes.items()}


def sample_population(
    anny: Any, rig: Rig, count: int, rng: np.random.Generator, batch: int = 50
) -> Population:
    """Draw adults and put each into the T-pose."""
    phenotypes, build = sample_traits(count, rng)
    vertices, joints = [], []
    for start in tqdm(range(0, count, batch), desc="bodies", unit="batch"):
        chosen = slice(start, start + batch)
        some = {k: torch.as_tensor(v[chosen]) for k, v in phenotypes.items()}
        changes = {k: torch.as_tensor(v[chosen]) for k, v in build.items()}
        rest = anny.get_rest_model(
            anny.get_phenotype_blendshape_coefficients(**some, local_changes=changes)
        )
        skin_points = rest["rest_vertices"].numpy()[:, rig.kept] @ TO_BODY_FRAME.T
        heads = joint_heads(anny, rest["rest_bone_heads"].numpy()) @ TO_BODY_FRAME.T
        posed, placed = to_t_pose(skin_points, heads, rig.weights)
        vertices.append((posed - placed[:, :1]).astype(np.float32))
        joints.append(placed - placed[:, :1])
    return Population(np.concatenate(vertices), np.concatenate(joints), phenotypes | build)


def read_rig(anny: Any) -> Rig:
    """The outer skin, and its weights merged into SMPL's 24 joints."""
    faces = anny.get_triangular_faces().numpy()
    kept = _outer_skin(faces, len(anny.template_vertices))
    renumber = np.full(len(anny.template_vertices), -1)
    renumber[kept] = np.arange(len(kept))
    inside = (renumber[faces] >= 0).all(1)
    by_bone = np.zeros((len(anny.template_vertices), len(anny.bone_labels)))
    index, value = anny.vertex_bone_indices.numpy(), anny.vertex_bone_weights.numpy()
    np.add.at(by_bone, (np.arange(len(index))[:, None], index), value)
    weights = by_bone @ _bone_to_joint(anny.bone_labels)
    weights = weights[kept] / weights[kept].sum(1, keepdims=True)
    return Rig(renumber[faces[inside]], weights, kept, _bone_tips(anny, by_bone, renumber))


def joint_heads(anny: Any, heads: np.ndarray) -> np.ndarray:
    """SMPL's 24 joints from anny's bone heads: (B, bones, 3) -> (B, 24, 3)."""
    labels = list(anny.bone_labels)
    return np.stack(
        [
            heads[:, [labels.index(bone) for bone in _with_side(_JOINT_HEADS, name)]].mean(1)
            for name in SMPL_JOINTS
        ],
        1,
    )


def to_t_pose(
    vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Straighten both arms sideways by the smallest rotation of each bone.

    Args:
        vertices: (B, V, 3). joints: (B, 24, 3). weights: (V, 24).

    Returns:
        vertices and joints in T-pose, same shapes.
    """
    batch = len(joints)
    worlds = np.tile(np.eye(3), (batch, 24, 1, 1))
    for side, direction in (("left", 1.0), ("right", -1.0)):
        target = np.array([direction, 0.0, 0.0])
        for start, end in _ARMS:
            a, b = (SMPL_JOINTS.index(f"{side}_{name}") for name in (start, end))
            bone = joints[:, b] - joints[:, a]
            worlds[:, a] = _smallest_rotation(bone, target)
        hand = SMPL_JOINTS.index(f"{side}_hand")
        worlds[:, hand] = worlds[:, SMPL_PARENTS[hand]]
    local = worlds.copy()
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        local[:, joint] = np.swapaxes(worlds[:, parent], 1, 2) @ worlds[:, joint]
    rest = torch.as_tensor(joints)
    turned, placed = forward_kinematics(torch.as_tensor(local), rest, SMPL_PARENTS)
    posed = skin(torch.as_tensor(vertices), torch.as_tensor(weights), turned, placed, rest)
    return posed.numpy(), placed.numpy()


def _smallest_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(B, 3) onto one unit vector (3,): Rodrigues' formula in its cross-product form."""
    unit = source / np.linalg.norm(source, axis=1, keepdims=True)
    cross = np.cross(unit, target)
    cosine = unit @ target
    x, y, z = cross.T
    zero = np.zeros_like(x)
    k = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    return np.eye(3) + k + (k @ k) / (1 + cosine)[:, None, None]


def _with_side(table: dict[str, tuple[str, ...]], joint: str) -> list[str]:
    """The bones of one of SMPL's joints, with anny's .L and .R."""
    side, _, name = joint.partition("_")
    if side not in ("left", "right"):
        return list(table[joint])
    return [f"{bone}.{side[0].upper()}" for bone in table[name]]


def _bone_to_joint(labels: list[str]) -> np.ndarray:
    """(bones, 24): 1 where that joint moves that bone."""
    owner = {}
    for number, joint in enumerate(SMPL_JOINTS):
        for bone in _with_side(_BONES, joint):
            owner[bone] = number
    table = np.zeros((len(labels), 24))
    for row, label in enumerate(labels):
        name = label.removesuffix(".L").removesuffix(".R")
        guess = owner.get(label, owner.get(name))
        if guess is None and name.startswith("metacarpal"):
            guess = owner[f"metacarpal1{label[-2:]}"]
        if guess is None and name in ("pelvis", "eye"):
            guess = SMPL_JOINTS.index("pelvis" if name == "pelvis" else "head")
        if guess is None:
            raise ValueError(f"anny has a bone {label!r} that no joint of SMPL is known to move")
        table[row, guess] = 1
    return table


def _outer_skin(faces: np.ndarray, count: int) -> np.ndarray:
    """Vertices of the largest connected piece and of the eyes; teeth and tongue stay inside."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    sizes = np.bincount(label)
    skin_label = sizes.argmax()
    # The two eyeballs are the only pair of pieces of equal size.
    eyes = [k for k in range(len(sizes)) if k != skin_label and (sizes == sizes[k]).sum() == 2]
    return np.flatnonzero(np.isin(label, [skin_label, *eyes]))


_TIPS = {
    "thumb": "finger1-3", "index": "finger2-3", "middle": "finger3-3", "ring": "finger4-3",
    "pinky": "finger5-3", "big_toe": "toe1-2", "small_toe": "toe5-3",
}  # fmt: skip


def _bone_tips(anny: Any, by_bone: np.ndarray, renumber: np.ndarray) -> dict[str, int]:
    """For fingers and toes the vertex of the last bone that lies farthest along it."""
    points = anny.template_vertices.numpy()
    labels = list(anny.bone_labels)
    heads = anny.get_rest_model(anny.get_phenotype_blendshape_coefficients())["rest_bone_heads"]
    heads = heads[0].numpy()
    tips = {}
    for side in ("left", "right"):
        for name, bone in _TIPS.items():
            number = labels.index(f"{bone}.{side[0].upper()}")
            own = np.flatnonzero((by_bone.argmax(1) == number) & (renumber >= 0))
            along = (points[own] - heads[number]) @ (points[own].mean(0) - heads[number])
            tips[f"{side}_{name}"] = int(renumber[own[along.argmax()]])
    return tips
