# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 03_people]}
# ---

# %% [markdown]
# # 11 · Pruning
#
# The diary's row `train_ResNet50_P`, "ResNet-50 pruned to an overall sparsity of 20 %", has two
# words for a result: "not good ...". Its table of pruning results is blank. And its thoughts say:
#
# > Pruning did not improve accuracy; as a way to make a finished model lighter it works well
# > enough, and costs little accuracy.
#
# Two statements that can be tested. And a question that the diary did not ask: *lighter* in what?
# A network with every fifth weight set to zero has a fifth fewer numbers that matter. Does it take
# less memory? Is it faster?
#
# **You will be able to**
# - set the smallest weights of a network to zero, and train on around the zeros;
# - say what a mask saves, and what it does not;
# - cut whole channels out of a network, with everything that hangs on them;
# - run a network in another runtime and in eight bits, and check that it still says the same;
# - test "it costs little accuracy" against a control, over seeds.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
import copy
import gzip
import statistics
import tempfile
import time
from itertools import islice, pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from checks import chapter_11, spread_table
from hmrlab import get_scale, load_set, preset, run_training
from hmrlab.bodies import load_body
from hmrlab.models.cost import count_macs, count_nonzero, count_parameters
from hmrlab.models.pruning import PruneConfig, prunable_layers, prune, settle, share_of_zeros

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# A finished network, MPJPE somewhere above 100 mm.
#
# 1. The smallest fifth of all its weights becomes zero. Without any training after: by how many
#    millimetres does it get worse? By 0.1, 1, 10 or 100?
# 2. And if 95 of 100 weights become zero, and the rest may train a little longer?
# 3. Which one is faster for one picture: a network with 80 % zeros, or one with half as many
#    multiplications because whole channels are gone?
# 4. Which layer would you rather not touch?
#
# ## The network
#
# Not ResNet-50 here, but the series' small one, trained for half of the full steps from the
# keypoint encoder that comes with the package. The diary's own row is a named run, too: `hmrlab
# train train_ResNet50_P --scale gpu`.

# %% tags=["nbval-ignore-output"]
unpruned = run_training(preset("unpruned", sizes, seed))
network = unpruned.model()
print(f"{count_parameters(network):,} parameters")
print(f"{count_macs(network, sizes.resolution):,} multiply-adds a picture, three corrections")
print(f"MPJPE {unpruned.metrics['studio/mpjpe_mm']:.1f} mm on studio's test people (synthetic)")

# %% [markdown]
# Where are the weights? In a network this small, mostly not where the picture is looked at: the
# regressor's two hidden layers have more than all convolutions together. And most weights are
# small.

# %% tags=["nbval-ignore-output"]
layers = dict(prunable_layers(network))
figure, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
short = [
    name.replace("encoder.backbone.", "").replace("regressor.", "reg. ").replace("stages", "st")
    for name in layers
]
axes[0].bar(short, [layer.weight.numel() for layer in layers.values()], color="0.5")
axes[0].set(yscale="log", title="weights of each layer")
axes[0].tick_params("x", rotation=90, labelsize=7)
every = torch.cat([layer.weight.detach().flatten() for layer in layers.values()]).numpy()
axes[1].hist(every, bins=200, range=(-0.15, 0.15), color="0.5")
for share, colour in ((0.2, "C0"), (0.8, "C3")):
    edge = np.quantile(np.abs(every), share)
    for side in (-edge, edge):
        axes[1].axvline(
            side, color=colour, lw=1, label=f"{share:.0%} are smaller" if side > 0 else None
        )
axes[1].set(title="all weights, by value")
axes[1].legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Masks
#
# The plainest rule there is: what is small matters little. Sort all weights of all layers by their
# magnitude, and set the smallest share to zero.


# %%
def zero_smallest(model, share):
    """Set the smallest weights of all layers together to zero; one threshold for all."""
    weights = [layer.weight for _, layer in prunable_layers(model)]
    sizes_of_all = torch.cat([w.detach().abs().flatten() for w in weights])
    threshold = sizes_of_all.kthvalue(round(share * len(sizes_of_all))).values
    with torch.no_grad():
        for w in weights:
            w[w.abs() <= threshold] = 0
    return model


