# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 04_keypoints_only]}
# ---

# %% [markdown]
# # 12 · The adversarial prior
#
# The diary, among its thoughts:
#
# > Add a discriminator next, or first make the encoder as light as possible? Decided: lighter
# > first, the discriminator afterwards.
#
# Chapters 10 and 11 made the encoder lighter. This is the afterwards, which the diary never
# reached.
#
# Chapter 04 left us with bodies whose joints are in place and whose arms are wound up like
# sweet wrappers. SMPL labels cured that; but nobody has labels for a photograph. HMR (Kanazawa et
# al., CVPR 2018), the paper that SPIN grew out of, had another idea. To see that an arm is broken,
# one need not know how it was held in *this* picture. It is enough to have seen arms. So let a
# second network look at many bodies, pictures or not, and judge those of the first.
#
# **You will be able to**
# - build HMR's 25 small discriminators and their least-squares losses;
# - read a discriminator as a landscape over poses, whose slope is what the network is taught;
# - train with such a prior, and tell what it gives from what only labels give;
# - recognise two ways in which discriminators win, and say why each is a defeat for both sides.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from checks import chapter_12, score_table, show
from hmrlab import get_scale, load_set, preset, run_training
from hmrlab.bodies import SMPL_JOINTS, TWIST_LIMITS_DEG, load_body
from hmrlab.data import BatchLoader
from hmrlab.geometry import bone_axes, swing_twist
from hmrlab.training import adversary as package

sizes = get_scale(scale)
body = load_body(detail="light")
axes = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)
left_elbow = SMPL_JOINTS.index("left_elbow")
elbows = [left_elbow, SMPL_JOINTS.index("right_elbow")]

# %% [markdown]
# ## Predict before you run
#
# The network is trained by keypoints, as in chapter 04, and must also pass for real before judges
# who never see a picture.
#
# 1. Chapter 04's network turned half of all joints further than a person can, and was wrong about
#    the twist of an elbow by nearly 140 degrees. What will the judges bring each of the two
#    down to? And always answering the mean pose: how wrong is that about an elbow's twist?
# 2. Who always gives the same believable body is never caught. What keeps the network from that?
# 3. Suppose that the judges become perfect and are never fooled again. Is that good for the
#    network?
#
# ## What the judges have seen
#
# Real bodies, HMR took them from motion capture. Ours are drawn from the sampler that also posed
# the synthetic people; none of them is anybody's label, and there is no picture of any. The root's
# rotation is left out: one may face wherever one likes.

# %%
from hmrlab.config import AdversaryConfig
from hmrlab.training.adversary import real_bodies

plan = AdversaryConfig()
rotations, betas = real_bodies(plan.bodies, plan.seed)
print(f"{len(rotations):,} bodies: rotations {tuple(rotations.shape[1:])}, "
      f"shapes {tuple(betas.shape[1:])}")  # fmt: skip


# %%
from hmrlab.rendering import render_bodies


def standing(rotations):
    """(B, 23, 3, 3) -> (B, 24, 3, 3), facing the camera of `render_bodies`."""
    return torch.cat([torch.eye(3).expand(len(rotations), 1, 3, 3), rotations], 1)


def draw(rotations, betas, size=(200, 130), **options):
    """Pictures of bodies, all at one scale."""
    mesh = body.vertices(standing(rotations), betas)
    return render_bodies(mesh, body.faces, size=size, **options)


show(np.concatenate(list(draw(rotations[:8], betas[:8], yaw=20)), 1), quality=70)

# %% [markdown]
# ## Twenty-five judges
#
# One network that judges whole bodies would have to learn the space of all poses, and could win by
# any detail. HMR splits the question. Each of the 23 joints has a judge of its own, who sees the
# nine numbers of that joint's matrix and nothing else; one judge sees all joints together, since
# two possible joints may be impossible at once; one sees the shape. All judges of joints share
# their first two layers. Fewer than two million weights, most of them the one's who sees all.


