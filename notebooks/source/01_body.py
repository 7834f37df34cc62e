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
# - take a rotation apart into swing and twist, and tell a possible arm from an impossible one;
# - say what "several times round" can mean, and what it cannot.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display

from checks import chapter_01, show
from checks.framing import close_up, in_frame
from hmrlab.bodies import (
    SMPL_JOINTS,
    SMPL_PARENTS,
    TWIST_LIMITS_DEG,
    body_path,
    load_body,
    read_body_file,
    smplx_model,
)
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, matrix_to_axis_angle, swing_twist

torch.set_default_dtype(torch.float64)  # so that what should be equal is equal to many digits

# %% [markdown]
# ## Predict before you run
#
# A person holds the left arm out to the side. The forearm is turned about its own length by 180
# degrees; the upper arm stays as it is.
#
# 1. How far do the 24 joints move?
# 2. At the elbow there is skin that belongs half to the upper arm, half to the forearm. Where does
#    it go?
# 3. And if the forearm is turned by 360 degrees?
#
# Write down a number, a sentence and a sketch. The sections on wringing answer all three.
#
# ## The file
#
# A body in SMPL's format is a handful of arrays. Ours is free; it has the same ones.

# %%
arrays = read_body_file(body_path(detail="light"))
for name, what in {
    "v_template": "vertices of the average person, metres",
    "shapedirs": "how each vertex moves for one standard deviation of each beta",
    "joint_regressor": "each joint as a weighted mean of vertices",
    "weights": "how much each joint moves each vertex",
    "faces": "triangles: three vertex numbers each",
}.items():
    print(f"{name:16s} {getattr(arrays, name).shape!s:15s} {what}")

template, shapedirs, regressor, weights = (
    torch.tensor(getattr(arrays, name))
    for name in ("v_template", "shapedirs", "joint_regressor", "weights")
)
faces = torch.tensor(arrays.faces)

# %% [markdown]
# ## Step 1: shape
#
# Every adult is the average one plus a sum of directions: $v(\beta) = \bar v + \sum_k \beta_k\,
# s_k$, with $\bar v$ and $s_k$ of shape (V, 3) in metres. The directions are principal components
# of a population, so a beta of 1 is one standard deviation.


# %%
def shaped(betas):
    """(10,) -> (V, 3) metres, in T-pose."""
    return template + shapedirs @ betas


def litres(vertices):
    """(V, 3) metres -> volume: each triangle and the origin span a tetrahedron."""
    a, b, c = vertices[faces].unbind(1)
    return 1000 * float((a * torch.linalg.cross(b, c)).sum()) / 6


# %%
people = [(k, b, shaped(b * torch.eye(10)[k])) for k in range(4) for b in (-2, 0, 2)]
vertices = torch.stack([v for _, _, v in people])
vertices[..., 1] -= vertices[..., 1].amin(1, keepdim=True)  # all on one floor
pictures = in_frame(vertices, faces, low=-0.03, high=1.97, size=(150, 150))
figure, axes = plt.subplots(2, 6, figsize=(9.5, 4.2), layout="constrained")
for axis, picture, (k, b, v) in zip(axes.flat, pictures, people, strict=True):
    axis.imshow(picture)
    height = float(v[:, 1].max() - v[:, 1].min())
    axis.set_title(f"$\\beta_{k}$ = {b}\n{height:.2f} m, {litres(v):.0f} L", fontsize=9)
    axis.set_axis_off()
show(figure)

# %% [markdown]
# A person weighs about one kilogram a litre. $\beta_0$ is size. $\beta_1$ and $\beta_2$ have no
# plain name: a principal component is whatever varies together, not what we have a word for.
# $\beta_3$ is weight at the same height.
#
# ## Step 2: joints
#
# Where is the shoulder of a tall person? A joint is a weighted mean of vertices around it, so the
# joints follow the shape: $J = R\,v(\beta)$, with $R$ (24, V), rows that sum to 1, and $J$ (24, 3)
# in metres. Regress from the *shaped* mesh.


# %%
def joints_of(vertices):
    """(V, 3) -> (24, 3) metres."""
    return regressor @ vertices