ours = zero_smallest(copy.deepcopy(network), 0.2)
theirs = settle(prune(copy.deepcopy(network), PruneConfig("masks", 0.2), sizes.resolution))
their_values = theirs.state_dict()
same = all(torch.equal(value, their_values[key]) for key, value in ours.state_dict().items())
print("the same as the package's, which asks torch.nn.utils.prune:", same)
assert same
print(f"zeros: {share_of_zeros(theirs):.4f}")

# %% [markdown]
# The package does not only set them to zero. While such a network trains on, each weight is held as
# `weight_orig * weight_mask`, so that no gradient wakes a zero up; when it is done, `settle` leaves
# an ordinary network.
#
# Now both ways, from 20 to 95 %: the mask alone, and with an eighth of the full steps of training
# after it. To be fair there is a third line: the network that was not pruned, and trained just as
# much longer.

# %% tags=["nbval-ignore-output"]
shares = (0.2, 0.5, 0.8, 0.9, 0.95)
alone = [run_training(preset(f"masks_raw_{round(100 * s)}", sizes, seed)) for s in shares]
tuned = [run_training(preset(f"masks_{round(100 * s)}", sizes, seed)) for s in shares]
control = run_training(preset("tuned", sizes, seed))

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
wanted = (("mpjpe_mm", "MPJPE, mm"), ("rotation_error_deg", "rotation error, degrees"))
for axis, (score, words) in zip(axes, wanted, strict=True):
    for title, results, colour in (("masked", alone, "C3"), ("and trained on", tuned, "C0")):
        values = [r.metrics[f"studio/{score}"] for r in results]
        axis.plot([100 * s for s in shares], values, "o-", color=colour, label=title)
    axis.axhline(unpruned.metrics[f"studio/{score}"], color="0.5", label="unpruned")
    axis.axhline(
        control.metrics[f"studio/{score}"], color="0.5", ls=":", label="unpruned, trained on"
    )
    axis.set(xlabel="zeros, percent", title=f"studio (synthetic) test: {words}", yscale="log")
    axis.legend(fontsize=8)
plt.show()
named = {"unpruned": unpruned, "trained on, nothing masked": control}
named |= {f"{s:.0%} masked": r for s, r in zip(shares, alone, strict=True)}
named |= {f"{s:.0%} masked, trained on": r for s, r in zip(shares, tuned, strict=True)}
spread_table({title: [r.metrics] for title, r in named.items()})

# %% [markdown]
# ### Why there is a cliff
#
# At 80 % it still works, at 90 % it is blind, and no training brings it back. Which layers paid?

# %% tags=["nbval-ignore-output"]
figure, axis = plt.subplots(figsize=(9, 2.8), layout="constrained")
for k, colour in ((0, "C0"), (2, "C1"), (3, "C3")):
    zeros = [
        100 * float((layer.weight == 0).float().mean())
        for _, layer in prunable_layers(tuned[k].model())
    ]
    axis.plot(short, zeros, "o-", ms=4, color=colour, label=f"{shares[k]:.0%} of all masked")
    camera = zeros[-1]
    print(f"{shares[k]:.0%} of all: {camera:.0f} % of the camera's last layer, {zeros[0]:.0f} % of "
          "the first convolution")  # fmt: skip
axis.set(ylabel="zeros, percent", title="what each layer lost")
axis.tick_params("x", rotation=90, labelsize=7)
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# One threshold for all layers does not know what a layer is for. Convolutions from a few channels
# have large weights, a layer of a thousand inputs small ones, and the regressor's last layers,
# which start small and make small corrections, the smallest. So "20 % of all" is 93 % of what moves
# the camera (it can be spared, or be learnt again). At 90 % the regressor has nothing left that
# looks at the features: the bill was paid by those who hold the least.
#
# ## The diary's two statements
#
# *Pruning did not improve accuracy.* *It costs little accuracy.* Against what? Not against the
# network before: that one has had fewer steps. Against the control, seed by seed: the same base,
# the same steps, the same pictures in the same order, once with a fifth of the weights held at
# zero.

# %% tags=["nbval-ignore-output"]
from checks import train_seeds

pairs = {
    "trained on, nothing masked": train_seeds("tuned", sizes, seed),
    "20 % masked, trained on": train_seeds("masks_20", sizes, seed),
}
spread_table({title: [r.metrics for r in runs] for title, runs in pairs.items()})

