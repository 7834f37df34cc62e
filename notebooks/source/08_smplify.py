# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 02_camera_and_keypoints, 03_people]}
# ---

# %% [markdown]
# # 08 · SMPLify
#
# A network guesses. Is there another way from a picture to a body, one without any training? The
# diary's first result hangs over the question:
#
# > The result is very strange: the overall shape is similar, but the arms are twisted several times
# > round, so beta and theta have absurd values.
#
# That was a network, told nothing but keypoints. This chapter takes the network away and keeps the
# keypoints: turn the joints of a body until it lies over them. SMPLify (Bogo et al., 2016) does
# that, and SPIN runs it inside its training: it is how pictures without labels get theirs. The
# diary's notes stop before that half of SPIN.
#
# **You will be able to**
# - write SMPLify's objective, term by term, and say what breaks without each;
# - read what a prior knows about people, and what it cannot;
# - tell a local minimum from a good fit, and say why the picture cannot tell them apart;
# - write a Levenberg-Marquardt step, and say why it beats two hundred steps of Adam here;
# - fit a body to a photograph of your own.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0
photo: str = ""  # a photograph of your own; by default $HMRLAB_PHOTO, else a synthetic person
keypoints: str = ""  # OpenPose's JSON file (BODY_25) for it; by default $HMRLAB_KEYPOINTS

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import display

from checks import chapter_08, score_table, show
from checks.fits import fit_errors, means, over
from hmrlab import get_scale
from hmrlab.bodies import load_body
from hmrlab.rendering import contact_sheet, gallery
from hmrlab.smplify import NewtonSettings, ObjectiveWeights, cold_start, fit_with_newton, load_prior

sizes = get_scale(scale)
body = load_body(detail="light")
prior = load_prior()

# %% [markdown]
# ## Predict before you run
#
# 1. A keypoint is two numbers. A body has 72 of pose and 10 of shape, and a place in front of the
#    camera. The 49 keypoints are mostly the same twenty-odd places twice. Are there enough?
# 2. Switch off the prior on poses, the term on elbows and knees, or the term on shape. Which loss
#    makes the worst bodies? Which makes the *keypoints* worse?
# 3. Fit one person four times, from starts that face four ways. All four end within four pixels
#    of the keypoints. Will the bodies be the same?
#
# ## What is given
#
# Keypoints in a crop of 224 pixels, each with a confidence. Of the people the first few hundred of
# `wild`'s test set are taken, whose OpenPose keypoints are off, unsure, or missing, as a detector's
# are. Here is the first of them, and that is all a fit gets to see.

# %% tags=["nbval-ignore-output"]
from checks import first_people
from hmrlab import load_set
from hmrlab.bodies import ANNOTATED
from hmrlab.geometry import normalised_to_pixels
from hmrlab.models.shipped import shipped_record
from hmrlab.rendering import draw_keypoints
from hmrlab.smplify import Targets, from_camera

test = load_set("wild", "test", sizes)
resolution = shipped_record()["hmr"]["settings"]["scale"]["resolution"]  # that the network knows
people = first_people(test, body, count=min(200, len(test)), resolution=resolution)
targets = Targets.from_normalised(people.batch.keypoints_2d)
truth = from_camera(people.batch.rotations, people.batch.betas, people.camera)

side = people.pictures.shape[1]
flat = people.batch.keypoints_2d[:, ANNOTATED].clone()
flat[..., :2] = normalised_to_pixels(flat[..., :2], side)


def drawn(picture, points):
    return draw_keypoints(picture, np.asarray(points), zoom=1)


blank = np.full_like(people.pictures[0], 255)
show(contact_sheet(np.stack([people.pictures[0], drawn(blank, flat[0])]), columns=2), quality=74)

# %% [markdown]
# ## The objective, term by term
#
# The body stands in front of SPIN's far camera: focal length 5,000 pixels, the person some forty
# metres away, the middle of the crop on the axis. Chapter 02 has the formula. An error in pixels is
# squared where it is small; where it is large, it levels off (Geman and McClure):
#
# $$ \rho(e) = \frac{\sigma^2 e^2}{\sigma^2 + e^2}, \qquad \sigma = 100 \text{ pixels}, $$
#
# so that a keypoint that lies on somebody else's elbow does not pull for all it is worth. And each
# keypoint counts by its confidence *squared*.


# %%
def project(points, translation):
    """(B, K, 3) metres -> (B, K, 2) pixels of the crop."""
    placed = points + translation[:, None]
    return 5000 * placed[..., :2] / placed[..., 2:] + 112


def robust(error, sigma=100.0):
    return sigma**2 * error**2 / (sigma**2 + error**2)


def keypoint_term(points, translation, wanted):
    """(B,) pixels squared."""
    error = robust(project(points, translation) - wanted.keypoints_2d).sum(-1)
    return (wanted.confidence**2 * error).sum(1)


# %% [markdown]
# Keypoints say nothing of much that matters, so three more terms say what bodies are *likely*.
#
# **Elbows and knees** bend one way. Four of the 69 numbers of the pose are their angles; each gets
# an exponential, which is next to nothing for a bent knee and explodes for one bent backwards.


# %%
from hmrlab.bodies import SMPL_JOINTS


def angle_term(limbs):
    """(B, 69) axis-angles -> (B,)."""
    numbers = {"left_elbow": (1, 1), "right_elbow": (1, -1), "left_knee": (0, -1),
               "right_knee": (0, -1)}  # fmt: skip
    total = 0
    for name, (axis, sign) in numbers.items():
        angle = sign * limbs[:, 3 * (SMPL_JOINTS.index(name) - 1) + axis]  # positive: backwards
        total = total + torch.exp(angle) ** 2
    return total


# %% [markdown]
# **The pose** as a whole has a prior: a mixture of eight Gaussians over 69 numbers, fitted to many
# poses. The exact logarithm of a mixture is awkward, so SMPLify keeps only the component that
# explains the pose best, and is left with a quadratic:
#
# $$ E(\theta) = \min_m \; \tfrac12 (\theta - \mu_m)^\top P_m (\theta - \mu_m) + c_m . $$
#
# **The shape**: the betas are standard deviations, so their squares are the logarithm of a normal
# distribution. Keep them small.