rest = joints_of(template)
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained", sharey=True)
for axis, b in zip(axes, (-2, 0, 2), strict=True):
    v = shaped(b * torch.eye(10)[0])
    axis.scatter(v[:, 0], v[:, 1], s=0.4, color="0.75")
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        axis.plot(*joints_of(v)[[joint, parent], :2].T, "o-", color="C3", ms=3, lw=1)
    axis.plot(*rest[:, :2].T, "+", color="k", ms=5)
    axis.set(aspect="equal", xlim=(-1.05, 1.05), xlabel="x, to the body's left, m")
    axis.set_title(f"$\\beta_0$ = {b}")
axes[0].set_ylabel("y, up, m")
show(figure)

# %%
missed = (joints_of(shaped(2 * torch.eye(10)[0])) - rest).norm(dim=-1)
worst = SMPL_JOINTS[missed.argmax()].rpartition("_")[2]  # of both sides: they differ by rounding
print("Had we regressed from the template (black crosses), the tall person's joints would be")
print(f"{1000 * missed.mean():.0f} mm off on average, and most of all")
print(f"{1000 * missed.max():.0f} mm at the {worst}s.")

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
#
# Who owns the skin of the arm? Blue: the shoulder's joint, which moves the upper arm. Orange: the
# elbow's, which moves the forearm. Green: the wrist's. In between, shared.

# %%
full = load_body(detail="full", dtype=torch.float64)
shoulder, elbow, wrist = (SMPL_JOINTS.index(f"left_{n}") for n in ("shoulder", "elbow", "wrist"))
owners = torch.full((24, 3), 0.8)
blue_orange_green = torch.tensor([(0.25, 0.5, 0.85), (0.95, 0.55, 0.2), (0.35, 0.7, 0.4)])
owners[[shoulder, elbow, wrist]] = blue_orange_green
colours = full.weights @ owners
show(close_up(full.v_template[None], full, size=(150, 520), colours=colours)[0])


# %%
def skinned(rotations, betas):
    """(24, 3, 3) and (10,) -> (V, 3) metres."""
    vertices = shaped(betas)
    rest = joints_of(vertices)
    if arrays.posedirs is not None:  # pose correctives
        vertices = vertices + torch.tensor(arrays.posedirs) @ (rotations[1:] - torch.eye(3)).ravel()
    turned, placed = forward_kinematics(rotations, rest)
    nailed = torch.einsum("kab,vkb->vka", turned, vertices[:, None] - rest) + placed
    return torch.einsum("vk,vka->va", weights, nailed)


# %% [markdown]
# That is SMPL, pose correctives and all (small bulges that depend on the pose; our free body has
# none). Is it right? Against the package's `Body`, and against the genuine `smplx.SMPL` of its
# inventors, for a random person in a random pose. (The warning is smplx's: it knows files with 300
# betas, too.)

# %%
generator = torch.Generator().manual_seed(seed)
pose = 0.4 * torch.randn(24, 3, generator=generator)  # axis-angles, radians
betas = torch.randn(10, generator=generator)

ours = skinned(axis_angle_to_matrix(pose), betas)
body = load_body(detail="light", dtype=torch.float64)
package = body.vertices(pose[None], betas[None])[0]
inventors = smplx_model(arrays, torch.float64).requires_grad_(False)
genuine = inventors(
    betas=betas[None], body_pose=pose[None, 1:].flatten(1), global_orient=pose[None, 0]
).vertices[0]
for name, other in {"hmrlab's Body": package, "smplx.SMPL": genuine}.items():
    difference = 1000 * float((ours - other).abs().max())
    print(f"{name:14s} differs from ours by at most {difference:.4f} mm")
    assert difference < 1e-3

# %% [markdown]
# ## Break it: wring the arm
#
# Now the prediction. The left forearm turns about its own bone. So that the turn can be seen, the
# front of the arm is painted red.

# %%
bones = bone_axes(rest, SMPL_PARENTS)  # (24, 3), unit vectors along the bones at rest
bone = bones[elbow]


