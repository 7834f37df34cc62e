# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: []}
# ---

# %% [markdown]
# # 00 · Start
#
# In the summer of 2021 a student rebuilt SPIN, a network that looks at one photograph of a person
# and answers with a body: 24 rotations, 10 numbers of shape, a camera. The whole was too much at
# once, so it was built piece by piece, and a diary was kept. Its first result:
#
# > The result is very strange: the overall shape is similar, but the arms are twisted several times
# > round, so beta and theta have absurd values.
#
# This series repeats the diary, answers its questions and fills its blanks. Everything in it runs
# on your machine, on a body and on people that are free.
#
# ![A man on a balance beam, three times](../figures/real_people.jpg)
#
# This is where it leads. A network of the first chapters' kind, second column, has seen drawn
# people alone and is lost on a photograph. The third column reads what networks that others trained
# on real people see. The fourth fits a body to that. With your own photograph:
# `hmrlab people me.jpg`. (Frames of pose2sim's demonstration, BSD-3.)
#
# **You will be able to**
# - see what your machine has for this series, and what it lacks;
# - put a body on the screen, pose it, and give it another shape;
# - say what goes into the network of this series and what comes out.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
import numpy as np
import torch

from checks import chapter_00, first_people, predict, show
from hmrlab import SCALES
from hmrlab.bodies import SMPL_JOINTS, load_body
from hmrlab.doctor import examine
from hmrlab.models.shipped import load_reference_model, shipped_record
from hmrlab.rendering import contact_sheet, overlay, render_bodies, side_view, turntable

# %% [markdown]
# ## What is here
#
# The command `hmrlab doctor` says it at length, with a remedy for what is missing. In short:

# %% tags=["nbval-ignore-output"]
for finding in examine():
    print("OK     " if finding.ok else "MISSING", finding.name)

# %% [markdown]
# ## The first mesh
#
# The body has the format of SMPL, the model that this whole field speaks: a template, directions of
# shape, a skeleton of 24 joints, and weights that tie the skin to it. It comes in two levels of
# detail with the same skeleton.

# %%
body = load_body(detail="light")
print(f"{body.n_vertices:,} vertices, {len(body.faces):,} triangles, {len(SMPL_JOINTS)} joints")
print(f"in full: {load_body(detail='full').n_vertices:,} vertices")

# %% [markdown]
# Two tensors make a person: rotations, here as axis-angles (direction: the axis; length: the angle
# in radians), and shape. All zero is the average person in a T-pose.

# %%
pose = torch.zeros(1, 24, 3)
betas = torch.zeros(1, 10)
vertices = body.vertices(pose, betas)  # (1, V, 3) metres
height = float(vertices[0, :, 1].max() - vertices[0, :, 1].min())
print(f"height {height:.2f} m")
show(turntable(vertices[0], body.faces, views=6, size=170))

# %% [markdown]
# Pictures of a body are flat. In a running notebook (`make lab`) the next cell is a body that you
# can turn with the mouse: drag to orbit, click a joint and turn it, give it another shape. Click
# first, then the wheel zooms. Where nothing runs, you see its picture.

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import BodyViewer

BodyViewer(body, title="the body")

# %% [markdown]
# ## Predict before you run
#
# The next cell turns one joint, the left shoulder, by 1.2 radians about the z axis. The body looks
# along z, its left is along x, y points up. Which arm moves, as you see it: the one on the left of
# the picture or on the right? Up or down? And how much of the rest of the body moves with it?

# %%
pose[0, SMPL_JOINTS.index("left_shoulder"), 2] = 1.2
show(render_bodies(body.vertices(pose, betas), body.faces, size=260)[0])

# %% [markdown]
# The picture's right: the body faces us. Joints are a tree, and a turn carries all that hangs
# below: elbow, wrist, hand, and nothing else.
#
# Shape is the second tensor. Each beta is one way in which adults differ, in standard deviations.
# The first two, at -2, 0 and 2:

# %%
shapes = torch.zeros(6, 10)
shapes[:3, 0] = shapes[3:, 1] = torch.tensor([-2.0, 0.0, 2.0])
upright = body.vertices(torch.zeros(6, 72), shapes)
show(contact_sheet(render_bodies(upright, body.faces, size=(230, 170)), columns=6))

# %% [markdown]
# ## What the network sees, what it should answer
#
# People for training are made up, too: posed by a sampler, dressed, lit, photographed. Their bodies
# are known exactly. A small network that was trained on such people comes with the package, so that
# you can see where the series leads: from above, pictures that it has never seen, its answers laid
# over them, and the truth.

# %% tags=["nbval-ignore-output"]
from hmrlab import get_scale, load_set

sizes = get_scale(scale)
people = load_set("studio", "test", sizes)
network = load_reference_model()
resolution = shipped_record()["hmr"]["settings"]["scale"]["resolution"]  # that it was trained with
seven = first_people(people, body, count=7, resolution=resolution, size=130)
truth = overlay(seven.pictures, seven.mesh, body.faces, seven.camera)
found = predict(network, seven, body)
answer = overlay(seven.pictures, found.mesh, body.faces, found.prediction.camera)
show(contact_sheet(np.concatenate([seven.pictures, answer, truth]), columns=7), quality=80)

