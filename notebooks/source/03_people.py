# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body, 02_camera_and_keypoints]}
# ---

# %% [markdown]
# # 03 · People
#
# A student's diary, summer 2021, step 3:
#
# > Losses to update shape and pose were added, one by one; trouble came from `has_smpl`: it was an
# > indexing bug in the mixed dataset.
#
# Weeks went into the losses; the mistake was in the data. So before any network is trained, we get
# to know what it will eat: people whom nobody photographed, whose every label is known because we
# made them up. Then we cheat with them, and see how good cheating looks.
#
# **You will be able to**
# - read a sample record, key by key, and check that its labels belong to its picture;
# - say how a synthetic person is made, and what it is missing;
# - see what SPIN's augmentation does to picture *and* labels;
# - recognise a leak between train and test by its suspiciously good number, and build a split
#   without.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from checks import chapter_03, show
from hmrlab import get_scale, load_set
from hmrlab.bodies import SMPL_JOINTS, TWIST_LIMITS_DEG, load_body
from hmrlab.data import AugmentationSettings, BatchLoader, to_pictures
from hmrlab.geometry import axis_angle_to_matrix, bone_axes
from hmrlab.rendering import contact_sheet, draw_keypoints, render_bodies

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# 1. Seventeen activities, any heading, ten numbers of shape, clothes, light. Which kind of real
#    picture will a network trained on these people fail on first?
# 2. Somebody films 250 people, four frames each, shuffles all the frames and puts half aside for
#    testing. A "network" that has only learned its training pictures by heart is tested. Will it do
#    badly, as it should?
#
# ## The sets
#
# Sets are made on first use, from a seed, and kept on disk with a checksum. `studio` is plain and
# has all labels. `wild` is hard: clutter, things in front, a second person. For training it has 2D
# labels only, as photographs from the street would.

# %% tags=["nbval-ignore-output"]
sets = {
    "studio train": load_set("studio", "train", sizes),
    "studio test": load_set("studio", "test", sizes),
    "wild test": load_set("wild", "test", sizes),
}
for name, dataset in sets.items():
    shares = ", ".join(f"{key} {100 * v:.0f} %" for key, v in dataset.label_shares().items())
    print(f"{name:13s} {len(dataset):6,} people; labelled: {shares}")

# %% tags=["nbval-ignore-output"]
pictures = {name: dataset.gather(np.arange(24), 0).images.numpy() for name, dataset in sets.items()}
show(contact_sheet(pictures["studio test"], columns=8), quality=80)

# %% tags=["nbval-ignore-output"]
show(contact_sheet(pictures["wild test"], columns=8), quality=80)

# %% [markdown]
# ## One record
#
# The labels lie in a `.npz` with SPIN's own names, so that the reader of these files is the reader
# of the real data sets. A row is a person.

# %%
records = sets["studio test"].records
with np.load(records.path) as file:
    for key in file.files:
        shape = str(file[key].shape[1:] or "one each")
        print(f"{key:9s} {shape:9s} {'text' if file[key].dtype.kind == 'U' else 'numbers'}")

# %% [markdown]
# `center` and `scale` are the box (its side divided by 200), `openpose` and `part` are the 25 and
# 24 keypoints in pixels with a confidence, `S` the same 24 in metres, `pose` and `shape` the body.
#
# ## Do the labels belong to the picture?
#
# Never believe a data set; recompute. From `pose` and `shape` alone we make the body, move it to
# where it stood, and project it with the camera that took the picture. The result has to be `part`.

# %%
rows = np.arange(16)
with np.load(records.path.with_name("cameras.npz")) as camera:
    focal, principal, translation = (
        torch.from_numpy(camera[k][rows]).float() for k in ("focal", "principal", "translation")
    )