def wrung(**degrees):
    """Rotations (24, 3, 3) of a T-pose; joints of the left arm turned about their bones."""
    rotations = torch.eye(3).repeat(24, 1, 1)
    for name, angle in degrees.items():
        joint = SMPL_JOINTS.index(f"left_{name}")
        rotations[joint] = axis_angle_to_matrix(np.radians(angle) * bones[joint])
    return rotations


average = torch.zeros(1, 10)
front = full.v_template[:, 2] > rest[elbow, 2]
paint = torch.where(front[:, None], torch.tensor([0.9, 0.45, 0.35]), torch.tensor([0.6, 0.7, 0.9]))


def look(poses, columns, height):
    """Draw the left arm in each of the poses; title -> rotations (24, 3, 3)."""
    arms = full.vertices(torch.stack(list(poses.values())), average.expand(len(poses), -1))
    rows = -(-len(poses) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9, height), layout="constrained")
    pictures = close_up(arms, full, size=(140, 360), colours=paint)
    for axis, picture, title in zip(axes.flat, pictures, poses, strict=True):
        axis.imshow(picture)
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    return show(figure, quality=92)


look({f"{a}°": wrung(elbow=a) for a in (0, 60, 90, 120, 150, 180)}, columns=3, height=2.9)

# %% [markdown]
# A sweet in its wrapper. At the elbow, skin that belongs half to the one and half to the other bone
# is put halfway between two places that lie opposite each other: in the middle of the arm.
#
# ## What the numbers say
#
# How thin? For a vertex with weights one half and one half, the average of two points on a circle,
# an angle $\theta$ apart, lies at $\cos(\theta/2)$ of the radius. Let us put a tape measure around
# the arm, slice by slice, and see whether the mesh obeys.

# %%
from checks.framing import arm_faces

forearm = arm_faces(full, ("left_shoulder", "left_elbow", "left_wrist"))


def tape(rotations, places):
    """(B, 24, 3, 3), P places along the bone, metres from the elbow -> girths (B, P) metres."""
    vertices = full.vertices(rotations, average.expand(len(rotations), -1))
    return chapter_01.girths(vertices, forearm, rest[elbow], bone, places)


angles, places = (0, 90, 150, 180), np.linspace(-0.2, 0.2, 81)
profiles = 100 * tape(torch.stack([wrung(elbow=a) for a in angles]), places)
sweep, near = np.arange(0, 361, 15), np.linspace(-0.05, 0.05, 41)
turned = torch.stack([wrung(elbow=a) for a in sweep])
around = tape(turned, near)
narrowest = 100 * (around / around[0]).min(1)  # of what it was at the same place, %

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for angle, profile in zip(angles, profiles, strict=True):
    left.plot(100 * places, profile, label=f"{angle}°")
left.set(xlabel="along the arm, cm from the elbow", ylabel="girth, cm", ylim=(0, None))
right.plot(sweep, narrowest, "o", ms=4, label="tape measure")
fine = np.arange(361)
right.plot(fine, 100 * np.abs(np.cos(np.radians(fine) / 2)), color="C1", label="|cos(θ/2)|")
right.set(xlabel="twist, degrees", ylabel="narrowest girth, % of rest", xticks=range(0, 361, 90))
left.legend(title="twist", fontsize=8)
right.legend(fontsize=8)
show(figure)

# %% [markdown]
# It obeys, as well as a mesh with vertices a finite distance apart can. And who notices? The mesh
# has its thousands of vertices. A network that is trained on keypoints has 49.

# %%
output = full(turned, average.expand(len(sweep), -1))


def moved(points):
    """(B, N, 3) -> (B,) how far the farthest point is from where it was at rest, mm."""
    return 1000 * (points - points[:1]).norm(dim=-1).amax(1)


figure, axis = plt.subplots(figsize=(6, 2.8), layout="constrained")
for name, points in {"vertices": output.vertices, "49 keypoints": output.keypoints}.items():
    axis.plot(sweep, moved(points), "o-", ms=3, label=f"farthest of the {name}")
