# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [03_people, 05_regression_loop]}
# ---

# %% [markdown]
# # 10 · Backbones
#
# How light can the encoder be? Half of the diary is this question. It took the ResNet-50 out, put
# other networks in, and wrote down how many parameters the whole model had then. Of one of them it
# says:
#
# > DenseNet (CVPR 2017's best paper) was dropped in in a hurry and without understanding it
# > exactly; whatever error was made is unknown.
#
# On MPI-INF-3DHP that "DenseNet-121" had an MPJPE of 287.97 mm, its sister DenseNet-169 112.89.
# A day of training went into finding out that something was wrong. One number in the same table had
# said so from the beginning: 3,494,447 parameters. This chapter is about what such numbers can
# tell, what they cannot, and how to find the error in a minute.
#
# **You will be able to**
# - count the parameters of a convolutional network by hand, and use the count to find bugs;
# - say where a model's parameters sit, and why few of them does not mean fast or small in memory;
# - test a network's wiring in one minute, before the day of training;
# - look for an unknown cause among millions, and say what a hit is worth;
# - compare encoders by cost *and* error: the Pareto front.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0
encoders: str = "small mobilenet_v3_small shufflenet_v2_x1_0"  # to be trained, if need be

# %%
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown
from torch import nn

from checks import chapter_10, spread_table
from checks.densenet_search import DIARYS, search
from hmrlab import LossWeights, find_result, get_scale, load_set, preset
from hmrlab.bodies import load_body
from hmrlab.models import ENCODER_NAMES, HMR, create_encoder
from hmrlab.models.cost import count_macs, count_parameters

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# 1. MobileNetV2 has a fifth of ResNet-18's parameters. Which of the two needs more memory in
#    training?
# 2. The lightest encoder here has fewer than a million parameters. How many has the regressor on
#    top of it?
# 3. Somebody gives you a number of parameters, and you may try four mistakes on a network until it
#    has that number. How many of a million numbers could you explain?
#
# ## Counting
#
# A convolution of k x k from a channels to b has k² numbers for each pair of channels, and b more
# if it has biases. A BN learns a scale and a shift for each channel; its running mean and variance
# are not learnt, and no parameters. That is all that is needed.


# %%
def convolution(given, out, kernel, bias=False):
    return kernel**2 * given * out + (out if bias else 0)


def norm(channels):
    return 2 * channels


def numbers_in(module):
    return sum(parameter.numel() for parameter in module.parameters())


print(f"{convolution(64, 128, 3):,} {numbers_in(nn.Conv2d(64, 128, 3, bias=False)):,}")
print(f"{norm(128):,} {numbers_in(nn.BatchNorm2d(128)):,}")

# %% [markdown]
# A DenseNet's layer is BN, ReLU, a 1x1 convolution to 4g channels, BN, ReLU, a 3x3 convolution to g
# channels, where g is the *growth*. It is given all that came before it in its block, joined
# channel by channel, so the k-th layer of a block sees k · g channels more than the first one. A
# transition between two blocks halves the channels (and the picture's sides).


# %%
from checks.densenet import TORCHVISIONS, count_encoder


def dense_layer(seen, growth):
    inner = 4 * growth
    return (
        norm(seen) + convolution(seen, inner, 1) + norm(inner) + convolution(inner, growth, 3)
    )  # fmt: skip


