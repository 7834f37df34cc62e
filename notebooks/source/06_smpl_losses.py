# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 03_people]}
# ---

# %% [markdown]
# # 06 · SMPL losses
#
# The diary, step 3:
#
# > Losses to update shape and pose were added, one by one; trouble came from `has_smpl`: it was an
# > indexing bug in the mixed dataset.
#
# and its table of runs: "loss far too large; pose and beta seem not to update at all"; then
# "`has_smpl` was strangely 0 everywhere; the mixed dataset's indexing now starts at 0". This
# chapter adds the losses, measures what each of them mends, and then goes back to the bug, because
# everybody meets its like: a training that runs, whose curves look fine, and that learns nothing.
#
# **You will be able to**
# - write the pose and beta losses, and say what a pose loss of 0.01 is in degrees;
# - say which loss mends the twisted arms, and which one does not;
# - mix data sets with different labels, and count what arrives of them;
# - find a bug that raises no error, by counting before training.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
import warnings
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import torch

from checks import chapter_06, predict, score_table, show
from hmrlab import get_scale, load_set, preset, run_training
from hmrlab.bodies import load_body
from hmrlab.data import BatchLoader, MixedDataset
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.rendering import gallery, side_view

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# Chapter 04's network had its joints nearly right and its bodies wrecked. Now it is told more.
#
# 1. Add a loss on the *shape* only. Do the arms untwist? Does the shape become sane?
# 2. Add a loss on the *pose* only. And the shape, which nobody mentions, what will it do?
# 3. Will the joints get better or worse when the network has to please more losses at once?
#
# ## Two more losses
#
# $$ L_{pose} = \operatorname{mean}\, \lVert \hat R - R \rVert^2 , \qquad
#    L_{\beta} = \operatorname{mean}\, \lVert \hat\beta - \beta \rVert^2 , $$
#
# both over the samples that have such labels, the flag `has_smpl`. Few real pictures do.


# %%
def pose_loss(predicted, truth, has_smpl):
    """(B, 24, 3, 3) twice, (B,) bool -> scalar, the mean over the labelled samples."""
    if not has_smpl.any():
        return predicted.sum() * 0  # nothing to learn from, but a number with a gradient
    return (predicted[has_smpl] - truth[has_smpl]).square().mean()


def betas_loss(predicted, truth, has_smpl):
    """(B, 10) twice, (B,) bool -> scalar."""
    if not has_smpl.any():
        return predicted.sum() * 0
    return (predicted[has_smpl] - truth[has_smpl]).square().mean()


# %% [markdown]
# The package writes the mask as a product, which on a GPU spares a wait for the CPU. The same
# numbers?

# %%
from hmrlab import losses as package

generator = torch.Generator().manual_seed(3)
angles = torch.randn(2, 6, 24, 3, generator=generator)
first, second = axis_angle_to_matrix(angles)
shapes = torch.randn(2, 6, 10, generator=generator)
labelled = torch.tensor([True, False, True, True, False, False])
for name, ours, theirs in (
    ("pose", pose_loss(first, second, labelled), package.pose_loss(first, second, labelled)),
    ("betas", betas_loss(*shapes, labelled), package.betas_loss(*shapes, labelled)),
):
    print(f"{name}: ours {ours:.5f}, the package's {theirs:.5f}")
    torch.testing.assert_close(ours, theirs)

# %% [markdown]
# ### Why matrices?
#
# A rotation can be written as an axis times an angle, three numbers instead of nine. Here are two
# rotations about one axis that are one degree from each other, on either side of half a turn, and
# written as axis-angles.

# %%
from hmrlab.geometry import matrix_to_axis_angle

nearly_half = torch.deg2rad(torch.tensor([179.5, 180.5]))[:, None] * torch.tensor([0.0, 1.0, 0.0])
matrices = axis_angle_to_matrix(nearly_half)
canonical = matrix_to_axis_angle(matrices)
for vector in canonical:
    print("axis-angle", [round(v, 2) for v in vector.tolist()])