axis.set(xlabel="twist, degrees", ylabel="moved, mm", xticks=range(0, 361, 90))
axis.legend(fontsize=8)
show(figure)

# %%
from hmrlab.bodies import LANDMARKS

half = list(sweep).index(180)
thumb = read_body_file(body_path()).landmarks[[LANDMARKS.index("left_thumb")]]
print("At 180°:")
print(f"{narrowest[half]:6.0f} % of its girth is left where the arm is narrowest")
print(f"{moved(output.vertices)[half]:6.0f} mm is how far the skin moves, at most")
print(f"{moved(output.joints)[half]:6.1f} mm any of the 24 joints, at most")
print(f"{moved(output.keypoints)[half]:6.1f} mm any of the 49 keypoints, at most")
print(
    f"{moved(output.vertices[:, thumb])[half]:6.0f} mm the thumb's tip, which is not one of the 49"
)

# %% [markdown]
# There is the diary's riddle in two curves. The skin collapses, and no keypoint notices. Whoever
# trains on these keypoints alone cannot see an arm being wrung. (In chapter 04 a network does just
# that.) One point on the hand would give it away.
#
# ## How often is "several times round"?
#
# Once round is 360 degrees. Look at the curves' right end: everything is back. A rotation does not
# remember how often it went round. Only an axis-angle, a vector whose *length* is the angle, can
# seem to:

# %%
once = np.radians(60) * bone
often = np.radians(60 + 3 * 360) * bone
poses = torch.zeros(2, 24, 3)
poses[0, elbow], poses[1, elbow] = once, often
apart = moved(full.vertices(poses, average.expand(2, -1)))[1]
back = matrix_to_axis_angle(axis_angle_to_matrix(often))
print(f"theta has the length {once.norm():.2f} or {often.norm():.2f} radians")
print(f"the two meshes differ by {apart:.4f} mm at most")
print(f"made a matrix and back, the long one has the length {back.norm():.2f}")

# %% [markdown]
# So absurd numbers in theta need not mean an absurd body. First rule of looking at poses: compare
# rotations, not axis-angles. SPIN's network cannot even say "three times round": it answers with
# six numbers a joint that become a matrix.
#
# And yet a *picture* of an arm can be twisted several times round: a little at each joint, and it
# adds up along the tree.

# %%
from hmrlab.bodies import KEYPOINT_NAMES

times_round = {"at rest": wrung(), "three times 120°": wrung(shoulder=120, elbow=120, wrist=120)}
display(look(times_round, columns=2, height=1.8))
output = full(torch.stack(list(times_round.values())), average.expand(2, -1))
hand = full.part_labels == SMPL_JOINTS.index("left_hand")
farthest = (output.keypoints[1] - output.keypoints[0]).norm(dim=-1).argmax()
print(f"fingers moved by {moved(output.vertices[:, hand])[1]:.1f} mm at most")
print(f"keypoints by {moved(output.keypoints)[1]:.1f} mm at most ({KEYPOINT_NAMES[farthest]})")

# %% [markdown]
# The hand has gone once round and is back where it was. The arm between has not forgotten: a neck
# at each joint. With 180 degrees a joint, and a collar and a hand to join in, it can be more than
# twice round. That, we think, is what the student saw. We cannot know: the pictures are lost.
#
# ## Swing and twist
#
# To say "twisted by 60 degrees" of *any* rotation, take it apart. Where does the rotation take the
# bone? Let the **swing** be the shortest turn that takes it there. Undo the swing; what is left
# turns about the bone, and is the **twist**: $R = S\,T$.


# %%
def shortest_turn(start, end):
    """Unit vectors (3,), (3,) -> (3, 3), the shortest rotation that takes one to the other."""
    x, y, z = torch.linalg.cross(start, end)
    k = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return torch.eye(3) + k + k @ k / (1 + start @ end)  # not where they are opposite


def twist_of(rotation, axis):
    """(3, 3), unit (3,) -> degrees, -180 to 180, right-handed about the axis."""
    twist = shortest_turn(axis, rotation @ axis).T @ rotation
    beside = torch.linalg.cross(axis, axis.roll(1))  # any vector at right angles to the axis
    beside = beside / beside.norm()
    after = twist @ beside
    return torch.rad2deg(torch.atan2(torch.linalg.cross(beside, after) @ axis, beside @ after))