# %% tags=["nbval-ignore-output"]
metrics = {
    "studio/mpjpe_mm": "mm",
    "studio/pa_mpjpe_mm": "mm",
    "wild/mpjpe_mm": "mm",
    "studio/rotation_error_deg": "degrees",
}
for metric, unit in metrics.items():
    kept, masked = ([r.metrics[metric] for r in runs] for runs in pairs.values())
    gaps = [b - a for a, b in zip(kept, masked, strict=True)]
    print(
        f"{metric}: masked minus not, seed by seed: {', '.join(f'{g:+.2f}' for g in gaps)} {unit}"
    )

# %% [markdown]
# At laptop scale, three seeds: less than a millimetre, and not always in the same direction. *Did
# not improve accuracy*: right. *Costs little accuracy*: right, at 20 %; a network of this size has
# a fifth of its weights to spare. Why the diary's own row says "not good ..." is not known. A
# masked network that is scored before it was trained on loses some millimetres (the third row
# of the table above), and one whose masks were forgotten in training loses none, and its zeros.
#
# ## Which layer would you rather not touch?
#
# One layer at a time loses its smallest weights, all others stay; 256 test people judge.


# %% tags=["nbval-ignore-output"]
from hmrlab.data import BatchLoader
from hmrlab.evaluation import evaluate_model
from hmrlab.models.pruning import measure_sensitivity

people_of_test = load_set("studio", "test", sizes)
batches = list(islice(BatchLoader(people_of_test, batch_size=64, resolution=sizes.resolution), 4))


def mpjpe(model):
    return evaluate_model(model, batches, body).to_dict()["mpjpe_mm"]


levels = (0.5, 0.8, 0.95)
sensitivity = measure_sensitivity(network, mpjpe, levels)
figure, axis = plt.subplots(figsize=(9, 3.2), layout="constrained")
for level, scores, colour in zip(levels, sensitivity.scores.T, ("C0", "C1", "C3"), strict=True):
    axis.plot(short, scores, "o-", ms=4, color=colour, label=f"{level:.0%} of this layer")
axis.axhline(sensitivity.unmasked, color="0.5", label="nothing masked")
axis.set(ylabel="MPJPE, mm", title="studio (synthetic) test: one layer masked, nothing trained")
axis.tick_params("x", rotation=90, labelsize=7)
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## What a mask saves
#
# Weigh the network before and after. Parameters, numbers that are not zero, multiply-adds, the
# file, the file compressed, and the time for one picture: eleven rounds in which the networks take
# turns, medians, one thread.


# %%
from hmrlab.models import save_weights
from hmrlab.tables import Table


def milliseconds(models, rounds=11, each=20):
    """{title: median milliseconds for one picture}; the networks take turns."""
    images = torch.randn(1, 3, sizes.resolution, sizes.resolution)
    taken = {title: [] for title in models}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        for number in range(rounds + 1):
            for title, model in models.items():
                began = time.perf_counter()
                for _ in range(each):
                    model(images)
                if number:  # the first round warms up
                    taken[title].append(1000 * (time.perf_counter() - began) / each)
    torch.set_num_threads(threads)
    return {title: statistics.median(times) for title, times in taken.items()}


def weigh(models):
    """A table of what each network weighs; the first is the peer of the ratios."""
    times = milliseconds(models)
    peer = next(iter(times.values()))
    rows = []
    for title, model in models.items():
        with tempfile.TemporaryDirectory() as folder:
            content = save_weights(Path(folder) / "model.pt", model).read_bytes()
        rows.append((
            title, f"{count_parameters(model):,}", f"{count_nonzero(model):,}",
            f"{count_macs(model, sizes.resolution) / 1e6:.1f}", f"{len(content) / 1e6:.2f}",
            f"{len(gzip.compress(content)) / 1e6:.2f}", f"{times[title]:.2f}",
            f"{peer / times[title]:.2f}",
        ))  # fmt: skip
    header = ("network", "parameters", "not zero", "multiply-adds, millions", "file, MB",
              "compressed, MB", "ms a picture", "times as fast")  # fmt: skip
    return Table(header, tuple(rows))


# %% tags=["nbval-ignore-output"]
weigh({
    "unpruned": network,
    "20 % masked": tuned[0].model(),
    "80 % masked": tuned[2].model(),
    "95 % masked": tuned[4].model(),
})  # fmt: skip