print(f"squared difference of the axis-angles: {(canonical[0] - canonical[1]).square().mean():.2f}")
print(f"squared difference of the matrices:    {(matrices[0] - matrices[1]).square().mean():.5f}")

# %% [markdown]
# To the axis-angles, neighbours are as far apart as can be: the numbers jump where the rotation
# does not. Matrices do not jump. For two rotations that are $\theta$ apart, in any directions,
#
# $$ \lVert \hat R - R \rVert^2 = 8 \sin^2(\theta / 2) , $$
#
# so that the mean over nine entries can be read in degrees.

# %%
for degrees in (5, 10, 20, 45, 90, 180):
    loss = 8 * np.sin(np.radians(degrees) / 2) ** 2 / 9
    print(f"all joints {degrees:3d} degrees off: pose loss {loss:.4f}")

turned = axis_angle_to_matrix(np.radians(20) * torch.nn.functional.normalize(angles[0], dim=-1))
away = package.pose_loss(first @ turned, first, torch.ones(6, dtype=torch.bool))
torch.testing.assert_close(away, torch.tensor(8 * np.sin(np.radians(10)) ** 2 / 9).float())

# %% [markdown]
# ## What each loss mends
#
# Four trainings, equal but for the losses: same pictures, same steps, same seed. The first is
# chapter 04's.

# %% tags=["nbval-ignore-output"]
from hmrlab.data.synthetic import mean_rotations
from hmrlab.evaluation import constant_predictor_scores

names = {
    "keypoints only": "keypoints_only",
    "+ betas": "with_betas",
    "+ pose": "with_pose",
    "+ both": "with_smpl",
}
results = {title: run_training(preset(name, sizes, seed)) for title, name in names.items()}
test = load_set("studio", "test", sizes)
batches = BatchLoader(test, batch_size=100, resolution=sizes.resolution)
blind = constant_predictor_scores(batches, body, mean_rotations())
score_table(
    {"always the mean body": blind.to_dict()}
    | {title: result.scores("studio").to_dict() for title, result in results.items()}
)

# %% [markdown]
# And on `wild`, whose pictures are harder and which none of these networks was trained on:

# %% tags=["nbval-ignore-output"]
score_table({title: result.scores("wild").to_dict() for title, result in results.items()})

# %% tags=["nbval-ignore-output"]
from hmrlab.tables import runs_table

shown = ("studio/mpjpe_mm", "studio/rotation_error_deg", "wild/mpjpe_mm", "wild/rotation_error_deg")
runs_table([result.record for result in results.values()], shown)

# %% [markdown]
# The pose loss untwists the arms. The beta loss tames the shape and leaves the arms as they were:
# twist is no matter of shape. SPIN gives the betas a weight of 0.001, which makes their loss a
# fence against absurd shapes rather than a teacher: compare its error with the first column's,
# which says "average" to everybody. In a small picture from far away, somebody tall looks like
# somebody short who stands nearer.
#
# Now look back at your three predictions, and at MPJPE in particular. The number that papers put
# first prefers wrecked bodies, or sees no difference. Each further loss takes some of the network's
# attention away from the joints, and what it gives in return is not what MPJPE measures.
#
# ## The same people as in chapter 04

# %% tags=["nbval-ignore-output"]
from checks import first_people
from hmrlab.rendering import overlay

people = first_people(test, body, count=sizes.gallery, resolution=sizes.resolution)
answers = {t: predict(r.model(), people, body) for t, r in results.items()}


def seen(answer):
    return overlay(people.pictures, answer.mesh, body.faces, answer.prediction.camera)


def aside(answer):
    return side_view(answer.mesh, body.faces, answer.prediction.camera, size=192)


columns = {"picture": people.pictures} | {t: seen(a) for t, a in answers.items()}
columns["truth"] = overlay(people.pictures, people.mesh, body.faces, people.camera)
show(gallery(columns, width=1.3), quality=74)

# %% [markdown]
# From the front, the second column does not look so bad. From the side:

# %% tags=["nbval-ignore-output"]
columns = {"picture": people.pictures} | {t: aside(a) for t, a in answers.items()}
columns["truth"] = side_view(people.mesh, body.faces, people.camera, size=192)
show(gallery(columns, width=1.3), quality=74)

# %% [markdown]
# And all four networks side by side under one camera, in a running notebook: turn one and all turn;
# pick a person below; colours show how far each joint's rotation is off (or its twist, or the
# distance of the skin: choose above).

# %% tags=["nbval-ignore-output"]
from hmrlab.viewer import compare

compare(
    body, {title: answer.prediction for title, answer in answers.items()}, truth=people.truth,
    pictures=people.pictures, heat="rotation", title="one loss after the other", start="picture",
)  # fmt: skip

# %% [markdown]
# ## A training that learns nothing
#
# So SMPL labels mend the body. Of real pictures, the few with such labels come from a studio, and
# the many from the wild have 2D keypoints only. SPIN mixes them: for each sample a set is drawn by
# its share, then a row of it. Here `studio` stands for Human3.6M and `wild` for the sets from
# the wild, in SPIN's ratio of 30 to 60.

# %% tags=["nbval-ignore-output"]
from hmrlab.data import spin_shares

studio, wild = (load_set(name, "train", sizes, named=name) for name in ("studio", "wild"))
shares = spin_shares({"studio": len(studio), "wild": len(wild)})
for part in (studio, wild):
    labels = part.label_shares()
    print(
        f"{part.name}: {len(part):,} people, drawn {100 * shares[part.name]:.0f} % of the time; in "
        f"its file {100 * labels['smpl']:.0f} % have SMPL labels"
    )

# %% [markdown]
# Now the diary's code, as nearly as can be told. All labels lie in one long table, set after set,
# and the mix looks up a sample's row by the set's number and its own index. Read it; it is short.


# %%
class DiarysMix(MixedDataset):
    """SPIN's mix, with labels looked up in one table of all sets."""

    def __init__(self, parts, shares):
        super().__init__(parts, shares)
        self.names_to_numbers = {part.name: n for n, part in enumerate(parts, start=1)}
        blank = torch.zeros(max(len(part) for part in parts), dtype=torch.bool)
        flags = [torch.from_numpy(part.records.has_smpl) for part in parts]
        self.has_smpl = torch.cat([*flags, blank])
        self.starts = np.cumsum([0] + [len(part) for part in parts])

    def gather_by_set(self, index, working_size):
        found = super().gather_by_set(index, working_size)
        return [replace(raw, has_smpl=self.look_up(raw)) for raw in found]

    def look_up(self, raw):
        number = self.names_to_numbers[self.names[raw.source]]
        return self.has_smpl[self.starts[number] + raw.index]


# %% [markdown]
# Nothing about it looks wrong, and it trains. (Our trainer would complain at once. We hold its
# tongue for now, and hear it out later.) Beside it, for comparison, the package's mix. Both have
# half of the steps of the trainings above.

# %% tags=["nbval-ignore-output"]
with warnings.catch_warnings(record=True) as unheard:
    warnings.simplefilter("always")
    ill = run_training(
        replace(
            preset("half_mixed", sizes, seed),
            name="half_mixed_diary",
            description="half_mixed with the diary's look-up of labels",
            variant="labels by the diary's numbering of sets",
        ),
        dataset=DiarysMix([studio, wild], [shares["studio"], shares["wild"]]),
    )
well = run_training(preset("half_mixed", sizes, seed))

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for axis, name in zip(axes, ("total", "keypoints"), strict=True):
    for title, result, colour in (("the diary's", ill, "C3"), ("the package's", well, "C0")):
        history = result.history()
        axis.semilogy(history.steps, history.values[name], color=colour, label=title, lw=1)
    axis.set(xlabel="step", title=f"training loss: {name}")
    axis.legend()
plt.show()

# %% [markdown]
# Put yourself in the student's place, who had only the red curves. They fall, steadily, to a good
# value; nothing jumps, nothing is NaN. If anything, red lies *below* blue. And the bodies?

