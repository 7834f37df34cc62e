# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
#   hmrlab: {needs: [01_body]}
# ---

# %% [markdown]
# # 02 · Camera and keypoints
#
# A student's diary, summer 2021, step 1:
#
# > Only `keypoint_loss` and `keypoint_3d_loss`, to see just whether the joints go to the right
# place.
#
# Which joints? And what is a place? Between a body in metres and a loss in a picture lie a camera,
# a crop, a list of names and a mirror. Each is a line or two. Each has cost somebody a week.
#
# **You will be able to**
# - project a body with a real camera and with SPIN's far one, and say what the difference costs;
# - name the 49 joints, and know why some are there twice;
# - send a picture and its keypoints through the same crop, to a fraction of a pixel;
# - mirror a person without exchanging their hands by mistake.

# %% tags=["parameters"]
scale: str = "laptop"  # smoke, quick, laptop or gpu
seed: int = 0

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from checks import chapter_02, show
from hmrlab import get_scale, load_set
from hmrlab.bodies import ANNOTATED, ANNOTATED_FLIP, KEYPOINT_NAMES, POSE_FLIP, load_body
from hmrlab.geometry import (
    apply_affine,
    crop_matrix,
    flip_keypoints,
    flip_pose,
    project_normalised,
    weak_perspective_to_translation,
)

sizes = get_scale(scale)
body = load_body(detail="light")

# %% [markdown]
# ## Predict before you run
#
# 1. Old code rounds keypoints to whole pixels of the crop. A person of 1.7 m fills most of a crop
#    of 64 pixels. How many centimetres is a pixel?
# 2. In half of the training pictures somebody has exchanged left and right in the labels. The
#    network sees a person in a T-pose from the front. Where does it put the wrists?
#
# ## A camera is a division
#
# In the camera's frame x points right, y *down*, z into the scene. A pinhole camera with focal
# length $f$ pixels and principal point $c$ puts $(X, Y, Z)$ metres at
#
# $$ u = f\,X/Z + c_x, \qquad v = f\,Y/Z + c_y $$


# %%
def project(points, focal, center):
    """(N, 3) metres, camera frame -> (N, 2) pixels."""
    return focal * points[:, :2] / points[:, 2:] + center


# %% [markdown]
# Here is somebody who faces us and stretches an arm towards the camera. To bring a body from its
# own frame (y up) into the camera's (y down) it is turned by half a turn about x.

# %%
pose = torch.zeros(1, 24, 3)
pose[0, 0, 0] = torch.pi  # half a turn about x
pose[0, 16, 1] = -1.3  # the left shoulder: arm to the front
pose[0, 17, 2] = 1.1  # the right arm hangs
betas = torch.zeros(1, 10)
vertices = body.vertices(pose, betas)
points = body.keypoints(pose, betas)[0]  # (49, 3) metres

# %% [markdown]
# ## SPIN's camera is far away
#
# A network that sees a crop cannot know the real camera. SPIN answers three numbers: a scale $s$
# and a shift $(t_x, t_y)$, and assumes a lens of $f = 5000$ pixels for a crop of 224. The depth
# follows from the scale:
#
# $$ t = \left(t_x,\; t_y,\; \frac{2 f}{224\, s}\right) $$


# %%
def spin_project(points, camera, focal=5000.0, size=224):
    """(N, 3) metres, (3,) s, tx, ty -> (N, 2) in [-1, 1] over the crop."""
    s, tx, ty = camera
    depth = 2 * focal / (size * s)
    moved = points + torch.stack([tx, ty, depth])
    return project(moved, focal, 0.0) / (size / 2)


camera = torch.tensor([0.95, 0.0, -0.04])
ours = spin_project(points, camera)
theirs = project_normalised(points[None], camera[None])[0]
torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
depth = float(weak_perspective_to_translation(camera)[2])
print(f"the same; the body stands {depth:.1f} metres away")

# %% [markdown]
# Forty-odd metres! At that distance everything is nearly parallel: $u \approx s\,(X + t_x)$. Real
# photographs are taken from a few metres. What does the wrong distance cost? We photograph the body
# from distance $d$ with a lens that makes it equally large, and compare.