def densenet(blocks, growth=32, stem=64, classes=1000):
    """All of a DenseNet's parameters, in ten lines."""
    count = convolution(3, stem, 7) + norm(stem)
    width = stem
    for number, layers in enumerate(blocks):
        count += sum(dense_layer(width + k * growth, growth) for k in range(layers))
        width += layers * growth
        if number + 1 < len(blocks):
            count += norm(width) + convolution(width, width // 2, 1)
            width //= 2
    return count + norm(width) + (width + 1) * classes


for name, recipe in TORCHVISIONS.items():
    print(f"{name}: {densenet(recipe.blocks):10,} by hand, {count_encoder(recipe):10,} built")
    assert densenet(recipe.blocks) == count_encoder(recipe)

# %% [markdown]
# Now all of them. PyTorch can build a network without allocating a single weight (on the `meta`
# device), so the table costs nothing. Each encoder has two wirings. SPIN takes the *pooled
# features*: the last map, averaged over the picture. The diary left torchvision's networks whole
# and regressed from their 1000 *logits*, one for each of ImageNet's classes.

# %%
from hmrlab.tables import parameters_table

parameters_table()

# %% [markdown]
# That the diary did so is written nowhere in it. The counts say so: by one rule for ResNet-50 (it
# came with SPIN, which cuts the classifier off) and by the other one for all that were put in later
# the numbers are met to the last digit. Four of four, where nothing was left to choose: that is
# evidence. And one line does not fit at all.
#
# ## Where the parameters sit
#
# The regressor takes 1024 weights for each feature, and 1,372,317 whatever the encoder. The lighter
# the encoder, the more of the model is regressor.


# %%
def parts(name):
    """Encoder without classifier, classifier, regressor: in millions."""
    with torch.device("meta"):
        model = HMR(create_encoder(name))
        trunk = count_parameters(create_encoder(name.partition(":")[0]))
    whole, regressor = count_parameters(model), count_parameters(model.regressor)
    return np.array([trunk, whole - regressor - trunk, regressor]) / 1e6


chosen = ("resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0")
names = [whole for name in chosen for whole in (name, f"{name}:logits")]
stacked = np.stack([parts(name) for name in names])
for name, part in zip(names, stacked[:, 2] / stacked.sum(1), strict=True):
    print(f"{name:26s} {part:4.0%} of the model is regressor")

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
left = np.zeros(len(names))
for colour, label, column in zip(
    ("C0", "C3", "0.6"), ("encoder", "classifier", "regressor"), stacked.T, strict=True
):
    axis.barh(names, column, left=left, color=colour, label=label)
    left += column
axis.invert_yaxis()
axis.set(xlabel="parameters, millions")
axis.legend()
plt.show()

# %% [markdown]
# The red parts are a million weights or two that turn features into *what is in the picture*
# (beagle, espresso, radiator), for a regressor that wants to know where an elbow is. After
# MobileNetV2 and V3 they are more than the network before them. What they cost in accuracy is a
# question for trainings, below.
#
# ## Parameters are not the cost
#
# Nobody waits for parameters. One waits for multiply-adds, or rather for the clock; and what does
# not fit into memory is, in training, mostly not the weights but the maps that are kept for the way
# back. Both can be counted. PyTorch tells us which tensors it keeps.


# %%
def kept_for_backward(network, images):
    """Bytes of the maps that a forward pass keeps for the backward pass; weights left out."""
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(images)
    return sum(kept.values())


two = nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.ReLU(), nn.Conv2d(8, 2, 1, bias=False))
picture = torch.zeros(1, 3, 10, 10)
print(kept_for_backward(two, picture), "bytes, by hand", 4 * 100 * (3 + 8))

# %% [markdown]
# (By hand: a convolution keeps what went into it, a ReLU what came out, which is the same tensor as
# the next convolution's input. So 3 + 8 channels of 10 x 10, 4 bytes each.)

# %%
rows = ["| encoder | parameters | multiply-adds | kept in training, a picture |",
        "| --- | ---: | ---: | ---: |"]  # fmt: skip
costs = {}
for name in ENCODER_NAMES:
    with torch.device("meta"):
        model = HMR(create_encoder(name)).train()
        kept = kept_for_backward(model.encoder, torch.zeros(2, 3, 224, 224)) / 2
        costs[name] = (count_parameters(model), count_macs(model, 224), kept)
    million, macs, kept = costs[name][0] / 1e6, costs[name][1] / 1e6, kept / 1e6
    rows.append(f"| {name} | {million:.2f} M | {macs:,.0f} M | {kept:.0f} MB |")
