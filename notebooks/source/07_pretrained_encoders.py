# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 03_people]}
# ---

# %% [markdown]
# # 07 · Pretrained encoders
#
# The diary:
#
# > keypoint loss and total loss still far too large. One reason found: the ResNet was not
# > pretrained
#
# and, one run later, "`pretrained=True` again: loss about 14 to 20: normal". One flag, and weeks of
# trouble were over. What does an encoder bring along that was trained on something else before? And
# is *something else* all the same?
#
# A benchmark of 2022 (Pang et al.) compared three starts of one network: ResNet-50 trained to name
# the objects of ImageNet, and the same trained further to find people's keypoints in MPII's or in
# COCO's pictures. On 3DPW it reports a reconstruction error of 64.55, 60.60 and 57.26 mm (figures
# quoted at second hand: look them up before you use them). Pretraining on *poses* beats
# pretraining on objects. That is our hypothesis; here are the means to test it without a download.
#
# **You will be able to**
# - train an encoder on maps of the 2D keypoints, and read a keypoint's place off a map;
# - compare learning curves over seeds, and say how many pictures a head start is worth;
# - tell what a start brings where labels are plenty, and where they are few;
# - count the cost of the pretraining itself, which comparisons like to forget.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0
allow_download: bool = False  # fetch torchvision's ImageNet weights for ResNet-18 (45 MB)

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

from checks import chapter_07, first_people, show, spread_table, train_seeds
from hmrlab import get_scale, load_set, preset, run_training
from hmrlab import losses as package
from hmrlab.bodies import ANNOTATED_NAMES, load_body
from hmrlab.rendering import contact_sheet, gallery
from hmrlab.tables import runs_table

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# An encoder that has learnt where wrists and knees are in a picture is given to the regressor. The
# same training as in chapter 05 follows.
#
# 1. How many pictures less does it need to get as far as an encoder from scratch? A tenth? A half?
# 2. With only a tenth of the labelled people, does the head start matter more, or less?
# 3. The pretraining never saw a rotation. Will it help rotations, or only positions?
#
# ## Maps
#
# "Where is the left wrist?" is answered by a map: a number for each cell of the picture. Softmax
# makes it a distribution; the truth is a small round hill about the true place; and the loss is the
# cross-entropy between the two.


# %%
def hill(places, count, deviation=1.0):
    """(B, K, 2) in [-1, 1] -> (B, K, count, count), each map sums to 1."""
    middles = (2 * torch.arange(count) + 1) / count - 1
    x, y = places[..., 0, None, None], places[..., 1, None, None]
    squared = (middles[None, :] - x) ** 2 + (middles[:, None] - y) ** 2
    bump = torch.exp(-squared * (count / 2) ** 2 / (2 * deviation**2))
    return bump / bump.sum((-1, -2), keepdim=True)


def map_loss(logits, labels):
    """(B, K, h, w) against (B, K, 3) x, y, confidence -> scalar."""
    entropy = -(hill(labels[..., :2], logits.shape[-1]) * logits.flatten(2).log_softmax(-1).view(
        logits.shape)).sum((-1, -2))  # fmt: skip
    counted = (labels[..., :2].abs() <= 1).all(-1) & (labels[..., 2] > 0)
    return entropy[counted].mean()


generator = torch.Generator().manual_seed(2)
logits = torch.randn(3, 24, 16, 16, generator=generator)
labels = torch.cat(
    [2.2 * torch.rand(3, 24, 2, generator=generator) - 1.1,
     (torch.rand(3, 24, 1, generator=generator) > 0.3).float()], -1
)  # fmt: skip
ours, theirs = map_loss(logits, labels), package.heatmap_loss(logits, labels, deviation=1.0)
print(f"ours {ours:.5f}, the package's {theirs:.5f}")
torch.testing.assert_close(ours, theirs)

# %% [markdown]
# The network: our small encoder up to its last feature map (8 x 8 for pictures of 64 pixels), two
# transposed convolutions that double it twice, and one map for each of the 24 annotated keypoints
# (Xiao et al., *Simple Baselines*, 2018). It is trained on `studio` and `wild` together: 2D
# keypoints are the one label that all pictures have. When it is done, the top is thrown away.

# %% tags=["nbval-ignore-output"]
pretrained = run_training(preset("pretrain_keypoints", sizes))
for name in ("studio", "wild"):
    percent = pretrained.metrics[f"{name}/keypoint_error_percent"]
    print(f"{name} test: keypoints {percent:.1f} % of the picture's side off, on average")

