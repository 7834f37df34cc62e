"""Pictures of the viewer in each of its modes, to look at: one of them is in the README.

    python tests/viewer/screenshots.py build/screenshots            every mode, two widths
    python tests/viewer/screenshots.py --only wrung --width 1100 figures

They are made in the browser that the tests run in, with software WebGL.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from chromium import FLAGS, HOW, find_chromium
from playwright.sync_api import sync_playwright

from hmrlab import get_scale, load_set
from hmrlab.bodies import load_body
from hmrlab.bodies.joints import SMPL_JOINTS
from hmrlab.geometry import axis_angle_to_matrix
from hmrlab.models.shipped import load_reference_model
from hmrlab.viewer import BodyViewer, compare, timeline

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "notebooks"))
from checks import first_people, predict, predict_step_by_step

ELBOW = SMPL_JOINTS.index("left_elbow")


def walking(twist: float) -> torch.Tensor:
    """Somebody who walks, the left forearm twisted by some radians, (24, 3)."""
    pose = torch.zeros(24, 3)
    for name, turn in {
        "left_shoulder": (0.0, 0.3, -1.1), "right_shoulder": (0.0, -0.3, 1.0),
        "left_hip": (-0.6, 0.0, 0.0), "left_knee": (0.9, 0.0, 0.0), "left_elbow": (twist, 0, 0),
    }.items():  # fmt: skip
        pose[SMPL_JOINTS.index(name)] = torch.tensor(turn)
    return pose


def modes() -> dict[str, Callable[[], BodyViewer]]:
    """How each viewer is made, by its mode's name."""
    body = load_body("free", "light")
    people = first_people(
        load_set("studio", "test", get_scale("quick")), body, count=8, resolution=64, size=160
    )
    model = load_reference_model()
    answer = predict(model, people, body).prediction
    both = torch.stack([walking(2.6), walking(0.2)])
    shapes = torch.zeros(2, 10)
    shapes[0, 3] = 2.5

    def backdrop() -> BodyViewer:
        viewer = compare(body, {"answer": answer}, truth=people.truth, pictures=people.pictures)
        viewer.backdrop = True
        return viewer

    def skeleton() -> BodyViewer:
        viewer = BodyViewer(body, axis_angle_to_matrix(both[:1]))
        viewer.skeleton, viewer.joint = True, ELBOW
        return viewer

    def wireframe() -> BodyViewer:
        viewer = BodyViewer(body, both[:1], heat="twist")
        viewer.wireframe = True
        return viewer

    def wrung() -> BodyViewer:
        viewer = BodyViewer(body, both[:1], heat="twist", title="twist a forearm")
        viewer.joint = ELBOW
        return viewer

    steps = [step.prediction for step in predict_step_by_step(model, people, body, 3)]
    return {
        "body": lambda: BodyViewer(body),
        "wrung": wrung,
        "skeleton": skeleton,
        "wireframe": wireframe,
        "twist": lambda: BodyViewer(
            body, both, shapes, names=["answer", "truth"], truth=1, heat="twist"
        ),
        "overlaid": lambda: BodyViewer(
            body, both, shapes, names=["answer", "truth"], truth=1, heat="distance", overlaid=True
        ),
        "compare": lambda: compare(
            body, {"after one turn": steps[1], "after three": answer}, truth=people.truth,
            pictures=people.pictures, heat="rotation",
        ),
        "backdrop": backdrop,
        "timeline": lambda: timeline(
            body, steps, steps=["mean body", "turn 1", "turn 2", "turn 3"], truth=people.truth,
            pictures=people.pictures, step_name="turn",
        ),
    }  # fmt: skip


def main() -> None:
    """Draw the modes that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", help="one mode")
    parser.add_argument("--width", type=int, nargs="*", default=[600, 1600])
    parser.add_argument("--dark", action="store_true")
    wanted = parser.parse_args()
    path = find_chromium()
    if path is None:
        raise SystemExit(f"no Chromium here. {HOW}")
    wanted.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as scratch:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        for name, make in modes().items():
            if wanted.only not in (None, name):
                continue
            page_file = make().to_html(Path(scratch) / f"{name}.html")
            for width in wanted.width:
                page = browser.new_page(
                    viewport={"width": width, "height": 800},
                    color_scheme="dark" if wanted.dark else "light",
                )
                page.goto(page_file.as_uri())
                page.wait_for_selector(".hmr[data-pictures]")
                page.wait_for_timeout(700)
                suffix = f"_{width}" if len(wanted.width) > 1 else ""
                target = wanted.folder / f"viewer_{name}{suffix}.png"
                page.locator(".hmr").screenshot(path=target)
                print(target)
                page.close()
        browser.close()


if __name__ == "__main__":
    main()
