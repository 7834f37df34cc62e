# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 03_people]}
# ---

# %% [markdown]
# # 04 · Keypoints only
#
# A student's diary, summer 2021, step 1:
#
# > Only `keypoint_loss` and `keypoint_3d_loss`, to see just whether the joints go to the right
# > place. The result is very strange: the overall shape is similar, but the arms are twisted
# > several times round, so beta and theta have absurd values.
#
# That is a careful experiment with a surprising result. We run it again, look at the bodies, and
# find out why the surprise was bound to happen.
#
# **You will be able to**
# - write the two keypoint losses, and say which samples and joints they count;
# - train your first network that answers with a body;
# - tell from three numbers and one picture that its bodies are wrecked although its joints are not;
# - count how many of a body's 82 numbers of pose and shape its keypoints cannot see.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from checks import chapter_04, predict, score_table, show
from hmrlab import get_scale, preset, run_training
from hmrlab.bodies import ANNOTATED, SMPL_JOINTS, load_body
from hmrlab.data.synthetic import mean_rotations
from hmrlab.geometry import swing_twist
from hmrlab.rendering import gallery, joint_heat, overlay

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# A network is trained until the joints of its bodies sit where they should, in the picture and in
# space. No loss ever mentions rotations or shape.
#
# 1. Will the elbows be bent by the right angle? Will the forearms point the right way?
# 2. And will the *palms* face the right way? Who would tell the network?
#
# Write your two answers down before you scroll. The gallery below answers the first, the twist
# histogram the second.

# %% [markdown]
# ## Two losses
#
# The network answers with rotations $R$ (24, 3, 3), shape $\beta$ (10) and a camera
# $(s, t_x, t_y)$. The body turns these into 49 keypoints in metres, the camera puts them into the
# picture, and two losses compare:
#
# $$ L_{2D} = \operatorname{mean}\; c_j \,\lVert \hat x_j - x_j \rVert^2 , \qquad
#    L_{3D} = \operatorname{mean}\; c_j \,\lVert (\hat X_j - \hat X_{hips}) - (X_j - X_{hips})
#    \rVert^2 $$
#
# $x$ is in $[-1, 1]$ across the crop, $X$ in metres, $c$ is the keypoint's confidence: 0 where
# nobody labelled it. Of the 49 keypoints the first 25 are OpenPose's detections, and SPIN gives
# them weight 0 here; the other 24 are annotated. Subtracting the middle of the hips makes the 3D
# loss blind to where the person stands, which one picture cannot tell anyway.


# %%
def keypoint_loss(predicted, truth):
    """(B, 49, 2) against (B, 49, 3) with confidence, both in [-1, 1] -> scalar."""
    confidence = truth[..., 2:].clone()
    confidence[:, :25] = 0  # OpenPose's detections do not count here
    return (confidence * (predicted - truth[..., :2]) ** 2).mean()


def keypoint_3d_loss(predicted, truth):
    """(B, 24, 3) against (B, 24, 4) with confidence, metres -> scalar."""
    right_hip, left_hip = 2, 3
    hips = predicted[:, [right_hip, left_hip]].mean(1, keepdim=True)
    true_hips = truth[:, [right_hip, left_hip], :3].mean(1, keepdim=True)
    difference = (predicted - hips) - (truth[..., :3] - true_hips)
    return (truth[..., 3:] * difference**2).mean()


# %% [markdown]
# The package has the same two. Do they agree?

# %%
from hmrlab import losses as package

generator = torch.Generator().manual_seed(1)
predicted_2d = torch.randn(8, 49, 2, generator=generator)
truth_2d = torch.rand(8, 49, 3, generator=generator)
predicted_3d = torch.randn(8, 49, 3, generator=generator)
truth_3d = torch.rand(8, 24, 4, generator=generator)
everyone = torch.ones(8, dtype=torch.bool)