posed = body(torch.from_numpy(records.pose[rows]), torch.from_numpy(records.betas[rows]))
points = posed.keypoints[:, 25:] + translation[:, None]  # (16, 24, 3) metres, camera frame
places = focal[:, None, None] * points[..., :2] / points[..., 2:] + principal[:, None]
difference = np.abs(places.numpy() - records.keypoints[rows, 25:, :2]).max()
print(f"largest difference between recomputed and stored: {difference:.4f} pixels")
assert difference < 0.01

# %% tags=["nbval-ignore-output"]
drawn = [
    draw_keypoints(picture, keypoints, zoom=2)
    for picture, keypoints in zip(pictures["studio test"], records.keypoints[:8, 25:], strict=False)
]
show(contact_sheet(np.stack(drawn), columns=4), quality=85)

# %% [markdown]
# The person's left is red, the right is blue. When you meet a new data set, this picture is the
# first thing to make: swapped sides, a wrong box, or coordinates in the wrong order show at a
# glance.
#
# ## How a person is made
#
# A pose starts as an activity in words that one would use: where the upper arm points, how far
# elbow and knee are bent. In a few lines, somebody who waves:


# %%
def waving(n, rng):
    """(n, 24, 3) axis-angles: the left arm up, its forearm swinging."""
    pose = np.zeros((n, 24, 3))
    joint = SMPL_JOINTS.index
    pose[:, joint("left_shoulder"), 2] = np.radians(rng.uniform(-20, 30, n))  # about z: up
    pose[:, joint("left_elbow"), 1] = -np.radians(rng.uniform(40, 100, n))  # about y: bend
    pose[:, joint("left_shoulder"), 0] = -np.radians(rng.uniform(50, 80, n))  # about x: twist
    pose[:, joint("right_shoulder"), 2] = np.radians(rng.uniform(60, 80, n))  # hangs
    return pose


def draw_bodies(poses, size=150):
    poses = torch.from_numpy(np.asarray(poses)).float()
    return render_bodies(body.vertices(poses, torch.zeros(len(poses), 10)), body.faces, size=size)


show(contact_sheet(draw_bodies(waving(6, np.random.default_rng(1))), columns=6))

# %% [markdown]
# The package has seventeen of these, each joint with noise of its own, half of the people mirrored.
# One of each, all facing us:

# %%
from hmrlab.data.synthetic import ACTIVITIES, sample_poses

poses, labels = sample_poses(2000, np.random.default_rng(2))
first = [int(np.flatnonzero(labels == k)[0]) for k in range(len(ACTIVITIES))]
facing = poses[first]
facing[:, 0] = 0
sheet = draw_bodies(facing, size=120)
figure, axes = plt.subplots(3, 6, figsize=(9, 5), layout="constrained")
for axis in axes.flat:
    axis.set_axis_off()
for axis, picture, name in zip(axes.flat, sheet, ACTIVITIES, strict=False):
    axis.imshow(picture)
    axis.set_title(name.replace("_", " "), fontsize=8)
show(figure)

# %% [markdown]
# Are they possible? Chapter 01 took a rotation apart into swing and twist. No joint may twist
# further than a person's:

# %%
from hmrlab.geometry import swing_twist

axes_of_bones = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)
_, twist = swing_twist(axis_angle_to_matrix(torch.from_numpy(poses).float()), axes_of_bones)
twist = twist.rad2deg().abs().numpy()
within = twist[:, 1:].max(0) <= TWIST_LIMITS_DEG[1:]
for name in ("left_shoulder", "left_elbow", "left_hip", "neck"):
    k = SMPL_JOINTS.index(name)
    print(
        f"{name:14s} twists up to {twist[:, k].max():3.0f}°; a person {TWIST_LIMITS_DEG[k]:3.0f}°"
    )
print(
    f"{within.sum()} of {len(within)} joints stay within their limits in all {len(poses):,} poses"
)

# %% [markdown]
# What is missing: hands with fingers, faces, hair and skirts that hang, floors and shadows, two
# people who touch, and every pose that our seventeen activities do not contain: nobody here lies
# down or does a handstand. That answers the first prediction.
#
# ## Augmentation
#
# In each epoch a person is shown differently: turned in the picture, nearer or farther, mirrored,
# colour channels changed. Whatever moves a pixel has to move the labels with it: keypoints by the
# same matrix, the body's orientation by the same angle, left and right exchanged when mirrored.