# %% tags=["nbval-ignore-output"]
from hmrlab.models import expected_places

wild = load_set("wild", "test", sizes)
hard = first_people(wild, body, count=sizes.gallery, resolution=sizes.resolution)
network = pretrained.model()
with torch.no_grad():
    maps = network(hard.batch.images)
places = expected_places(maps)
likelihood = maps.flatten(2).softmax(-1).view(maps.shape)

shown = ("left_wrist", "right_knee", "nose")
columns = {"picture": hard.pictures}
side = hard.pictures.shape[1]
for name in shown:
    k = ANNOTATED_NAMES.index(name)
    column = []
    for picture, one in zip(hard.pictures, likelihood[:, k], strict=True):
        heat = Image.fromarray((255 * one / one.max()).byte().numpy()).resize((side, side))
        strength = np.asarray(heat)[..., None] / 255
        grey = picture.mean(-1, keepdims=True) * 0.6
        column.append((grey * (1 - strength) + np.array([255, 140, 0]) * strength).astype(np.uint8))
    columns[name.replace("_", " ")] = np.stack(column)
show(gallery(columns, width=1.5), quality=76)

# %% [markdown]
# A keypoint in plain sight gets one bright spot. One that is hidden, or a left that might be a
# right, gets a smear or two spots: a map can say that it does not know, which two coordinates
# cannot.
#
# ## Equal budgets
#
# Now the same training of bodies twice: half of the full steps, `studio`'s pictures, all losses,
# three corrections. Once from scratch (chapter 05's `half_n3`), once from the pretrained encoder.


# %% tags=["nbval-ignore-output"]
starts = {
    "from scratch": train_seeds("half_n3", sizes, seed),
    "pretrained": train_seeds("half_pretrained", sizes, seed),
}
spread_table({title: [r.metrics for r in runs] for title, runs in starts.items()})

# %% tags=["nbval-ignore-output"]
shown_metrics = ("studio/mpjpe_mm", "studio/rotation_error_deg", "wild/mpjpe_mm")
runs_table([pretrained.record], ("studio/keypoint_error_percent", "wild/keypoint_error_percent"))

# %% tags=["nbval-ignore-output"]
runs_table([r.record for runs in starts.values() for r in runs], shown_metrics)

# %% [markdown]
# Learning curves say more than ends. Along each training, 256 of the test people are scored now
# and then; lines are means over the seeds, bands run from the lowest to the highest.


# %%
def curves(runs, score):
    """Pictures seen (T,), and the score then (seeds, T)."""
    histories = [run.history() for run in runs]
    batch = runs[0].config.batch_size
    return histories[0].check_steps * batch, np.stack([h.checks[score] for h in histories])


# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
wanted = (("mpjpe_mm", "MPJPE, mm"), ("rotation_error_deg", "rotation error, degrees"))
for axis, (score, words) in zip(axes, wanted, strict=True):
    for colour, (title, runs) in zip(("0.4", "C1"), starts.items(), strict=True):
        pictures, values = curves(runs, score)
        axis.plot(pictures / 1000, values.mean(0), color=colour, label=title)
        axis.fill_between(pictures / 1000, values.min(0), values.max(0), color=colour, alpha=0.25)
    axis.set(xlabel="pictures seen, thousands", title=f"studio (synthetic) test: {words}")
    axis.legend()
plt.show()

# %% [markdown]
# ### How many pictures is the head start worth?
#
# Read the curve sideways: at which number of pictures does the pretrained network first reach the
# error at which the other one *ended*?


# %%
def pictures_to_reach(pictures, errors, threshold):
    """Where a falling curve first crosses a threshold, by straight lines; nan if it never does."""
    below = np.flatnonzero(errors <= threshold)
    if len(below) == 0:
        return float("nan")
    k = below[0]
    if k == 0:
        return float(pictures[0])
    part = (errors[k - 1] - threshold) / (errors[k - 1] - errors[k])
    return float(pictures[k - 1] + part * (pictures[k] - pictures[k - 1]))


# %% tags=["nbval-ignore-output"]
for score, words in wanted:
    pictures, scratch = curves(starts["from scratch"], score)
    _, ahead = curves(starts["pretrained"], score)
    goal = scratch.mean(0)[-1]
    needed = pictures_to_reach(pictures, ahead.mean(0), goal)
    print(
        f"{words}: scratch ends at {goal:.1f} after {pictures[-1]:,} pictures; "
        f"pretrained is there after {needed:,.0f}"
    )

