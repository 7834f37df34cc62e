"""Trained weights that come with the package, in half precision, and what they were measured at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hmrlab.files import FileProblem, read_json, sha256_of
from hmrlab.models.hmr import HMR
from hmrlab.models.load_any import open_model

FOLDER = Path(__file__).parent / "assets"
FILES = {"encoder": "small_encoder.pt", "hmr": "small_hmr.pt", "people": "people_hmr.pt"}
NETWORKS = {"shipped": "hmr", "people": "people"}
"""The names by which the networks that come along are asked for, and which file each is."""
RECORD = "record.json"


def shipped_path(kind: str, folder: Path = FOLDER) -> Path:
    """The file of some weights.

    Args:
        kind: "encoder", the pretrained small one; "hmr", the reference network on it; "people", the
            one for photographs, which reads BlazePose's points.

    Raises:
        FileProblem: it is not there.
        ValueError: no such kind.
    """
    if kind not in FILES:
        raise ValueError(f"there are {', '.join(FILES)} among the shipped weights, not {kind!r}")
    path = folder / FILES[kind]
    if not path.is_file():
        raise FileProblem(
            f"{path} is missing from this installation; make it anew: python tools/build_weights.py"
        )
    return path


def shipped_digest(kind: str) -> str:
    """SHA-256 of that file."""
    return sha256_of(shipped_path(kind))


def load_reference_model(folder: Path = FOLDER) -> HMR:
    """The small HMR that comes with the package, in evaluation mode.

    Raises:
        FileProblem: its file is missing or damaged.
    """
    return open_model(shipped_path("hmr", folder))


def load_people_model(folder: Path = FOLDER) -> HMR:
    """The network for photographs that comes with the package, in evaluation mode.

    Raises:
        FileProblem: its file is missing or damaged.
    """
    return open_model(shipped_path("people", folder))


def shipped_record() -> dict[str, Any]:
    """How they were made and what they scored: runs as in the ledger, and the check's numbers."""
    return read_json(FOLDER / RECORD, dict[str, Any])