# %%
def pose_term(limbs):
    """(B, 69) -> (B,)."""
    away = limbs[:, None] - prior.means  # (B, 8, 69)
    quadratic = torch.einsum("bmi,mij,bmj->bm", away, prior.precisions, away) / 2
    return (quadratic + prior.offsets).min(1).values


def our_objective(pose, betas, translation, wanted):
    """(B, 72) axis-angles, (B, 10), (B, 3) metres -> (B,), with SPIN's weights."""
    points = body.keypoints(pose, betas)
    return (
        keypoint_term(points, translation, wanted)
        + 4.78**2 * pose_term(pose[:, 3:])
        + 15.2**2 * angle_term(pose[:, 3:])
        + 5.0**2 * betas.square().sum(1)
    )


# %% [markdown]
# Does the package minimise the same? Random bodies and the keypoints of real test people:

# %%
from hmrlab.smplify import objective as package

generator = torch.Generator().manual_seed(8)
pose = 0.3 * torch.randn(4, 72, generator=generator)
pose[:, 0] += np.pi  # the camera's y points down
betas = torch.randn(4, 10, generator=generator)
translation = torch.tensor([[0.0, 0.0, 42.0]]).repeat(4, 1)
some = targets[torch.arange(4)]
points = body.keypoints(pose, betas)
weights = ObjectiveWeights()
pairs = {
    "keypoints": (
        keypoint_term(points, translation, some),
        package.reprojection_terms(points, translation, some, weights.sigma).sum(1),
    ),
    "elbows and knees": (angle_term(pose[:, 3:]), package.angle_prior(pose).sum(1)),
    "pose": (pose_term(pose[:, 3:]), prior(pose[:, 3:])),
    "all": (
        our_objective(pose, betas, translation, some),
        package.body_objective(points, pose, betas, translation, some, prior, weights),
    ),
}
for name, (ours, theirs) in pairs.items():
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-2)
    print(f"{name}: ours is the package's")

# %% [markdown]
# The weights are SPIN's; the package squares them as SPIN does. SPIN also leaves out five keypoints
# at the end (both hips twice and the neck, by which annotators and SMPL mean different places).
# `targets.counted()` gives them no confidence.
#
# ## What the prior knows
#
# Eight poses stand in the middle of the eight Gaussians. The line below says which share of all
# poses each one answers for.


# %%
from hmrlab.rendering import render_bodies


def upright(limbs, **view):
    """(N, 69) axis-angles -> pictures of bodies that stand before us."""
    pose = torch.cat([torch.zeros(len(limbs), 3), limbs], 1)
    vertices = body.vertices(pose, torch.zeros(len(limbs), 10))
    return render_bodies(vertices, body.faces, size=(165, 125), **view)


print("shares:", ", ".join(f"{100 * share:.0f} %" for share in prior.weights.tolist()))
show(contact_sheet(upright(prior.means, yaw=20), columns=8), quality=60)

# %% [markdown]
# It was fitted to the sampler of chapter 03: walking, sitting, kneeling, arms up. SMPLify's own was
# fitted to people in a motion capture studio. Draw from the mixture, and see what it takes for
# likely:

# %%
generator = torch.Generator().manual_seed(1)
which = torch.multinomial(prior.weights, 8, replacement=True, generator=generator)
spread = torch.linalg.cholesky(torch.linalg.inv(prior.precisions.double())[which])
noise = torch.randn(8, 69, 1, generator=generator, dtype=torch.float64)
samples = prior.means[which] + (spread @ noise)[..., 0].float()
show(contact_sheet(upright(samples, yaw=20), columns=8), quality=60)

# %% [markdown]
# Odd, but people; nobody's forearm is turned round and round. Remember for all that follows: our
# test people were posed by the very sampler that the prior was fitted to. It knows this world. On
# photographs a prior is always a bit of a stranger.
#
# And what does it say about a backwards elbow? Bend the left one of the prior's mean pose, from far
# behind straight to fully bent, and plot what each term has to say, weighted as in the objective.
# Five of these bodies, seen from above: bent by -60, -30, 0, 60 and 120 degrees.

# %%
bends = torch.linspace(-60, 150, 106)
limbs = prior.mean_pose().repeat(len(bends), 1)
elbow = 3 * (SMPL_JOINTS.index("left_elbow") - 1) + 1
limbs[:, elbow] = -torch.deg2rad(bends)
quiet = limbs.clone()
quiet[:, elbow] = -20.0  # so that only the three other hinges speak
figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
axis.plot(bends, 4.78**2 * (pose_term(limbs) - pose_term(limbs).min()), label="pose prior")
axis.plot(bends, 15.2**2 * (angle_term(limbs) - angle_term(quiet)), label="elbows and knees")
axis.axvline(0, color="0.6", lw=1)
axis.set(xlabel="bend of the left elbow, degrees (below 0: backwards)", ylabel="in the objective",
         yscale="symlog", ylim=(0, 4000))  # fmt: skip
axis.legend(fontsize=8)
display(show(figure, dpi=68, quality=64))
shown = torch.tensor([-60.0, -30.0, 0.0, 60.0, 120.0])
five = prior.mean_pose().repeat(5, 1)
five[:, elbow] = -torch.deg2rad(shown)
show(contact_sheet(upright(five, pitch=55), columns=5), quality=60)

# %% [markdown]
# Quadratics are the same on both sides of their lowest point; the mixture has no idea that an elbow
# has a stop, and hardly minds. The exponential knows nothing else. So, a prediction: without it, a
# good part of the elbows should end up backwards. We shall see.
#
# ## Two stages, in forty lines
#
# A cold start is the prior's mean pose and the mean shape, facing the camera, at the distance at
# which it is as large as the keypoints are spread. Then, as in SPIN's code:
#
# 1. *Camera.* Root orientation and translation only, until hips and shoulders lie on theirs. The
#    depth is held near where it started.
# 2. *Body.* Pose, shape and root, all keypoints, all terms; the translation stays.
#
# Each is a hundred steps of Adam at 0.01.


# %%
from hmrlab.smplify import AdamSettings, fit_with_adam