# %%
distances = np.array([1.5, 2, 3, 4, 6, 8, 12, 20, 40])
errors = []
for d in distances:
    there = torch.tensor([0.0, camera[2], d], dtype=torch.float32)
    near = project(points + there, float(camera[0] * 112 * d), 112.0)
    far = (spin_project(points, camera) + 1) * 112
    errors.append((near - far).norm(dim=1).numpy())
errors = np.array(errors)
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.loglog(distances, errors.max(1), "o-", ms=4, label="worst of 49 keypoints")
axis.loglog(distances, errors.mean(1), "o-", ms=4, label="mean")
axis.set(xlabel="true distance of the camera, metres", ylabel="pixels of 224",
         title="What pretending to be far away costs")  # fmt: skip
axis.set_xticks(distances, [f"{d:g}" for d in distances])
axis.minorticks_off()
axis.legend()
plt.show()
at_3 = errors[list(distances).index(3)]
print(f"from 3 m: {at_3.mean():.1f} pixels on average, {at_3.max():.1f} at worst, of 224")

# %% [markdown]
# It is the stretched hand that suffers. SPIN lives with it, and so do we; our synthetic people are
# photographed from 3 to 8 metres, so that the error is there, as in life.
#
# ## Forty-nine joints
#
# SPIN's list has 25 joints as the detector OpenPose finds them, then 24 as people annotate them.
# Left is red, right is blue: the *person's* left.

# %%
from hmrlab.rendering import overlay

blank = np.full((1, 340, 340, 3), 255, np.uint8)
picture = overlay(blank, vertices, body.faces, camera[None], opacity=0.55)[0]
places = ((spin_project(points, camera) + 1) * 170).numpy()
figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for axis, title, first, last in (
    (axes[0], "0 to 24: OpenPose", 0, 25),
    (axes[1], "25 to 48", 25, 49),
):
    axis.imshow(picture)
    axis.set_title(title, fontsize=10)
    axis.set(xlim=(60, 280), ylim=(330, 0), xticks=[], yticks=[])
    for k in range(first, last):
        name = KEYPOINT_NAMES[k]
        colour = "C3" if "left" in name else "C0" if "right" in name else "C2"
        axis.plot(*places[k], "o", ms=4, color=colour)
        axis.annotate(str(k), places[k], places[k] + (3, -3), fontsize=7, color=colour)
show(figure)

# %% tags=["nbval-ignore-output"]
for k in (4, 31, 9, 27, 8, 39):
    x, y, z = points[k].tolist()
    print(f"{k:2d} {KEYPOINT_NAMES[k]:22s} {x:+.3f} {y:+.3f} {z:+.3f} m")

# %% [markdown]
# Wrists are there twice, at the same place. Hips are there twice at *different* places: OpenPose's
# hip is SMPL's, the annotated one lies where people click, nearer the skin. A mean over both would
# be neither. Test sets take 14 or 17 of these (chapter 13), and which ones is worth centimetres.
#
# ## A crop is a matrix
#
# The network sees a square of 64 (or 224) pixels around the person. `center` is the box's middle
# and `scale` its side divided by 200 pixels. Scaling and shifting is an affine map, and a 3 x 3
# matrix does it to the picture and to the keypoints:


# %%
def crop_by_hand(center, scale, resolution):
    """(2,) pixels, box side / 200, side of the crop -> (3, 3)."""
    zoom = resolution / (200 * scale)
    shift = resolution / 2 - zoom * center
    return torch.tensor([[zoom, 0, shift[0]], [0, zoom, shift[1]], [0, 0, 1.0]])


center, box = torch.tensor([301.3, 188.9]), torch.tensor(1.37)
ours, theirs = crop_by_hand(center, box, 64), crop_matrix(center, box, 64)
torch.testing.assert_close(ours, theirs)
print("the box's middle goes to", apply_affine(theirs, center[None])[0].tolist())

# %% [markdown]
# One convention decides half-pixels: here pixel $i$ is the interval from $i$ to $i+1$, and its
# middle is at $i + 0.5$. The picture's left edge is 0 and its right edge is its width, so that
# $[-1, 1]$ spans the crop from edge to edge. Code that calls the first pixel's *middle* 0, or 1 as
# Matlab does, is off by a half or by one; both are out there, both are self-consistent, and they
# must not be mixed.
#
# ## Break it: whole pixels
#
# A famous family of code, SPIN's among it, truncates each transformed keypoint to whole pixels and
# then adds 1, and cuts the picture at whole pixels, too. On a screen of 224 pixels nobody sees it.
# Let us measure.

