"""Whole files for each command, as the rooms' own tests write them."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
SIDE, PEOPLE = 64, 3


def module_of(place: str) -> ModuleType:
    """A module of the tests, with its miniature originals."""
    path = TESTS / place
    spec = importlib.util.spec_from_file_location(f"hostile_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def linked(folder: Path, to: Path) -> Path:
    """A folder with the same files, none of which takes room."""
    return Path(shutil.copytree(folder, to, copy_function=os.link))


def replace(path: Path, content: bytes) -> None:
    """Another file of that name, also where the old one has a second name elsewhere."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def picture(path: Path, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """A small picture of noise."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def record_arrays(n: int = PEOPLE) -> dict[str, np.ndarray]:
    """A record file of n unlabelled people, in pictures beside it."""
    rng = np.random.default_rng(0)
    keypoints = np.concatenate([rng.uniform(10, 54, (n, 49, 2)), np.ones((n, 49, 1))], 2)
    joints = np.concatenate([rng.normal(size=(n, 24, 3)), np.ones((n, 24, 1))], 2)
    return {
        "imgname": np.array([f"{k}.png" for k in range(n)]),
        "center": np.full((n, 2), SIDE / 2),
        "scale": np.full(n, SIDE / 200),
        "openpose": keypoints[:, :25],
        "part": keypoints[:, 25:],
        "S": joints,
        "pose": rng.normal(0, 0.3, (n, 72)),
        "shape": rng.normal(size=(n, 10)),
        "has_smpl": np.zeros(n),
        "gender": np.array(["m", "f", "n"][:n]),
    }


def person_arrays() -> dict[str, np.ndarray]:
    """Parameters of one body."""
    rng = np.random.default_rng(0)
    return {"pose": rng.normal(0, 0.2, 72), "betas": rng.normal(size=10)}


def openpose(people: int = 1) -> dict:
    """What OpenPose writes."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(5, 60, (25, 2)), np.full((25, 1), 0.9)], 1)
    person = {"person_id": [-1], "pose_keypoints_2d": points.round(2).ravel().tolist()}
    return {"version": 1.3, "people": [person] * people}


def prior_arrays() -> dict[str, np.ndarray]:
    """A small pose prior in SMPLify's form."""
    rng = np.random.default_rng(1)
    return {
        "means": rng.normal(0, 0.1, (8, 69)),
        "covars": np.stack([np.eye(69) * (k + 1) for k in range(8)]),
        "weights": np.full(8, 1 / 8),
    }


def ledger_row() -> dict:
    """A recorded training."""
    return {
        "name": "keypoints_only", "settings": {"run": {"name": "keypoints_only"}, "scale": "quick"},
        "settings_hash": "0123456789abcdef", "seed": 0, "commit": "abc", "versions": {"torch": "2"},
        "machine": "two cores", "metrics": {"studio_mpjpe_mm": 140.0}, "seconds": 12.5,
        "date": "2026-01-01T00:00:00+00:00", "command": "hmrlab train", "artifacts": {},
    }  # fmt: skip


def mesh(kind: str) -> bytes:
    """A tetrahedron as obj, ply, stl or glb."""
    import trimesh

    shape = trimesh.creation.icosahedron()
    data = shape.export(file_type=kind)
    return data.encode() if isinstance(data, str) else data


def network_file() -> bytes:
    """The small network that comes along."""
    from hmrlab.models.shipped import shipped_path

    return shipped_path("hmr").read_bytes()


def light_body() -> bytes:
    """The free body's file."""
    from hmrlab.bodies.body import ASSETS

    return (ASSETS / "free_body_light.npz").read_bytes()


def as_json(content: object) -> bytes:
    """As a file."""
    return json.dumps(content).encode()


def as_npz(arrays: dict[str, np.ndarray]) -> bytes:
    """As a file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