# %% [markdown]
# A zero is a number like any other. It has its place in the array, it is fetched, it is multiplied.
# Only the compressed file knows that there is less to say. (There is hardware for *patterns* of
# zeros, two of every four; a scattered 20 % is no pattern.)
#
# ## Channels
#
# What does save: an array that is *smaller*. A whole channel has to go, and with it all that hangs
# on it. In a chain: the filter that makes it, its place in the normalisation, and every weight of
# the next layer that looks at it.

# %%
torch.manual_seed(1)
first, norm, second = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 3)
chain = nn.Sequential(first, norm, nn.ReLU(), second).eval()
picture = torch.randn(2, 3, 16, 16)

silent = 5  # a channel that says nothing: its normalisation multiplies by 0 and adds 0
with torch.no_grad():
    norm.weight[silent], norm.bias[silent] = 0, 0
    before = chain(picture)

stay = [k for k in range(8) if k != silent]
smaller = copy.deepcopy(chain)
with torch.no_grad():
    smaller[0].weight = nn.Parameter(first.weight[stay])
    smaller[0].bias = nn.Parameter(first.bias[stay])
    for name in ("weight", "bias", "running_mean", "running_var"):
        value = getattr(norm, name)[stay]
        setattr(smaller[1], name, nn.Parameter(value) if name in ("weight", "bias") else value)
    smaller[3].weight = nn.Parameter(second.weight[:, stay])
    after = smaller(picture)
print(f"{count_parameters(chain)} parameters, then {count_parameters(smaller)}")
torch.testing.assert_close(before, after)

# %% [markdown]
# In a residual network a channel does not end there. What is *added* over a shortcut has to have
# the same channels on both sides, so one decision cuts through a whole stage. In MobileNet a
# depthwise layer passes each channel on; in DenseNet a channel is read by every layer after it. Who
# depends on whom is a graph, and `torch-pruning` follows it (Fang et al., *DepGraph*, 2023). Our
# part is to say what must stay: pose, shape and camera, which the regressor reads and writes.

# %% tags=["nbval-ignore-output"]
halved = prune(copy.deepcopy(network), PruneConfig("channels", 0.5), sizes.resolution)


def widths(model):
    return [layer.weight.shape[0] for _, layer in prunable_layers(model)]


figure, axis = plt.subplots(figsize=(9, 2.8), layout="constrained")
axis.bar(short, widths(network), color="0.8", label="before")
axis.bar(short, widths(halved), color="C0", label="half of the multiply-adds gone")
axis.set(yscale="log", ylim=(8, 1500), title="outputs of each layer")
axis.tick_params("x", rotation=90, labelsize=7)
axis.legend(fontsize=8)
plt.show()
cost = [count_macs(m, sizes.resolution) for m in (network, halved)]
print(f"multiply-adds: {cost[0] / 1e6:.1f} million, then {cost[1] / 1e6:.1f} million")

# %% [markdown]
# Widths stay multiples of 16, since a processor multiplies eight or sixteen numbers at once. (And
# because of a bug: oneDNN 3.12 writes beyond its memory in the gradient of a strided 1 x 1
# convolution with fewer than 16 inputs. A pruned network walks straight into it.)
#
# Break it first: half of the multiply-adds gone at one stroke, and nothing trained after.

# %% tags=["nbval-ignore-output"]
from checks import first_people, predict, show
from hmrlab.rendering import gallery, overlay

people = first_people(people_of_test, body, count=sizes.gallery, resolution=sizes.resolution)
at_one_stroke = run_training(preset("channels_raw_50", sizes, seed))
cut = [run_training(preset(f"channels_{percent}", sizes, seed)) for percent in (20, 35, 50, 65, 80)]
once = run_training(preset("channels_50_at_once", sizes, seed))
shown = {
    "unpruned": unpruned,
    "half, untrained": at_one_stroke,
    "half, 3 rounds": cut[2],
    "4/5, 5 rounds": cut[4],
}
columns, answers = {"picture": people.pictures}, {}
for title, result in shown.items():
    answer = answers[title] = predict(result.model(), people, body)
    columns[title] = overlay(people.pictures, answer.mesh, body.faces, answer.prediction.camera)