# %% tags=["nbval-ignore-output"]
score_table({"the diary's mix": ill.scores("studio").to_dict(),
             "the package's mix": well.scores("studio").to_dict()})  # fmt: skip

# %% tags=["nbval-ignore-output"]
few = min(4, sizes.gallery)
columns = {"picture": people.pictures[:few]}
for title, result in (("the diary's", ill), ("the package's", well)):
    answer = predict(result.model(), people, body)
    columns[title] = seen(answer)[:few]
    columns[f"{title}, aside"] = aside(answer)[:few]
show(gallery(columns, width=1.6), quality=74)

# %% [markdown]
# The losses on pose and shape are in the sum, and the bodies are as wrecked as if they were not.
# "Pose and beta seem not to update at all."
#
# ### Suspects
#
# What would you try? More epochs, another learning rate, a pretrained encoder? The diary did, and
# each try was hours on a GPU. A cheaper question comes first: *is each loss at work at all?* Look
# at the terms, not only at their sum.

# %% tags=["nbval-ignore-output"]
for title, result in (("the diary's mix", ill), ("the package's mix", well)):
    last = {name: values[-1] for name, values in result.history().values.items()}
    print(f"{title:18s} " + ", ".join(f"{name} {value:.3g}" for name, value in last.items()))
print("pose loss in all of the diary's training:", float(ill.history().values["pose"].max()))

# %% [markdown]
# A loss of exactly zero is not perfect, it is absent. Who masks it? `has_smpl`. So count the flags;
# not in the files, where they are right, but in what arrives:


# %%
from hmrlab.training.labels import label_shares


def arriving(dataset):
    return label_shares(BatchLoader(dataset, batch_size=64, resolution=32, shuffle=True))


diarys = DiarysMix([studio, wild], [shares["studio"], shares["wild"]])
print("in the files:", {part.name: part.label_shares()["smpl"] for part in (studio, wild)})
print("arriving:    ", {name: share["smpl"] for name, share in arriving(diarys).items()})

# %% [markdown]
# There it is. `studio` has all its labels in the file and none on arrival, so the look-up between
# the two is wrong. What it does: `enumerate(parts, start=1)`. The sets are numbered from one, the
# table's rows start at number zero; each set is given the flags of the *next* one. `studio` reads
# `wild`'s, which are all zero, and `wild` reads the blank rows behind the table. Had the two sets
# stood in the other order, `wild` would have been given `studio`'s flags, and the zeros that stand
# where its poses are missing would have been taught as truth. No warning of zeros would say a word
# to that; the two lines of counts above still would.
#
# The fix is the diary's, to the letter: "the mixed dataset's indexing now starts at 0".


# %%
class MendedMix(DiarysMix):
    def __init__(self, parts, shares):
        super().__init__(parts, shares)
        self.names_to_numbers = {part.name: n for n, part in enumerate(parts)}


mended = MendedMix([studio, wild], [shares["studio"], shares["wild"]])
print("arriving:    ", {name: share["smpl"] for name, share in arriving(mended).items()})

# %% [markdown]
# Does it now hand out what the package's mix hands out, which keeps no table at all (each sample
# carries its own labels from the start)? Then `well`, above, is the cured run.

# %%
package_mix = MixedDataset([studio, wild], [shares["studio"], shares["wild"]])
for number in range(3):
    rows = package_mix.epoch(np.random.default_rng(number))[:64]
    for ours, theirs in zip(
        mended.gather_by_set(rows, 96), package_mix.gather_by_set(rows, 96), strict=True
    ):
        assert torch.equal(ours.has_smpl, theirs.has_smpl)
        assert torch.equal(ours.images, theirs.images)
print("the mended mix is the package's")

# %% [markdown]
# And what the trainer had said, before the first step:

# %% tags=["nbval-ignore-output"]
if ill.reused:
    print("(from the ledger: nothing was trained just now, so nothing was said)")
for warning in unheard:
    print(warning.message)

# %%
from hmrlab.training.labels import check_labels

with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    loader = BatchLoader(diarys, batch_size=64, resolution=32, shuffle=True)
    check_labels(loader, preset("half_mixed", sizes, seed).losses)
