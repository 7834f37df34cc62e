# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: []}
# ---

# %% [markdown]
# # 01 · The body
#
# A student's diary, summer 2021:
#
# > The overall shape is similar, but the arms are twisted several times round.
#
# What is an arm, to a network, that it can be twisted several times round? In this chapter we build
# the body that all of this field answers with, SMPL, out of four small steps: a template,
# directions of shape, a skeleton, and skin that follows it. Then we wring its arm.
#
# **You will be able to**
# - write SMPL in about thirty lines, and check them against two libraries;
# - say what betas and pose are, with shapes and units;
# - explain the candy wrapper, and predict how thin an arm gets when it is twisted;
# - take a rotation apart into swing and twist, and tell a possible arm from an impossible one.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch

from hmrlab.bodies import load_body
from hmrlab.bodies.body import ASSETS
from hmrlab.bodies.format import read_body_file
from hmrlab.bodies.genuine import smplx_model
from hmrlab.bodies.joints import SMPL_JOINTS, SMPL_PARENTS
from hmrlab.bodies.limits import TWIST_LIMITS_DEG
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, swing_twist
from hmrlab.lessons import body_sliders, chapter_01, show
from hmrlab.rendering import contact_sheet, render_bodies

# %% [markdown]
# ## Predict before you run
#
# A person holds the left arm out to the side. The forearm is turned about its own length by 180
# degrees, elbow and wrist stay where they are, and so does the upper arm.
#
# 1. How far do the 24 joints move?
# 2. Half of the elbow's skin belongs to the upper arm, half to the forearm. Where does it go?
#
# ## The file
#
# A body in SMPL's format is a handful of arrays. Ours is free; it has the same ones.

# %%
arrays = read_body_file(ASSETS / "free_body_light.npz")
for name, what in {
    "v_template": "vertices of the average person, metres",
    "shapedirs": "how each vertex moves for one standard deviation of each beta",
    "joint_regressor": "each joint as a weighted mean of vertices",
    "weights": "how much each joint moves each vertex",
    "faces": "triangles: three vertex numbers each",
}.items():
    print(f"{name:16s} {getattr(arrays, name).shape!s:15s} {what}")

template, shapedirs, regressor, weights = (
    torch.tensor(getattr(arrays, name), dtype=torch.float64)
    for name in ("v_template", "shapedirs", "joint_regressor", "weights")
)
faces = torch.tensor(arrays.faces)

# %% [markdown]
# ## Step 1: shape
#
# Every adult is the average one plus a sum of directions: $v(\beta) = \bar v + \sum_k \beta_k\,
# s_k$. The directions were found by principal components over a population, so a beta of 1 is one
# standard deviation.


# %%
def shaped(betas):
    """(10,) -> (V, 3) metres, in T-pose."""
    return template + shapedirs @ betas


people = torch.stack([shaped(b * torch.eye(10, dtype=torch.float64)[k]) for k in range(4)
                      for b in (-2.0, 0.0, 2.0)])  # fmt: skip
show(contact_sheet(render_bodies(people, faces, size=(190, 190), yaw=15), columns=6))

# %% [markdown]
# Betas 0 to 3, each at -2, 0, 2. Size first; the others trade sex, weight and build.
#
# ## Step 2: joints
#
# Where is the shoulder of a tall person? A joint is a weighted mean of vertices around it, so the
# joints follow the shape: $J = R\,v(\beta)$. Regress from the *shaped* mesh, never from the
# template.


# %%
def joints_of(vertices):
    """(V, 3) -> (24, 3) metres."""
    return regressor @ vertices


rest = joints_of(shaped(torch.zeros(10, dtype=torch.float64)))
figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
axis.plot(template[::3, 0], template[::3, 1], ",", color="0.7")
for joint, parent in enumerate(SMPL_PARENTS):
    if parent >= 0:
        axis.plot(*rest[[joint, parent], :2].T, "o-", color="C3", ms=4)
for name in ("pelvis", "left_knee", "left_elbow", "neck"):
    x, y, _ = rest[SMPL_JOINTS.index(name)]
    axis.annotate(name, (x, y), (x + 0.04, y + 0.05), fontsize=9)
axis.set(aspect="equal", xlabel="x, to the body's left, metres", ylabel="y, up, metres")
plt.show()