# %% [markdown]
# First on a rotation whose answer we know, then against the package on a thousand random ones.

# %%
hinge = torch.linalg.cross(bone, torch.tensor([0.0, 1.0, 0.0]))
hinge = hinge / hinge.norm()  # at right angles to the bone: pure bending
for bend in (0, 70, 140):
    both = axis_angle_to_matrix(np.radians(bend) * hinge) @ axis_angle_to_matrix(once)
    whole = torch.rad2deg(matrix_to_axis_angle(both).norm())
    print(
        f"bent by {bend:3d}°, twisted by 60°: twist {twist_of(both, bone):.3f}°, angle {whole:.1f}°"
    )

random = axis_angle_to_matrix(2 * torch.randn(1000, 3, generator=generator))
swing, twist = swing_twist(random, bone)
ours = torch.stack([twist_of(r, bone) for r in random])
apart = ((ours - twist.rad2deg() + 180) % 360 - 180).abs().max()
print(f"ours and the package's differ by at most {apart:.4f}°")
assert apart < 1e-3
torch.testing.assert_close(swing @ axis_angle_to_matrix(twist[:, None] * bone), random)

# %% [markdown]
# Mind the difference between the two last columns. The angle of the whole rotation counts the
# bending, too, and a bent elbow is no news.
#
# ## The fix?
#
# Can the skin be mended? Animators let several bones share a twist. We can try: the hand is turned
# by the same 150 degrees, by the elbow alone, or half of it by the shoulder.

# %%
spread = {"150° at the elbow": wrung(elbow=150), "75° + 75°": wrung(shoulder=75, elbow=75)}
display(look(spread, columns=2, height=1.8))
for title, neck in zip(spread, tape(torch.stack(list(spread.values())), near), strict=True):
    print(f"{title}: {100 * (neck / around[0]).min():.0f} % of the elbow's girth is left")

# %% [markdown]
# Prettier, and here even truer: try it, your shoulder helps your forearm just so. But which share
# is the shoulder's? The keypoints do not say, and nothing keeps a network from three times 120.
# A better average of rotations (dual quaternions) would hide the wrapper as well. Hide: the arm
# would still be turned further than an arm can. Linear blend skinning cannot be fixed from inside,
# and for looking at networks it has a virtue. The mistake shows.
#
# What a person's joints can do is known, and that we can use, as a table of limits:

# %%
from hmrlab.bodies import SWING_LIMITS_DEG

print("joint       twist  swing   (degrees, either way, from the T-pose)")
for name in ("collar", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "neck"):
    joint = SMPL_JOINTS.index(name if name in SMPL_JOINTS else f"left_{name}")
    print(f"{name:9s} {TWIST_LIMITS_DEG[joint]:7.0f} {SWING_LIMITS_DEG[joint]:6.0f}")

# %%
limit = TWIST_LIMITS_DEG[elbow]
neck = tape(wrung(elbow=limit)[None], near)[0]
left = 100 * (neck / around[0]).min()
print(f"at the elbow's limit, {limit:.0f}°, the arm has {left:.0f} % of its girth left")

# %% [markdown]
# So even a possible arm loses girth. That much is the method's fault; in the real SMPL, pose
# correctives that were learned from scans take care of some of it. Beyond the limit it is the
# pose's fault.
#
# Limits only *tell* that it happened. From here on the series counts joints beyond them. What
# prevents it comes later: losses on rotations (chapter 06) and SMPLify's priors (08).
#
# ## Try it
#
# In a running notebook the body below is yours to wring: the slider `twist` turns the left forearm
# about its bone, `swing` bends the elbow, a click on the body picks another joint. Colour says how
# far a joint is twisted, and joints beyond the table flash. Find the smallest twist that you would
# call broken, and compare it with the table. Where no code runs, four pictures below must do.

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import BodyViewer

light = load_body(detail="light")
viewer = BodyViewer(light, heat="twist", title="twist a forearm")
viewer.joint = elbow
viewer

