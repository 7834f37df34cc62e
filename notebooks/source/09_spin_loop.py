# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [06_smpl_losses, 07_pretrained_encoders, 08_smplify]}
# ---

# %% [markdown]
# # 09 · SPIN: fits in the loop
#
# The diary's first sentence says why it was written: SPIN was rebuilt one piece at a time because
# training the whole of it at once is hard to understand. Here the pieces come together.
#
# Most pictures of people have no SMPL label. A studio has them; the wild has 2D keypoints, clicked
# by hand. Chapter 04 showed what keypoints alone teach: the right joints and a twisted body.
# Chapter 08 fitted bodies to keypoints without any network, which works when the fit begins near
# the truth and goes astray when it does not. SPIN (*SMPL oPtimization IN the loop*, Kolotouros et
# al., ICCV 2019) lets the two help each other:
#
# - the **network**'s answer is where the **fit** begins;
# - the fit, if it is better than the best one known so far, goes into a **memory**;
# - what the memory holds **teaches** the network, where a label is missing.
#
# A better network starts better fits, better fits teach a better network. A virtuous circle, if it
# turns the right way round. A bad fit that is taught back makes the network worse, whose guess
# then starts a bad fit.
#
# **You will be able to**
# - write SPIN's training step, memory and all, in a screenful;
# - measure whether the circle turns: fits and network, epoch by epoch;
# - read the paper's ablation (no fits, static fits, fits in the loop) and make your own;
# - recognise faults that make such a loop quietly worse. The original has eight.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from checks import chapter_09, show, spread_table
from hmrlab import get_scale, load_set, preset, run_training
from hmrlab.bodies import load_body
from hmrlab.rendering import gallery
from hmrlab.smplify import Targets, from_camera, load_prior, reprojection_terms
from hmrlab.spin import FitConfig, FitsDict

sizes = get_scale(scale)
body = load_body(detail="light")
prior = load_prior()

# %% [markdown]
# ## Predict before you run
#
# Three networks are trained alike, on people of whom nothing is known but 2D keypoints: (a) by the
# keypoint loss alone, (b) also by the bodies that SMPLify fitted beforehand, (c) also by the best
# body so far, with a new fit tried in every step.
#
# 1. Which step is the larger one, from (a) to (b) or from (b) to (c)? Does your answer change for
#    the rotations?
# 2. The error of the *fits* in (c), measured on their keypoints: does it fall to zero?
# 3. If (b)'s fits had been better to begin with, what would be left for (c) to gain?
# 4. Now half of the people get true labels. What will the fits of the others be worth?
#
# ## The memory
#
# A sample comes by once an epoch, each time under another augmentation: turned, mirrored, enlarged.
# The memory keeps one body for it, as seen in the *plain* picture: 72 pose numbers and 10 betas.
# Whoever reads it under some augmentation gets the body turned and mirrored alike; whoever writes
# undoes that first. What has to be undone last was done first.


# %%
from hmrlab.bodies import POSE_FLIP
from hmrlab.geometry import flip_rotations, rotate_in_image_plane


def as_seen(rotations, flipped, turned):
    """Bodies of plain pictures (B, 24, 3, 3) -> as in pictures turned, then mirrored."""
    root = rotate_in_image_plane(rotations[:, 0], turned)
    rotations = torch.cat([root[:, None], rotations[:, 1:]], 1)
    mirrored = flip_rotations(rotations, POSE_FLIP)
    return torch.where(flipped[:, None, None, None], mirrored, rotations)


def as_stored(rotations, flipped, turned):
    """The way back: mirror first, then turn by minus the angle."""
    mirrored = flip_rotations(rotations, POSE_FLIP)
    rotations = torch.where(flipped[:, None, None, None], mirrored, rotations)
    root = rotate_in_image_plane(rotations[:, 0], -turned)
    return torch.cat([root[:, None], rotations[:, 1:]], 1)


# %%
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.spin import AugmentTransform

pose = torch.randn(8, 72, generator=torch.Generator().manual_seed(0))
some = axis_angle_to_matrix(pose.view(8, 24, 3))
flipped = torch.arange(8) % 2 == 0
turned = torch.linspace(-60, 60, 8)
torch.testing.assert_close(as_stored(as_seen(some, flipped, turned), flipped, turned), some)
package = AugmentTransform(flipped, turned)
torch.testing.assert_close(as_seen(some, flipped, turned), package.apply(pose))
million = FitsDict(1_000).nbytes * 1_000 / 1e6
print("there and back again: the same bodies, and the package agrees")
print(f"a million samples take {million:.0f} MB")