def our_fit(wanted, start, steps):
    """SPIN's SMPLify on B people: pose (B, 72), betas (B, 10), translation (B, 3)."""
    root, limbs = start.pose.flatten(1).split([3, 69], 1)
    root, limbs = root.clone().requires_grad_(), limbs.clone().requires_grad_()
    betas = start.betas.clone().requires_grad_()
    translation = start.translation.clone().requires_grad_()

    index, seen = package.torso_of(wanted)
    pairs = index[..., None].expand(-1, -1, 2)
    optimiser = torch.optim.Adam([root, translation], lr=0.01)
    for _ in range(steps):
        points = body.keypoints(torch.cat([root, limbs], 1), betas)
        error = (project(points, translation) - wanted.keypoints_2d).gather(1, pairs)
        moved = (translation - start.translation)[:, 2]
        loss = ((error**2).sum(-1) * seen).sum(1) + 100**2 * moved**2
        optimiser.zero_grad()
        loss.sum().backward()
        optimiser.step()

    translation = translation.detach()
    optimiser = torch.optim.Adam([limbs, betas, root], lr=0.01)
    for _ in range(steps):
        pose = torch.cat([root, limbs], 1)
        optimiser.zero_grad()
        our_objective(pose, betas, translation, wanted.counted()).sum().backward()
        optimiser.step()
    return torch.cat([root, limbs], 1).detach(), betas.detach(), translation


start = cold_start(body, prior, some)
ours = our_fit(some, start, steps=40)
theirs = fit_with_adam(body, prior, some, start, AdamSettings(steps=40))
for name, a, b in zip(
    ("pose", "betas", "translation"), ours,
    (theirs.pose.flatten(1), theirs.betas, theirs.translation), strict=True,
):  # fmt: skip
    turns = 2 * np.pi * torch.round((a - b) / (2 * np.pi)) if name == "pose" else 0
    print(
        f"{name}: ours ends where the package's does:", bool(((a - b - turns).abs() < 5e-3).all())
    )

# %% [markdown]
# ## Watching it
#
# `fit_with_newton` goes down the same objective in the same two stages, but with far fewer and far
# better steps; how, we shall see. A function `watch` is shown the bodies after each step. The first
# person of the set:

# %% tags=["nbval-ignore-output"]
from checks.fits import Recorder
from hmrlab.smplify import finalize_fits

one = targets[torch.tensor([0])]
all_steps = NewtonSettings(tolerance=0.0)  # also those that gain next to nothing
recorder = Recorder()
fit_with_newton(body, prior, one, cold_start(body, prior, one), all_steps, callback=recorder)
guesses = [cold_start(body, prior, one), *recorder.guesses]
values = [float(finalize_fits(body, prior, one, g, g, weights).objective) for g in guesses]
frames = [over(drawn(people.pictures[0], flat[0])[None], g, body)[0] for g in guesses]
captions = [
    f"step {k}: {'cold start' if k == 0 else 'camera' if k <= 10 else 'body'}, "
    f"objective {value:,.0f}" for k, value in enumerate(values)
]  # fmt: skip
columns = {captions[k].partition(",")[0]: frames[k][None] for k in (0, 10, 13, 14, 16, 30)}
show(gallery(columns, width=1.4), dpi=62, quality=60)

# %% [markdown]
# In a running notebook the fit can be played, step by step, and turned round while it plays: from
# the side you see what the keypoints cannot, the depth. (The button with the mountains puts the
# picture behind the body.) Where no code runs, the strip above has to do.

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import timeline

timeline(
    body, {"fit": guesses}, steps=captions, step_name="step of the fit", heat="rotation",
    truth=truth[torch.tensor([0])], pictures=drawn(people.pictures[0], flat[0])[None],
    title="SMPLify, step by step", start="picture",
)  # fmt: skip

# %% [markdown]
# ## Break it: every term switched off in turn
#
# All people, four cold starts each (why four, below), and a weight of zero for one term after the
# other.

# %% tags=["nbval-ignore-output"]
from checks.fits import FIT_ERRORS
from hmrlab.smplify import fit_cold

switches = {
    "all terms": {},
    "no pose prior": {"pose_prior": 0.0},
    "no elbows and knees": {"angle": 0.0},
    "neither": {"pose_prior": 0.0, "angle": 0.0},
    "no shape": {"shape": 0.0},
}
broken = {
    title: fit_cold(
        body, prior, targets, settings=NewtonSettings(weights=ObjectiveWeights(**weights))
    )
    for title, weights in switches.items()
}
errors = {title: fit_errors(fits, truth, targets, body) for title, fits in broken.items()}
score_table({title: means(e) for title, e in errors.items()}, FIT_ERRORS)

# %% [markdown]
# Begin with the first line: *every* column without a term lies closer to the keypoints. Each prior
# costs pixels, and what it gives in return cannot be seen in pixels.
#
# - **No pose prior**: the diary's wreck, in a second and without a network. The arms are twisted,
#   because keypoints do not see twist; the depth of everything is free as well.
# - **No elbows and knees**: next to nothing happens. So much for the prediction. A bent elbow has
#   its wrist nearer to the shoulder, forwards or backwards; keypoints cannot tell, and between two
#   that fit alike even the prior's little push decides. Take *both* away, and they do bend
#   backwards. It is a second lock on a door that for these people was locked already.
# - **No shape**: the joints are as far off as without the prior on poses, and the betas are absurd.
#   Ten free numbers, and a stage that leaves the translation alone: the body grows or shrinks, and
#   leans, until it fits.
#
# Now look. For each term, the person whose joints it moves the most of all (that is the rule; the
# caption says how far, and how far it moves the person in the middle of the list).


# %% tags=["nbval-ignore-output"]
from checks.fits import aside


def moved_cm(fits):
    """(B,) how far the joints of the two fits lie apart on average."""
    one, other = (body.joints(f.rotations, f.betas) for f in (broken["all terms"], fits))
    one, other = one - one[:, :1], other - other[:, :1]
    return 100 * (one - other).norm(dim=-1).mean(1)


def look(titled, index):
    """Overlay and side view of fits {title: fits} for some people, as gallery columns."""
    columns = {"picture": people.pictures[index]}
    for title, fits in titled.items():
        few = fits[torch.tensor(index)]
        columns[title] = over(people.pictures[index], few, body)
        columns[title + ", aside"] = aside(few, body)
    return columns