Markdown("\n".join(rows))

# %% [markdown]
# At 224 pixels. Look for the pairs that disagree.
#
# - **MobileNetV2 against ResNet-18**: little more than a third of the parameters, a sixth of the
#   multiply-adds, and between three and four times the memory. It widens its maps six-fold inside
#   every block, and normalises each.
# - **DenseNet-121 against ResNet-50**: a third of the parameters, half as much memory again. Joined
#   maps are copied and normalised anew by each layer that sees them.
#
# The diary's third issue: "From DenseNet-169 on, CUDA out of memory". SPIN's batches are of 64.

# %%
for name in ("resnet50", "densenet121", "densenet169", "densenet201"):
    print(f"{name:12s} {64 * costs[name][2] / 1e9:5.1f} GB of maps for a batch of 64")

# %% [markdown]
# On a card of 11 GB, common in 2021, that is where it breaks, give or take a library's workspace.
# The diary does not say which card it was. Parameters would have predicted the opposite.
#
# ## The mis-wired DenseNet
#
# So what was the diary's "DenseNet-121"? Here are the right one and two wrong ones that are easy to
# make. Many tutorials write a DenseNet for pictures of 32 pixels: growth 12, ten classes; a
# widespread one for larger pictures calls its 6, 12, 24, **6** layers DenseNet-121. And a layer
# that is given the *last* layer's output alone has forgotten what the network is named after.

# %%
from checks.densenet import LAST, TUTORIALS, Recipe, build, count_whole

forgetful = Recipe(sees=LAST)
suspects = {
    "DenseNet-121, 1000 logits": Recipe(),
    "a tutorial's, ten logits": TUTORIALS,
    "a tutorial's, 1000 logits": replace(TUTORIALS, classes=1000),
    "joining forgotten": forgetful,
}
for words, recipe in suspects.items():
    with torch.device("meta"):
        built = count_parameters(HMR(build(recipe)))
    assert built == count_whole(recipe)
    print(f"{words:26s} {built:10,}, off the diary's by {built - DIARYS:+10,}")

# %% [markdown]
# None of them. But a count is more than a size. Take away what the regressor has, and look at what
# is left over by powers of two.

# %%
from checks.densenet import REGRESSOR, REGRESSOR_PER_FEATURE

rest = DIARYS - REGRESSOR
print(f"encoder + {REGRESSOR_PER_FEATURE} x features = {rest:,}")
for power in (2, 4, 8, 16, 32):
    print(f"so the encoder has a multiple of {power}, and {rest % power}")

# %% [markdown]
# However many features there are, 1024 times their number is a multiple of all these powers. Now
# let every width in a network be a multiple of four: 12, 24, 32, 64, 48, 1000. Then each
# convolution's weights are a multiple of 16 (the first one's, from 3 colours, of 4), a BN's and a
# bias's numbers one of 4, so is the classifier's, and so is the whole. The diary's encoder has a
# multiple of four **and two**.
#
# So *no* network whose widths are multiples of four has the diary's count: whatever its number of
# layers, kernels, with joining or without, with biases or without, with 512, 1000 or 2048 features.
# A few lines of arithmetic rule out more than any search could. Some width is odd or twice an odd
# number, or the number of classes is: ten, for instance. CIFAR-10's ten would be a natural thing to
# be left over from a tutorial, and ten logits a narrow gate for a body.
#
# ## Search
#
# A recipe for a DenseNet is a dozen choices. Give each choice that the paper or the tutorials make
# no mistakes, each other one a mistake: another growth, a last block too short, a transition too
# many, layers that see less than they should, biases, norms behind the convolutions, a classifier
# that is left dangling, and so on (`checks/densenet_search.py` lists them). Which recipes with
# few mistakes have exactly 3,494,447 parameters?
#
# A count is a product: how much there is of everything, times what that costs. So nothing has to be
# built, and two million recipes take seconds.