# %% [markdown]
# An overlay flatters: what points at the camera cannot be seen from the camera. The same answers
# and the same truth from the side:

# %% tags=["nbval-ignore-output"]
aside = [
    side_view(mesh, body.faces, camera, size=130)
    for mesh, camera in ((found.mesh, found.prediction.camera), (seven.mesh, seven.camera))
]
show(contact_sheet(np.concatenate(aside), columns=7), quality=80)

# %% [markdown]
# And from any side you like, beside the truth, the joints that are turned wrongly darker:

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare

compare(
    body, {"answer": found.prediction}, truth=seven.truth, pictures=seven.pictures,
    heat="rotation", title="the network that comes along", start="picture",
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
from hmrlab.evaluation import rotation_error

errors = rotation_error(found.prediction.rotations, seven.batch.rotations)
print(f"mean error of a joint's rotation: {float(errors.mean()):.0f} degrees")
whole = shipped_record()["check"]
print(
    f"over {whole['set']['count']} such people: {whole['scores']['rotation_error_deg']:.1f} "
    f"degrees, joints {whole['scores']['mpjpe_mm']:.0f} mm off (synthetic)"
)

# %% [markdown]
# That is far from perfect, and it took minutes on a laptop. What it takes to get even there, and
# what goes wrong on the way, is what the chapters are about.

# %% [markdown]
# ## How to work through this
#
# | | |
# | --- | --- |
# | 01 body | from 24 rotations and 10 numbers to a mesh, in thirty lines |
# | 02 camera and keypoints | where a joint lies in a picture, and how that goes wrong |
# | 03 people | the data, and how to fool yourself with it |
# | 04 keypoints only | the diary's first network, and its twisted arms |
# | 05 regression loop | look, correct, look again: does it help? |
# | 06 SMPL losses | what mends the arms, and a bug that nobody saw |
# | 07 pretrained encoders | a head start, and what it costs |
# | 08 SMPLify | a body from keypoints alone, your own photo, too |
# | 09 SPIN's loop | the network starts the fit, the best fit teaches the network |
# | 10 backbones | other encoders: what they cost, and what they are worth |
# | 11 pruning | weights taken away, and what gets faster by it |
# | 12 adversarial prior | judges who have seen bodies, and no picture |
# | 13 evaluation | what each metric sees, and what it does not |
#
# Each chapter asks something before it shows it. Answer first, wrongly if need be; it sticks
# better. Each ends in exercises that check themselves. A solution is folded below each. The checks,
# and small helpers that draw, are in the folder `checks` beside the notebooks; all the rest is the
# package `hmrlab`.
#
# All chapters run at four scales, which differ in nothing but sizes:

# %%
for name, s in SCALES.items():
    print(
        f"{name:7s} {s.resolution:3d} px, {s.studio_train:7,} pictures, "
        f"{s.steps:6,} steps of {s.batch_size}, encoder {s.encoder}"
    )

# %% [markdown]
# ## Exercises
#
# **1. Hands up.** Pose the body so that both wrists are above the top of the head. Turn the
# shoulders only.


# %%
def hands_up():
    """-> (24, 3) axis-angles, radians."""
    return None


chapter_00.check_hands_up(hands_up)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def hands_up_solution():
    pose = torch.zeros(24, 3)
    pose[SMPL_JOINTS.index("left_shoulder"), 2] = 1.4
    pose[SMPL_JOINTS.index("right_shoulder"), 2] = -1.4
    return pose


chapter_00.check_hands_up(hands_up_solution, must_pass=True)

# %% [markdown]
# **2. Ten centimetres.** Give the body a shape that is ten centimetres (within half of one) taller
# than the average, by changing the first beta only. How would you find it without guessing?


# %%
def taller(body):
    """-> (10,) betas."""
    return None


chapter_00.check_taller(taller)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def taller_solution(body):
    def height_of(beta):
        shape = torch.zeros(1, 10)
        shape[0, 0] = beta
        y = body.vertices(torch.zeros(1, 72), shape)[0, :, 1]
        return float(y.max() - y.min())

    average, slope = height_of(0.0), height_of(1.0) - height_of(0.0)  # vertices are linear in beta
    shape = torch.zeros(10)
    shape[0] = 0.10 / slope
    assert abs(height_of(shape[0]) - average - 0.10) < 0.005
    return shape


chapter_00.check_taller(taller_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - A body is two tensors: 24 rotations and 10 betas. A third, the camera, puts it into the picture.
# - Joints are a tree; shape is a sum of directions.
# - Everything here was made on this machine, with nothing to register for.
#
# ## Further reading
#
# - Loper et al.: *SMPL: A Skinned Multi-Person Linear Model*, SIGGRAPH Asia 2015.
# - Kolotouros et al.: *Learning to Reconstruct 3D Human Pose and Shape via Model-fitting in the
#   Loop*, ICCV 2019 (SPIN).
# - Tian et al.: *Recovering 3D Human Mesh from Monocular Images: A Survey*, TPAMI 2023.