print(heard[0].message)

# %% [markdown]
# One line before the first step, for the price of a few hundred samples, where the diary needed
# three trainings. Count first.
#
# ## What mixing is worth
#
# The mix saw `wild`'s 2D keypoints; `half_n3` had `studio` alone, equally many steps. Which is
# better where?

# %% tags=["nbval-ignore-output"]
alone = run_training(preset("half_n3", sizes, seed))
score_table({
    "studio alone: on studio": alone.scores("studio").to_dict(),
    "mixed: on studio": well.scores("studio").to_dict(),
    "studio alone: on wild": alone.scores("wild").to_dict(),
    "mixed: on wild": well.scores("wild").to_dict(),
})  # fmt: skip

# %% tags=["nbval-ignore-output"]
runs_table([r.record for r in (ill, well, alone)], shown)

# %% [markdown]
# At laptop scale: on `wild` the mix is better in MPJPE and in rotations and no better after
# Procrustes; on `studio`, which it sees a third of the time only, it is hardly worse. (One seed
# each; chapter 05 shows how far seeds lie apart.) 2D keypoints from the wild teach where joints
# are in hard pictures, and nothing about the bodies that carry them there: those have learnt from
# `studio`'s labels only. Where no labels are, SPIN makes some, in chapter 09.
#
# ## Exercises
#
# **1. A loss over the labelled samples.** Mean squared difference of the entries over the samples
# that have labels, and 0, not NaN, for a batch that has none.


# %%
def labelled_mean(predicted, labels, known):
    """(B, 24, 3, 3) twice, (B,) bool -> scalar."""
    return None


chapter_06.check_labelled_mean(labelled_mean)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def labelled_mean_solution(predicted, labels, known):
    each = (predicted - labels).square().flatten(1).mean(1)
    return (each * known).sum() / known.sum().clamp(min=1)


chapter_06.check_labelled_mean(labelled_mean_solution, must_pass=True)

# %% [markdown]
# **2. From the loss to degrees.** A progress bar says `pose=0.034`. If all joints were off by the
# same angle, which one would it be?


# %%
def degrees_off(loss):
    """Mean squared difference of the matrices' entries -> degrees."""
    return None


chapter_06.check_degrees(degrees_off)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def degrees_off_solution(loss):
    return np.degrees(2 * np.arcsin(np.sqrt(9 * loss / 8)))


chapter_06.check_degrees(degrees_off_solution, must_pass=True)

# %% [markdown]
# **3. The row of a label.** Sets lie one after the other in a table; `lengths` says how long each
# is. In which row is sample `index` of set `number` (from 0)? The mix may count beyond a set's
# end; then it starts again.


# %%
def row_of(number, index, lengths):
    """int, int, list of int -> int."""
    return None


chapter_06.check_row(row_of)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def row_of_solution(number, index, lengths):
    return sum(lengths[:number]) + index % lengths[number]


chapter_06.check_row(row_of_solution, must_pass=True)

# %% [markdown]
# **To think about.** The package has a loss on vertices as well (`LossWeights(vertices=...)`, SPIN
# leaves it at 0). It sees twist, since skin moves when a forearm turns. What would it say about two
# people of different build in the same pose that the pose loss does not?
#
# ## Recap
#
# - Rotations are compared as matrices: no jumps, and $8 \sin^2(\theta/2)$ reads as degrees.
# - The pose loss untwists the body. The beta loss, at SPIN's weight, is a fence.
# - Labels are masked by flags. A flag that is 0 everywhere raises nothing and teaches nothing.
# - Plot every term; a loss of exactly 0 is absent. Count labels where they arrive, before training.
#
# ## Further reading
#
# - Kolotouros et al.: *Learning to Reconstruct 3D Human Pose and Shape via Model-fitting in the
#   Loop*, ICCV 2019, section 3.
# - Zhou et al.: *On the Continuity of Rotation Representations in Neural Networks*, CVPR 2019.
# - Karpathy: *A Recipe for Training Neural Networks*, 2019. Its first step is to look at the data.