# %%
found = search(4)
print(f"{len(found.totals):,} recipes with at most four mistakes")
for mistakes in range(5):
    counted = found.totals[found.mistakes <= mistakes]
    nearest = counted[np.abs(counted - DIARYS).argmin()]
    print(f"at most {mistakes}: {len(counted):9,} recipes, nearest {nearest:,}")
hits = found.hits(DIARYS)
for hit in hits:
    print(f"{hit.mistakes} mistakes: {hit.recipe}")

# %% [markdown]
# A hit! Each block a layer short, growth 12, twice the usual stem, nothing compressed, a transition
# behind the last block too, and ten logits at the end. One can see the loops that would do that:
# `range(1, n)`, and no special case for the last block. One can build it, and it has 3,494,447
# parameters. Case closed?
#
# Ask the search for numbers that mean nothing. Take the 5,000 nearest that leave the same remainder
# by 16, and count *their* hits.

# %%
with torch.device("meta"):
    assert count_parameters(HMR(build(hits[0].recipe))) == DIARYS
strangers = found.hits_of_strangers(DIARYS, window=40_000)
print(f"hits of {len(strangers):,} numbers that mean nothing: {strangers.mean():.2f} on average,")
print(f"and {np.mean(strangers > 0):.0%} of them have at least one")

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(6, 2.4), layout="constrained")
axis.bar(*np.unique(strangers, return_counts=True), color="0.6")
axis.axvline(len(hits), color="C3", label="the diary's number")
axis.set(xlabel="hits", ylabel="numbers", xticks=range(strangers.max() + 1))
axis.legend()
plt.show()

# %% [markdown]
# With four mistakes allowed, nearly one number in four can be "explained", and ours is one of
# them. With five (`search(5)`, some twenty seconds) there are seven million recipes, still this one
# hit, and a meaningless number has 0.95 on average. The hit is what chance gives.
#
# So, honestly: **the diary's wiring stays unknown.** Tried were 16 lists of blocks, 8 growths, 9
# stems, 6 inner widths, 4 ways to join, with and without compression and transitions, 10 kinds of
# ends, and all switches. Up to three mistakes nothing fits. The one firm result are the few lines
# of arithmetic above: there is a width, or a number of classes, that four does not divide.
#
# And why did the logits' wiring convince, found by matching numbers too? It was *one* hypothesis
# for four numbers, with nothing to adjust. A count that matches is evidence if the hypothesis was
# plausible before and could have failed. Given enough freedom, some recipe always matches.
#
# ## What the error costs
#
# A day of training need not be the test. Two tests take a minute, and need no more than sixteen
# pictures. We give them to a slender DenseNet (growth 12, the right number of layers) and to its
# forgetful twin.

# %% tags=["nbval-ignore-output"]
from hmrlab import SPIN
from hmrlab.data import BatchLoader
from hmrlab.data.synthetic import mean_rotations
from hmrlab.models import HMRConfig

slender = Recipe(growth=12, stem=24, inner=48)
twins = {
    "right": slender,
    "joining forgotten": replace(slender, sees=LAST),
    "right, ten logits": replace(slender, classes=10),
}
people = load_set("studio", "train", sizes)
batch = next(iter(BatchLoader(people, batch_size=16, resolution=sizes.resolution, prefetch=0)))
objective = SPIN(body, LossWeights())


def on(recipe):
    """SPIN's network on an encoder by recipe, the same random start for each."""
    torch.manual_seed(seed)
    config = HMRConfig(relu=True, dropout=0.0)
    return HMR(build(recipe), config, mean_rotations=mean_rotations()).train()