rows, words = [], []
for title, fits in list(broken.items())[1:]:
    moved = moved_cm(fits)
    worst = int(moved.argmax())
    rows.append(look({"all terms": broken["all terms"], "without": fits}, [worst]))
    words.append(
        f"{title}: person {worst}, moved by {float(moved[worst]):.0f} cm (the middle one by "
        f"{float(moved.median()):.1f} cm)"
    )
columns = {title: np.concatenate([row[title] for row in rows]) for title in rows[0]}
show(gallery(columns, words, width=1.25), dpi=62, quality=62)

# %% [markdown]
# And the first two people of the set, whom nobody chose, from the side:

# %% tags=["nbval-ignore-output"]
first_two = torch.arange(2)
columns = {"picture": people.pictures[:2], "truth": aside(truth[first_two], body)}
columns |= {title: aside(fits[first_two], body) for title, fits in broken.items()}
show(gallery(columns, width=1.3), dpi=62, quality=60)

# %% [markdown]
# ### One wrong keypoint
#
# A detector sometimes gives you somebody else's wrist. Let everybody's left wrist be found where
# the next person of the set has theirs, and 90 pixels to the right of that. As for a photograph,
# only the OpenPose keypoints are given, so nothing contradicts it.

# %% tags=["nbval-ignore-output"]
from hmrlab.bodies import KEYPOINT_NAMES

left_wrist = KEYPOINT_NAMES.index("openpose_left_wrist")
confidence = targets.confidence.clone()
confidence[:, ANNOTATED] = 0
confidence[:, left_wrist] = 0.9
right_ones = Targets(targets.keypoints_2d, confidence, targets.valid)
places = targets.keypoints_2d.clone()
places[:, left_wrist] = targets.keypoints_2d.roll(1, 0)[:, left_wrist] + torch.tensor([90.0, 0.0])
wrong_ones = Targets(places, confidence, targets.valid)
off = (places - targets.keypoints_2d)[:, left_wrist].norm(dim=-1)
print(f"the wrong wrist lies {float(off.mean()):.0f} pixels from the right one on average")


def with_sigma(wanted, sigma):
    settings = NewtonSettings(weights=ObjectiveWeights(sigma=sigma))
    return fit_cold(body, prior, wanted, settings=settings)


outliers = {
    "right wrist": with_sigma(right_ones, 100.0),
    "right, sigma 20": with_sigma(right_ones, 20.0),
    "right, sigma 5": with_sigma(right_ones, 5.0),
    "wrong, plain square": with_sigma(wrong_ones, np.inf),
    "wrong, sigma 100": with_sigma(wrong_ones, 100.0),
    "wrong, sigma 20": with_sigma(wrong_ones, 20.0),
}
outlier_errors = {t: fit_errors(fits, truth, targets, body) for t, fits in outliers.items()}
shown = {
    name: FIT_ERRORS[name] for name in ("pixels", "mpjpe_mm", "pa_mpjpe_mm", "rotation_error_deg")
}
score_table({title: means(e) for title, e in outlier_errors.items()}, shown)

# %% tags=["nbval-ignore-output"]
error = torch.linspace(0, 200, 201)
figure, axes = plt.subplots(1, 2, figsize=(8, 2.5), layout="constrained")
for sigma in (np.inf, 100.0, 20.0):
    label = "plain square" if np.isinf(sigma) else f"sigma {sigma:.0f}"
    rho = package.geman_mcclure(error, sigma)
    axes[0].plot(error, rho, label=label)
    axes[1].plot(error[1:], rho.diff() / (error[1:] ** 2 - error[:-1] ** 2), label=label)
axes[0].set(xlabel="error, pixels", ylim=(0, 12000), title="what it costs")
axes[1].set(xlabel="error, pixels", title="how much it pulls, against a plain square")
axes[0].legend(fontsize=8)
show(figure, dpi=68, quality=64)

# %% tags=["nbval-ignore-output"]
moved = (
    body.keypoints(outliers["wrong, plain square"].rotations, truth.betas)
    - body.keypoints(outliers["right wrist"].rotations, truth.betas)
).norm(dim=-1).mean(1)  # fmt: skip
index = [0, int(moved.argmax())]
dotted = people.pictures.copy()
for k in index:
    x, y = (places[k, left_wrist] * side / 224).clamp(4, side - 5).int().tolist()
    dotted[k, y - 3 : y + 4, x - 3 : x + 4] = (255, 30, 30)
columns = {"wrong wrist (red)": dotted[index]}
for title in ("right wrist", "wrong, plain square", "wrong, sigma 100", "wrong, sigma 20"):
    columns[title] = over(dotted[index], outliers[title][torch.tensor(index)], body)
show(gallery(columns, width=1.35), dpi=62, quality=60)

# %% [markdown]
# (The first person of the set, and the one whose keypoints the plain square moves the most.) The
# table is honest about SPIN's choice: with a sigma of 100 pixels, in a crop of 224, the wrong wrist
# keeps much of its pull. A sigma of 20 lets go of more of it, and costs little where all keypoints
# are right. Make it too small, though, and a cold start, all of whose keypoints are far off, finds
# nothing to hold on to: the column with 5.
#
# ## Local minima
#
# One person, four starts: the mean pose turned to face the camera, its left, away from it, its
# right. Whom to show? Of the people whose four fits *all* lie within four pixels of the keypoints
# (within the nearest quarter of all people if there is nobody), the one whose four bodies are the
# furthest apart.

# %% tags=["nbval-ignore-output"]
headings = (0.0, 90.0, 180.0, 270.0)
by_heading = [
    fit_with_newton(body, prior, targets, cold_start(body, prior, targets, h)) for h in headings
]
heading_errors = [fit_errors(fits, truth, targets, body) for fits in by_heading]
mpjpe = torch.stack([e["mpjpe_mm"] for e in heading_errors])  # (4, B)
pixels = torch.stack([e["pixels"] for e in heading_errors])
worst_pixels = pixels.amax(0)
close = worst_pixels < max(4.0, float(worst_pixels.quantile(0.25)))
apart = torch.where(close, mpjpe.amax(0) - mpjpe.amin(0), -1)
person = int(apart.argmax())
print(f"{int(close.sum())} of {len(close)} people are so close from every start; person {person}:")
for heading, fits, e in zip(headings, by_heading, heading_errors, strict=True):
    print(
        f"from {heading:3.0f} degrees: objective {float(fits.objective[person]):6,.0f}, keypoints "
        f"{float(e['pixels'][person]):.1f} pixels off, MPJPE {float(e['mpjpe_mm'][person]):4.0f} mm"
    )

