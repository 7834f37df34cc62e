"""Draw the README's figures from recorded runs, with what they came from beside them.

    python tools/build_figures.py                  trains what the ledger lacks
    python tools/build_figures.py --rows-only      draws nothing, adds this ledger's rows alone

The ledger's rows of that scale join the reference results in the folder's runs.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from hmrlab import RunResult, Scale, get_scale, load_set, paths, preset, run_training
from hmrlab.bodies import SMPL_JOINTS, load_body, require_free_body
from hmrlab.files import FileProblem, write_text_whole
from hmrlab.geometry import axis_angle_to_matrix, bone_axes, swing_twist
from hmrlab.ledger import (
    Ledger,
    RunRecord,
    current_command,
    describe_machine,
    source_commit,
    versions,
)
from hmrlab.rendering import (
    gallery,
    joint_heat,
    overlay,
    render_bodies,
    save_png,
    side_view,
)
from hmrlab.tables import keep_references, newest, scale_name

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "notebooks"))
from checks import first_people, predict
from checks.framing import close_up

SHOWN_RUNS = ("keypoints_only", "with_smpl", "with_smpl_pretrained")
PEOPLE = 4
TWISTS = (0, 60, 120, 180)  # degrees
LARGEST_TWIST = 180.0


def make_figures(
    folder: Path, results: list[RunResult], others: list[RunRecord] | None = None
) -> list[Path]:
    """All figures, `provenance.json` with what they came from, and `runs.jsonl`.

    Args:
        folder: where they go.
        results: the trainings shown, those of `SHOWN_RUNS`.
        others: records to add to `runs.jsonl` beside the figures: the trainings that the
            notebooks' texts speak of.

    Raises:
        FileProblem: the folder cannot be written to, or another body is in use than the free one.
    """
    require_free_body("the README's figures")
    content = {  # asked before the first file is written: that would count as a change
        "command": current_command(),
        "commit": source_commit(),
        "machine": describe_machine(),
        "versions": versions(),
        "figures": {
            "free_body_betas.png": "the shape directions of the free body; no run",
            "free_body_twist.png": "the light free body, left elbow twisted; no run",
            "first_light.png": [asdict(result.record) for result in results],
        },
    }
    written = [
        save_png(folder / "free_body_betas.png", betas_figure(), dpi=90),
        save_png(folder / "free_body_twist.png", twist_figure(), dpi=90),
        save_png(folder / "first_light.png", first_light(*results), dpi=90),
    ]
    text = json.dumps(content, indent=1, default=str) + "\n"
    written.append(write_text_whole(folder / "provenance.json", text))
    return [*written, keep_references(folder, others or [])]


def betas_figure() -> Figure:
    """-2, 0 and +2 standard deviations of each beta, all at one scale."""
    body = load_body("free", "full")
    steps = (-2.0, 0.0, 2.0)
    shapes = torch.zeros(len(steps), 10, 10)
    for row, value in enumerate(steps):
        shapes[row] = value * torch.eye(10)
    pose = torch.zeros(30, 24, 3)
    pose[:, SMPL_JOINTS.index("left_shoulder"), 2] = -1.0  # arms lowered, to save room
    pose[:, SMPL_JOINTS.index("right_shoulder"), 2] = 1.0
    vertices = body.vertices(pose, shapes.flatten(0, 1))
    pictures = render_bodies(vertices, body.faces, size=(300, 200), yaw=20)
    figure = Figure(figsize=(13, 6.1), layout="constrained")
    figure.get_layout_engine().set(w_pad=0, h_pad=0, wspace=0, hspace=0)
    axes = figure.subplots(len(steps), 10)
    for k, axis in enumerate(axes.flat):
        row, column = divmod(k, 10)
        axis.imshow(pictures[k])
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        if row == 0:
            axis.set_title(f"beta {column}", fontsize=9)
        if column == 0:
            axis.set_ylabel(f"{steps[row]:+.0f}", rotation=0, ha="right", fontsize=9)
    return figure


def twist_figure() -> Figure:
    """The left forearm turned about its own bone: the candy wrapper."""
    body = load_body("free", "full")
    elbow = SMPL_JOINTS.index("left_elbow")
    axis_of_bone = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)[elbow]
    rotations = torch.eye(3).repeat(len(TWISTS), 24, 1, 1)
    for k, degrees in enumerate(TWISTS):
        rotations[k, elbow] = axis_angle_to_matrix(np.radians(degrees) * axis_of_bone)
    vertices = body.vertices(rotations, torch.zeros(len(TWISTS), 10))
    pictures = close_up(vertices, body, size=(120, 330))
    figure = Figure(figsize=(13, 1.5), layout="constrained")
    for axis, picture, degrees in zip(figure.subplots(1, 4), pictures, TWISTS, strict=True):
        axis.imshow(picture)
        axis.set_title(f"forearm turned by {degrees}°", fontsize=10)
        axis.set_axis_off()
    return figure


def first_light(keypoints_only: RunResult, with_smpl: RunResult, pretrained: RunResult) -> Figure:
    """The first test people: what each network answers, and the truth."""
    scale: Scale = keypoints_only.config.scale
    body = load_body("free", "light")
    people = first_people(
        load_set("studio", "test", scale), body, count=PEOPLE, resolution=scale.resolution, size=256
    )
    wrecked, told, schooled = (
        predict(result.model(), people, body) for result in (keypoints_only, with_smpl, pretrained)
    )
    camera = wrecked.prediction.camera
    axes = bone_axes(body.rest_joints(torch.zeros(1, 10))[0], body.parents)
    twist = swing_twist(wrecked.prediction.rotations, axes)[1].rad2deg().abs()
    twist[:, 0] = 0  # the root may face any way
    heat = joint_heat(twist, body.weights, LARGEST_TWIST)
    paper = np.full_like(people.pictures, 255)

    def seen(mesh: torch.Tensor, camera: torch.Tensor) -> np.ndarray:
        return overlay(people.pictures, mesh, body.faces, camera)

    columns = {
        "picture": people.pictures,
        "keypoint losses": seen(wrecked.mesh, camera),
        "from the side": side_view(wrecked.mesh, body.faces, camera, size=256),
        "by twist": overlay(paper, wrecked.mesh, body.faces, camera, colours=heat),
        "+ SMPL losses": seen(told.mesh, told.prediction.camera),
        "+ pretraining": seen(schooled.mesh, schooled.prediction.camera),
        "truth": seen(people.mesh, people.camera),
    }
    return gallery(columns, width=1.6)


def main(words: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", default="laptop", help="of the runs; laptop")
    parser.add_argument("--seed", type=int, default=0, help="of the runs; 0")
    parser.add_argument("--folder", type=Path, default=Path("figures"), help="figures")
    parser.add_argument("--rows-only", action="store_true", help="add rows, draw nothing")
    options = parser.parse_args(words)
    try:
        written = _make(get_scale(options.scale), options.seed, options.folder, options.rows_only)
    except (FileProblem, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(*written, sep="\n")
    return 0


def _make(scale: Scale, seed: int, folder: Path, rows_only: bool) -> list[Path]:
    require_free_body("the README's figures")  # before hours of training
    results = [] if rows_only else [run_training(preset(n, scale, seed)) for n in SHOWN_RUNS]
    records = newest(Ledger(paths.runs_dir() / "ledger.jsonl").records())
    same_scale = [record for record in records if scale_name(record) == scale.name]
    if rows_only:
        return [keep_references(folder, same_scale)]
    return make_figures(folder, results, same_scale)


if __name__ == "__main__":
    sys.exit(main())