# %% [markdown]
# **First: does the gradient arrive?** One step backwards, then each convolution's gradient over its
# weights, from the picture upwards.

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
arrived = {}
for colour, words in (("C0", "right"), ("C3", "joining forgotten")):
    model = on(twins[words])
    objective.losses(model(batch.images), batch)["total"].backward()
    ratios = [
        float(layer.weight.grad.norm() / layer.weight.detach().norm())
        for layer in model.encoder.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    arrived[words] = ratios[0] / ratios[-1]
    axis.semilogy(ratios, ".-", ms=3, lw=0.8, color=colour, label=words)
axis.set(xlabel="convolution, from the picture upwards", ylabel="gradient over weight")
axis.legend()
plt.show()
for words, ratio in arrived.items():
    print(f"{words}: the first convolution's gradient is {ratio:.2g} times the last one's")

# %% [markdown]
# Joined, every layer has a short way to the end: past three transitions, and there is the loss.
# Forgotten, the only way leads through all 58 layers, 116 convolutions one behind the other, and
# each multiplies the gradient by a little. No learning rate is right for the first *and* the last.
# Clipping gradients, which saved us in chapter 06, makes it worse here: the first layers' share of
# the norm is all of it.
#
# **Second: can it learn sixteen pictures by heart?** Any network worth a day of training can. If it
# cannot, look for the bug, not for more data. For comparison: a regressor without eyes, whose
# features are always zero. It can learn one body for everybody, and no more.

# %% tags=["nbval-ignore-output"]
steps = min(40, sizes.steps)


def learn_by_heart(model, blind=False):
    """The losses along some steps on the one batch."""
    nothing = torch.zeros(len(batch.images), model.encoder.feature_size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(steps):
        answer = model.regressor(nothing) if blind else model(batch.images)
        loss = objective.losses(answer, batch)["total"]
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        losses.append(loss.item())
    return losses


learnt = {words: learn_by_heart(on(recipe)) for words, recipe in twins.items()}
learnt["no eyes"] = learn_by_heart(on(slender), blind=True)

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for colour, (words, losses) in zip(("C0", "C3", "C1", "0.5"), learnt.items(), strict=True):
    axis.semilogy(losses, "--" if words == "no eyes" else "-", color=colour, label=words)
    print(f"{words:18s} loss {losses[0]:5.1f} -> {losses[-1]:5.2f} after {steps} steps")
axis.set(xlabel="steps", ylabel="loss", title="sixteen pictures, learnt by heart")
axis.legend()
plt.show()

# %% [markdown]
# (Smoke scale makes too few steps to see it.) The right one learns them. The forgetful one comes
# as far as the one without eyes: pictures go in, and nothing about them comes out. Its loss is not
# alarming at all, it falls and settles, as the diary's "loss 14 to 25 in epoch 1" did not alarm
# anybody. Whether 287.97 mm is what a blind network gets on MPI-INF-3DHP we cannot know here; it is
# two and a half times what the others got.
#
# And ten logits? They are no obstacle to learning by heart: ten numbers tell sixteen pictures apart
# easily. That a small gate is enough for sixteen people does not say that it is for everybody.
#
# ## Accuracy after equal training
#
# Now the question itself. Each encoder from a random start, pooled features, the same pictures in
# the same order, a quarter of the full steps. This notebook trains the ones named at its top, and
# shows whichever others have been trained at this scale already: `hmrlab train backbone_resnet18`
# adds one.

# %% tags=["nbval-ignore-output"]
from hmrlab import run_training

runs = {name: run_training(preset(f"backbone_{name}", sizes, seed)) for name in encoders.split()}
for name in ENCODER_NAMES:
    earlier = find_result(preset(f"backbone_{name}", sizes, seed))
    if name not in runs and earlier is not None:
        runs[name] = earlier
spread_table({name: [run.metrics] for name, run in runs.items()})

# %% tags=["nbval-ignore-output"]
from hmrlab.tables import runs_table

metric = "studio/mpjpe_mm"
runs_table([run.record for run in runs.values()], (metric, "studio/rotation_error_deg"))

# %% [markdown]
# One seed each, pictures of 64 pixels, from scratch, a short training: this compares how fast
# encoders learn *here*. It is not the diary's comparison, whose encoders were pretrained on
# ImageNet and saw 224 pixels. Our `small` was made for these pictures; the others halve the
# picture's sides five times, from 64 to 2, before they average.
#
# ### Cost against error
#
# A model is worth a look if no other is both cheaper and better: those are the *Pareto front*.


# %%
def front(cost, error):
    """(N,), (N,) -> (N,) bool: nobody is cheaper and no worse, or better and no dearer."""
    no_more = (cost[None] <= cost[:, None]) & (error[None] <= error[:, None])
    one_less = (cost[None] < cost[:, None]) | (error[None] < error[:, None])
    return ~(no_more & one_less).any(1)


# %% [markdown]
# Which ones they are depends on what you pay for. So here are three prices: parameters,
# multiply-adds, and the time that one picture takes on this machine. The clock is read by turns, a
# bit of each network after the other, so that whatever else the machine does falls on all of them.

# %% tags=["nbval-ignore-output"]
from checks import show
from hmrlab.models.cost import asker, time_by_turns
from hmrlab.tables import Panel, Point, pareto_front, plot_accuracy

models = {name: run.model().eval() for name, run in runs.items()}
picture = torch.zeros(1, 3, sizes.resolution, sizes.resolution)
times = time_by_turns({name: asker(model, picture) for name, model in models.items()}, rounds=7)
prices = {
    "parameters, millions": [count_parameters(m) / 1e6 for m in models.values()],
    "multiply-adds, millions": [count_macs(m, sizes.resolution) / 1e6 for m in models.values()],
    "one picture, ms": [1000 * float(np.median(turns)) for turns in times.values()],
}
errors = [run.metrics[metric] for run in runs.values()]
panels = []
for words, cost in prices.items():
    points = [
        Point(name, name.partition("_")[0].rstrip("0123456789"), x, y, y, y)
        for name, x, y in zip(runs, cost, errors, strict=True)
    ]
    panels.append(Panel(words, tuple(points)))
    on_it = front(np.array(cost), np.array(errors))
    assert sorted(pareto_front(cost, errors)) == np.flatnonzero(on_it).tolist()
    names = [name for name, is_on in zip(runs, on_it, strict=True) if is_on]
    print(f"on the front by {words}: {', '.join(names)}")
title = "studio (synthetic) test, equal training"
show(plot_accuracy(panels, "MPJPE, mm", title), dpi=60, quality=82)

# %% [markdown]
# `hmrlab table backbones` makes this plot with more prices: files, memory, batches, other number
# formats.
#
# ### The diary's wiring
#
# Do the logits cost accuracy, or only parameters? The diary's own rows are runs by name
# (`hmrlab train train_MobileNetV2`), each beside the same encoder with pooled features. Those that
# this machine has trained:

# %% tags=["nbval-ignore-output"]
diarys = {
    "train_DenseNet121": "densenet121",
    "train_DenseNet169": "densenet169",
    "train_DenseNet201": "densenet201",
    "train_MobileNetV2": "mobilenet_v2",
    "train_MobileNetV3_large": "mobilenet_v3_large",
    "train_ShuffleNetV2": "shufflenet_v2_x1_0",
}
pairs = {}
for name, encoder in diarys.items():
    both = [find_result(preset(n, sizes, seed)) for n in (f"backbone_{encoder}", name)]
    if all(both):
        pairs |= {f"{encoder}, pooled": [both[0].metrics], f"{encoder}, logits": [both[1].metrics]}
spread_table(pairs) if pairs else print("none at this scale yet")

# %% [markdown]
# ### The same minute on a GPU
#
# All of this was small: 64 px, and equal steps for quick and slow networks alike. On a GPU one can
# ask the other question: what is each encoder worth to somebody who has one minute? Every network
# gets 60 seconds at 224 px, in both wirings. It never sees a person twice, since the GPU makes its
# people itself. Slow networks see fewer of them: that is their price. The last three rows go on
# with ResNet-50: 20 seconds more, the same with a fifth of its weights pruned, and 20 minutes. A
# row without numbers has not been trained yet; its last column is the command that fills it.

# %% tags=["nbval-ignore-output"]
from hmrlab.tables import card_rows, card_table

on_gpu = get_scale("gpu")
card_table(card_rows(on_gpu, Path("../figures")), on_gpu)

# %% [markdown]
# ## Exercises
#
# **1. Count a depthwise-separable block.** MobileNets and ShuffleNets are light because they split
# a convolution: first each channel is filtered by itself (k x k, *depthwise*), then all are mixed
# (1 x 1). No biases; a BN after each of the two.


# %%
def separable_count(given, out, kernel):
    """Parameters of the block, from `given` channels to `out`."""
    return None


chapter_10.check_separable(separable_count)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def separable_count_solution(given, out, kernel):
    depthwise = kernel**2 * given + 2 * given
    pointwise = given * out + 2 * out
    return depthwise + pointwise


chapter_10.check_separable(separable_count_solution, must_pass=True)
ratio = convolution(128, 128, 3) / (separable_count_solution(128, 128, 3) - 2 * norm(128))
print(f"128 to 128 channels, 3 x 3: an ordinary convolution has {ratio:.1f} times the weights")

# %% [markdown]
# **2. Find the front.** You have read `front` above. Close your eyes and write it again; mind the
# ties.


# %%
def my_front(cost, error):
    """(N,), (N,) -> (N,) bool."""
    return None


chapter_10.check_front(my_front)

# %% [markdown]
# Solution (folded)

# %% tags=["solution"] jupyter={"source_hidden": true}
chapter_10.check_front(front, must_pass=True)

# %% [markdown]
# **3. Which block is wrong?** You get the numbers of parameters of the four dense blocks of a
# network that calls itself DenseNet-121 (growth 32, stem 64, transitions not counted). Say which
# block, from 0, is the first that cannot be right, or -1. This is how you find such a bug in a
# network of somebody else's, without reading a line of it.


# %%
def first_wrong_block(counts):
    """(4,) -> int."""
    return None


chapter_10.check_first_wrong(first_wrong_block)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def first_wrong_block_solution(counts):
    width = 64
    for number, layers in enumerate((6, 12, 24, 16)):
        right = sum(dense_layer(width + 32 * k, 32) for k in range(layers))
        if counts[number] != right:
            return number
        width = (width + 32 * layers) // 2
    return -1


chapter_10.check_first_wrong(first_wrong_block_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - Count before you train. A wrong number of parameters is a bug, found for nothing.
# - A right number proves little by itself. A hypothesis with nothing to adjust that matches four
#   numbers is evidence; the best of two million is not.
# - Parameters, multiply-adds, memory and time are four different costs.
# - Two tests before every long training: does the gradient arrive at the first layer, and can the
#   network learn a handful of pictures by heart?
# - In a light model most parameters may sit where you did not look: here, in the regressor.
#
# ## Further reading
#
# - Huang, Liu, van der Maaten, Weinberger: *Densely Connected Convolutional Networks*, CVPR 2017.
# - Pleiss et al.: *Memory-Efficient Implementation of DenseNets*, 2017: why they need so much, and
#   what to do.
# - Sandler et al.: *MobileNetV2*, CVPR 2018; Howard et al.: *Searching for MobileNetV3*, ICCV 2019;
#   Ma et al.: *ShuffleNet V2*, ECCV 2018: "FLOPs" are not speed.
# - Karpathy: *A Recipe for Training Neural Networks*, 2019: "overfit one batch".