predicted_24 = predicted_3d[:, ANNOTATED]
ours = keypoint_loss(predicted_2d, truth_2d), keypoint_3d_loss(predicted_24, truth_3d)
theirs = (
    package.keypoint_loss(predicted_2d, truth_2d, openpose_weight=0.0, annotated_weight=1.0),
    package.keypoint_3d_loss(predicted_24, truth_3d, everyone),
)
for name, a, b in zip(("2D", "3D"), ours, theirs, strict=True):
    print(f"{name}: ours {a:.5f}, the package's {b:.5f}")
    torch.testing.assert_close(a, b)

# %% [markdown]
# The package's 3D loss takes one thing more: which samples have 3D truth at all. In the wild nobody
# wears a motion capture suit.
#
# ## The training
#
# A run is a frozen dataclass; the next cell changes nothing but scale and seed of a named one. If
# the ledger has a result for exactly these settings, you get that one at once; otherwise the
# network is trained now.

# %% tags=["nbval-ignore-output"]
config = preset("keypoints_only", sizes, seed)
print(config.description)
print(config.losses)
print(f"{sizes.studio_train:,} pictures, {sizes.steps:,} steps of {sizes.batch_size}")

# %% tags=["nbval-ignore-output"]
result = run_training(config)
print(f"{'from the ledger' if result.reused else 'trained now'}: {result.record.seconds:.0f} s")

# %%
history = result.history()
figure, axis = plt.subplots(figsize=(7, 3))
for name in ("keypoints", "keypoints_3d"):
    axis.plot(history.steps, history.values[name], label=name)
axis.set(xlabel="step", ylabel="loss, weighted", yscale="log", title="Training loss")
axis.legend()
plt.show()

# %% [markdown]
# It learns. The joints of its bodies come closer and closer, in the picture and in space. If the
# loss curve were all that we looked at, we would call it a success.
#
# ## Look at the bodies
#
# The first people of the studio test set, which the network has never seen; nobody picked them.
# From left to right: the picture, the answer laid over it, the truth, the answer seen from its
# side, and the answer coloured by twist: dark is a joint turned far about its own bone.

# %% tags=["nbval-ignore-output"]
from checks import first_people
from hmrlab import load_set
from hmrlab.geometry import bone_axes
from hmrlab.rendering import side_view

test = load_set("studio", "test", sizes)
people = first_people(test, body, count=sizes.gallery, resolution=sizes.resolution)
answers = predict(result.model(), people, body)

axes = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)
_, twist = swing_twist(answers.prediction.rotations, axes)  # (N, 24) radians
twist = twist.rad2deg().abs()
twist[:, 0] = 0  # the root may face any way
heat = joint_heat(twist, body.weights, most=180)

columns = {
    "picture": people.pictures,
    "answer": overlay(people.pictures, answers.mesh, body.faces, answers.prediction.camera),
    "truth": overlay(people.pictures, people.mesh, body.faces, people.camera),
    "answer, from the side": side_view(
        answers.mesh, body.faces, answers.prediction.camera, size=192
    ),
    "answer, by twist": overlay(
        np.full_like(people.pictures, 255),
        answers.mesh,
        body.faces,
        answers.prediction.camera,
        colours=heat,
    ),
}
captions = [f"largest twist: {SMPL_JOINTS[k]}, {t[k]:.0f}°" for t in twist for k in [t.argmax()]]
show(gallery(columns, captions, width=1.4), quality=60)

# %% tags=["nbval-ignore-output"]
from hmrlab.rendering import colour_bar

show(colour_bar(180, "twist about the bone, degrees"))

# %% [markdown]
# The same people to turn round, in a running notebook. Joints that are twisted further than a
# person's can be flash; the names of the worst stand below.

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare

compare(
    body, {"keypoints only": answers.prediction}, truth=people.truth, pictures=people.pictures,
    heat="twist", title="keypoints only", start="picture",
)  # fmt: skip

# %% [markdown]
# There is the diary's sentence. Arms and legs roughly where they should be; and the body is a
# wreck. Look at the side views, and at how the skin winds up where a limb is turned.
#
# ## Is that a few unlucky people?
#
# A histogram over all of the test set. The true forearms turn by a few tens of degrees. What about
# the network's?

