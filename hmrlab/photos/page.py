"""A photo's people as a page that turns them in the browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmrlab.geometry import SPIN_IMAGE_SIZE
from hmrlab.photos.result import PhotoBodies
from hmrlab.viewer import BodyViewer, write_page

PAGE = "view.html"
HEIGHT = 560  # of the stage, pixels


def viewer_of(result: PhotoBodies, title: str = "") -> BodyViewer:
    """A viewer with a row of the people, each over its own crop of the photo."""
    posed = result.posed
    crops = (255 * result.boxes.crops(result.image, SPIN_IMAGE_SIZE)).round().byte()
    return BodyViewer(
        result.body,
        posed.rotations[:, None, None],
        posed.betas[:, None, None],
        translation=posed.translation[:, None, None],
        names=[""],
        people=[f"person {number}" for number in result.numbers],
        pictures=np.ascontiguousarray(crops.permute(0, 2, 3, 1).numpy()),
        frame="camera",
        title=title,
        height=HEIGHT,
    )


def save_page(
    result: PhotoBodies, folder: str | Path, *, include_body: bool = False, title: str = ""
) -> Path | None:
    """Write `view.html`, whole or not at all.

    Args:
        result: the people.
        folder: of the page.
        include_body: write a body model of the user's own, too: whoever has the page has the model.
        title: of the page.

    Returns:
        The page, or None where it would show such a model and that was not asked for.

    Raises:
        FileProblem: the folder cannot be written to.
    """
    viewer = viewer_of(result, title)
    if not (viewer.free or include_body):
        return None
    return write_page(Path(folder) / PAGE, [viewer], include_body=include_body)