# %% tags=["nbval-ignore-output"]
picked = torch.tensor([person])
first_row = {"picture": people.pictures[[person]]}
second_row = {"picture": aside(truth[picked], body)}
for heading, fits in zip(headings, by_heading, strict=True):
    first_row[f"from {heading:.0f}"] = over(people.pictures[[person]], fits[picked], body)
    second_row[f"from {heading:.0f}"] = aside(fits[picked], body)
columns = {t: np.concatenate([first_row[t], second_row[t]]) for t in first_row}
show(gallery(columns, ["over the picture", "from the side; on the left the truth"], width=1.5),
     dpi=62, quality=60)  # fmt: skip

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare

compare(
    body,
    {f"from {h:.0f}": fits[picked] for h, fits in zip(headings, by_heading, strict=True)},
    truth=truth[picked], pictures=people.pictures[[person]], heat="distance",
    title="four starts, one picture", start="picture",
)  # fmt: skip

# %% [markdown]
# A far camera sees no depth. Reflect a skeleton in the plane of the picture, front to back, and it
# projects to the same keypoints; what leaned away leans towards us. (A body that is turned round
# swaps left and right, too, and the keypoints know left from right: so it is half of the body at a
# time that gets reflected, a thigh, an arm, the trunk.) Between two such bodies lies a hill, and no
# step that only ever goes down gets over it.
#
# So take several starts and keep the lowest objective. How far does that get, and how far could
# anything get? Start from the *true* body, the best start there is, and let the fit go where the
# objective leads:

# %% tags=["nbval-ignore-output"]
half = by_heading[0].better_of(by_heading[2])
ways = {
    "facing us": by_heading[0],
    "facing away": by_heading[2],
    "best of two": half,
    "best of four": half.better_of(by_heading[1]).better_of(by_heading[3]),
    "from the truth": fit_with_newton(body, prior, targets, truth),
    "the truth itself": finalize_fits(body, prior, targets, truth, truth, weights),
}
way_errors = {t: fit_errors(fits, truth, targets, body) for t, fits in ways.items()}
rows = {"objective": "objective", "reprojection": "SPIN's mark of a fit, pixels squared"}
rows |= {k: FIT_ERRORS[k] for k in ("pixels", "mpjpe_mm", "pa_mpjpe_mm")}
rows |= {"across_mm": "error of a joint along x and y, mm", "depth_mm": "in depth, mm"}
rows |= {k: FIT_ERRORS[k] for k in ("elbow_twist_error_deg",)}
score_table(
    {
        title: means(way_errors[title] | {"objective": f.objective, "reprojection": f.reprojection})
        for title, f in ways.items()
    },
    rows,
)

# %% [markdown]
# Read the last two columns first. The truth is *not* the lowest point of the objective: a fit that
# starts there leaves it, is rewarded for it, and ends further from the truth than it began. The
# keypoints are a little off, the camera is not quite the far one, and the prior likes its own means
# better than what this person happens to do. "From the truth" is as good as this objective gets,
# whatever the optimiser.
#
# Then the rows. Along x and y the joints are good. Most of the error lies in depth, which no pixel
# has seen, and the forearms are twisted as wrongly from any start: the two things that 2D
# keypoints leave open, and that only a prior (or labels, chapter 06) can fill in.

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(6.5, 3), layout="constrained")
for heading, p, m in zip(headings, pixels, mpjpe, strict=True):
    axis.semilogx(p, m, ".", ms=4, alpha=0.6, label=f"from {heading:.0f} degrees")
best = way_errors["best of four"]
axis.semilogx(
    best["pixels"], best["mpjpe_mm"], "o", mfc="none", mec="k", ms=5, label="best of four"
)
axis.set(xlabel="keypoints off, pixels", ylabel="MPJPE, mm", title="wild (synthetic) test people")
axis.xaxis.set_major_formatter("{x:.0f}")
axis.xaxis.set_minor_formatter("{x:.0f}")
axis.legend(fontsize=8)
display(show(figure, dpi=68, quality=64))

below = pixels < 2.5
low, high = (float(mpjpe[below].quantile(q)) for q in (0.05, 0.95))
print(f"{int(below.sum())} fits have their keypoints less than 2.5 pixels off; of these, nine in "
      f"ten have an MPJPE between {low:.0f} and {high:.0f} mm")  # fmt: skip
lowest = torch.stack([f.objective for f in by_heading]).argmin(0)
regret = mpjpe.gather(0, lowest[None])[0] - mpjpe.amin(0)
hits = 100 * float((regret == 0).float().mean())
print(
    f"the lowest of four objectives has the best of four bodies for {hits:.0f} % of the people; "
    f"going by it costs {float(regret.mean()):.0f} mm against always taking the best"
)

# %% [markdown]
# Fits far off to the right are wrong, and the picture shows it. But to the left, where all fits
# look right, good bodies and bad ones stand above one another: *a high reprojection error says that
# a fit is wrong; a low one does not say that it is right.* Keep this for chapter 09, where SPIN
# decides by such a number which of two fits it teaches to the network.
#
# ## Why twenty steps beat two hundred
#
# SPIN's optimiser is Adam, two hundred steps. The one used above is Levenberg-Marquardt. They go
# down the same objective; here is how fast, for the same people from the same starts. Adam gets a
# second try, with many more steps.