# %% tags=["nbval-ignore-output"]
from hmrlab.bodies import TWIST_LIMITS_DEG

scores = result.scores("studio")
elbows = [SMPL_JOINTS.index("left_elbow"), SMPL_JOINTS.index("right_elbow")]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
bins = np.linspace(-180, 180, 37)
left.hist(scores.true_twist_deg[:, elbows].ravel(), bins, label="truth", color="0.7")
left.hist(
    scores.twist_deg[:, elbows].ravel(), bins, label="answer", histtype="step", color="C3", lw=2
)
left.axvspan(-TWIST_LIMITS_DEG[elbows[0]], TWIST_LIMITS_DEG[elbows[0]], color="C2", alpha=0.1)
left.set(xlabel="twist at the elbow, degrees (green: what a person can)", ylabel="elbows")
most = max(4.0, float(np.quantile(np.abs(scores.betas), 0.99)))
bins = np.linspace(-most, most, 40)
right.hist(scores.true_betas.ravel(), bins, label="truth", color="0.7")
right.hist(scores.betas.ravel(), bins, label="answer", histtype="step", color="C3", lw=2)
right.set(xlabel="beta, standard deviations of the population", ylabel="betas")
for axis in (left, right):
    axis.legend()
plt.show()

# %% tags=["nbval-ignore-output"]
beyond = scores.beyond_limits[:, elbows].mean()
print(f"{100 * beyond:.0f} % of the forearms are turned further than an arm can turn")
mean, true_mean = np.abs(scores.betas).mean(), np.abs(scores.true_betas).mean()
print(f"mean of abs(beta): {mean:.2f}, truth {true_mean:.2f}")

# %% [markdown]
# ## What do the numbers say?
#
# Before believing any number, ask what a network that never looks would score. Our baseline gives
# every picture the same body, the mean of the pose sampler. (It always faces the camera, and half
# of the people do not.)

# %% tags=["nbval-ignore-output"]
from hmrlab.data import BatchLoader
from hmrlab.evaluation import constant_predictor_scores

batches = BatchLoader(test, batch_size=100, resolution=sizes.resolution)
blind = constant_predictor_scores(batches, body, mean_rotations())
table = {"always the mean body": blind.to_dict(), "keypoints only": scores.to_dict()}
score_table(table)

# %% [markdown]
# Read it line by line. The first two are about joints, the numbers that every paper puts first, and
# there looking helps. All other lines are about the body that carries the joints, and there a
# network that looks is *worse* than one that does not look at all. MPJPE cannot tell.
#
# ## Why it was bound to happen
#
# Turn a forearm about its own axis. The wrist stays where it was; the elbow too. No keypoint moves,
# so no keypoint loss changes, so no gradient ever says a word about it. Such a change is a **blind
# direction**. How many are there?
#
# A body has $24 \times 3$ numbers of pose and 10 of shape. Around one body, the Jacobian says how
# far each annotated keypoint moves for a small change of each number. Its singular values say how
# well each independent direction can be seen: metres of movement for one radian (or for one
# standard deviation of shape).


# %%
from hmrlab.geometry import matrix_to_axis_angle


def keypoints_of(parameters):
    """(82,): 72 of axis-angles, 10 of shape -> (72,): 24 keypoints about the hips, metres."""
    points = body.keypoints(parameters[None, :72], parameters[None, 72:])[0, ANNOTATED]
    return (points - points[[2, 3]].mean(0)).flatten()


here = torch.cat([matrix_to_axis_angle(mean_rotations()).flatten(), torch.zeros(10)])
jacobian = torch.func.jacrev(keypoints_of)(here)
_, strength, directions = torch.linalg.svd(jacobian)
strength = torch.cat([strength, torch.zeros(len(here) - len(strength))])

figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.semilogy(strength.clamp(min=1e-7), "o-", ms=3)
axis.axhline(0.01, color="C3", lw=1)
axis.set(
    xlabel="direction", ylabel="movement, m per radian",
    title="How well 3D keypoints see a change of the body",
)  # fmt: skip
plt.show()

# %%
blind_ones = int((strength < 0.01).sum())
print(
    f"{blind_ones} of {len(here)} directions move all keypoints together by less than 1 cm a radian"
)

# %% [markdown]
# And these are keypoints in 3D, without any error. What do the blind directions look like? Three
# bodies with the same 24 keypoints as the first:


# %% tags=["nbval-ignore-output"]
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.rendering import render_bodies


def turned(pose, joints, axis_angle):
    """Turn some joints of (24, 3, 3), in their own frames."""
    changed = pose.clone()
    for joint in joints:
        changed[joint] = changed[joint] @ axis_angle_to_matrix(torch.as_tensor(axis_angle))
    return changed


start = mean_rotations()
start[0] = torch.eye(3)  # facing the camera of `render_bodies`
wrists = [SMPL_JOINTS.index("left_wrist"), SMPL_JOINTS.index("right_wrist")]
ankles = [SMPL_JOINTS.index("left_ankle"), SMPL_JOINTS.index("right_ankle")]
bodies = {
    "the mean pose": start,
    "forearms turned by 180°": turned(start, elbows, torch.pi * axes[elbows[0]]),
    "hands bent back": turned(start, wrists, (0.0, 0.0, 1.4)),
    "feet backwards": turned(start, ankles, (0.0, 3.0, 0.0)),
}
poses = torch.stack(list(bodies.values()))
shape = torch.zeros(len(poses), 10)
points = body.keypoints(poses, shape)[:, ANNOTATED]
pictures = render_bodies(body.vertices(poses, shape), body.faces, size=(300, 190), yaw=20)
figure, all_axes = plt.subplots(1, len(bodies), figsize=(9, 3.8), layout="constrained")
for axis, title, picture, moved in zip(all_axes, bodies, pictures, points - points[0], strict=True):
    axis.imshow(picture)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(f"keypoints moved by {1000 * moved.norm(dim=-1).max():.1f} mm", fontsize=8)
    axis.set(xticks=[], yticks=[])
show(figure)

# %% [markdown]
# A network started at a sensible pose could stay near it in all blind directions: nothing pushes it
# away. But nothing holds it either. Each step moves weights that *all* outputs share, so blind
# outputs are dragged along wherever the seen ones go, step by step, like a boat without an anchor.
# And where a limb can be reached by a wrong rotation (over the top, say, or by a half turn too
# much), the loss is as content as with the right one.
#
# ## The fix, in advance
#
# What the keypoints do not see, a label must say. Synthetic people have true rotations and shapes,
# so the same network can be told. Same pictures, same steps, two more terms in the loss: the
# difference of the rotation matrices and of the betas. Chapter 06 builds them; here only their
# effect.

# %% tags=["nbval-ignore-output"]
told = run_training(preset("with_smpl", sizes, seed))
print(f"{'from the ledger' if told.reused else 'trained now'}: {told.record.seconds:.0f} s")
score_table(table | {"and SMPL losses": told.scores("studio").to_dict()})

# %% tags=["nbval-ignore-output"]
answers_told = predict(told.model(), people, body)
paper = np.full_like(people.pictures, 255)
_, twist_told = swing_twist(answers_told.prediction.rotations, axes)
twist_told = twist_told.rad2deg().abs()
twist_told[:, 0] = 0
heat_told = joint_heat(twist_told, body.weights, most=180)
columns = {
    "picture": people.pictures,
    "keypoints only": overlay(people.pictures, answers.mesh, body.faces, answers.prediction.camera),
    "by twist": overlay(paper, answers.mesh, body.faces, answers.prediction.camera, colours=heat),
    "with SMPL losses": overlay(
        people.pictures, answers_told.mesh, body.faces, answers_told.prediction.camera
    ),
    "by twist ": overlay(
        paper, answers_told.mesh, body.faces, answers_told.prediction.camera, colours=heat_told
    ),
}
show(gallery(columns, width=1.4), quality=60)