# %% tags=["nbval-ignore-output"]
records = load_set("studio", "test", sizes).records
centers, boxes = torch.from_numpy(records.center), torch.from_numpy(records.scale)
matrices = crop_matrix(centers, boxes, sizes.resolution)
exact = apply_affine(matrices, torch.from_numpy(records.keypoints[:, ANNOTATED, :2]))
truncated = torch.floor(exact) + 1
off = truncated - exact
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
left.hist(off[..., 0].flatten().numpy(), 40)
left.set(xlabel="error in x, pixels of the crop", ylabel="keypoints")
with np.load(records.path.with_name("cameras.npz")) as cameras:
    image_pixel = torch.from_numpy(cameras["translation"][:, 2] / cameras["focal"])  # metres
size_of_pixel = 1000 * image_pixel * 200 * boxes / sizes.resolution  # of the crop, mm
right.hist((off.norm(dim=-1) * size_of_pixel[:, None]).flatten().numpy(), 40)
right.set(xlabel="error, mm at the person")
plt.show()
print(f"a pixel of the crop is {size_of_pixel.mean():.0f} mm at the person")
print(f"bias {off.mean():+.2f} pixels, mean distance {off.norm(dim=-1).mean():.2f} pixels")

# %% [markdown]
# An even spread between 0 and 1 pixel: a bias of half a pixel and noise on top. On our 64 pixels
# that is centimetres, which answers the first prediction. The package's warp takes the picture and
# the keypoints through one matrix at sub-pixel accuracy. Can we see the difference?

# %% tags=["nbval-ignore-output"]
from hmrlab.data import crop_picture
from hmrlab.rendering import contact_sheet, draw_keypoints

row = 1
dataset = load_set("studio", "test", sizes)
image = dataset.gather(np.array([row]), 0).images[0].permute(2, 0, 1).float()
small = crop_picture(image, matrices[row], sizes.resolution)
small = small.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
pair = []
for keypoints in (exact[row], truncated[row]):
    seen = torch.cat([keypoints, torch.ones(24, 1)], 1).numpy()
    pair.append(draw_keypoints(small, seen, zoom=6))
show(contact_sheet(np.stack(pair), columns=2), quality=85)

# %% [markdown]
# Left exact, right truncated: the skeleton has slipped down and to the right, by up to a pixel.
# Every label has, always in the same direction, so the network learns it faithfully.
#
# ## A mirror has two sides
#
# Mirroring doubles the data for free: flip the picture, negate x. But a mirrored left hand *is* a
# right hand. So keypoints change places as well; in poses the sides are exchanged, and rotations
# are reflected (their axis keeps x and reverses y and z).

# %%
mirrored_pose = flip_pose(pose, POSE_FLIP)
from_pose = body.keypoints(mirrored_pose, betas)[0, ANNOTATED]
from_points = flip_keypoints(points[ANNOTATED], ANNOTATED_FLIP)
apart = float((from_pose - from_points).norm(dim=-1).max())
print(f"mirrored pose and mirrored keypoints agree to a millimetre: {apart < 1e-3}")
assert apart < 0.02  # SMPL's two halves are not quite mirror images

# %% [markdown]
# ## Break it: exchange sides twice, or never
#
# Forget the exchange, and the label says that the left wrist is where the right one is. Do it in
# the data set *and* in the loader, and you have forgotten it again. Half of the labels wrong: that
# is the second prediction. A network trained with a squared error answers the mean of what it was
# told.

# %%
from hmrlab.bodies import ANNOTATED_NAMES, SKELETON_24

