"""A dry run of `tools/gpu.py` that is killed, goes on, and ends: once for all tests here."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rehearsal import TOOLS, DryRun, commands, start


@pytest.fixture
def tools(monkeypatch):
    """The tools' folder first in the path, as for their commands."""
    monkeypatch.syspath_prepend(TOOLS)
    return TOOLS


@pytest.fixture
def gpu(tools):
    """The command's module; `benchmarks/gpu.py` may have taken its plain name already."""
    spec = importlib.util.spec_from_file_location("tools_gpu", tools / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def dry(tmp_path_factory) -> DryRun:
    """The whole queue on the CPU, killed in its second training, and begun again."""
    place = tmp_path_factory.mktemp("gpu")
    folder, home = place / "out", place / "home"
    words = ("--dry-run", "--minutes", "8", "--folder", folder)
    first = start(*words, home=home)
    rows, second = folder / "rows.jsonl", home / "runs" / "gpu-logs" / "card_shufflenet_v2_x1_0.log"
    limit = time.monotonic() + 240
    while not (second.exists() and rows.exists()):
        assert first.poll() is None, first.stdout.read()
        assert time.monotonic() < limit
        time.sleep(0.05)
    first.kill()
    first.wait()
    at_kill = rows.read_text()
    time.sleep(0.5)
    left = [command for command in commands() if str(folder) in command]
    again = start(*words, home=home)
    said = again.communicate(timeout=300)[0]
    return DryRun(folder, home, at_kill, left, again.returncode, said)