# %% [markdown]
# ## Step 3: the skeleton
#
# Each joint has a rotation relative to its parent, $R_k$, and the tree passes them on. A joint's
# own turn in the world is its parent's turn times its own; its place is its parent's place plus the
# turned bone:
#
# $$ G_k = G_{p(k)} R_k, \qquad x_k = x_{p(k)} + G_{p(k)}\,(J_k - J_{p(k)}) $$


# %%
def forward_kinematics(rotations, rest):
    """(24, 3, 3) and (24, 3) -> world rotations (24, 3, 3), places (24, 3)."""
    turned, placed = [rotations[0]], [rest[0]]
    for k in range(1, 24):
        parent = SMPL_PARENTS[k]
        turned.append(turned[parent] @ rotations[k])
        placed.append(placed[parent] + turned[parent] @ (rest[k] - rest[parent]))
    return torch.stack(turned), torch.stack(placed)


# %% [markdown]
# ## Step 4: skin
#
# Each vertex is carried along by each joint as if it were nailed to it, and the results are
# averaged by the vertex's weights. This is *linear blend skinning*, and its one line is the origin
# of all that goes wrong below:
#
# $$ v_i' = \sum_k w_{ik} \left( G_k\,(v_i - J_k) + x_k \right) $$


# %%
def skinned(rotations, betas):
    """(24, 3, 3) and (10,) -> (V, 3) metres."""
    vertices = shaped(betas)
    rest = joints_of(vertices)
    turned, placed = forward_kinematics(rotations, rest)
    nailed = torch.einsum("kab,vkb->vka", turned, vertices[:, None] - rest) + placed
    return torch.einsum("vk,vka->va", weights, nailed)


# %% [markdown]
# That is SMPL, but for its pose correctives (small bulges that depend on the pose; our free body
# has none). Is it right? Against the package's `Body`, and against the genuine `smplx.SMPL` of its
# inventors:

# %%
generator = torch.Generator().manual_seed(1)
pose = 0.4 * torch.randn(24, 3, generator=generator, dtype=torch.float64)
betas = torch.randn(10, generator=generator, dtype=torch.float64)

ours = skinned(axis_angle_to_matrix(pose), betas)
body = load_body("free", "light", dtype=torch.float64)
package = body.vertices(pose[None], betas[None])[0]
inventors = smplx_model(arrays, torch.float64).requires_grad_(False)
genuine = inventors(
    betas=betas[None], body_pose=pose[None, 1:].flatten(1), global_orient=pose[None, 0]
).vertices[0]
for name, other in {"hmrlab's Body": package, "smplx.SMPL": genuine}.items():
    agrees = float((ours - other).abs().max()) < 1e-6
    print(f"{name}: the same to a thousandth of a millimetre: {agrees}")
    assert agrees

# %% [markdown]
# ## Break it: wring the arm
#
# Now the prediction. The left forearm turns about its own bone, from 0 to 180 degrees.

# %%
elbow = SMPL_JOINTS.index("left_elbow")
bone = bone_axes(rest, SMPL_PARENTS)[elbow]  # unit vector along the forearm


def wrung(degrees):
    """Rotations (24, 3, 3) of a T-pose with the left forearm turned about its bone."""
    rotations = torch.eye(3, dtype=torch.float64).repeat(24, 1, 1)
    rotations[elbow] = axis_angle_to_matrix(np.radians(degrees) * bone)
    return rotations


full = load_body("free", "full", dtype=torch.float64)
angles = (0, 60, 90, 120, 150, 180)
arms = full.vertices(torch.stack([wrung(a) for a in angles]), torch.zeros(6, 10).double())
pictures = chapter_01.close_up(arms, full, size=(130, 330))
figure, axes = plt.subplots(2, 3, figsize=(9, 2.9), layout="constrained")
for axis, picture, angle in zip(axes.flat, pictures, angles, strict=True):
    axis.imshow(picture)
    axis.set_title(f"{angle}°", fontsize=9)
    axis.set_axis_off()
plt.show()

# %% [markdown]
# A sweet in its wrapper. At the elbow, skin that belongs half to the one and half to the other bone
# is put halfway between two places that lie opposite each other: in the middle of the arm.
#
# ## What the numbers say
#
# How thin? For a vertex with weights one half and one half the average of two points on a circle,
# an angle $\theta$ apart, lies at $\cos(\theta/2)$ of the radius. Let us see whether the mesh
# obeys.