t_pose = torch.zeros(1, 24, 3)
t_pose[0, 0, 0] = torch.pi
right_labels = body.keypoints(t_pose, betas)[0, ANNOTATED]
right_labels = right_labels - right_labels[[2, 3]].mean(0)
wrong_labels = right_labels[list(ANNOTATED_FLIP)]  # sides exchanged, nobody mirrored
learned = (right_labels + wrong_labels) / 2
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained", sharex=True, sharey=True)
for axis, title, joints in zip(
    axes, ("the truth", "sides exchanged", "what is learned from both"),
    (right_labels, wrong_labels, learned), strict=True,
):  # fmt: skip
    for a, b in SKELETON_24:
        name = ANNOTATED_NAMES[a] + ANNOTATED_NAMES[b]
        colour = "C3" if "left" in name else "C0" if "right" in name else "C2"
        axis.plot(*joints[[a, b], :2].T, "o-", ms=3, color=colour)
    axis.set(title=title, xlabel="x, metres", aspect="equal")
axes[0].set_ylabel("y, metres")
axes[0].invert_yaxis()
plt.show()
wrists = [ANNOTATED_NAMES.index("left_wrist"), ANNOTATED_NAMES.index("right_wrist")]
print(f"wrists are {100 * (learned[wrists, 0].abs().max()):.1f} cm from the middle of the body")

# %% [markdown]
# A needle: both arms pulled into the spine. The loss of such a network falls, too, and stops a
# little higher than it should. What gives it away is a picture of the *labels* with sides in
# colours. Make it first.
#
# ## The fix
#
# One place for each convention. In this package the names of joints exist once
# (`hmrlab.bodies.joints`), the mirror's permutations are computed from the names, and picture and
# keypoints share a matrix. Tests hold them against SPIN's own numbers.
#
# ## Exercises
#
# **1. SPIN's camera.** Project points into the crop. Not the parallel approximation: the real
# thing.


# %%
def far_projection(points, camera):
    """(B, N, 3) metres, (B, 3) s, tx, ty -> (B, N, 2) in [-1, 1]; f = 5000 for 224 pixels."""
    return None


chapter_02.check_far_projection(far_projection)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def far_projection_solution(points, camera):
    depth = 2 * 5000 / (224 * camera[:, :1])
    moved = points + torch.cat([camera[:, 1:], depth], 1)[:, None]
    return 5000 / 112 * moved[..., :2] / moved[..., 2:]


chapter_02.check_far_projection(far_projection_solution, must_pass=True)

# %% [markdown]
# **2. Into the crop.** Where does a keypoint of the photograph lie in the crop, in $[-1, 1]$?


# %%
def into_crop(keypoints, center, scale):
    """(K, 2) pixels, (2,) pixels, box side / 200 -> (K, 2), the box from -1 to 1."""
    return None


chapter_02.check_into_crop(into_crop)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def into_crop_solution(keypoints, center, scale):
    return (keypoints - center) / (100 * scale)


chapter_02.check_into_crop(into_crop_solution, must_pass=True)

# %% [markdown]
# **3. The mirror's permutation.** From a list of names, for each joint the index of its mirror
# image.


# %%
def mirror_order(names):
    """["nose", "left_eye", "right_eye"] -> [0, 2, 1]."""
    return None


chapter_02.check_mirror_order(mirror_order)

# %% [markdown]
# Solution (folded)


# %% tags=["solution"] jupyter={"source_hidden": true}
def mirror_order_solution(names):
    swap = {"left": "right", "right": "left"}
    other = ["_".join(swap.get(word, word) for word in name.split("_")) for name in names]
    return [names.index(name) for name in other]


chapter_02.check_mirror_order(mirror_order_solution, must_pass=True)

# %% [markdown]
# ## Recap
#
# - A camera is a division by depth. SPIN's is so far away that the division hardly matters.
# - 49 keypoints: 25 detected, 24 annotated; the same word can mean two places.
# - Picture and keypoints go through one matrix; whole pixels are centimetres.
# - Mirroring exchanges sides, exactly once.
#
# ## Further reading
#
# - Kissos et al.: *Beyond Weak Perspective for Monocular 3D Human Pose Estimation*, ECCVW 2020.
# - Li et al.: *CLIFF: Carrying Location Information in Full Frames into Human Pose and Shape
#   Estimation*, ECCV 2022, for what a crop hides.
# - Huang et al.: *The Devil Is in the Details: Delving Into Unbiased Data Processing for Human Pose
#   Estimation*, CVPR 2020: flips and half pixels, worth points.