# %% [markdown]
# The skinning that you have just written runs in your browser while you drag. The numbers come back
# to Python, and go there: what the sliders say stands in `viewer.pose` and `viewer.betas`, and what
# is assigned moves the body.

# %% tags=["nbval-ignore-output"]
twisted = torch.zeros(1, 24, 3)
twisted[0, elbow] = np.radians(120) * bone
viewer.pose = twisted
turned_by = torch.tensor(viewer.pose[0, elbow], dtype=torch.float64)
print(f"the left elbow is twisted by {twist_of(axis_angle_to_matrix(turned_by), bone):.0f}°")

# %%
from checks.positions import draw_body
from hmrlab.rendering import gallery

positions = {
    "all at zero": {},
    "$\\beta_0$ = 2, twist 90°": {"beta_0": 2.0, "elbow_twist": 90.0},
    "$\\beta_3$ = 2, twist 150°": {"beta_3": 2.0, "elbow_twist": 150.0},
    "bend 60°, twist 150°": {"elbow_bend": 60.0, "elbow_twist": 150.0, "yaw": 30.0},
}
columns = {title: draw_body(light, (330, 240), **given)[None] for title, given in positions.items()}
show(gallery(columns, width=2.4))

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
# **2. The joints of a crowd.** B people with B shapes; all their joints at once, without a loop.
# (Can it be done without ever making the B meshes? The package does.)


# %%
def joints_of_crowd(template, shapedirs, regressor, betas):
    """(V, 3), (V, 3, 10), (24, V), (B, 10) -> (B, 24, 3) metres."""
    return None


chapter_01.check_joints_of_crowd(joints_of_crowd)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def joints_of_crowd_solution(template, shapedirs, regressor, betas):
    # Both steps are linear: the regressor may go first, and 24 rows are left of V.
    directions = torch.einsum("jv,vck->jck", regressor, shapedirs)
    return regressor @ template + torch.einsum("jck,bk->bjc", directions, betas)


chapter_01.check_joints_of_crowd(joints_of_crowd_solution, must_pass=True)

# %% [markdown]
# **3. Possible or not?** Somebody hands you axis-angles, some of them several times round. Which
# joints are twisted beyond their limits, to either side? `axis_angle_to_matrix` and `swing_twist`
# are there to be used.


# %%
def beyond_limits(pose, axes, limits):
    """(B, 24, 3) radians, (24, 3) unit vectors, (24,) degrees -> (B, 24) bool."""
    return None


chapter_01.check_beyond_limits(beyond_limits)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def beyond_limits_solution(pose, axes, limits):
    _, twist = swing_twist(axis_angle_to_matrix(pose), axes)
    return twist.rad2deg().abs() > limits


chapter_01.check_beyond_limits(beyond_limits_solution, must_pass=True)

# %% [markdown]
# **To think about.** Turn the whole person about the vertical instead of the forearm about its
# bone. Which keypoints notice now? And if the person is seen by one camera only?
#
# ## Recap
#
# - SMPL is a template, plus shape directions, plus a tree of rotations, plus averaged skin.
# - Joints are regressed from the shaped mesh, and the tree passes each turn on to all that hangs
#   below.
# - A twist about a bone moves skin but no joint. Averaging then squeezes the skin to
#   $\cos(\theta/2)$ of its girth.
# - One joint forgets whole turns, whatever the length of its axis-angle. Along an arm they add up.
# - Swing and twist say how far a limb is wrung; limits say whether a person could. Neither prevents
#   it.
#
# ## Further reading
#
# - Loper et al.: *SMPL: A Skinned Multi-Person Linear Model*, SIGGRAPH Asia 2015.
# - Kavan et al.: *Skinning with Dual Quaternions*, I3D 2007, for another average.
# - Lewis, Cordner, Fong: *Pose Space Deformation*, SIGGRAPH 2000, where the candy wrapper got its
#   name known.
# - Akhter and Black: *Pose-Conditioned Joint Angle Limits for 3D Human Pose Reconstruction*, CVPR
#   2015.