# %%
sweep = np.arange(0, 361, 15)
shape = torch.zeros(len(sweep), 10, dtype=torch.float64)
rotations = torch.stack([wrung(a) for a in sweep])
vertices = body.vertices(rotations, shape)
keypoints = body.keypoints(rotations, shape)

of_elbow, of_shoulder = weights[:, elbow], weights[:, SMPL_PARENTS[elbow]]
shared = (of_elbow > 0.45) & (of_shoulder > 0.45)
centre = rest[elbow]
offset = vertices[:, shared] - centre
radius = (offset - (offset @ bone)[..., None] * bone).norm(dim=-1).mean(1)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(sweep, 100 * radius / radius[0], "o", ms=4, label="mesh")
left.plot(sweep, 100 * np.abs(np.cos(np.radians(sweep) / 2)), color="C1", label="|cos(θ/2)|")
left.set(xlabel="twist, degrees", ylabel="radius at the elbow, %", xticks=range(0, 361, 90))
moved = (vertices - vertices[0]).norm(dim=-1).amax(1)
moved_keypoints = (keypoints - keypoints[0]).norm(dim=-1).amax(1)
right.plot(sweep, 100 * moved, "o-", ms=4, label="the vertex that moves most")
right.plot(sweep, 100 * moved_keypoints, "o-", ms=4, label="the keypoint that moves most")
right.set(xlabel="twist, degrees", ylabel="moved, cm", xticks=range(0, 361, 90))
for axis in (left, right):
    axis.legend(fontsize=8)
plt.show()

# %%
half = list(sweep).index(180)
print(f"at 180°: radius {100 * radius[half] / radius[0]:.0f} % of what it was")
print(f"skin moved by up to {100 * moved[half]:.1f} cm")
print(f"any of the 49 keypoints by up to {1000 * moved_keypoints[half]:.1f} mm")

# %% [markdown]
# There is the diary's riddle in two curves. The skin collapses, and no keypoint notices. Whoever
# trains on keypoints alone cannot see an arm being wrung. (In chapter 04 a network does just that.)
#
# ## How often is "several times round"?
#
# Once round is 360 degrees. Look at the curves' right end: everything is back. A rotation does not
# remember how often it went round:

# %%
once = axis_angle_to_matrix(np.radians(60) * bone)
thrice = axis_angle_to_matrix(np.radians(60 + 3 * 360) * bone)
same = bool((once - thrice).abs().max() < 1e-9)
print(f"60° and 60° + 3 x 360°: the same matrix to 1e-9: {same}")

# %% [markdown]
# So the student cannot have *seen* an arm that went round several times; no mesh shows that. What
# one sees is a twist of up to 180 degrees either way, at several joints of the arm, and axis-angles
# that add up to more than a turn. The first rule of looking at poses: compare rotations, not
# axis-angles.
#
# ## Swing and twist
#
# To say "twisted by 60 degrees" of *any* rotation, take it apart: first a twist about the bone,
# then a swing that moves the bone. As a unit quaternion $(w, x, y, z)$ with the bone's direction
# $a$, the twist is what $(x, y, z)$ has along $a$:
#
# $$ \theta = 2\,\mathrm{atan2}\left((x, y, z)\cdot a,\; w\right) $$


