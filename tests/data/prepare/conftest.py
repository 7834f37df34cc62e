"""Miniature originals that several data sets' tests share."""

import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """Where prepared sets go in a test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("HMRLAB_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def write_picture():
    """Writes a small picture, JPEG or PNG as its name says, of a grey between 0 and 255."""
    from PIL import Image

    def write(path: Path, grey: int = 90, size: tuple[int, int] = (40, 30)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (grey, grey, grey)).save(path)
        return path

    return write


PW3D_FRAMES = 3


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 and its numpy wrote: byte strings, and numpy's old module."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_text(self, value):
        data = value if isinstance(value, bytes) else value.encode("latin1")
        if len(data) < 256:
            self.write(b"U" + bytes([len(data)]) + data)
        else:
            self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    def save_name(self, value, name=None):
        if getattr(value, "__module__", "") == "numpy._core.multiarray":
            self.write(f"cnumpy.core.multiarray\n{value.__name__}\n".encode())
            self.memoize(value)
        else:
            super().save_global(value, name)

    dispatch[str] = dispatch[bytes] = save_text
    dispatch[type(np._core.multiarray._reconstruct)] = save_name
    dispatch[type] = save_name


def as_python_2(value) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def rodrigues(vector: np.ndarray) -> np.ndarray:
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def pw3d_sequence(name: str, people: int = 2, seed: int = 0) -> dict:
    """All fields of the official files, for a few frames."""
    rng = np.random.default_rng(seed)
    cameras = np.tile(np.eye(4), (PW3D_FRAMES, 1, 1))
    for camera in cameras:
        camera[:3, :3] = rodrigues(rng.normal(size=3))
        camera[:3, 3] = rng.normal(size=3)
    seen = np.concatenate(
        [rng.uniform(5, 35, (people, PW3D_FRAMES, 2, 18)), np.ones((people, PW3D_FRAMES, 1, 18))], 2
    )
    per_person = list(range(people))
    return {
        "sequence": name,
        "poses": [rng.normal(0, 0.4, (PW3D_FRAMES, 72)) for _ in per_person],
        "trans": [rng.normal(size=(PW3D_FRAMES, 3)) for _ in per_person],
        "poses_60Hz": [rng.normal(size=(2 * PW3D_FRAMES, 72)) for _ in per_person],
        "trans_60Hz": [rng.normal(size=(2 * PW3D_FRAMES, 3)) for _ in per_person],
        "betas": [rng.normal(size=10) for _ in per_person],
        "betas_clothed": [rng.normal(size=10) for _ in per_person],
        "v_template_clothed": [rng.normal(size=(4, 3)) for _ in per_person],
        "genders": ["m", "f"][:people],
        "texture_maps": [],
        "poses2d": list(seen),
        "jointPositions": [rng.normal(size=(PW3D_FRAMES, 72)) for _ in per_person],
        "img_frame_ids": np.arange(0, 2 * PW3D_FRAMES, 2),
        "cam_poses": cameras,
        "campose_valid": [np.ones(PW3D_FRAMES, int) for _ in per_person],
        "cam_intrinsics": np.array([[1960.0, 0, 540], [0, 1960, 960], [0, 0, 1]]),
    }


@pytest.fixture(scope="session")
def sequence():
    """Makes what a pickle of 3DPW holds: all its fields, for three frames."""
    return pw3d_sequence


@pytest.fixture(scope="session")
def python_2():
    """Pickles as Python 2 did, by protocol 2."""
    return as_python_2


@pytest.fixture
def original(tmp_path, write_picture):
    """Writes sequences of 3DPW and their pictures."""
    root = tmp_path / "3DPW"

    def write(*contents: dict, split: str = "test") -> Path:
        for content in contents:
            path = root / "sequenceFiles" / split / f"{content['sequence']}.pkl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(as_python_2(content))
            for frame in range(PW3D_FRAMES):
                write_picture(
                    root / "imageFiles" / content["sequence"] / f"image_{frame:05d}.jpg",
                    size=(40, 60),
                )
        return root

    return write