# %% tags=["nbval-ignore-output"]
longer = min(1000, 50 * sizes.steps)
few = targets[torch.arange(min(32, len(targets)))]
start = cold_start(body, prior, few)
fit_with_newton(body, prior, few, start)  # so that nobody pays for the first call
runners = {
    "Adam, 100 + 100 (SPIN's)": lambda w: fit_with_adam(body, prior, few, start, callback=w),
    f"Adam, {longer:,} + {longer:,}": lambda w: fit_with_adam(
        body, prior, few, start, AdamSettings(steps=longer), callback=w
    ),
    "Levenberg-Marquardt": lambda w: fit_with_newton(body, prior, few, start, callback=w),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for title, runner in runners.items():
    recorder = Recorder()
    runner(recorder)
    count = len(recorder.guesses)
    kept = sorted({0, count - 1, *np.unique(np.geomspace(1, count, 50).astype(int) - 1)})
    values = [
        float(finalize_fits(body, prior, few, g, g, weights).objective.mean())
        for g in (recorder.guesses[k] for k in kept)
    ]
    axes[0].loglog([k + 1 for k in kept], values, ".-", ms=3, label=title)
    axes[1].loglog([recorder.seconds[k] for k in kept], values, ".-", ms=3)
    print(
        f"{title:26s} {count:5,} steps, {recorder.seconds[-1]:6.2f} s for {len(few)} people, "
        f"objective {values[-1]:7,.0f}"
    )
axes[0].set(xlabel="steps", ylabel="objective, mean of the people")
axes[1].set(xlabel="seconds")
axes[0].legend(fontsize=8)
show(figure, dpi=68, quality=64)

# %% [markdown]
# (The long plateaus are the first stages, in which the body's pose is not touched.) Where does the
# difference come from?
#
# **Adam's step is as long as its rate.** Whatever the gradient, a number moves by about 0.01 at a
# time: a hundred steps are at most about one radian, 57 degrees, or one metre of translation. A
# person who faces away is three radians off. In SPIN, Adam starts from a network's answer; from
# cold, it runs out of steps.
#
# **The objective is a sum of squares.** With residuals $r$ and their derivatives $J$, the gradient
# is $2 J^\top r$, and the curvature is nearly $2 J^\top J$, for the price of first derivatives
# (Gauss and Newton). Few unknowns, too: 82 numbers for a person, and a system of 82 equations is
# nothing to a computer.
#
# **The derivatives have a closed form.** Every keypoint is linear in the global rotations of the
# joints, so when a joint turns by a small $w$, everything that hangs on it moves like the end of a
# lever: by $w \times \text{lever}$, where the lever runs from the joint to the keypoint. No
# backpropagation through 24 joints.

# %%
from hmrlab.geometry import axis_angle_to_matrix

exact = load_body(detail="light", dtype=torch.float64)
generator = torch.Generator().manual_seed(5)
rotations = axis_angle_to_matrix(0.5 * torch.randn(1, 24, 3, generator=generator).double())
shape = torch.randn(1, 10, generator=generator).double()
model = exact.keypoint_points.linearise(rotations, shape)
joint, k = SMPL_JOINTS.index("left_shoulder"), left_wrist
w = torch.tensor([0.3, -0.5, 0.8]).double()
by_lever = torch.linalg.cross(w, model.moment_arms[0, joint, :, k])

above = model.global_rot[0, SMPL_JOINTS.index("left_collar")]  # the frame that the joint turns in
nudged = rotations.clone()
nudged[0, joint] = above.T @ axis_angle_to_matrix(1e-6 * w) @ above @ rotations[0, joint]
by_trying = (exact.keypoints(nudged, shape) - model.points)[0, k] / 1e-6
print("w x lever:      ", [round(v, 4) for v in by_lever.tolist()], "metres per radian")
print("by trying it out:", [round(v, 4) for v in by_trying.tolist()])
torch.testing.assert_close(by_lever, by_trying, atol=1e-5, rtol=0)

# %% [markdown]
# **And it is damped.** Gauss-Newton believes that the curvature at this place is the curvature
# everywhere. An arm of two links that reaches for a point shows what that leads to. It begins
# nearly straight, and a straight arm cannot become shorter, whichever joint turns a little: $J^\top
# J$ can hardly be inverted, and the step is enormous. Levenberg and Marquardt add a share $\mu$ of
# the diagonal: large, and the step is a short one downhill; small, and it is Gauss and Newton's. A
# step that helps is taken and $\mu$ falls; one that does not is thrown away and $\mu$ rises.


# %%
def reach(angles):
    """(2,) relative angles -> (2,) where the hand of an arm of two links of length 1 is."""
    heading = angles.cumsum(0)
    return torch.stack([heading.cos().sum(), heading.sin().sum()])


def squared(angles, goal):
    return float((reach(angles) - goal).square().sum())


def gauss_newton_step(angles, goal, mu=0.0):
    jacobian = torch.autograd.functional.jacobian(reach, angles)
    hessian = jacobian.T @ jacobian
    damped = hessian + mu * torch.diag(hessian.diagonal())
    return -torch.linalg.solve(damped, jacobian.T @ (reach(angles) - goal))


def gradient_step(angles, goal, rate=0.15):
    jacobian = torch.autograd.functional.jacobian(reach, angles)
    return -rate * 2 * jacobian.T @ (reach(angles) - goal)


def walk(step, angles, goal, count=40):
    path = [angles]
    for _ in range(count):
        path.append(path[-1] + step(path[-1], goal))
    return path


def levenberg_marquardt(angles, goal, count=40, mu=1e-2):
    path = [angles]
    for _ in range(count):
        tried = path[-1] + gauss_newton_step(path[-1], goal, mu)
        better = squared(tried, goal) < squared(path[-1], goal)
        path.append(tried if better else path[-1])
        mu = max(0.25 * mu, 1e-7) if better else 5 * mu
    return path


goal = torch.tensor([0.5, 0.5], dtype=torch.float64)
bent = torch.tensor([0.2, 0.05], dtype=torch.float64)
paths = {
    "gradient descent": walk(gradient_step, bent, goal),
    "Gauss-Newton": walk(gauss_newton_step, bent, goal, 12),
    "Levenberg-Marquardt": levenberg_marquardt(bent, goal, 12),
}
figure, axes = plt.subplots(1, 4, figsize=(10, 2.6), layout="constrained")
for axis, (title, path) in zip(axes, paths.items(), strict=False):
    for number, angles in enumerate(path[:8]):
        heading = angles.cumsum(0)
        x = torch.cat([torch.zeros(1), heading.cos().cumsum(0)])
        y = torch.cat([torch.zeros(1), heading.sin().cumsum(0)])
        axis.plot(x, y, "-", color=plt.cm.viridis(number / 8), lw=1.5)
    axis.plot(*goal, "r*", ms=10)
    axis.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect="equal", xticks=[], yticks=[])
    axis.set_title(title, fontsize=9)