# %%
class Judges(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(9, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
        self.joints = nn.ModuleList(nn.Linear(32, 1) for _ in range(23))
        self.together = nn.Sequential(
            nn.Linear(23 * 32, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(),
            nn.Linear(1024, 1),
        )  # fmt: skip
        self.shape = nn.Sequential(
            nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1)
        )

    def forward(self, rotations, betas):
        """(B, 23, 3, 3), (B, 10) -> (B, 25) scores."""
        features = self.features(rotations.flatten(2))
        each = [judge(features[:, joint]) for joint, judge in enumerate(self.joints)]
        return torch.cat([*each, self.together(features.flatten(1)), self.shape(betas)], 1)


# %%
from hmrlab.models.discriminators import Discriminators

torch.manual_seed(0)
theirs = Discriminators()
ours = Judges()
ours.load_state_dict(theirs.state_dict(), strict=True)
torch.testing.assert_close(ours(rotations[:8], betas[:8]), theirs(rotations[:8], betas[:8]))
count = sum(weights.numel() for weights in ours.parameters())
print(f"{count:,} weights; ours and the package's give the same scores")

# %% [markdown]
# ## Two losses against each other
#
# A judge $D_k$ should say 1 of a real body and 0 of the network's. The network would have it say 1.
# In the least-squares form, with sums over the 25 judges and means over the bodies:
#
# $$ L_{judges} = \sum_k \operatorname{mean}_{real} (D_k - 1)^2 +
#    \operatorname{mean}_{network} D_k^2 , \qquad
#    L_{network} = \sum_k \operatorname{mean}_{network} (D_k - 1)^2 $$
#
# Why squares and not the logarithms of the first adversarial networks? A logarithm that is sure of
# itself is flat: the body that most needs to be told is told nothing. A parabola is steeper the
# further one is from its bottom.


# %%
def judges_loss(real, fake):
    """(B, 25) and (C, 25) scores -> (25,): what each judge pays."""
    return ((real - 1) ** 2).mean(0) + (fake**2).mean(0)


def network_loss(fake):
    """(C, 25) scores -> scalar: what the network pays to all of them."""
    return ((fake - 1) ** 2).mean(0).sum()


# %%
generator = torch.Generator().manual_seed(1)
real_scores, fake_scores = (torch.randn(n, 25, generator=generator) for n in (64, 48))
torch.testing.assert_close(judges_loss(real_scores, fake_scores),
                           package.discriminator_losses(real_scores, fake_scores))  # fmt: skip
torch.testing.assert_close(network_loss(fake_scores), package.encoder_loss(fake_scores))
undecided = torch.full((8, 25), 0.5)
print("the package agrees")
print(f"a judge who says one half to everybody pays {judges_loss(undecided, undecided)[0]:.2f}, "
      f"a perfect one {judges_loss(torch.ones(8, 25), torch.zeros(8, 25))[0]:.2f}")  # fmt: skip

# %% [markdown]
# ## Judges at school
#
# Before they are set against a network that learns, let them learn against one that does not:
# chapter 04's, trained by keypoints alone. Its answers for the first people of the test set are the
# fakes.

# %% tags=["nbval-ignore-output"]
keypoints_only = run_training(preset("keypoints_only", sizes, seed))
print(f"{'from the ledger' if keypoints_only.reused else 'trained now'}: "
      f"{keypoints_only.record.seconds:.0f} s")  # fmt: skip
test = load_set("studio", "test", sizes)


def answers_for_many(result, most=400):
    """A network's answers for the first people of the test set, and those people."""
    batch = next(iter(BatchLoader(test.first(min(most, len(test))), batch_size=most,
                                  resolution=sizes.resolution, prefetch=0)))  # fmt: skip
    with torch.no_grad():
        return result.model()(batch.images).float(), batch


fakes, many = answers_for_many(keypoints_only)

# %% tags=["nbval-ignore-output"]
from hmrlab.training.adversary import Adversary

school = Adversary(replace(plan, guard=0.0), "cpu", seed)
generator = torch.Generator().manual_seed(seed)
paid = []
for _ in range(min(250, sizes.steps)):
    rows = torch.randint(len(fakes.betas), (plan.batch,), generator=generator)
    some = fakes[rows]
    paid.append(float(school.step(some)["discriminator"]))
judges = school.discriminators.eval()
print(f"mean loss of a judge: {paid[0]:.2f} at first, {np.mean(paid[-5:]):.2f} after {len(paid)} "
      "steps")  # fmt: skip

# %% [markdown]
# What do they say of bodies? Four real ones and four of the network's, not chosen, in the order of
# their mean score:

# %% tags=["nbval-ignore-output"]
shown = torch.cat([rotations[:4], fakes.rotations[:4, 1:]])
shapes = torch.cat([betas[:4], fakes.betas[:4]])
origin = ["real"] * 4 + ["network"] * 4
with torch.no_grad():
    marks = judges(shown, shapes).mean(1)
order = marks.argsort(descending=True).tolist()
pictures = draw(shown, shapes, yaw=20)
figure, all_axes = plt.subplots(1, 8, figsize=(9, 2.2), layout="constrained")
for axis, k in zip(all_axes, order, strict=True):
    axis.imshow(pictures[k])
    axis.set_title(f"{origin[k]}: {marks[k]:.2f}", fontsize=8)
    axis.axis("off")
show(figure, quality=76)

# %% [markdown]
# ## A landscape
#
# Now take a single arm. Real bodies, each with its left forearm turned about its own bone, all the
# way round. No keypoint moves. The judge of the left elbow knows nothing but that joint's matrix.

# %% tags=["nbval-ignore-output"]
from hmrlab.geometry import axis_angle_to_matrix

turns = np.arange(-180, 181, 10)
sample = rotations[:200]


def with_turned_elbow(rotations, degrees):
    """(B, 23, 3, 3) with the left forearm turned about its bone by that much more."""
    turn = axis_angle_to_matrix(np.radians(degrees) * axes[left_elbow])
    turned = rotations.clone()
    turned[:, left_elbow - 1] = rotations[:, left_elbow - 1] @ turn
    return turned


def twist_of(rotations, joint=left_elbow):
    """(B, 23, 3, 3) -> (B,) twist about a joint's bone, degrees."""
    return torch.rad2deg(swing_twist(rotations[:, joint - 1], axes[joint])[1])


twists, elbow_scores, whole_scores = [], [], []
with torch.no_grad():
    for degrees in turns:
        turned = with_turned_elbow(sample, float(degrees))
        scores = judges(turned, betas[:200])
        twists.append(twist_of(turned))
        elbow_scores.append(scores[:, left_elbow - 1])
        whole_scores.append(scores[:, 23])
twists, elbow_scores, whole_scores = map(torch.cat, (twists, elbow_scores, whole_scores))

figure, axis = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
edges = np.arange(-180, 181, 15)
centres = (edges[:-1] + edges[1:]) / 2
bins = np.digitize(twists.numpy(), edges[1:-1])
for name, values, colour in (
    ("the elbow's judge", elbow_scores, "C0"),
    ("the judge of all joints", whole_scores, "C1"),
):
    grouped = [values.numpy()[bins == k] for k in range(len(centres))]
    axis.plot(centres, [g.mean() for g in grouped], "o-", ms=3, color=colour, label=name)
    low, high = np.array([np.quantile(g, (0.1, 0.9)) for g in grouped]).T
    axis.fill_between(centres, low, high, color=colour, alpha=0.12)
limit = TWIST_LIMITS_DEG[left_elbow]
axis.axvspan(-limit, limit, color="C2", alpha=0.1)
axis.axhline(1, color="0.6", lw=0.8)
axis.axhline(0, color="0.6", lw=0.8)
axis.set(
    xlabel="twist at the left elbow, degrees (green: what a person can)", ylabel="score",
    title="What the judges say of a forearm that is turned; 80 % of bodies within the bands",
)  # fmt: skip
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# A network is not taught by the height of this landscape but by its slope. Put a body with a turned
# forearm somewhere on it and let it walk downhill on its loss. No picture, no keypoint, no label;
# the judges stand still. How far does it get?


# %% tags=["nbval-ignore-output"]
from hmrlab.bodies import SMPLParams
from hmrlab.geometry import matrix_to_six_d, six_d_to_matrix


def walk(rotations, betas, steps=80, rate=0.02):
    """Bodies on their way to what the judges take for real: (steps + 1) of (B, 23, 3, 3)."""
    six_d = matrix_to_six_d(standing(rotations)).requires_grad_()
    optimiser = torch.optim.Adam([six_d], lr=rate)
    path = [rotations]
    for _ in range(steps):
        optimiser.zero_grad()
        bodies = SMPLParams(six_d_to_matrix(six_d), betas, torch.ones(len(betas), 3))
        school.loss(bodies).backward()
        optimiser.step()
        path.append(six_d_to_matrix(six_d.detach())[:, 1:])
    return path


path = walk(with_turned_elbow(sample[:64], 150.0), betas[:64])
number = 3  # one of them to look at
stops = (0, 10, 20, 40, 80)
pictures = np.concatenate([draw(path[k][number][None], betas[number][None], (220, 170), yaw=20)
                           for k in stops])  # fmt: skip
figure, all_axes = plt.subplots(1, len(stops), figsize=(8, 2.6), layout="constrained")
for axis, k, picture in zip(all_axes, stops, pictures, strict=True):
    axis.imshow(picture)
    axis.set_title(f"step {k}: {twist_of(path[k])[number]:.0f}°", fontsize=9)
    axis.axis("off")
show(figure, quality=76)

# %% tags=["nbval-ignore-output"]
for k in stops:
    beyond = (twist_of(path[k]).abs() > limit).float().mean()
    away = (twist_of(path[k]) - twist_of(sample[:64]) + 180).remainder(360) - 180
    print(f"step {k:2d}: {beyond:4.0%} of 64 forearms beyond the limit; "
          f"from where each had been: {away.abs().mean():3.0f} degrees")  # fmt: skip

# %% [markdown]
# Keep the last column in mind. The judges know where arms can be. They cannot know where *this* one
# was.
#
# ## The training
#
# Now both learn at once. In each step the judges first see the network's answers to a batch and as
# many real bodies; then the network pays for its keypoints, as in chapter 04, and to the judges.
# Its gradient goes *through* them, and their weights stay out of it:
#
#     # the judges' turn: no gradient to the network
#     judges_loss(judges(real), judges(answers.detach())).mean().backward()
#     # the network's turn: no gradient to the judges
#     total = keypoint_losses + weight * network_loss(frozen_judges(answers))
#
# And a **guard**: where the judges' mean loss falls below a threshold they skip their step, until
# the network has caught up. We shall see whether that is needed. The judges' weight is HMR's, 1
# beside the 60 of everything else.

# %% tags=["nbval-ignore-output"]
config = preset("adversarial", sizes, seed)
print(config.description)
print(config.losses)
print(config.adversary)

# %% [markdown]
# For comparison, SMPL's labels: chapter 05's training with all losses and ReLUs in the regressor,
# which had half of the steps. (Without ReLUs a training diverges now and then, and the one of
# chapter 04 did on the machine that made these pages.)

# %% tags=["nbval-ignore-output"]
judged = run_training(config)
told = run_training(preset("half_relu_n3", sizes, seed))
for title, result in (("+ judges", judged), ("+ SMPL losses", told)):
    print(f"{title}: {'from the ledger' if result.reused else 'trained now'}, "
          f"{result.record.seconds:.0f} s")  # fmt: skip


# %%
def smooth(values, share=20):
    """The running mean over a twentieth of the training, and where each belongs."""
    window = max(1, len(values) // share)
    kept = np.convolve(values, np.ones(window) / window, mode="valid")
    return np.arange(len(kept)) + window // 2, kept


def contest(results):
    """Along the training: what the keypoints cost, what each side pays, how often judges wait."""
    figure, all_axes = plt.subplots(1, 4, figsize=(11, 2.7), layout="constrained")
    kinds = {
        "keypoints_3d": "3D keypoints, m²",
        "adversarial": "the network pays (25 judges)",
        "discriminator": "a judge pays (0.5: undecided)",
        "guarded": "share of steps that judges wait",
    }
    for axis, (name, words) in zip(all_axes, kinds.items(), strict=True):
        for title, result in results.items():
            history = result.history()
            at, values = smooth(history.values[name])
            axis.plot(history.steps[at], values, label=title)
        axis.set(title=words, xlabel="step")
        axis.title.set_size(9)
    all_axes[0].set_yscale("log")
    all_axes[2].axhline(0.5, color="0.6", lw=0.8)
    all_axes[3].set_ylim(-0.05, 1.05)
    all_axes[1].legend(fontsize=7)
    return show(figure, dpi=76, quality=80)


# %% tags=["nbval-ignore-output"]
contest({"adversarial": judged})

# %% [markdown]
# Do not look for a curve that falls. Each side's loss depends on how good the other is; a draw is a
# good sign, and neither loss says how good the bodies are. For that there is only one way.
#
# ## Look at the bodies
#
# The same people as in chapter 04. To the right of each answer the same body on white, coloured by
# twist: dark is a joint turned far about its own bone.

# %% tags=["nbval-ignore-output"]
from checks import first_people, predict
from hmrlab.rendering import gallery, joint_heat, overlay

people = first_people(test, body, count=sizes.gallery, resolution=sizes.resolution, size=160)


def by_twist(rotations):
    """(N, 24, 3, 3) -> colours of the vertices."""
    twist = torch.rad2deg(swing_twist(rotations, axes)[1]).abs()
    twist[:, 0] = 0  # the root may face any way
    return joint_heat(twist, body.weights, most=180)


def answered(results):
    """What networks say of these people, by title."""
    return {title: predict(result.model(), people, body) for title, result in results.items()}


def compared(answers):
    """Columns for a gallery: over the pictures, and on white by twist."""
    paper = np.full_like(people.pictures, 255)
    columns = {"picture": people.pictures}
    for title, said in answers.items():
        camera = said.prediction.camera
        heat = by_twist(said.prediction.rotations)
        columns[title] = overlay(people.pictures, said.mesh, body.faces, camera)
        columns["by twist" + " " * len(columns)] = overlay(
            paper, said.mesh, body.faces, camera, colours=heat
        )
    truth = overlay(people.pictures, people.mesh, body.faces, people.camera)
    return columns | {"truth": truth}


results = {"keypoints only": keypoints_only, "+ judges": judged, "+ SMPL losses": told}
answers = answered(results)
show(gallery(compared(answers), width=1.1), dpi=72, quality=60)

# %% [markdown]
# And in a viewer, to be turned where a notebook runs: twist as colour, by joint.


# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare


def to_turn(answers, title):
    """The same people in a viewer."""
    return compare(
        body, {name: said.prediction for name, said in answers.items()}, truth=people.truth,
        pictures=people.pictures, heat="twist", title=title, start="picture",
    )  # fmt: skip


to_turn(answers, "with and without judges")

# %% tags=["nbval-ignore-output"]
figure, all_axes = plt.subplots(1, 3, figsize=(9, 2.6), sharey=True, layout="constrained")
bins = np.linspace(-180, 180, 37)
for axis, (title, result) in zip(all_axes, results.items(), strict=True):
    scores = result.scores("studio")
    axis.hist(scores.true_twist_deg[:, elbows].ravel(), bins, color="0.75", label="truth")
    axis.hist(scores.twist_deg[:, elbows].ravel(), bins, color="C3", lw=1.5, histtype="step",
              label="answer")  # fmt: skip
    axis.axvspan(-limit, limit, color="C2", alpha=0.1)
    axis.set(title=title, xlabel="twist at the elbows, degrees")
all_axes[0].set_ylabel("elbows")
all_axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What do the numbers say?
#
# Beside the three, the network that never looks: always the sampler's mean body.

# %% tags=["nbval-ignore-output"]
from checks.tables import SCORES, headings
from hmrlab.data.synthetic import mean_rotations
from hmrlab.evaluation import constant_predictor_scores

batches = BatchLoader(test, batch_size=100, resolution=sizes.resolution)
blind = constant_predictor_scores(batches, body, mean_rotations())
ROWS = SCORES | headings("root_error_deg")
table = {"always the mean body": blind.to_dict()} | {
    title: result.scores("studio").to_dict() for title, result in results.items()
}
score_table(table, ROWS)

# %% tags=["nbval-ignore-output"]
plain, judges_scores, with_labels = (table[title] for title in results)
for name, words in (
    ("rotation_error_deg", "rotation error"),
    ("elbow_twist_error_deg", "twist error of the elbows"),
    ("beyond_limits_percent", "share beyond the limits"),
):
    whole_way = plain[name] - with_labels[name]
    way = (plain[name] - judges_scores[name]) / whole_way if whole_way else float("nan")
    print(f"{words}: the judges go {way:.0%} of the way that labels go")
print(f"MPJPE: {judges_scores['mpjpe_mm'] - plain['mpjpe_mm']:+.0f} mm with judges, "
      f"{with_labels['mpjpe_mm'] - plain['mpjpe_mm']:+.0f} mm with labels")  # fmt: skip

# %% tags=["nbval-ignore-output"]
from hmrlab.tables import runs_table

runs_table([result.record for result in results.values()])

# %% [markdown]
# At laptop scale the judges do nearly all that the labels do. No joint is turned too far any more,
# and the rotations are right to within a few degrees of what labels give: without one label, from a
# handful of small networks that never saw a picture. So do the arms untwist without SMPL labels?
# They do.
#
# Now look at the first column. *Nobody* beats the mean pose at the elbows' twist, neither the
# judges nor the labels: pictures of 64 pixels hardly show how a forearm is turned. From nearly 140
# degrees to what not looking costs is a long way, and it leads to believable answers, not to right
# ones.
#
# The root is another matter. It is not judged at all, and yet its error falls. A network that is
# told keypoints only may face everybody towards the camera and turn limbs inside out to match. Once
# the limbs must be limbs, only one way of facing is left.
#
# And there is a price: MPJPE rises, with judges as with labels (which also had fewer steps here). A
# body that may not cheat finds it harder to put its joints in place.
#
# Which joints does the picture tell the network about, then? For each joint, the error of the
# answer against that of the sampler's mean rotation. Below the diagonal, looking helped.

# %% tags=["nbval-ignore-output"]
blind_by_joint = blind.rotation_error_deg_by_joint
figure, axis = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
for (title, result), colour in zip(results.items(), ("0.6", "C0", "C2"), strict=True):
    by_joint = result.scores("studio").rotation_error_deg_by_joint
    axis.scatter(blind_by_joint[1:], by_joint[1:], s=16, color=colour, label=title)
    if title == "+ judges":
        for joint in range(1, 24):
            if not SMPL_JOINTS[joint].startswith("right"):
                axis.annotate(SMPL_JOINTS[joint].removeprefix("left_"),
                              (blind_by_joint[joint], by_joint[joint]), fontsize=6)  # fmt: skip
most = float(max(blind_by_joint[1:].max(), 40))
axis.plot((0, most), (0, most), color="0.8", lw=0.8)
axis.set(
    xlabel="error of the mean rotation, degrees", ylabel="error of the answer, degrees",
    yscale="symlog", ylim=(0, 180),
    title="23 joints: does the answer beat not looking?",
)  # fmt: skip
axis.legend(fontsize=8)
show(figure, dpi=76, quality=80)

# %% tags=["nbval-ignore-output"]
for title, result in results.items():
    by_joint = result.scores("studio").rotation_error_deg_by_joint
    better = [SMPL_JOINTS[k] for k in range(1, 24) if by_joint[k] < blind_by_joint[k]]
    words = ", ".join(sorted({name.removeprefix("left_").removeprefix("right_")
                              for name in better})) or "none"  # fmt: skip
    print(f"{title}: {len(better)} of 23 joints nearer than the mean rotation ({words})")

# %% [markdown]
# ## Next, or afterwards?
#
# The diary asked when to add the discriminator, and put it off. Does it matter? Take the network of
# chapter 04 as it is, finished and twisted, and let the judges in only now: a quarter of the steps,
# at a quarter of the learning rate.

# %% tags=["nbval-ignore-output"]
late = run_training(preset("adversarial_late", sizes, seed))
score_table(
    {
        "keypoints only": table["keypoints only"],
        "judges, afterwards": late.scores("studio").to_dict(),
        "judges from the start": table["+ judges"],
    },
    ROWS,
)

# %% [markdown]
# ## Judges who are too loud
#
# Question 2. The judges ask of each body whether it is a body, never whose. What if their word
# counts thirty times as much (and they learn ten times as fast)? Beside it a training of the same
# length, half of the steps, at the usual settings.

# %% tags=["nbval-ignore-output"]
contestants = {
    "half as long": run_training(preset("half_adversarial", sizes, seed)),
    "too loud": run_training(preset("adversarial_wins", sizes, seed)),
}
print(contestants["too loud"].config.adversary)
contest(contestants)

# %% tags=["nbval-ignore-output"]
loud_answers = answered(contestants)
show(gallery(compared(loud_answers), width=1.1), dpi=72, quality=60)

# %% tags=["nbval-ignore-output"]
to_turn(loud_answers, "judges at the usual strength, and too loud")

# %% [markdown]
# Nothing is twisted, and nobody is answered. That can be measured without a single picture: how far
# apart are the answers for two people?


# %% tags=["nbval-ignore-output"]
from hmrlab.geometry import rotation_angle_between


def spread(rotations):
    """(N, 24, 3, 3) -> mean angle between the same joint of neighbours in the list, degrees."""
    between = rotation_angle_between(rotations[1:, 1:], rotations[:-1, 1:])
    return float(torch.rad2deg(between).mean())


print(f"{'the true bodies':15s} {spread(many.rotations):5.1f} degrees from one to the next")
for title, result in {**results, **contestants}.items():
    said, _ = answers_for_many(result)
    print(f"{title:15s} {spread(said.rotations):5.1f}")

# %% tags=["nbval-ignore-output"]
loud = contestants["too loud"].scores("studio").to_dict()
score_table(
    {
        "always the mean body": table["always the mean body"],
        "half as long": contestants["half as long"].scores("studio").to_dict(),
        "too loud": loud,
    },
    ROWS,
)

# %% tags=["nbval-ignore-output"]
history = contestants["too loud"].history()
print("along the training, rotation error, degrees:",
      ", ".join(f"{value:.0f}" for value in history.checks["rotation_error_deg"]))  # fmt: skip

# %% [markdown]
# One body for everybody: adversarial training's most famous failure, **mode collapse**. To fool a
# judge one good body is as good as a thousand, and only the keypoints ask for different ones; when
# the judges are loud they are not heard. By its scores this network is the first column, the mean
# body, found the hard way. And the row of errors along the training shows a chase: the judges learn
# that body, the network moves *everybody* to another one, the judges learn that. Neither side's
# loss tells: for most of the training the contest looks like a draw.
#
# ## Judges who are too good
#
# Question 3. In all trainings so far the network kept up. Let it be too slow for once: chapter 04's
# network again, at a hundredth of its learning rate, against judges who learn ten times as fast.
# Once they may learn in every step; once the **guard** makes them wait.

# %% tags=["nbval-ignore-output"]
slow = {
    "slow network": run_training(preset("adversarial_slow", sizes, seed)),
    "slow, guarded": run_training(preset("adversarial_slow_guarded", sizes, seed)),
}
contest({"afterwards": late, **slow})

# %% tags=["nbval-ignore-output"]
score_table(
    {
        "keypoints only": table["keypoints only"],
        **{title: result.scores("studio").to_dict() for title, result in slow.items()},
        "afterwards": late.scores("studio").to_dict(),
    },
    ROWS,
)


# %% tags=["nbval-ignore-output"]
def waited(result):
    return float(result.history().values["guarded"].mean())


def judges_end(result):
    return float(smooth(result.history().values["discriminator"])[1][-1])


every = {"from the start": judged, "afterwards": late, "too loud": contestants["too loud"], **slow}
for title, result in every.items():
    print(f"{title:15s} the judges waited in {waited(result):4.0%} of the logged steps, and paid "
          f"{judges_end(result):.2f} each at the end")  # fmt: skip

# %% tags=["nbval-ignore-output"]
runs_table([result.record for result in (late, *contestants.values(), *slow.values())])

# %% [markdown]
# A judge who is never fooled has little to say. His landscape is a plain near 0 with a peak far
# away; where the network stands it is flat, or its slope points anywhere. The guard keeps the
# contest open. Whether that was worth something, ask the table, not the curve. And in the training
# that mattered, the first one, the guard had nothing to do: a precaution that is not needed costs
# nothing, and has not helped.
#
# ## Exercises
#
# **1. What the network pays.** From the judges' scores of its bodies.


# %%
def what_the_network_pays(scores):
    """(B, 25) -> scalar."""
    return None


chapter_12.check_encoder_loss(what_the_network_pays)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def what_the_network_pays_solution(scores):
    return (scores - 1).square().mean(0).sum()


chapter_12.check_encoder_loss(what_the_network_pays_solution, must_pass=True)

# %% [markdown]
# **2. Whose gradient is it?** The judge's loss on real bodies and on the network's: mean of
# $(D - 1)^2$ plus mean of $D^2$, over all entries. Calling `backward()` on it must teach the judge
# and leave the network in peace.


# %%
def lesson_for_the_judge(judge, real, fake):
    """module, (B, ...), (C, ...) with a gradient history -> scalar."""
    return None


chapter_12.check_discriminator_loss(lesson_for_the_judge)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def lesson_for_the_judge_solution(judge, real, fake):
    return (judge(real) - 1).square().mean() + judge(fake.detach()).square().mean()


chapter_12.check_discriminator_loss(lesson_for_the_judge_solution, must_pass=True)

# %% [markdown]
# **3. Who is winning?** A verdict is right where a real body scores above 0.5 or a fake one at most
# 0.5. The share of right verdicts for each judge, real and fake counting alike however many there
# are of each.


# %%
def told_apart(real, fake):
    """(B, 25), (C, 25) scores -> (25,) from 0 to 1."""
    return None


chapter_12.check_told_apart(told_apart)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def told_apart_solution(real, fake):
    return ((real > 0.5).float().mean(0) + (fake <= 0.5).float().mean(0)) / 2


chapter_12.check_told_apart(told_apart_solution, must_pass=True)

# %% [markdown]
# **To think about.** SMPLify's prior (chapter 08) is a fixed mixture of Gaussians over poses; the
# judges are a prior that changes as the network does. Which of the two could a network learn to
# outwit? And what do both know of a pose that nobody in their data ever took?
#
# ## Recap
#
# - Believable and right are two things. A prior is about the first, and needs no picture.
# - Many small judges, each with one question, instead of one with all of them.
# - The network is taught by the slope of the judges' scores, so judges must stay unsure.
# - The judges' loss and the network's are a contest's score, not a measure of quality.
# - Judges are content with one body for everybody. Only the keypoints ask for more, and they must
#   be heard. Measure how far answers lie apart.
# - A prior takes away impossible answers. Where the picture says nothing either, what remains is as
#   good as not looking.
#
# ## Further reading
#
# - Kanazawa, Black, Jacobs, Malik: *End-to-end Recovery of Human Shape and Pose*, CVPR 2018,
#   section 3.3. The real bodies came from the CMU, Human3.6M and PosePrior motion captures.
# - Mao, Li, Xie, Lau, Wang, Smolley: *Least Squares Generative Adversarial Networks*, ICCV 2017.
# - Kocabas, Athanasiou, Black: *VIBE*, CVPR 2020: a judge of whole movements.
# - Davydov, Remizova, Constantin, Honari, Salzmann, Fua: *Adversarial Parametric Pose Prior*, CVPR
#   2022: the judges leave a prior behind that can be used on its own.
