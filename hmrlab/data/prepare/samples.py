"""What several recipes need: keypoints by their names, boxes, a set in lots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmrlab.bodies.joints import ANNOTATED_NAMES
from hmrlab.data.prepare.recipe import Converted
from hmrlab.files import FileProblem

AT_ONCE = 500  # samples in a job, where a set comes with one file of annotations for all
MAX_PEOPLE = 200_000  # in one file of annotations: seven times those of COCO
_MAX_NAME = 100  # characters


def picture_names(path: Path, key: str, names: Sequence[str]) -> np.ndarray:
    """Names of pictures as a file of annotations has them, (N,) text.

    Raises:
        FileProblem: there are too many, or one is no name of a file.
    """
    if len(names) > MAX_PEOPLE:
        raise FileProblem(
            f"{path}: '{key}' names {len(names):,} pictures; at most {MAX_PEOPLE:,} are expected."
        )
    for row, name in enumerate(names):
        inside = not name.startswith("/") and ".." not in name.split("/")
        if not (name and inside and len(name) <= _MAX_NAME and name.isprintable()):
            raise FileProblem(
                f"{path}: '{key}' of row {row} is no name of a picture: {name[:60]!r}."
            )
    return np.array(names, str)


def named(
    points: np.ndarray, names: Sequence[str], into: Sequence[str] = ANNOTATED_NAMES
) -> np.ndarray:
    """Keypoints in another order, by name.

    Args:
        points: (N, J, 2) places, or (N, J, 3) places and confidence; places alone are certain.
        names: of the J.
        into: the order wanted, by default that of the 24 annotated ones.

    Returns:
        (N, len(into), 3) place and confidence; zero where there is no such keypoint.
    """
    if points.shape[1] != len(names):
        raise ValueError(f"{points.shape[1]} keypoints with {len(names)} names")
    found = np.zeros((len(points), len(into), 3))
    columns = [into.index(name) for name in names]
    found[:, columns, : points.shape[2]] = points
    if points.shape[2] == 2:
        found[:, columns, 2] = 1
    return found


def boxes(points: np.ndarray, seen: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """The square about the middle of each person's keypoints' box.

    Args:
        points: (N, J, 2) pixels.
        seen: (N, J) bool, which of them count.
        factor: the square's side by the longer side of the box.

    Returns:
        center (N, 2) and scale (N,), the side by 200 pixels; for somebody with no keypoint at
        all, 0 and 0.
    """
    high = np.where(seen[..., None], points, -np.inf).max(1)
    low = np.where(seen[..., None], points, np.inf).min(1)
    some = seen.any(1)
    high, low = np.where(some[:, None], high, 0), np.where(some[:, None], low, 0)
    return (low + high) / 2, factor * (high - low).max(1) / 200


def in_lots(arrays: dict[str, np.ndarray], size: int = AT_ONCE) -> list[tuple[str, Converted]]:
    """Samples in lots of some hundreds, each with a name for its job."""
    lots = []
    for first in range(0, len(next(iter(arrays.values()))), size):
        some = {key: value[first : first + size] for key, value in arrays.items()}
        lots.append((f"from-{first:06d}", Converted(some)))
    return lots


def as_found(found: Converted) -> Converted:
    """For jobs whose samples are known already, and only their pictures are to be looked at."""
    return found