# %% [markdown]
# The learning rate falls along the training, so this flatters neither fairly: a training *planned*
# for fewer pictures would have lowered its rate sooner. And the pretraining is not free. What if
# its steps go to the other side, as a longer training from scratch?

# %% tags=["nbval-ignore-output"]
longer = run_training(preset("with_smpl", sizes, seed))
both_long = run_training(preset("with_smpl_pretrained", sizes, seed))


def steps_of(*results):
    return sum(result.config.steps for result in results)


costs = {
    "scratch, half": (starts["from scratch"][0],),
    "scratch, full": (longer,),
    "pretrained, half": (pretrained, starts["pretrained"][0]),
    "pretrained, full": (pretrained, both_long),
}
for title, parts in costs.items():
    last = parts[-1].metrics
    print(
        f"{title:17s} {steps_of(*parts):6,} steps in all: MPJPE {last['studio/mpjpe_mm']:5.1f} mm, "
        f"rotation error {last['studio/rotation_error_deg']:4.1f} degrees"
    )

# %% [markdown]
# Compare the second line with the third, whose sums of steps are the nearest. A pretraining is paid
# once and used by every training after it; that is how ImageNet's became free for everybody.
#
# ## Where labels are few
#
# 2D keypoints are clicked by anybody; rotations come out of a studio. So let the pretraining keep
# all its pictures, and leave only a tenth of the *labelled* people, or a hundredth. They come by
# more often, so that the number of steps stays the same.

# %% tags=["nbval-ignore-output"]
people_left = {"all": "n3", "a tenth": "few", "a hundredth": "fewest"}
few = {}
for words, name in people_left.items():
    few[f"{words}, scratch"] = run_training(preset(f"half_{name}", sizes, seed))
    ahead_name = "half_pretrained" if words == "all" else f"half_{name}_pretrained"
    few[f"{words}, pretrained"] = run_training(preset(ahead_name, sizes, seed))
spread_table({title: [r.metrics] for title, r in few.items()})

# %% tags=["nbval-ignore-output"]
labelled = [round(r.config.data_fraction * sizes.studio_train) for r in few.values()][::2]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for axis, (score, words) in zip(axes, wanted, strict=True):
    for first, (title, colour) in enumerate((("from scratch", "0.4"), ("pretrained", "C1"))):
        values = [r.metrics[f"studio/{score}"] for r in list(few.values())[first::2]]
        axis.semilogx(labelled, values, "o-", color=colour, label=title)
    axis.set(xlabel="labelled people", title=f"studio (synthetic) test: {words}")
    axis.legend()
plt.show()

# %% tags=["nbval-ignore-output"]
metric = "studio/mpjpe_mm"
for words in people_left:
    gain = few[f"{words}, scratch"].metrics[metric] - few[f"{words}, pretrained"].metrics[metric]
    print(f"{words} of the labels: pretraining takes {gain:.1f} mm off the MPJPE")
seen_and_unseen = ("studio/mpjpe_mm", "studio/rotation_error_deg", "studio/elbow_twist_error_deg")
runs_table([r.record for r in few.values()], seen_and_unseen)

# %% [markdown]
# At laptop scale, one seed each: a tenth of the labels does as well as all of them, so labels are
# not what these short trainings lack. At a hundredth both get worse, and the elbows' twist,
# which cannot be seen, is learnt by heart. The head start is worth about as much wherever it is
# measured, so it does not matter *more* where labels are few. But read the table across: from a
# pretrained encoder, 400 labelled people teach more than 40,000 do from scratch. Cheap
# labels can stand in for dear ones.
#
# ## What do the filters look like?
#
# The first layer looks at 3 x 3 pixels of three colours: few enough to see all of it. On the left
# as it starts, in the middle after training bodies from scratch, on the right after the keypoint
# maps.


# %%
def first_filters(model):
    """The first convolution's weights (16, 3, 3, 3) as small pictures, grey is zero."""
    weights = model.encoder.backbone.stem[0].weight.detach().permute(0, 2, 3, 1).numpy()
    most = np.abs(weights).max((1, 2, 3), keepdims=True)
    tiles = np.full((len(weights), 5, 5, 3), 255, np.uint8)
    tiles[:, 1:4, 1:4] = np.clip(128 + 127 * weights / most, 0, 255).astype(np.uint8)
    return contact_sheet(tiles, columns=4, zoom=9)


# %% tags=["nbval-ignore-output"]
from hmrlab.runs import build_model