# %% tags=["nbval-ignore-output"]
from hmrlab.geometry import normalised_to_pixels

loader = BatchLoader(
    sets["studio test"], batch_size=8, resolution=sizes.resolution,
    augmentation=AugmentationSettings(), prefetch=0,
)  # fmt: skip
shown = []
for epoch in range(4):
    batch = next(iter(loader))
    loader.restore({"epoch": epoch + 1, "batch": 0})
    for image, keypoints in zip(
        to_pictures(batch.images)[:8].numpy(), batch.keypoints_2d[:8, 25:], strict=True
    ):
        pixels = normalised_to_pixels(keypoints[:, :2], sizes.resolution)
        shown.append(
            draw_keypoints(image, torch.cat([pixels, keypoints[:, 2:]], 1).numpy(), zoom=2)
        )
show(contact_sheet(np.stack(shown), columns=8), quality=80)

# %% [markdown]
# Eight people (columns), four epochs (rows). The skeletons stay on the bodies: picture and labels
# went through the same door.
#
# ## Break it: a leak
#
# Now the second prediction. We film people, four frames each: in each they are a little turned, a
# little closer, in slightly other light. Then we split in two ways:
#
# - **by frame**: shuffle all frames, half for training. Most test frames have their twin in
#   training.
# - **by person**: half of the *people* for training.
#
# The "network" is the purest memory there is: it answers with the body of the training picture that
# looks most alike.


# %%
def small_grey(images):
    """(N, 3, R, R) -> (N, 256): 16 x 16 grey pixels, each picture at mean 0 and deviation 1."""
    grey = torch.nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), 16).flatten(1)
    return (grey - grey.mean(1, keepdim=True)) / grey.std(1, keepdim=True)


def remembered(train, test):
    """For each test picture the row of the training picture most like it."""
    return torch.cdist(small_grey(test), small_grey(train)).argmin(1)


# %% tags=["nbval-ignore-output"]
def film(dataset, people, augmentation, take):
    """Pictures (N, 3, R, R) and joints (N, 24, 3) of the first people, changed a little."""
    frames = BatchLoader(
        dataset, batch_size=people, resolution=sizes.resolution, augmentation=augmentation,
        seed=take, prefetch=0,
    )  # fmt: skip
    batch = next(iter(frames))
    joints = batch.keypoints_3d[..., :3]
    return batch.images, joints - joints[:, [2, 3]].mean(1, keepdim=True)


small_change = AugmentationSettings(0.0, 0.05, 0.03, 2.0, 0.0)
n_people = min(250, len(sets["studio test"]))
takes = [film(sets["studio test"], n_people, small_change, take) for take in range(4)]
frames, joints = (torch.cat(parts) for parts in zip(*takes, strict=True))
person = torch.arange(n_people).repeat(len(takes))
print(f"{n_people} people, {len(frames)} frames")


# %% tags=["nbval-ignore-output"]
def mpjpe(answer, truth):
    return float(1000 * (answer - truth).norm(dim=-1).mean())