for title, path in paths.items():
    axes[3].semilogy([max(squared(a, goal), 1e-20) for a in path], label=title)
axes[3].set_title("squared distance, by step", fontsize=9)
axes[3].legend(fontsize=6)
show(figure, dpi=70, quality=64)

# %% [markdown]
# (Seven steps each, from dark to bright.) Undamped, the arm flails; by steepest descent it creeps;
# damped, it is there in a handful of steps, of which the last double the number of right digits.
# The package does this with 82 numbers and each body's own $\mu$, many bodies at once. For the
# robust term it weighs every residual by how much $\rho$ pulls against a plain square. And as the
# three numbers of an axis-angle are not quite three turns about the axes, a matrix goes between:

# %%
from hmrlab.smplify import left_jacobian

half_turn = torch.tensor([0.0, 0.0, np.pi], dtype=torch.float64)
print(left_jacobian(half_turn).numpy().round(2))

# %% [markdown]
# At half a turn about z, a change of the first number no longer turns about x but about y.
#
# ## A photograph
#
# Name a photograph and its OpenPose keypoints (BODY_25) in the parameters above, or in the
# environment as `HMRLAB_PHOTO` and `HMRLAB_KEYPOINTS`, and this section fits whoever is in it.
# Without one, it fits a synthetic person, in the same way: OpenPose keypoints only, the detailed
# body. (A photograph is not a thing to publish without asking: the cell's picture would be in the
# notebook that you pass on.)

# %% tags=["nbval-ignore-output"]
from hmrlab.bodies import OPENPOSE
from hmrlab.photos import fit_photo, read_openpose, read_photo

photo = photo or os.environ.get("HMRLAB_PHOTO", "")
keypoints = keypoints or os.environ.get("HMRLAB_KEYPOINTS", "")
if photo:
    picture, found = read_photo(photo), read_openpose(keypoints)
else:
    picture = people.pictures[0]
    found = torch.cat([targets.keypoints_2d * side / 224, targets.confidence[..., None]], -1)[
        :1, OPENPOSE
    ]
    found = found.numpy()
detailed = load_body(detail="full")
result = fit_photo(picture, found, detailed, prior, settings=all_steps)
for number, error in zip(result.numbers, result.pixel_errors(), strict=True):
    size = float(result.boxes.side[result.numbers.index(number)])
    print(f"person {number}: keypoints {error:.1f} pixels off, in a box of {size:.0f} pixels")
for number, reason in result.left_out.items():
    print(f"person {number} was left out: {reason}")

figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
axes[0].imshow(picture)
for person in found:
    seen = person[:, 2] > 0
    axes[0].scatter(*person[seen, :2].T, c=person[seen, 2], s=14, cmap="autumn_r", vmin=0, vmax=1)
axes[0].set_title("keypoints, red: sure", fontsize=9)
axes[1].imshow(result.overlay(longest=900))
axes[1].set_title("fitted", fontsize=9)
for axis in axes:
    axis.axis("off")
show(figure, dpi=62, quality=60)

# %% [markdown]
# The body of the first person from all round, beginning with the camera's view; a quarter and three
# quarters of the way round you see what the camera did not.


# %% tags=["nbval-ignore-output"]
from hmrlab.rendering import turntable


def to_face_us(fits):
    """The first person's vertices (V, 3), from the camera's frame (y down) to one with y up."""
    return fits.vertices()[0] * np.array([1.0, -1.0, -1.0])


show(turntable(to_face_us(result), detailed.faces, views=6, size=130), quality=64)

# %% [markdown]
# And with terms missing, over the picture and from the side (the camera moved a quarter round):

# %% tags=["nbval-ignore-output"]
overlays, sides = {}, {}
for title, off in switches.items():
    fits = fit_photo(
        picture, found, detailed, prior,
        settings=NewtonSettings(tolerance=0.0, weights=ObjectiveWeights(**off)),
    )  # fmt: skip
    shape = fits.overlay(longest=400)[None]
    overlays[title] = shape
    view = render_bodies(to_face_us(fits)[None], detailed.faces, size=shape.shape[1:3], yaw=90)
    sides[title] = view
columns = {title: np.concatenate([overlays[title], sides[title]]) for title in overlays}
show(gallery(columns, width=1.5), dpi=62, quality=60)

# %% [markdown]
# Before you believe a fit to a photograph: there is no truth to hold it against, and the wrecks are
# mostly to be seen from the side. Where a keypoint was not found, the prior alone has decided where
# the limb goes. `hmrlab fit` does the same from the command line and writes meshes.
#
# ## The fit against the network
#
# Two ways from a picture to a body, then. The network of notebook 00 looks at the pixels and never
# sees a keypoint; the fit sees keypoints and never the pixels. Here are both, and a third: the fit
# that starts where the network ended. The network learnt bodies on `studio`; `wild` is strange to
# it.


# %% tags=["nbval-ignore-output"]
from checks import predict
from hmrlab.models.shipped import load_reference_model

network = load_reference_model()


def compare_on(name):
    """{title: bodies}, {title: errors} and the people, for the first people of a test set."""
    dataset = load_set(name, "test", sizes)
    group = first_people(dataset, body, count=min(200, len(dataset)), resolution=resolution)
    wanted = Targets.from_normalised(group.batch.keypoints_2d)
    true = from_camera(group.batch.rotations, group.batch.betas, group.camera)
    answer = predict(network, group, body).prediction
    guess = from_camera(answer.rotations, answer.betas, answer.camera)
    warm = fit_with_newton(body, prior, wanted, guess)
    cold = fit_cold(body, prior, wanted)
    bodies = {
        "network": finalize_fits(body, prior, wanted, guess, guess, weights),
        "from it, SPIN's Adam": fit_with_adam(body, prior, wanted, guess),
        "fit from it": warm,
        "fit from cold": cold,
        "lower of both": warm.better_of(cold),
    }
    return bodies, {t: fit_errors(b, true, wanted, body) for t, b in bodies.items()}, group, true


rivals = {name: compare_on(name) for name in ("studio", "wild")}
kept_rows = {k: v for k, v in FIT_ERRORS.items() if k not in ("beyond_limits_percent", "backwards")}
print("studio:")
score_table({t: means(e) for t, e in rivals["studio"][1].items()}, kept_rows)