kinds = {
    "at the start": build_model(preset("half_n3", sizes, seed)),
    "bodies, from scratch": longer.model(),
    "keypoint maps": pretrained.model(),
}
small = sizes.encoder == "small"
if small:
    figure, axes = plt.subplots(1, 3, figsize=(7, 2.7), layout="constrained")
    for axis, (title, model) in zip(axes, kinds.items(), strict=True):
        axis.imshow(first_filters(model), interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    plt.show()

# %% [markdown]
# Do not read too much into so small a picture. A number helps: how much of a layer is still
# there after the training of bodies has had its way with it? For each layer, the cosine between its
# weights before and after (1: the same direction, 0: nothing in common).


# %%
def kept(before, after):
    """{layer: cosine} over the convolutions of two encoders."""
    found = {}
    others = dict(after.named_modules())
    for name, layer in before.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            a, b = layer.weight.flatten(), others[name].weight.flatten()
            found[name] = float(torch.nn.functional.cosine_similarity(a, b, dim=0).detach())
    return found


# %% tags=["nbval-ignore-output"]
moved = {
    "from scratch": kept(kinds["at the start"].encoder, longer.model().encoder),
    "pretrained": kept(pretrained.model().encoder, both_long.model().encoder),
}
figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
for colour, (title, cosines) in zip(("0.4", "C1"), moved.items(), strict=True):
    axis.plot(list(cosines.values()), "o-", ms=4, color=colour, label=title)
axis.set(
    xlabel="convolution, from the picture upwards", ylabel="cosine", ylim=(0, 1.02),
    title="weights after training bodies, against those it started from",
)  # fmt: skip
axis.legend()
plt.show()
for title, cosines in moved.items():
    print(f"{title}: mean cosine {np.mean(list(cosines.values())):.2f}")

# %% [markdown]
# ## Objects against poses
#
# The hypothesis is about ImageNet, whose weights exist for torchvision's networks, not for our
# small one. So it takes a ResNet-18, and 45 MB that have to be fetched once. With `allow_download =
# True` above, or where the file is in torch's cache already, the cell below trains three: from
# scratch, from keypoints, from ImageNet (half of the steps each, which on a laptop's CPU may take
# an hour in all). Otherwise it says what is missing, and trains nothing: there is no silent random
# start.

# %% tags=["nbval-ignore-output"]
from hmrlab.files import FileProblem
from hmrlab.models import create_encoder

try:
    create_encoder("resnet18", "imagenet", allow_download=allow_download)
except FileProblem as problem:
    print(str(problem).replace(str(Path.home()), "~"))
    resnets = {}
else:
    names = ("half_resnet18", "half_resnet18_pretrained", "half_resnet18_imagenet")
    resnets = {name: run_training(preset(name, sizes, seed)) for name in names}
spread_table({name: [r.metrics] for name, r in resnets.items()}) if resnets else None

# %% [markdown]
# If it said that the weights are missing, the hypothesis is untested here: what this chapter
# measured is poses against *nothing*, not poses against objects. The commands that would test it
# are `hmrlab train half_resnet18_imagenet --allow-download` and its two siblings.
#
# ## Where we stand
#
# The full training with a pretrained encoder is the best network so far on `studio`, whose pictures
# it was trained on; on `wild` the half training did better, a first sign of learning a set by
# heart. It is the one that came with the package and that you met in notebook 00, trained again.

# %% tags=["nbval-ignore-output"]
from checks import score_table
from hmrlab.data import BatchLoader
from hmrlab.data.synthetic import mean_rotations
from hmrlab.evaluation import constant_predictor_scores

tables = {}
for name in ("studio", "wild"):
    batches = BatchLoader(
        load_set(name, "test", sizes), batch_size=100, resolution=sizes.resolution
    )
    blind = constant_predictor_scores(batches, body, mean_rotations())
    tables[f"{name}: always the mean"] = blind.to_dict()
    tables[f"{name}: this network"] = both_long.scores(name).to_dict()
    elbows = [18, 19]
    difference = (both_long.scores(name).twist_error_deg - blind.twist_error_deg)[:, elbows].mean(1)
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    print(
        f"{name}: elbow twist error against always answering the mean: "
        f"{difference.mean():+.2f} ± {error:.2f} degrees"
    )
wrecked = run_training(preset("keypoints_only", sizes, seed))
times = (
    wrecked.metrics["studio/rotation_error_deg"] / both_long.metrics["studio/rotation_error_deg"]
)
print(f"studio: keypoint losses only had {times:.1f} times this rotation error")
score_table(tables)

# %% tags=["nbval-ignore-output"]
runs_table([wrecked.record, longer.record, both_long.record], shown_metrics)

# %% [markdown]
# About the elbows it knows what the blind baseline knows, no more: forearms are turned at random
# in this world, and at 64 pixels a palm is two or three pixels wide. It has learnt to answer the
# mean where it cannot see, which is the right thing to do, and not to be worse.

# %% tags=["nbval-ignore-output"]
from checks import predict
from hmrlab.rendering import overlay, side_view

people = first_people(
    load_set("studio", "test", sizes), body, count=sizes.gallery, resolution=sizes.resolution
)
columns, answers = {"picture": people.pictures}, {}
for title, result in (("from scratch", longer), ("pretrained", both_long)):
    answer = answers[title] = predict(result.model(), people, body)
    columns[title] = overlay(people.pictures, answer.mesh, body.faces, answer.prediction.camera)
    columns[f"{title}, aside"] = side_view(
        answer.mesh, body.faces, answer.prediction.camera, size=192
    )
columns["truth, aside"] = side_view(people.mesh, body.faces, people.camera, size=192)
show(gallery(columns, width=1.4), quality=74)

# %% [markdown]
# The same in a viewer, where a notebook runs; colours show how far the skin is from the truth.

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare

compare(
    body, {title: answer.prediction for title, answer in answers.items()},
    truth=people.truth, pictures=people.pictures, heat="distance",
    title="what pretraining is worth", start="picture",
)  # fmt: skip

# %% [markdown]
# ## Exercises
#
# **1. Where a map says the keypoint is.** The mean cell under the softmax of one map.


# %%
def mean_place(logits):
    """(h, w) -> (2,): x along the columns, y along the rows, in cells from 0."""
    return None


chapter_07.check_mean_place(mean_place)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def mean_place_solution(logits):
    height, width = logits.shape
    weights = logits.flatten().softmax(0).view(height, width)
    x = (weights.sum(0) * torch.arange(width)).sum()
    y = (weights.sum(1) * torch.arange(height)).sum()
    return torch.stack([x, y])


chapter_07.check_mean_place(mean_place_solution, must_pass=True)

# %% [markdown]
# **2. How many pictures it takes.** You have read `pictures_to_reach` above. Close your eyes and
# write it again.


# %%
def my_pictures_to_reach(pictures, errors, threshold):
    """(T,), (T,), float -> float, nan where the threshold is never reached."""
    return None


chapter_07.check_pictures_to_reach(my_pictures_to_reach)

# %% [markdown]
# Solution (folded)

# %% tags=["solution"] jupyter={"source_hidden": true}
chapter_07.check_pictures_to_reach(pictures_to_reach, must_pass=True)

# %% [markdown]
# **3. Does it stand out of the noise?** Given the scores of a few seeds of two settings, the
# difference of their means over its standard error (Welch). Below 2 or 3, be silent.


# %%
def gap_in_spreads(first, second):
    """(N,), (M,) -> float."""
    return None


chapter_07.check_gap_in_spreads(gap_in_spreads)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def gap_in_spreads_solution(first, second):
    variance = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    return (first.mean() - second.mean()) / np.sqrt(variance)


chapter_07.check_gap_in_spreads(gap_in_spreads_solution, must_pass=True)

# %% tags=["nbval-ignore-output"]
if sizes.seeds > 1:
    scratch, ahead = (
        np.array([r.metrics["studio/mpjpe_mm"] for r in runs]) for runs in starts.values()
    )
    print(f"scratch against pretrained: {gap_in_spreads_solution(scratch, ahead):.1f}")

# %% [markdown]
# ## Recap
#
# - Keypoint maps are a good school for an encoder: cheap labels, and the right question.
# - Compare curves and seeds, and put the price of the pretraining on the bill.
# - With a head start on cheap labels, a few hundred dear ones beat a hundred times as many without.
# - No silent random start: a missing file is an error, not a worse network.
#
# ## Further reading
#
# - Xiao, Wu, Wei: *Simple Baselines for Human Pose Estimation and Tracking*, ECCV 2018.
# - Sun et al.: *Integral Human Pose Regression*, ECCV 2018: the mean place under a map.
# - Pang, Cai, Yang, Zhang, Liu: *Benchmarking and Analyzing 3D Human Pose and Shape Estimation
#   Beyond Algorithms*, NeurIPS 2022 (datasets and benchmarks).
# - He, Girshick, Dollár: *Rethinking ImageNet Pre-training*, ICCV 2019: with enough data and
#   patience, scratch catches up.
