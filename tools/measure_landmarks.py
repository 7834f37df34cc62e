"""Where BlazePose's landmarks lie from the body's keypoints: the offsets of `training.sightings`.

    python tools/measure_landmarks.py

It looks at the synthetic test people of `hmrlab train points --scale quick`, whose bodies are
known. For each landmark it finds by least squares, over the picture, the offset in a joint's frame
that explains best where the landmark was seen; sides are averaged. Printed are millimetres, and how
far the landmarks are off without and with the offset, in crop half-sides.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hmrlab.bodies import load_body
from hmrlab.bodies.joints import OPENPOSE, SMPL_JOINTS
from hmrlab.bodies.points import global_rotations
from hmrlab.data.augment import Augmentation
from hmrlab.data.batch import Batch
from hmrlab.models.blazepose.points import EYE_POINTS, IN_OPENPOSE
from hmrlab.presets import preset
from hmrlab.runs import build_model
from hmrlab.training.looking import see_test_set
from hmrlab.training.sets import TEST_SETS
from hmrlab.training.sightings import OFFSETS, scale_of

SURE = 0.7  # confidence of a landmark that is counted
FARTHEST = 0.15  # crop half-sides; what is further away was mistaken


def seen_people() -> Batch:
    """The test people, what the eyes say of them for pictures."""
    config = preset("points", "quick")
    model = build_model(config)
    batches = []
    for name in TEST_SETS:
        people = see_test_set(name, model, config, torch.device("cpu"))
        raw = people.gather(np.arange(len(people)), config.resolution)
        batches.append(raw.augmented(Augmentation.none(len(raw)), config.resolution))
    return Batch.cat(batches)


def measure(batch: Batch) -> dict[str, tuple[Tensor, float, float]]:
    """By name of `OFFSETS`: millimetres (3,), and the deviation without them and with them."""
    count = len(EYE_POINTS)
    seen, confidence, _ = batch.images.split([2 * count, count, 3 * count], 1)
    places = seen.view(-1, count, 2) / (2 * confidence[..., None]).clamp_min(1e-3)
    points = load_body("free", "light").keypoints(batch.rotations, batch.betas)[:, OPENPOSE]
    flat = batch.keypoints_2d[:, OPENPOSE]
    scale = scale_of(points, flat)
    beside = places - flat[:, list(IN_OPENPOSE), :2]
    globally = global_rotations(batch.rotations)
    found = {}
    for name, (joint, _) in OFFSETS.items():
        rows, wanted = [], []
        for side in ("left_", "right_") if f"left_{name}" in EYE_POINTS else ("",):
            k = EYE_POINTS.index(side + name)
            parent = side + joint if side + joint in SMPL_JOINTS else joint
            axes = scale * globally[:, SMPL_JOINTS.index(parent), :2]
            if side == "right_":
                axes = axes * torch.tensor([-1.0, 1.0, 1.0])  # mirrored
            sure = (confidence[:, k] > SURE) & (beside[:, k].norm(dim=1) < FARTHEST)
            rows.append(axes[sure].reshape(-1, 3))
            wanted.append(beside[sure, k].reshape(-1))
        matrix, error = torch.cat(rows), torch.cat(wanted)
        offset = torch.linalg.lstsq(matrix, error[:, None]).solution[:, 0]
        left = error - matrix @ offset
        found[name] = 1000 * offset, float(error.std()), float(left.std())
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args(arguments)
    for name, (offset, before, after) in measure(seen_people()).items():
        print(f"{name:10} {[round(v) for v in offset.tolist()]}  {before:.3f} -> {after:.3f}")


if __name__ == "__main__":
    main()
