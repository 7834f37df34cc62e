"""Trained weights that come with the package, in half precision, and what they were measured at."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from hmrlab.files import FileProblem
from hmrlab.models.checkpoints import load_model
from hmrlab.models.hmr import HMR

FOLDER = Path(__file__).parent / "assets"
FILES = {"encoder": "small_encoder.pt", "hmr": "small_hmr.pt"}
RECORD = "record.json"


def shipped_path(kind: str, folder: Path = FOLDER) -> Path:
    """The file of the pretrained small encoder ("encoder") or of the reference HMR ("hmr").

    Raises:
        FileProblem: it is not there.
        ValueError: no such kind.
    """
    if kind not in FILES:
        raise ValueError(f"there are {', '.join(FILES)} among the shipped weights, not {kind!r}")
    path = folder / FILES[kind]
    if not path.is_file():
        raise FileProblem(
            f"{path} is missing from this installation; make it anew: hmrlab assets build"
        )
    return path


def shipped_digest(kind: str) -> str:
    """SHA-256 of that file."""
    return hashlib.sha256(shipped_path(kind).read_bytes()).hexdigest()


def load_reference_model(folder: Path = FOLDER) -> HMR:
    """The small HMR that comes with the package, in evaluation mode.

    Raises:
        FileProblem: its file is missing or damaged.
    """
    return load_model(shipped_path("hmr", folder))


def shipped_record() -> dict[str, Any]:
    """How both were made and what they scored: runs as in the ledger, and the check's numbers."""
    return json.loads((FOLDER / RECORD).read_text(encoding="utf-8"))