shuffled = torch.randperm(len(frames), generator=torch.Generator().manual_seed(seed))
is_test = {
    "by frame": torch.zeros(len(frames), dtype=torch.bool).index_fill(
        0, shuffled[: len(frames) // 2], True
    ),
    "by person": person >= n_people // 2,
}
for name, held_out in is_test.items():
    train, test = ~held_out, held_out
    found = remembered(frames[train], frames[test])
    error = mpjpe(joints[train][found], joints[test])
    blind = mpjpe(joints[train].mean(0), joints[test])
    print(f"split {name:10s} remembering {error:4.0f} mm, always the mean {blind:4.0f} mm")

# %% tags=["nbval-ignore-output"]
train, test = ~is_test["by frame"], is_test["by frame"]
twins = torch.isin(person[test], person[train]).float().mean()
print(f"{100 * twins:.0f} % of the test frames have a twin in training")
test_rows = torch.flatten(torch.nonzero(test))[:8]
train_rows = torch.flatten(torch.nonzero(train))[remembered(frames[train], frames[test_rows])]
pairs = torch.cat([frames[test_rows], frames[train_rows]])
show(contact_sheet(to_pictures(pairs).numpy(), columns=8, zoom=2), quality=80)

# %% [markdown]
# Above the test pictures, below what memory answered. Split by frame, pure memory beats every
# honest method of this series. Split by person, the same memory is worth little more than a
# constant, which is the truth about it. Nothing in the first number looks wrong; only its size is
# suspicious.
#
# Leaks in real data are this one: frames of one video, one person in two sets of clothes, one
# picture downloaded twice. They are found by looking for twins, as below, and avoided by splitting
# before anything else is done.
#
# ## The fix
#
# Here each split has a seed sequence of its own, so it draws its own people. Trust, and verify:

# %% tags=["nbval-ignore-output"]
a = torch.from_numpy(sets["studio train"].records.pose[:5000]).flatten(1)
b = torch.from_numpy(sets["studio test"].records.pose).flatten(1)
nearest = torch.cdist(b, a, p=torch.inf).amin(1)
print(
    f"nearest training pose of a test person: {nearest.min():.2f} rad apart at its most different "
    f"joint angle in the closest case, {nearest.median():.2f} in the median"
)
assert nearest.min() > 0.01

# %% [markdown]
# ## Exercises
#
# **1. Split by person.** Each frame belongs to a person. Choose which frames are for testing, so
# that no person is on both sides and about the given share of the *people* is tested. Use `rng` for
# chance.


# %%
def split_by_person(person, share, rng):
    """(N,) ints, 0 to 1, numpy generator -> (N,) bool, True for testing."""
    return None


chapter_03.check_split(split_by_person)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def split_solution(person, share, rng):
    people = np.unique(person)
    tested = rng.choice(people, size=round(share * len(people)), replace=False)
    return np.isin(person, tested)


chapter_03.check_split(split_solution, must_pass=True)

# %% [markdown]
# **2. Find the twins.** Which test poses have a twin in training: one whose every angle differs by
# less than `tolerance`?


# %%
def find_twins(train, test, tolerance):
    """(N, 72), (M, 72) radians -> (M,) bool."""
    return None


chapter_03.check_twins(find_twins)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def twins_solution(train, test, tolerance):
    apart = np.abs(test[:, None] - train[None]).max(axis=2)
    return (apart < tolerance).any(axis=1)


chapter_03.check_twins(twins_solution, must_pass=True)

# %% [markdown]
# **3. The diary's bug.** Several data sets are put one behind the other and numbered through.
# Sample `i` of the mixture: which set is it in, and which of its rows is it? (The diary's version
# did not start counting at 0, and read every flag from a neighbour.)


# %%
def locate(i, lengths):
    """index in the mixture, length of each set -> (set, row), both from 0."""
    return None


chapter_03.check_locate(locate)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def locate_solution(i, lengths):
    for which, length in enumerate(lengths):
        if i < length:
            return which, i
        i -= length
    raise IndexError("beyond the last set")


chapter_03.check_locate(locate_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - A record is a person: box, keypoints, joints, body, and flags that say which of these to
#   believe.
# - Labels are checked by recomputing them, and by drawing them.
# - Augmentation moves picture and labels together.
# - A leak makes memory look like skill. Split by person, look for twins, and distrust a number that
#   is too good.
#
# ## Further reading
#
# - Varol et al.: *Learning from Synthetic Humans*, CVPR 2017 (SURREAL).
# - Black et al.: *BEDLAM*, CVPR 2023: synthetic people so good that nothing else is needed for
#   training.
# - Kapoor and Narayanan: *Leakage and the reproducibility crisis in machine-learning-based
#   science*, Patterns 2023.