# %%
def quaternion(rotation):
    """(3, 3) -> (4,) w, x, y, z. Good enough here: not for turns near 180 degrees."""
    w = torch.sqrt(1 + rotation.trace()) / 2
    r = rotation
    xyz = torch.stack([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / (4 * w)
    return torch.cat([w[None], xyz])


def twist_of(rotation, axis):
    """(3, 3), unit (3,) -> degrees."""
    w, *xyz = quaternion(rotation)
    return torch.rad2deg(2 * torch.atan2(torch.stack(xyz) @ axis, w))


bend = axis_angle_to_matrix(torch.tensor([0.0, -1.2, 0.0], dtype=torch.float64))
both = bend @ axis_angle_to_matrix(np.radians(60) * bone)  # twist first, then bend
swing, twist = swing_twist(both, bone)
print(f"ours {twist_of(both, bone):.3f}°, the package's {torch.rad2deg(twist):.3f}°")
assert torch.allclose(twist_of(both, bone), torch.rad2deg(twist))
rejoined = swing @ axis_angle_to_matrix(twist * bone)
print(f"swing times twist is the rotation again: {torch.allclose(rejoined, both)}")

# %% [markdown]
# ## The fix?
#
# Other skinning (dual quaternions, twist bones) would hide the wrapper, not the mistake: the arm
# would still be turned by 180 degrees. A person's cannot be. That is knowledge that can be put to
# use, as limits:

# %%
for name in ("elbow", "shoulder", "wrist", "hip", "knee", "neck"):
    joint = name if name in SMPL_JOINTS else f"left_{name}"
    print(f"{name:9s} twists up to {TWIST_LIMITS_DEG[SMPL_JOINTS.index(joint)]:3.0f}° either way")

# %% [markdown]
# From here on the series counts joints beyond these limits. The cure comes later: losses on
# rotations (chapter 06) and SMPLify's priors (08).
#
# ## Try it
#
# In JupyterLab the sliders below move the body: two betas, the bend and the twist of the left
# elbow, the camera's yaw. Find a pose whose twist you cannot see. (A bent elbow hides it badly;
# why?)

# %% tags=["nbval-ignore-output"]
body_sliders(load_body("free", "light"))

# %% [markdown]
# ## Exercises
#
# **1. Where is the wrist?** Walk the tree from the pelvis to the left wrist, given rotations and
# rest joints. (Its joints, in order: `chapter_01.LEFT_ARM`.)


# %%
def left_wrist(rotations, rest, chain):
    """(24, 3, 3), (24, 3) metres, joint numbers from the root to the wrist -> (3,) metres."""
    return None


chapter_01.check_left_wrist(left_wrist)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def left_wrist_solution(rotations, rest, chain):
    turned, place = rotations[chain[0]], rest[chain[0]]
    for parent, joint in pairwise(chain):
        place = place + turned @ (rest[joint] - rest[parent])
        turned = turned @ rotations[joint]
    return place


chapter_01.check_left_wrist(left_wrist_solution, must_pass=True)

# %% [markdown]
# **2. The joints of a tall person.** Joints for any betas, from template, shape directions and
# regressor.


# %%
def joints_of_shape(template, shapedirs, regressor, betas):
    """(V, 3), (V, 3, 10), (24, V), (10,) -> (24, 3) metres."""
    return None


chapter_01.check_joints_of_shape(joints_of_shape)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def joints_of_shape_solution(template, shapedirs, regressor, betas):
    return regressor @ (template + shapedirs @ betas)


chapter_01.check_joints_of_shape(joints_of_shape_solution, must_pass=True)

# %% [markdown]
# **3. Possible or not?** For twists in degrees (any number of turns) and limits, which joints are
# twisted beyond what a person can?


# %%
def beyond_limits(twist, limits):
    """(B, 24) degrees, any number; (24,) degrees -> (B, 24) bool."""
    return None


chapter_01.check_beyond_limits(beyond_limits)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def beyond_limits_solution(twist, limits):
    shortest = (twist + 180) % 360 - 180  # 350 degrees are -10
    return shortest.abs() > limits


chapter_01.check_beyond_limits(beyond_limits_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - SMPL is a template, plus shape directions, plus a tree of rotations, plus averaged skin.
# - Joints are regressed from the shaped mesh, and the tree passes each turn on to all that hangs
#   below.
# - A twist about a bone moves skin but no joint. Averaging then squeezes the skin to
#   $\cos(\theta/2)$.
# - Swing and twist say how far a limb is wrung; limits say whether a person could.
#
# ## Further reading
#
# - Loper et al.: *SMPL: A Skinned Multi-Person Linear Model*, SIGGRAPH Asia 2015.
# - Kavan et al.: *Skinning with Dual Quaternions*, I3D 2007, for another average.
# - Lewis, Cordner, Fong: *Pose Space Deformation*, SIGGRAPH 2000, where the candy wrapper got its
#   name known.
# - Akhter and Black: *Pose-Conditioned Joint Angle Limits for 3D Human Pose Reconstruction*, CVPR
#   2015.