show(gallery(columns, width=1.25), dpi=72, quality=64)

# %% [markdown]
# Turn them, in a running notebook. Colours show how far the skin is from the truth.

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare

compare(
    body, {title: answer.prediction for title, answer in answers.items()},
    truth=people.truth, pictures=people.pictures, heat="distance",
    title="with fewer channels", start="picture",
)  # fmt: skip

# %% [markdown]
# With so many channels gone the network is hardly the same function. Trained on, it comes back.
# Whether it helps to go in rounds, a little cut, a little training, a little more cut from there,
# or to cut at once: the table has both for a half. (In rounds means more steps of training, too:
# three rounds, three times an eighth.)

# %% tags=["nbval-ignore-output"]
rows = {"unpruned": unpruned, "trained on, nothing cut": control}
rows |= {"50 % cut, not trained on": at_one_stroke, "50 % cut at once, trained on": once}
rows |= {
    f"{p} % cut, round {k}": r
    for k, (p, r) in enumerate(zip((20, 35, 50, 65, 80), cut, strict=True), start=1)
}
spread_table({title: [r.metrics] for title, r in rows.items()})

# %% [markdown]
# At laptop scale half of the network can go, and `studio` does not notice: the control is met to
# within a millimetre. But read the last column, too. `wild` is the harder set, of pictures that no
# training of this chapter showed (only the encoder's pretraining did), and there the rounds cost:
# some 14 mm at a half, 40 at four fifths. What nobody asks for is what pruning takes first. One
# seed, so a few millimetres mean nothing; that the column rises from round to round does.

# %% tags=["nbval-ignore-output"]
weigh({"unpruned": network, "80 % masked": tuned[2].model()} | {
    f"{p} % cut": r.model() for p, r in zip((20, 35, 50, 65, 80), cut, strict=True)
})  # fmt: skip

# %% [markdown]
# ### Accuracy against cost
#
# All pruned networks in one picture. By multiply-adds, which is nearly by the clock, masks are no
# bargain at all: whatever is zero, the cost is the same. And by the numbers that are not zero,
# where masks should shine, channels do better here, too. Do not conclude too much: the channels
# went in rounds and were trained longer, and their groups were weighed by what they cost, while the
# masks had that one threshold for all.

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
kinds = (
    ("masks, trained on", [control, *tuned], "C3"),
    ("channels, in rounds", [control, *cut], "C0"),
)
measures = (
    ("numbers that are not zero, millions", lambda m: count_nonzero(m) / 1e6),
    ("multiply-adds, millions", lambda m: count_macs(m, sizes.resolution) / 1e6),
)
for axis, (words, measure) in zip(axes, measures, strict=True):
    for title, results, colour in kinds:
        costs = [measure(r.model()) for r in results]
        errors = [r.metrics["studio/mpjpe_mm"] for r in results]
        axis.plot(costs, errors, "o-", color=colour, label=title)
    axis.set(xlabel=words, ylabel="MPJPE, mm", title="studio (synthetic) test")
    axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# ## Another runtime, and eight bits
#
# Python asks torch for one operation after another, and for a network this small the asking takes
# about as long as the answer. ONNX is a file format for the whole graph; *onnxruntime* reads it,
# fuses what can be fused, and needs no torch. Does it say the same?

# %% tags=["nbval-ignore-output"]
from hmrlab.models.export import check_onnx, export_onnx

folder = Path(tempfile.mkdtemp())
smallest = cut[2].model()
exported = {}
for title, model in (("unpruned", network), ("50 % cut", smallest)):
    path = export_onnx(model, folder / f"{title.replace(' ', '_')}.onnx", sizes.resolution)
    gap = check_onnx(path, model)
    exported[title] = path
    print(f"{title}: {path.stat().st_size / 1e6:.2f} MB, largest difference from torch {gap:.1e}")

# %% [markdown]
# And the last step of this kind: eight bits for a weight instead of 32. Each layer gets a scale,
# found by showing it some training pictures; what is between two steps is rounded. The layers that
# write pose, shape and camera stay as they are.

# %% tags=["nbval-ignore-output"]
from hmrlab.models.export import OnnxHMR, quantise_onnx

