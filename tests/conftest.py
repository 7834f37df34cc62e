"""Fixtures that several rooms' tests share."""

import multiprocessing.spawn
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import settings

from hmrlab import cli
from hmrlab.data.records import Records

settings.register_profile("hmrlab", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("hmrlab")

GOLDEN_FOLDER = Path(__file__).parent / "data" / "golden"


@pytest.fixture(scope="session")
def golden() -> dict[str, torch.Tensor]:
    """Inputs and outputs of SPIN's own functions on seeded random numbers."""
    with np.load(GOLDEN_FOLDER / "spin_numbers.npz", allow_pickle=False) as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays.files}


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Where the golden numbers lie."""
    return GOLDEN_FOLDER


@pytest.fixture
def make_records(tmp_path):
    """Write a record file of n labelled people in pictures of `size` pixels, and open it."""

    def make(n: int = 6, size: int = 96, packed: bool = True, folder: Path = tmp_path) -> Records:
        rng = np.random.default_rng(0)
        keypoints = np.concatenate([rng.uniform(20, 76, (n, 49, 2)), np.ones((n, 49, 1))], 2)
        joints = np.concatenate([rng.normal(size=(n, 24, 3)), np.ones((n, 24, 1))], 2)
        names = [f"images.npy#{k}" if packed else f"{k}.png" for k in range(n)]
        np.savez(
            folder / "records.npz",
            imgname=np.array(names),
            center=np.full((n, 2), size / 2),
            scale=np.full(n, 64 / 200),
            openpose=keypoints[:, :25],
            part=keypoints[:, 25:],
            S=joints,
            pose=rng.normal(0, 0.4, (n, 72)),
            shape=rng.normal(size=(n, 10)),
            has_smpl=np.ones(n),
        )
        pictures = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
        if packed:
            np.save(folder / "images.npy", pictures)
        else:
            from PIL import Image

            for k, picture in enumerate(pictures):
                Image.fromarray(picture).save(folder / f"{k}.png")
        return Records.open(folder / "records.npz")

    return make


@pytest.fixture(scope="session")
def numbered_video():
    """Writes videos in which every frame shows its own number."""
    from numbered_video import NumberedVideo  # PyAV is not on every machine with a GPU

    return NumberedVideo()


@pytest.fixture
def hmrlab(monkeypatch, capsys):
    """Calls the command in this process; gives its exit code and what it printed."""

    def call(*words: object) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["hmrlab", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return SimpleNamespace(code=ended.value.code or 0, out=out, err=err)

    return call


class Watch:
    """Looks at processes, through /proc."""

    def children_of(self, pid: int) -> list[int]:
        """Those that it started, and those that these did."""
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        own = [number for number in numbers if self._status(number)[1:2] == [str(pid)]]
        return own + [further for child in own for further in self.children_of(child)]

    def workers_of(self, pid: int) -> list[int]:
        """Those that do pieces of work."""
        return [child for child in self.children_of(pid) if b"spawn_main" in _command(child)]

    def alive(self, pid: int) -> bool:
        return self._status(pid)[:1] not in ([], ["Z"])

    def wait_until(self, happened: Callable[[], object], seconds: float = 90.0) -> None:
        limit = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < limit
            time.sleep(0.02)

    def _status(self, pid: int) -> list[str]:
        """A process's state, parent and more; empty where it is gone."""
        try:
            return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return []


def _command(pid: int) -> bytes:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="session")
def watch() -> Watch:
    """What looks at processes; only Linux has /proc."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    return Watch()


@pytest.fixture
def no_child_starts() -> Iterator[None]:
    """Each child process ends before it has begun."""
    resource_tracker.ensure_running()  # a process of its own, which is to live
    python = multiprocessing.spawn.get_executable()
    multiprocessing.spawn.set_executable("/bin/false")
    yield
    multiprocessing.spawn.set_executable(python)
