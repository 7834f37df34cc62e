"""Draw the README's row of real people: a photograph, and the bodies that three ways give.

    python tools/build_real_figure.py

The pictures are frames of pose2sim's demonstration (see `hmrlab evaluate --on balance`), whose
licence is written beside the figure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from hmrlab.bodies import load_body, require_free_body
from hmrlab.captures.files import find_capture, open_capture
from hmrlab.files import write_text_whole
from hmrlab.files.clips import read_frames
from hmrlab.ledger import current_command, describe_machine, source_commit, versions
from hmrlab.models.shipped import load_people_model, load_reference_model
from hmrlab.photos.bodies import PhotoBodies
from hmrlab.photos.fitting import fit_people
from hmrlab.photos.landmarks import ByEyes
from hmrlab.photos.network import predict
from hmrlab.smplify import load_prior

FRAMES = (("cam03", 16), ("cam04", 64), ("cam02", 92))  # of 100 each
WAYS = (
    "photograph",
    "network at 64 px,\ndrawn people alone",
    "network that reads\nwhat the eyes see",
    "fit to what\nthe eyes see",
)
SIDE = 320  # pixels of a picture in the figure
ROOM = 1.05  # sides of the pictures over the boxes


def rows(source: Path) -> list[list[np.ndarray]]:
    """For each frame the photograph and three overlays, (SIDE, SIDE, 3) uint8."""
    body, prior, eyes = load_body("free", "light"), load_prior(), ByEyes()
    before, now = load_reference_model(), load_people_model()
    found = []
    with open_capture(source) as capture:
        for camera, number in FRAMES:
            video = capture.videos[camera]
            image = next(image for k, image in read_frames(video, number) if k == number)
            seen = eyes.find(video, image)
            made = [
                predict(before, image, seen, body, before.resolution),
                predict(now, image, seen, body, now.resolution),
                fit_people(image, seen, body, prior),
            ]
            overlays = [_window(each, each.overlay()) for each in made]
            found.append([_window(made[0], image), *overlays])
    return found


def _window(bodies: PhotoBodies, picture: np.ndarray) -> np.ndarray:
    """The square about the largest person of a picture of the whole photo."""
    row = int(bodies.boxes.side.argmax())
    zoom = picture.shape[0] / bodies.image.shape[0]
    half = zoom * ROOM * float(bodies.boxes.side[row]) / 2
    x, y = (zoom * bodies.boxes.center[row]).tolist()
    corners = [round(v) for v in (x - half, y - half, x + half, y + half)]
    square = Image.fromarray(picture).crop(corners)
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def draw(pictures: list[list[np.ndarray]]) -> Figure:
    """A row for each photograph, a column for each way."""
    figure = Figure(figsize=(9.2, 2.45 * len(pictures) + 0.4), layout="constrained")
    axes = figure.subplots(len(pictures), len(WAYS), squeeze=False)
    for line, shown in zip(axes, pictures, strict=True):
        for axis, picture in zip(line, shown, strict=True):
            axis.imshow(picture)
            axis.set_axis_off()
    for axis, way in zip(axes[0], WAYS, strict=True):
        axis.set_title(way, fontsize=9)
    return figure


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--capture", type=Path, help="pose2sim's wheel; that in data/downloads")
    parser.add_argument("--folder", type=Path, default=Path("figures"))
    options = parser.parse_args(words)
    require_free_body("the README's figures")
    about = {
        "command": current_command(),
        "commit": source_commit(),
        "machine": describe_machine(),
        "versions": versions(),
        "frames": [f"{camera}, frame {number}" for camera, number in FRAMES],
    }
    path = options.folder / "real_people.jpg"
    draw(rows(options.capture or find_capture())).savefig(path, dpi=120, pil_kwargs={"quality": 88})
    write_text_whole(path.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