training = BatchLoader(
    load_set("studio", "train", sizes), batch_size=16, resolution=sizes.resolution
)
calibration = [batch.images for batch in islice(training, 8)]
for title in list(exported):
    small = exported[title].with_suffix(".int8.onnx")
    exported[f"{title}, int8"] = quantise_onnx(exported[title], small, calibration)

runners = {title: OnnxHMR(path) for title, path in exported.items()}
times = milliseconds({"in torch": network} | runners)
scores = {
    title: evaluate_model(runner, batches, body).to_dict() for title, runner in runners.items()
}
Table(
    ("network", "file, MB", "ms a picture", "MPJPE, mm", "rotation, degrees"),
    tuple(
        (title, f"{exported[title].stat().st_size / 1e6:.2f}", f"{times[title]:.2f}",
         f"{scores[title]['mpjpe_mm']:.1f}", f"{scores[title]['rotation_error_deg']:.2f}")
        for title in runners
    ),
)  # fmt: skip

# %% tags=["nbval-ignore-output"]
from hmrlab.tables import runs_table

print(f"in torch: {times['in torch']:.2f} ms; 256 people of studio's test set (synthetic)")
runs_table([r.record for r in (unpruned, control, tuned[0], cut[2])], ("studio/mpjpe_mm",))

# %% [markdown]
# ## Exercises
#
# **1. One threshold for all layers.** Masks for a list of weights, so that the given share of all
# of them together is dropped, the smallest magnitudes first.


# %%
def global_masks(weights, share):
    """[tensors], float -> [bool tensors], True where a weight stays."""
    return None


chapter_11.check_global_masks(global_masks)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def global_masks_solution(weights, share):
    sizes_of_all = torch.cat([w.abs().flatten() for w in weights])
    threshold = sizes_of_all.kthvalue(round(share * len(sizes_of_all))).values
    return [w.abs() > threshold for w in weights]


chapter_11.check_global_masks(global_masks_solution, must_pass=True)

# %% [markdown]
# **2. Cut a channel out.** A convolution (C, I, 3, 3), the scale of its normalisation (C,), the
# next convolution (D, C, 3, 3), and the number of a channel: the same three without it.


# %%
def cut_channel(first, scale, second, channel):
    """-> (C-1, I, 3, 3), (C-1,), (D, C-1, 3, 3)."""
    return None


chapter_11.check_cut_channel(cut_channel)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def cut_channel_solution(first, scale, second, channel):
    stay = [k for k in range(len(scale)) if k != channel]
    return first[stay], scale[stay], second[:, stay]


chapter_11.check_cut_channel(cut_channel_solution, must_pass=True)

# %% [markdown]
# **3. What is left to compute.** A chain of layers on maps of one size: channels
# `[3, 32, 64, 128]`, from the picture's three colours on. Every layer keeps a share of its outputs.
# Which share of the multiply-adds is left?


# %%
def left_over(channels, share):
    """[int], float -> float."""
    return None


chapter_11.check_left_over(left_over)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def left_over_solution(channels, share):
    kept = [channels[0], *(round(share * c) for c in channels[1:])]
    cost = [sum(a * b for a, b in pairwise(c)) for c in (channels, kept)]
    return cost[1] / cost[0]


chapter_11.check_left_over(left_over_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - A mask makes zeros, and zeros are multiplied like other numbers: it saves nothing but bytes of a
#   compressed file.
# - Whole channels make a smaller network: fewer parameters, fewer multiply-adds, less time. They
#   hang together, and a graph says how.
# - One threshold for all layers starves those whose weights are small for a reason.
# - A comparison needs a control that was trained just as long.
# - A network that leaves torch has to be asked whether it still says the same.
#
# ## Further reading
#
# - LeCun, Denker, Solla: *Optimal Brain Damage*, NIPS 1989: the question is older than the GPU.
# - Han, Pool, Tran, Dally: *Learning both Weights and Connections for Efficient Neural Networks*,
#   NIPS 2015: magnitude, prune, retrain.
# - Frankle, Carbin: *The Lottery Ticket Hypothesis*, ICLR 2019.
# - Fang, Ma, Song, Mi, Wang: *DepGraph: Towards Any Structural Pruning*, CVPR 2023.
# - Jacob et al.: *Quantization and Training of Neural Networks for Efficient
#   Integer-Arithmetic-Only Inference*, CVPR 2018.