# %% tags=["nbval-ignore-output"]
print("wild:")
score_table({t: means(e) for t, e in rivals["wild"][1].items()}, kept_rows)

# %% tags=["nbval-ignore-output"]
bodies, _, group, true = rivals["wild"]
some_people = torch.arange(3)
columns = {"picture": group.pictures[:3]}
for title in ("network", "fit from it", "fit from cold"):
    columns[title] = over(group.pictures[:3], bodies[title][some_people], body)
    columns[title + ", aside"] = aside(bodies[title][some_people], body)
columns["truth, aside"] = aside(true[some_people], body)
show(gallery(columns, width=1.15), dpi=62, quality=64)

# %% tags=["nbval-ignore-output"]
for name, (bodies, errors_of, *_rest) in rivals.items():
    net, warm, cold = (
        errors_of[t]["mpjpe_mm"] for t in ("network", "fit from it", "fit from cold")
    )
    better = 100 * float((net < warm).float().mean())
    warm_wins = 100 * float((warm < cold).float().mean())
    agree = (bodies["fit from it"].reprojection < bodies["fit from cold"].reprojection) == (
        warm < cold
    )
    print(
        f"{name}: the network's body is better in 3D than the fit from it for {better:.0f} % of "
        f"people; the warm start beats the cold ones for {warm_wins:.0f} %; of the two, the lower "
        f"reprojection error names the better body for {100 * float(agree.float().mean()):.0f} %"
    )

# %% [markdown]
# In 2D it is no contest, and in 3D the fits win as well. Be careful with that: these keypoints are
# nearly right, this prior knows this world, and the network is a small one. More interesting is
# what the two are worth *to each other*:
#
# - On `studio`, where the network's guess is a good one, starting from it beats four cold starts:
#   the network has an idea of depth, and the fit keeps it. On `wild`, where the guess is poor, it
#   does not, and the four cold starts are the safer way. Keeping whichever has the lower objective
#   is best on `wild`, and on `studio` close to the best.
# - The network needs bodies to learn from, and on pictures like `wild`'s it has none. The fits are
#   bodies.
#
# SPIN closes the circle: the network's answer starts the fit, the fit supervises the network, which
# then starts the next fit from a better place. And somebody has to decide which fits are good
# enough to learn from, with nothing to go by but keypoints. That is chapter 09.
#
# ## Exercises
#
# **1. How much a robust error counts.** Gauss-Newton needs squares. A robust error is made one, for
# the moment, by a weight: how hard $\rho(e)$ pulls, against how hard $e^2$ does. Find
# $\rho'(e) / (2 e)$, which must be 1 for an infinite sigma.


# %%
def robust_weight(error, sigma):
    """(N,) pixels, pixels -> (N,)."""
    return None


chapter_08.check_weight(robust_weight)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def robust_weight_solution(error, sigma):
    return 1 / (1 + (error / sigma) ** 2) ** 2


chapter_08.check_weight(robust_weight_solution, must_pass=True)

# %% [markdown]
# **2. How a keypoint moves when a joint turns.** A joint turns by a small angle about an axis of
# length 1. How many pixels per radian does a point that hangs on it move in the picture? Focal
# length 5,000; `translation` is added to both points before they are projected.


# %%
def pixels_per_radian(point, joint, axis, translation):
    """(3,) four times, metres -> (2,)."""
    return None


chapter_08.check_turn(pixels_per_radian)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def pixels_per_radian_solution(point, joint, axis, translation):
    speed = torch.linalg.cross(axis, point - joint)
    placed = point + translation
    return 5000 * (speed[:2] - placed[:2] / placed[2] * speed[2]) / placed[2]


chapter_08.check_turn(pixels_per_radian_solution, must_pass=True)

# %% [markdown]
# **3. When a step is taken.** Given the objective of each body, the objective after the step that
# was tried, and each body's damping: which bodies take it, and what is their damping now? A quarter
# where it helped, five times as much where it did not. A step may lead to NaN.


# %%
def judge(value, tried, damping):
    """(B,) three times -> (B,) bool, (B,)."""
    return None


chapter_08.check_judge(judge)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def judge_solution(value, tried, damping):
    better = tried < value  # False for NaN
    return better, torch.where(better, 0.25 * damping, 5 * damping)


chapter_08.check_judge(judge_solution, must_pass=True)

# %% [markdown]
# **To think about.** The prior takes the smallest of eight quadratics. What happens to its gradient
# where two of them are equal, and does the optimiser mind? And: a video shows the same person a
# moment later. Which of the four bodies of *Local minima* would survive the next frames?
#
# ## Recap
#
# - SMPLify: keypoints under a robust error, plus what is likely: pose, elbows and knees, shape.
#   Without the priors the keypoints fit better and the bodies are wrecks.
# - Depth and twist are not in the keypoints. Fits from different starts reproject alike and differ
#   in 3D; several starts help, and the truth is not even the lowest point.
# - High reprojection error: wrong. Low reprojection error: perhaps right.
# - A sum of squares with few unknowns calls for Levenberg-Marquardt; levers give its derivatives.
# - A fit needs a start and a network needs labels: each has what the other lacks.
#
# ## Further reading
#
# - Bogo, Kanazawa, Lassner, Gehler, Romero, Black: *Keep it SMPL: Automatic Estimation of 3D Human
#   Pose and Shape from a Single Image*, ECCV 2016.
# - Kolotouros, Pavlakos, Black, Daniilidis: *Learning to Reconstruct 3D Human Pose and Shape via
#   Model-fitting in the Loop*, ICCV 2019.
# - Pavlakos et al.: *Expressive Body Capture: 3D Hands, Face, and Body from a Single Image*, CVPR
#   2019 (SMPLify-X): a learnt pose prior, and a term against limbs that pass through each other.
# - Song, Chen, Hilliges: *Human Body Model Fitting by Learned Gradient Descent*, ECCV 2020: a
#   network that looks at the gradient and answers with the step.
# - Madsen, Nielsen, Tingleff: *Methods for Non-Linear Least Squares Problems*, 2004: Gauss-Newton
#   and Levenberg-Marquardt on sixty pages.