# %% tags=["nbval-ignore-output"]
compare(
    body, {"keypoints only": answers.prediction, "with SMPL losses": answers_told.prediction},
    truth=people.truth, pictures=people.pictures, heat="twist", title="told and not told",
    start="picture",
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
before, after = scores.to_dict(), told.scores("studio").to_dict()
for name in ("mpjpe_mm", "rotation_error_deg", "elbow_twist_error_deg"):
    print(f"{name:24s} {before[name]:7.1f} -> {after[name]:7.1f}")

# %% [markdown]
# The same kind of joints, another kind of body. So why not always train like this? Because nobody
# has the true rotations of a person in a photograph. Where such labels could come from is what the
# rest of the series is about, and SPIN's answer is the boldest: let an optimiser make them up.
#
# ## Exercises
#
# **1. A loss that survives missing labels.** In real data sets many keypoints are unlabelled, and
# what stands in their place may be anything, NaN included. Write the 2D loss (mean over *all*
# entries of confidence times squared difference) so that neither it nor its gradient notices.


# %%
def masked_loss(predicted, labels):
    """(B, K, 2) against (B, K, 3) x, y, confidence; NaN wherever the confidence is 0 -> scalar."""
    return None


chapter_04.check_masked_loss(masked_loss)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def masked_loss_solution(predicted, labels):
    confidence = labels[..., 2:]
    places = torch.where(confidence > 0, labels[..., :2], 0.0)
    return (confidence * (predicted - places) ** 2).mean()


chapter_04.check_masked_loss(masked_loss_solution, must_pass=True)

# %% [markdown]
# **2. What a blind guess scores.** Always answer the mean body of the data. What is its MPJPE, in
# millimetres?


# %%
def blind_guess_mpjpe(joints):
    """(N, 14, 3) metres, each person's pelvis at 0 -> scalar, millimetres."""
    return None


chapter_04.check_blind_guess(blind_guess_mpjpe)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def blind_guess_solution(joints):
    return 1000 * (joints - joints.mean(0)).norm(dim=-1).mean()


chapter_04.check_blind_guess(blind_guess_solution, must_pass=True)

# %% [markdown]
# **3. Counting blind directions.** Given any Jacobian (measurements, parameters), how many
# independent directions of the parameters move the measurements by less than `least`, per unit?
# Mind the shape.


# %%
def count_blind(jacobian, least):
    """(M, P) tensor, float -> int."""
    return None


chapter_04.check_blind_directions(count_blind)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def count_blind_solution(jacobian, least):
    seen_well = torch.linalg.svdvals(jacobian) >= least
    return jacobian.shape[1] - int(seen_well.sum())


chapter_04.check_blind_directions(count_blind_solution, must_pass=True)

# %% [markdown]
# **To think about.** Add the OpenPose joints' toes and heels to the Jacobian
# (`body.keypoints(...)[:, :25]` has them). Which directions become visible? Which ones would marker
# points on the palms show?
#
# ## Recap
#
# - Two losses on keypoints put joints where they belong, and leave the rest of the body to chance.
# - MPJPE measures what was trained. To see what was not, measure rotations, twist and shape, and
#   look at the body from another side.
# - Around one pose, the Jacobian's singular values count what keypoints cannot see.
# - A baseline that never looks is the first column of an honest table.
#
# ## Further reading
#
# - Kanazawa, Black, Jacobs, Malik: *End-to-end Recovery of Human Shape and Pose*, CVPR 2018.
#   Section 3 has the losses, and a discriminator against the monsters that you have just seen.
# - Kolotouros, Pavlakos, Black, Daniilidis: *Learning to Reconstruct 3D Human Pose and Shape via
#   Model-fitting in the Loop*, ICCV 2019. SPIN itself.
# - Bogo et al.: *Keep it SMPL*, ECCV 2016. Fitting a body to keypoints, with a prior for what the
#   keypoints do not see.