# %% [markdown]
# In pictures: three people of `wild`, fitted once to the plain pictures, and read from the memory
# for three augmentations of them. The bodies follow, and nobody fitted anything anew.

# %% tags=["nbval-ignore-output"]
from checks.loop import remembered
from hmrlab.data import BatchLoader
from hmrlab.training.first_fits import first_fits

wild = load_set("wild", "train", sizes, named="wild").first(max(64, sizes.wild_train // 4))
plan = FitConfig(headings=(0.0, 90.0, 180.0, 270.0), loop=False)
best_first, _ = first_fits(wild.records, "wild", body, prior, plan)
memory = FitsDict(len(wild))
memory.fill(0, best_first)

lively = replace(sizes.augmentation, rotation_std=40.0, no_rotation_probability=0.0)
views = []
for number in range(4):
    loader = BatchLoader(
        wild.first(8), batch_size=8, resolution=sizes.resolution, seed=number,
        augmentation=lively if number else None, prefetch=0,
    )  # fmt: skip
    views.append(next(iter(loader)))
titles = ("plain", "seen again", "a third time", "a fourth")
shown_as = {title: batch[:3] for title, batch in zip(titles, views, strict=True)}
columns = {title: remembered(memory, batch, body) for title, batch in shown_as.items()}
show(gallery(columns, width=1.3), dpi=72, quality=60)

# %% tags=["nbval-ignore-output"]
from checks.loop import enlarged, recalled
from hmrlab.viewer import compare

compare(
    body, {title: recalled(memory, batch, body) for title, batch in shown_as.items()},
    pictures=enlarged(shown_as["plain"], 150), title="one memory, four views", start="picture",
)  # fmt: skip

# %% [markdown]
# ## One step of SPIN
#
# The network has answered a batch. Now, for those without a label: begin a fit at the answer; ask
# whether it beats what the memory has; keep the better one; let it teach, if it is good enough.
# "Good enough" is the only judgement in the loop, and it is made in 2D: the robust error of the
# keypoints, its mean below 100 square pixels of the 224-pixel crop.


# %%
from hmrlab.geometry import estimate_translation, matrix_to_axis_angle
from hmrlab.smplify import NewtonSettings, fit_with_newton
from hmrlab.spin import believable_betas


def spin_step(answer, batch, memory, threshold=100.0):
    """What to teach: rotations, betas, who teaches, and the fits' errors, for unlabelled people."""
    targets = Targets.from_normalised(batch.keypoints_2d)

    # 1. the best body so far, as this picture shows it, and its 2D error
    old = memory.pose[batch.index].view(-1, 24, 3)
    old = as_seen(axis_angle_to_matrix(old), batch.is_flipped, batch.rot_angle)
    old_betas = memory.betas[batch.index]
    points = body.keypoints(old, old_betas)
    keypoints = torch.cat([targets.keypoints_2d, targets.confidence[..., None]], -1)
    place = estimate_translation(points, keypoints)
    old_error = reprojection_terms(points, place, targets.counted(), 100.0).mean(1)
    old_error[~memory.known[batch.index]] = torch.inf

    # 2. a fit that begins where the network is
    start = from_camera(answer.rotations, answer.betas, answer.camera)
    settings = NewtonSettings(camera_steps=3, steps=4, tolerance=0.0)
    new = fit_with_newton(body, prior, targets, start, settings)

    # 3. the better of the two stays
    better = new.valid & (new.reprojection < old_error)
    stored = as_stored(new.rotations, batch.is_flipped, batch.rot_angle)
    rows = batch.index[better]
    memory.pose[rows] = matrix_to_axis_angle(stored[better]).flatten(1)
    memory.betas[rows] = new.betas[better]
    memory.known[rows] = True

    # 4. and teaches, unless it is bad; a shape that nobody has is not taught
    error = torch.where(better, new.reprojection, old_error)
    rotations = torch.where(better[:, None, None, None], new.rotations, old)
    betas = believable_betas(torch.where(better[:, None], new.betas, old_betas))
    return rotations, betas, error < threshold, error, better


# %% [markdown]
# The network that came with the package has never trained on `wild`. Its answers to a first batch,
# once through our step and once through the package's `FitSupervisor`: the same bodies, the same
# choices, the same memory afterwards.

# %% tags=["nbval-ignore-output"]
from hmrlab.models.shipped import load_reference_model
from hmrlab.spin import FitSupervisor

network = load_reference_model()
batch = views[2]
with torch.no_grad():
    answer = network(batch.images).float()
single = FitsDict(len(wild))
single.fill(0, first_fits(wild.records, "wild", body, prior, FitConfig(loop=False))[0])
twin = FitsDict(len(wild))
twin.restore(single.state())

rotations, betas, teaches, error, better = spin_step(answer, batch, single)
supervisor = FitSupervisor(body, prior, FitConfig(), twin, (len(wild),))
taught, about = supervisor.supervise(answer, batch)
torch.testing.assert_close(taught.rotations, rotations, atol=1e-4, rtol=0)
torch.testing.assert_close(taught.betas, betas, atol=1e-4, rtol=0)
torch.testing.assert_close(twin.pose, single.pose, atol=1e-4, rtol=0)
assert torch.equal(taught.has_smpl, teaches)
print(f"{int(better.sum())} of {len(batch)} memories improved; 2D error now {error.mean():.1f}")
print(f"the package says: {float(about['fits_replaced']) * len(batch):.0f} of {len(batch)}, "
      f"{float(about['fit_error']):.1f}")  # fmt: skip

# %% [markdown]
# Labelled people are left alone. SPIN fits them as well and then lets the label override the fit,
# which comes to the same and costs more.
#
# ## The ablation
#
# The paper's question in its purest form, which it calls unpaired: nobody has a label, not even the
# people in the studio. Three trainings, and everything else alike: an encoder pretrained on
# keypoints (chapter 07), ReLUs in the regressor, SPIN's mixture of sets, half of the steps, and a
# quarter of the people of each set, so that everybody comes by often enough for a fit to be
# improved more than once. The first fits are made as SPIN makes its own: two hundred steps of Adam
# from **one** cold start, the mean body, facing us.

# %% tags=["nbval-ignore-output"]
from checks import train_seeds
from checks.tables import headings

kinds = {
    "no fits": "half_unpaired_none",
    "static fits": "half_unpaired_static_adam",
    "fits in the loop": "half_unpaired_adam",
}
runs = {title: train_seeds(name, sizes, seed) for title, name in kinds.items()}
WILD_FIRST = headings(
    "wild/mpjpe_mm", "wild/pa_mpjpe_mm", "wild/rotation_error_deg", "wild/beyond_limits_percent",
    "studio/mpjpe_mm",
)  # fmt: skip
spread_table({title: [r.metrics for r in found] for title, found in runs.items()}, WILD_FIRST)

# %% tags=["nbval-ignore-output"]
from hmrlab.tables import runs_table

shown_metrics = ("wild/mpjpe_mm", "wild/pa_mpjpe_mm", "wild/rotation_error_deg")
runs_table([r.record for found in runs.values() for r in found], shown_metrics)

# %% tags=["nbval-ignore-output"]
from checks.fits import aside, over
from checks.loop import seen_as

tested = load_set("wild", "test", sizes)
shown = next(iter(BatchLoader(tested, batch_size=sizes.gallery, resolution=sizes.resolution,
                              prefetch=0)))  # fmt: skip
truth = seen_as(shown.rotations, shown.betas, shown, body)
pictures = enlarged(shown, 150)


def said(result):
    """What a network says of the first people of wild's test set."""
    with torch.no_grad():
        answer = result.model()(shown.images).float()
    return from_camera(answer.rotations, answer.betas, answer.camera)


def drawn(answers):
    """Columns for a gallery: over the pictures and aside."""
    columns = {"picture": pictures}
    for title, answer in answers.items():
        columns[title] = over(pictures, answer, body)
        columns["aside" + " " * len(columns)] = aside(answer, body, 150)
    return columns | {"truth, aside": aside(truth, body, 150)}


by_fits = {title: said(found[0]) for title, found in runs.items()}
show(gallery(drawn(by_fits), width=1.15), dpi=72, quality=60)

# %% [markdown]
# In a running notebook you can turn them; colours show how far each joint's rotation is from the
# truth.

# %% tags=["nbval-ignore-output"]
compare(
    body, by_fits, truth=truth, pictures=pictures, heat="rotation",
    title="what fits are worth", start="picture",
)  # fmt: skip

# %% [markdown]
# Without fits it is chapter 04's wreck again, keypoints met by a twisted body. Static fits untwist
# it: whatever they get wrong, they are bodies, and the prior made them. Yet the joints are hardly
# nearer to where they should be. In the loop both get better, by a good deal, without one label.
#
# ## Does the circle turn?
#
# Three things can be watched. In the memory: the mean 2D error of the best fits, and the
# share of a batch's fits that were replaced. At the network: its error on people of `wild`'s test
# set, whose true bodies are known though no training sees them. And at the fits: the 3D error of
# fits to those test people, begun at the network's answers of that moment.

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 4, figsize=(11, 2.8), layout="constrained")
colours = {"no fits": "0.5", "static fits": "C0", "fits in the loop": "C1"}
share = runs["no fits"][0].config.data_fraction
people_in_an_epoch = share * max(sizes.studio_train, sizes.wild_train)


def banded(axis, x, rows, colour, label):
    """The mean over the seeds as a line, the range as a band."""
    rows = np.stack(rows)
    axis.plot(x, rows.mean(0), color=colour, label=label)
    axis.fill_between(x, rows.min(0), rows.max(0), color=colour, alpha=0.2)


for title, found in runs.items():
    histories = [r.history() for r in found]
    batch_size = found[0].config.batch_size
    epochs = histories[0].check_steps * batch_size / people_in_an_epoch
    colour = colours[title]
    banded(axes[2], epochs, [h.checks["wild/mpjpe_mm"] for h in histories], colour, title)
    if title == "no fits":
        continue
    fine = histories[0].steps * batch_size / people_in_an_epoch
    window = max(1, len(fine) // 20)
    smooth = np.ones(window) / window
    middle = fine[window // 2 :][: len(fine) - window + 1]
    for axis, name in ((axes[0], "fit_error"), (axes[1], "fits_replaced")):
        rows = [np.convolve(h.values[name], smooth, mode="valid") for h in histories]
        banded(axis, middle, rows, colour, title)
    banded(axes[3], epochs, [h.checks["wild/fit_mpjpe_mm"] for h in histories], colour, title)
for axis, words in zip(
    axes,
    ("memory: 2D error, px²", "memory: share replaced", "network on wild: MPJPE, mm",
     "fits begun there: MPJPE, mm"),
    strict=True,
):  # fmt: skip
    axis.set(title=words, xlabel="epochs", ylim=(0, None) if "memory" in words else None)
axes[2].legend(fontsize=7)
plt.show()

# %% tags=["nbval-ignore-output"]
from checks.loop import circle

looped = [r.history() for r in runs["fits in the loop"]]


def from_to(name, unit, checks=True):
    rows = np.stack([(h.checks if checks else h.values)[name] for h in looped]).mean(0)
    few = 1 if checks else max(1, len(rows) // 20)
    return f"{rows[:few].mean():.1f} {unit}", f"{rows[-few:].mean():.1f} {unit}"


numbers = {
    "network": from_to("wild/mpjpe_mm", "mm"),
    "fit": from_to("wild/fit_mpjpe_mm", "mm"),
    "memory": from_to("fit_error", "px²", checks=False),
}
show(circle(*({k: v[end] for k, v in numbers.items()} for end in (0, 1))), dpi=72, quality=80)

# %% tags=["nbval-ignore-output"]
valid = np.stack([h.values["fits_valid"] for h in looped]).mean(0)
few = max(1, len(valid) // 20)
print(f"share of the fits that teach: {valid[:few].mean():.0%} at first, "
      f"{valid[-few:].mean():.0%} at the end")  # fmt: skip

# %% [markdown]
# (Network and fit: mean 3D error on test people of `wild`, at a tenth of the training and at its
# end. Memory: mean 2D error of the best fits, over the first and the last twentieth.)
#
# At laptop scale the circle turns, and fastest at first: more than half of what the fits gain, they
# gain in the first third. A half-trained network is a bad answer and a good start. The network that
# is taught by static fits comes to rest where its teachers are. And the memory's error does not
# fall to zero: detections are noisy, and the prior pulls.
#
# How are the fits repaired? The people below are of the training set: the ones whose remembered
# body changed most, by the mean rotation of their joints, among the first five hundred of `wild`.
# Left as Adam fitted them before the training, right as the memory has them at its end.

# %% tags=["nbval-ignore-output"]
from hmrlab import load_training_set
from hmrlab.training.first_fits import fill_fits

run = runs["fits in the loop"][0]
training_set = load_training_set(run.config)
part = training_set.parts[1]
begun = fill_fits(training_set, body, prior, run.config.fits)
ended = run.fits()
row = len(training_set.parts[0])
count = min(500, len(part))
wild_rows = slice(row, row + count)
a, b = (axis_angle_to_matrix(m.pose[wild_rows].view(-1, 24, 3)) for m in (begun, ended))
cosine = ((a * b).sum((-1, -2)) - 1) / 2
turn = torch.rad2deg(torch.acos(cosine.clamp(-1, 1))).mean(1)
chosen = turn.topk(min(sizes.gallery, count)).indices.tolist()
print(f"{(turn > 1).float().mean():.0%} of {count} people have another body than at the beginning; "
      f"the median joint turned by {turn.median():.0f} degrees")  # fmt: skip

# %% tags=["nbval-ignore-output"]
from hmrlab.data import load_rows

few = load_rows(part, chosen, sizes.resolution)
before, after = (recalled(m, few, body, row) for m in (begun, ended))
trained_on = enlarged(few, 150)
columns = {
    "picture": trained_on,
    "first fit": over(trained_on, before, body),
    "aside": aside(before, body, 150),
    "at the end": over(trained_on, after, body),
    "aside ": aside(after, body, 150),
}
show(gallery(columns, width=1.3), dpi=72, quality=60)

# %% [markdown]
# Turn them, in a running notebook. No truth stands beside: nobody of these has a label.

# %% tags=["nbval-ignore-output"]
compare(
    body, {"first fit": before, "at the end": after}, pictures=trained_on, heat="twist",
    title="fits repaired in the loop", start="picture",
)  # fmt: skip

# %% [markdown]
# The first fits lie over their people more or less. From the side you see that they face another
# way, and bend to make up for it: Adam began facing us, and keypoints pull left and right apart
# without ever telling a body to turn round. The network sees the *picture*, and a profile or the
# back of a head is no secret to it.
#
# ## Better first fits
#
# So the loop repairs bad starts. Chapter 08 had other remedies for those: an optimiser that gets
# further, and several starts. How good each kind of first fit is can be measured on test people:

# %% tags=["nbval-ignore-output"]
from hmrlab.smplify import fit_cold
from hmrlab.spin import cold_settings, warm_settings
from hmrlab.training.warm_fits import errors_of

loader = BatchLoader(
    tested.first(256), batch_size=min(256, len(tested)), resolution=sizes.resolution, prefetch=0
)
known = next(iter(loader))
qualities = {
    "Adam, one start": FitConfig(first_by="adam"),
    "Newton, one start": FitConfig(),
    "Newton, four starts": plan,
}
first_errors = {}
for title, wanted in qualities.items():
    targets = Targets.from_normalised(known.keypoints_2d)
    fits = fit_cold(body, prior, targets, headings=wanted.headings, settings=cold_settings(wanted))
    errors = errors_of(fits, known, body)
    first_errors[title] = errors.mpjpe_mm.mean().item()
    off = errors.reprojection
    print(f"{title:20s} MPJPE {first_errors[title]:5.1f} mm, 2D {off.mean():5.1f} px², "
          f"{(off < 100).float().mean():.0%} below the threshold")  # fmt: skip

# %% tags=["nbval-ignore-output"]
better_first = {
    "Newton's, static": run_training(preset("half_unpaired_static", sizes, seed)),
    "Newton's, in the loop": run_training(preset("half_unpaired", sizes, seed)),
    "best of four starts, static": run_training(preset("half_unpaired_static4", sizes, seed)),
}
rows = {f"Adam's: {title}": [r.metrics for r in found] for title, found in runs.items()
        if title != "no fits"}  # fmt: skip
spread_table(rows | {title: [r.metrics] for title, r in better_first.items()}, WILD_FIRST)

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(5.6, 3.4), layout="constrained")
score = "wild/mpjpe_mm"
lines = {
    "static fits": ("C0", [runs["static fits"], [better_first["Newton's, static"]],
                           [better_first["best of four starts, static"]]]),
    "fits in the loop": ("C1", [runs["fits in the loop"], [better_first["Newton's, in the loop"]]]),
}  # fmt: skip
for label, (colour, cells) in lines.items():
    x = list(first_errors.values())[: len(cells)]
    values = [[r.metrics[score] for r in cell] for cell in cells]
    means = np.array([np.mean(v) for v in values])
    spread = [means - [min(v) for v in values], [max(v) for v in values] - means]
    axis.errorbar(x, means, spread, fmt="o-", color=colour, capsize=3, label=label)
axis.set(
    xlabel="MPJPE of the first fits, mm", ylabel="MPJPE of the network, mm",
    title="wild (synthetic) test: bad first fits, and who minds",
)  # fmt: skip
axis.legend()
plt.show()

# %% tags=["nbval-ignore-output"]
runs_table([r.record for r in better_first.values()], shown_metrics)

# %% [markdown]
# This is the paper's ablation, and it says when it holds: **the loop is an insurance against bad
# first fits.** Static fits hand their errors on to the network; the loop repairs them, because a
# fit that begins at a half-trained network begins nearer the truth than one that begins at the
# mean body. Where the first fits are good, be it by a better optimiser or by more starts, there
# is little left to insure: the best of four starts, never touched again, teaches as well as the
# loop does or better. (One seed each for Newton's fits: a few millimetres are within what seeds
# do.) A loop is not the only way to a good start. It is the one that needs no more than a network
# that one is training anyway.
#
# ## With labels for half of them
#
# SPIN does have labelled people. Let `studio` have its labels back, all of them; `wild` has none.

# %% tags=["nbval-ignore-output"]
labelled = {
    "no fits": run_training(preset("half_spin_none", sizes, seed)),
    "static fits (Newton's)": run_training(preset("half_spin_static", sizes, seed)),
    "fits in the loop": run_training(preset("half_spin", sizes, seed)),
}
spread_table({title: [r.metrics] for title, r in labelled.items()}, WILD_FIRST)

# %% tags=["nbval-ignore-output"]
runs_table([r.record for r in labelled.values()], shown_metrics)

# %% tags=["nbval-ignore-output"]
gap = (better_first["Newton's, in the loop"].metrics[score]
       - labelled["fits in the loop"].metrics[score])  # fmt: skip
print(f"in the loop without any label, {gap:.0f} mm behind the same with studio's labels")

# %% [markdown]
# With labels, the fits of the others bring next to nothing. Look at what the wild people could
# teach that the studio's cannot: no bodies. Both sets draw their poses from one sampler; they
# differ in pictures, and 2D keypoints are enough to carry over to other pictures what the studio
# taught. SPIN's own sets are not like that: few people in one room on one side, the streets on the
# other, and there the fits are worth much. Do not take this table for a verdict on SPIN; take it
# for one on our studio.
#
# And see how near the loop comes to it without a single label.

# %% [markdown]
# ## A bad fit taught back
#
# Two ways that might turn the circle the wrong way round. First, credulity: the memory begins
# empty, each fit gets one step for camera and body, and *every* fit teaches, as bad as it may be.
# Against it the same with the threshold. Second, a fit that looks good: no pose prior and no angle
# prior, so that the 2D error is all that it knows. What will the threshold say to those?

# %% tags=["nbval-ignore-output"]
bad = {
    "as it should be": [better_first["Newton's, in the loop"]],
    "empty memory, one step, threshold": [run_training(preset("half_unpaired_hasty", sizes, seed))],
    "empty memory, one step, no threshold": [
        run_training(preset("half_unpaired_credulous", sizes, seed))
    ],
    "fits without priors": [run_training(preset("half_unpaired_no_prior", sizes, seed))],
}
spread_table({title: [r.metrics for r in found] for title, found in bad.items()}, WILD_FIRST)

# %% tags=["nbval-ignore-output"]
for title, (result,) in bad.items():
    values = result.history().values
    few = max(1, len(values["fits_valid"]) // 20)
    print(f"{title:37s} taught {values['fits_valid'][:few].mean():4.0%} "
          f"to {values['fits_valid'][-few:].mean():4.0%}, "
          f"2D error {values['fit_error'][:few].mean():5.1f} "
          f"to {values['fit_error'][-few:].mean():4.1f} px²")  # fmt: skip
runs_table([r.record for (r,) in bad.values()], shown_metrics)

# %% tags=["nbval-ignore-output"]
by_priors = {
    "as it should be": said(bad["as it should be"][0]),
    "without priors": said(bad["fits without priors"][0]),
}
show(gallery(drawn(by_priors), width=1.4), dpi=72, quality=60)

# %% tags=["nbval-ignore-output"]
compare(
    body, by_priors, truth=truth, pictures=pictures, heat="rotation",
    title="with and without priors", start="picture",
)  # fmt: skip

# %% [markdown]
# Credulity did no harm here, which we had not expected. The first fits are several times worse than
# the threshold allows, all of them teach, and within two epochs they are replaced: the memory keeps
# the best so far, and a bad fit is bad only until the next one comes. The threshold matters where
# nothing better ever comes, as with static fits that failed or keypoints that are wrong.
#
# The fits without priors are another matter. In 2D they are as good as the good ones, every one of
# them passes the threshold, hardly any is ever beaten, and so they stay. Their network puts the
# joints nearly in their places and is about as wrong in the rotations as if it always answered the
# mean pose, whatever the picture. The threshold guards against fits that fail; it cannot see fits
# that succeed at the wrong thing. That is the prior's office, and the reason why the notebook
# before this one was about the objective before it was about the optimiser.
#
# ## Eight faults of the original
#
# SPIN's code is good research code, was read by thousands, and gave the numbers of its paper. It
# also has faults that nobody noticed, because a training with them runs and learns:
#
# 1. The function that grades a fit sets the hips' confidence to zero *in place*, and the same
#    tensor goes on to SMPLify, whose first stage then never trusts the OpenPose joints.
# 2. The improved fits are saved when time runs out; a training that ends normally loses them.
# 3. Resizing a crop of floats stretches its contrast between its own darkest and brightest pixel.
# 4. The option `use_augmentation` is never read.
# 5. Going on within an epoch repeats some samples and skips others.
# 6. One script writes a test set's file under another name than the evaluation reads.
# 7. Drawing from the mix of sets can return nothing, when the last cumulative share is below 1.
# 8. Weights are loaded with `strict=False`, which hides a checkpoint that does not fit.
#
# ### The first, in action
#
# Confidence is a tensor; setting entries to zero changes it for everybody who holds it. The first
# stage of SMPLify places camera and orientation by hips and shoulders, OpenPose's where all four
# are seen, and it is handed a tensor in which the hips never are.


# %%
from hmrlab.smplify import OPENPOSE_TORSO, torso_of


def grade(keypoints, place, targets, faulty):
    """SPIN's mark of a fit, as the original writes it (faulty) or on a copy."""
    confidence = targets.confidence if faulty else targets.confidence.clone()
    confidence[:, [1, 9, 12, 27, 28]] = 0  # neck and hips, OpenPose's and the annotated
    return reprojection_terms(keypoints, place, replace(targets, confidence=confidence), 100.0)


chosen_torso = {}
for title, faulty in (("on a copy", False), ("in place", True)):
    targets = Targets.from_normalised(known.keypoints_2d)
    some_points = body.keypoints(known.rotations, known.betas)
    grade(some_points, torch.tensor([[0.0, 0.0, 40.0]]).expand(len(known), 3), targets, faulty)
    index, counts = torso_of(targets)
    chosen_torso[title] = (index == torch.tensor(OPENPOSE_TORSO)).all(1)
assert not chosen_torso["in place"].any()

# %% tags=["nbval-ignore-output"]
for title, openpose in chosen_torso.items():
    print(f"graded {title}: the first stage trusts OpenPose for {openpose.float().mean():.0%} "
          f"of {len(known)} people")  # fmt: skip

# %% [markdown]
# Does it matter? Here is the first stage as it should be and as it was, from the same answers of
# the same network, then the same second stage. After the fault the annotated joints are used, whose
# hips count nothing either: in the original they are used *without* asking their confidence, here
# they are left out, which is kinder.

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    answer = network(known.images).float()
start = from_camera(answer.rotations, answer.betas, answer.camera)
for title, emptied in (("as it should be", False), ("with the fault", True)):
    targets = Targets.from_normalised(known.keypoints_2d)
    fits = fit_with_newton(
        body, prior, targets.counted() if emptied else targets, start, warm_settings(FitConfig())
    )
    errors = errors_of(fits, known, body)
    print(f"{title:16s} 2D error {errors.reprojection.mean():5.2f} px², "
          f"MPJPE {errors.mpjpe_mm.mean():5.1f} mm")  # fmt: skip

# %% [markdown]
# ### The second, in action
#
# What does a training lose that ends normally and leaves the memory behind? Everything that the
# loop repaired. Begin a *next* training with the memory of the last one, or with the file of first
# fits that the original would find again:

# %% tags=["nbval-ignore-output"]
whole = load_rows(part, range(count), sizes.resolution)
targets = Targets.from_normalised(whole.keypoints_2d)
for title, memory in (("the memory at the end", ended), ("what the original has", begun)):
    bodies = recalled(memory, whole, body, row)
    keypoints = body.keypoints(bodies.rotations, bodies.betas)
    terms = reprojection_terms(keypoints, bodies.translation, targets.counted(), 100.0)
    kept = memory.known[row + whole.index] & targets.valid
    print(f"{title}: 2D error {terms.mean(1)[kept].mean():.1f} px² over {int(kept.sum())} people")
print(f"lost: {run.config.steps:,} steps' worth of fits")

# %% [markdown]
# In `hmrlab` the memory is part of the checkpoint and lies beside the result (`fits.npz`). A test
# kills a training in the middle of the loop and compares the memories bit for bit.
#
# ## Exercises
#
# **1. Which fit is kept?** The old fit's error (infinite where there is none), the new one's (NaN
# where it went wrong), and whether the new one is valid.


# %%
def is_better(old_error, new_error, new_valid):
    """(B,), (B,), (B,) bool -> (B,) bool, True where the new fit replaces the old."""
    return None


chapter_09.check_better(is_better)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def is_better_solution(old_error, new_error, new_valid):
    return new_valid & (new_error < old_error)


chapter_09.check_better(is_better_solution, must_pass=True)

# %% [markdown]
# **2. What teaches.** From the best fits: a shape with any beta beyond 3 in size teaches the mean
# shape; a fit teaches if its error is below 100; where there is a label, the label teaches.


# %%
def supervision(betas, error, true_betas, labelled):
    """(B, 10), (B,), (B, 10), (B,) bool -> betas (B, 10), teaches (B,) bool."""
    return None


chapter_09.check_supervision(supervision)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def supervision_solution(betas, error, true_betas, labelled):
    extreme = (betas.abs() > 3).any(1, keepdim=True)
    betas = torch.where(extreme, torch.zeros_like(betas), betas)
    betas = torch.where(labelled[:, None], true_betas, betas)
    return betas, (error < 100) | labelled


chapter_09.check_supervision(supervision_solution, must_pass=True)

# %% [markdown]
# **3. Back to the plain picture.** The root's rotation in an augmented picture, which was turned by
# `turned` degrees and then, where `flipped`, mirrored. What is it in the plain one? Use
# `rotate_in_image_plane(root, degrees)`; a mirror is M R M with M = diag(-1, 1, 1).


# %%
def root_in_plain_picture(root, flipped, turned):
    """(B, 3, 3), (B,) bool, (B,) degrees -> (B, 3, 3)."""
    return None


chapter_09.check_undone(root_in_plain_picture)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def root_in_plain_picture_solution(root, flipped, turned):
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    root = torch.where(flipped[:, None, None], mirror @ root @ mirror, root)
    return rotate_in_image_plane(root, -turned)


chapter_09.check_undone(root_in_plain_picture_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - SPIN is a memory and a rule: begin at the network, keep the better fit, teach the best one.
# - Fits as labels are worth a great deal; the *loop* is worth what the first fits were lacking.
# - A memory of the best forgives bad fits; it never forgives bad fits that look good.
# - The threshold sees 2D. Only a prior keeps a good 2D fit from being a bad body.
# - Watch the loop itself (error, share replaced, share that teaches), not the loss alone.
# - Faults in a loop do not crash it. They make it a little worse, for years.
#
# ## Further reading
#
# - Kolotouros, Pavlakos, Black, Daniilidis: *Learning to Reconstruct 3D Human Pose and Shape via
#   Model-fitting in the Loop*, ICCV 2019.
# - Joo, Neverova, Vedaldi: *Exemplar Fine-Tuning for 3D Human Model Fitting*, 3DV 2021: the network
#   itself is fitted to each picture, and the answers are kept as labels.
# - Li, Liu, Zhang, Xu, Yan: *CLIFF*, ECCV 2022: a fitter that knows where in the full picture the
#   crop lies.
